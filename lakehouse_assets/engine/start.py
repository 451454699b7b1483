"""Starting the engine that the settings select; all steps of a process share one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse_assets.engine.spark_session import SparkConfig

_started: dict[str, Engine] = {}


def start_engine(
    name: str = "duckdb",
    memory_limit: str = "4GB",
    threads: int = 0,
    spark: SparkConfig | None = None,
) -> Engine:
    """Start an engine, or return the running one, and make it the active one.

    Args:
        name: `duckdb` or `spark`.
        memory_limit: Memory that the embedded engine may use.
        threads: Threads of the embedded engine; 0 means every core.
        spark: Where Spark runs; on this machine by default.

    Raises:
        LakehouseError: there is no such engine, or it does not start.
    """
    if name not in _started:
        if name == "duckdb":
            from lakehouse_assets.engine.duckdb import DuckDBEngine

            _started[name] = DuckDBEngine(memory_limit=memory_limit, threads=threads)
        elif name == "spark":
            from lakehouse_assets.engine.spark import SparkEngine
            from lakehouse_assets.engine.spark_session import SparkConfig, open_session

            _started[name] = SparkEngine(open_session(spark or SparkConfig()))
        else:
            raise LakehouseError(
                f"There is no engine {name!r}; set LAKEHOUSE_ENGINE to duckdb or spark."
            )
    current.activate(_started[name])
    return _started[name]
