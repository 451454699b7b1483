"""Apache Spark as an engine: its scans, its CSV reader, Arrow in and out, and its vocabulary.

Belongs here: what the engine does with a session. Not here: how a session is come by
(`spark_session.py`), rules, tables, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine.types import DataFrame

if TYPE_CHECKING:
    from lakehouse_assets.lake.registry import Column


class SparkEngine:
    """One Spark session for the process.

    Args:
        session: Classic or Spark Connect session.
    """

    name = "spark"

    def __init__(self, session: Any) -> None:
        from pyspark.sql import Window, functions

        self.session = session
        self.functions = functions
        self.window = Window
        self._kept: list[DataFrame] = []

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DataFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""
        found = self.session.read.format("delta").option("versionAsOf", version).load(uri)
        return found.select(*[column.name for column in columns]).alias(f"{table}@{version}")

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Free what was checkpointed inside when it ends."""
        yield
