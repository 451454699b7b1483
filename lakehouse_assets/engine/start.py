"""Starting the engine that the settings name; one session per process, shared by all steps."""

from __future__ import annotations

from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError

_started: dict[str, Engine] = {}


def start_engine(name: str = "duckdb", memory_limit: str = "4GB", threads: int = 0) -> Engine:
    """Start an engine, or return the running one, and make it the active one.

    Raises:
        LakehouseError: no such engine, or it does not start; the message has the remedy.
    """
    if name not in _started:
        if name != "duckdb":
            raise LakehouseError(f"There is no engine {name!r}; set LAKEHOUSE_ENGINE to duckdb.")
        from lakehouse_assets.engine.duckdb import DuckDBEngine

        _started[name] = DuckDBEngine(memory_limit=memory_limit, threads=threads)
    current.activate(_started[name])
    return _started[name]
