"""Write Delta tables from the embedded engine, through delta-rs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import one_line
from lakehouse_assets.lake.local_lock import local_lock
from lakehouse_assets.lake.predicate import to_sql
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.lake.writer import (
    Change,
    FencedError,
    OvertakenError,
    Written,
    broken_rules,
    foreign_table,
    unwritable,
)

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE_ROWS = 5


class DeltaRsWriter:
    """Streams the rows of an engine's frames into tables, batch by batch."""

    knows_every_feature = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows_of(self, frame: DataFrame) -> tuple[Any, pa.Schema]:
        """Run a frame; return its rows, which can be read once, and their schema."""
        rows = self._engine.arrow_stream(frame)
        return rows, rows.schema

    def apply(self, change: Change, rows: pa.RecordBatchReader) -> Written:
        """Replace exactly the selected rows, or add rows, in one commit.

        Raises:
            LakehouseError: a row is outside the selection or breaks a constraint, or the lake
                cannot be written. Nothing changes.
        """
        import pyarrow as pa
        from deltalake import CommitProperties, Transaction, write_deltalake

        # Nullable here, so that delta-rs itself checks non-null columns: its error is clearer.
        target = pa.schema([field.with_nullable(True) for field in arrow_schema(change.table)])
        rows = rows if rows.schema == target else rows.cast(target)
        sample: list[Mapping[str, Any]] = []
        failed: list[Exception] = []

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for batch in rows:
                    sample.extend(batch.slice(0, _SAMPLE_ROWS - len(sample)).to_pylist())
                    yield batch
            except Exception as error:
                failed.append(error)
                raise

        try:
            with _explained(change), local_lock(change.path.uri, alone=False):
                write_deltalake(
                    change.found,
                    pa.RecordBatchReader.from_batches(rows.schema, batches()),
                    mode="append" if change.selection is None else "overwrite",
                    predicate=None if change.selection is None else to_sql(change.selection),
                    commit_properties=CommitProperties(
                        custom_metadata=change.commit.as_metadata(),
                        app_transactions=[
                            Transaction(source, advance.end)
                            for source, advance in change.progress.items()
                        ],
                    ),
                )
        except Exception:
            if failed:
                # The engine's own error instead of delta-rs's, which wraps it.
                raise failed[0] from None
            raise
        return Written(change.found, sample)


@contextmanager
def _explained(change: Change) -> Iterator[None]:
    """Turn delta-rs's write errors into our own, without the rows that its messages preview."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except (DeltaError, OSError) as error:
        text = str(error)
        if "failed validation check" in text or "Check constraint violated" in text:
            # The original message previews rows, which may be personal data, so it is dropped.
            count = re.search(r"(\d+) rows? failed", text)
            raise broken_rules(change.table, count[1] if count else "Some") from None
        fault = change.path.explain(error)
        if fault is not None:
            raise fault from None
        if "Concurrent transaction failed" in text:
            raise FencedError(change.table, " and ".join(change.progress)) from error
        if isinstance(error, CommitFailedError):
            foreign = re.search(r"Unsupported table features required: \[([^\]]*)\]", text)
            if foreign is None:
                raise OvertakenError(change.table) from error
            raise foreign_table(change.table, foreign[1], "the embedded engine", "Spark") from error
        # delta-rs does not always raise its own class for file errors.
        if isinstance(error, OSError) or "(os error " in text:
            raise unwritable(change.path, change.table, one_line(error)) from error
        raise
