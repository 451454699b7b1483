"""The interface that every engine implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from lakehouse_assets.engine.current import DataFrame

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.catalog.registry import Column
    from lakehouse_assets.engine.duckdb_dialect import DuckDBDialect
    from lakehouse_assets.engine.spark_dialect import SparkDialect

_Results = TypeVar("_Results")

BATCH_ROWS: Final = 131_072
"""Most rows of a batch that an engine streams."""


@dataclass(frozen=True, order=True)
class SourceColumn:
    """A column of a stored table, as column lineage names it."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


class Engine(Protocol):
    """An engine: a session, its functions, and the transfer of data."""

    @property
    def name(self) -> str:
        """Name by which the settings select it."""

    @property
    def functions(self) -> Any:
        """The engine's `pyspark.sql.functions`."""

    @property
    def window(self) -> Any:
        """The engine's `pyspark.sql.Window`."""

    @property
    def dialect(self) -> DuckDBDialect | SparkDialect:
        """What engines do differently in the functions of `vocabulary.py`."""

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DataFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""

    def from_arrow(
        self, data: pa.Table | pa.RecordBatchReader, table: str | None = None
    ) -> DataFrame:
        """Make a frame of Arrow data.

        Args:
            data: The rows.
            table: Table that lineage names as their origin; for data without rows only.
        """

    def checkpoint(self, frame: DataFrame) -> DataFrame:
        """Compute a frame once and keep it until the scope ends."""

    def stage(self, frame: DataFrame) -> DataFrame:
        """End a frame's plan and start a new one, without computing; valid until the scope ends."""

    def union(self, frames: Sequence[DataFrame]) -> DataFrame:
        """Concatenate frames with the same columns; valid until the scope ends."""

    def add_columns(
        self,
        frame: DataFrame,
        needed: Sequence[str],
        added: pa.Schema,
        compute: Callable[[pa.RecordBatch], pa.RecordBatch],
    ) -> DataFrame:
        """Compute columns in Python, batch by batch, once; they are kept until the scope ends.

        Args:
            frame: The rows.
            needed: Columns that `compute` receives; lineage derives the new columns from them.
            added: The new columns, which may hold nulls.
            compute: Returns the new columns for a batch of rows, in the same order. It may run in
                other processes and on other machines, which have only NumPy and PyArrow; the code
                of this project that it needs is sent along.

        Raises:
            LakehouseError: `compute` returns other columns or another number of rows.
        """

    def prepared(self, transform: Callable[..., _Results]) -> Callable[..., _Results]:
        """Return a transformation of frames whose plan is made only once, for many small inputs.

        Args:
            transform: Returns frames; it takes frames by keyword, and neither runs nor checkpoints
                them. The frames of all calls have the same columns.

        Returns:
            The transformation. Frames that it returns are valid until its next call, and say
            nothing about lineage.
        """

    def scope(self) -> AbstractContextManager[None]:
        """Open a scope; frames that are kept inside are freed when it ends."""

    def arrow_stream(self, frame: DataFrame) -> pa.RecordBatchReader:
        """Run a frame and stream its rows in batches of at most `BATCH_ROWS`."""

    def rows(self, frame: DataFrame) -> list[dict[str, Any]]:
        """Run a small frame and return its rows."""

    def lineage(self, frame: DataFrame) -> dict[str, frozenset[SourceColumn]]:
        """Derive, from the plan, which stored columns each output column comes from.

        Only the embedded engine does; others return nothing.
        """

    def versions_read(self, frame: DataFrame) -> dict[str, int]:
        """Return the Delta versions that the frame's plan reads, by table name."""

    def query(
        self, sql: str, frames: Mapping[str, DataFrame] | None = None
    ) -> pa.RecordBatchReader:
        """Run one SQL statement over named frames and stream its rows.

        Args:
            sql: The statement.
            frames: Frames by SQL name: `domain.table` or a plain name.

        Raises:
            QueryError: the statement fails, at once or while rows are read.
        """
