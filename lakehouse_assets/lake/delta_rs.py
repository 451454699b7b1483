"""Writing Delta tables from the embedded engine, through delta-rs.

Not
here: what may be written (`delta.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.types import DataFrame
from lakehouse_assets.lake import log
from lakehouse_assets.lake.commits import SAMPLE_ROWS, Commit
from lakehouse_assets.lake.local_lock import local_lock
from lakehouse_assets.lake.predicate import Selection, columns_of, to_sql, to_test
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.lake.writer import (
    Change,
    OvertakenError,
    Target,
    Written,
    ambiguous_rows,
    broken_rules,
    foreign_table,
    rows_outside,
    unwritable,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties


class DeltaRsWriter:
    """Streams the rows of an engine into tables, batch by batch.

    Args:
        engine: Engine whose frames are written.
    """

    knows_every_feature = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows_of(self, frame: DataFrame) -> pa.RecordBatchReader:
        """Run a frame."""
        return self._engine.arrow_stream(frame)

    def schema_of(self, rows: pa.RecordBatchReader) -> pa.Schema:
        """Return the schema that the rows have."""
        return rows.schema

    def add_constraints(self, target: Target, rules: Mapping[str, str]) -> None:
        """Add CHECK constraints that the table does not have."""

        def add() -> None:
            with _explained(target), local_lock(target.uri, alone=False):
                target.found.update_incremental()
                kept = log.stored_constraints(target.found)
                missing = {name: rule for name, rule in rules.items() if name not in kept}
                if missing:
                    target.found.alter.add_constraint(missing)

        log.retrying(add, OvertakenError)

    def replace(self, target: Target, change: Change) -> Written:
        """Replace exactly the selected rows, in one commit."""
        from deltalake import write_deltalake

        rows = _Rows(_fitted(target.table, change))
        with rows.errors(), _explained(target), local_lock(target.uri, alone=False):
            _list_features(target, change)
            write_deltalake(
                target.found,
                rows.stream,
                mode="overwrite",
                predicate=to_sql(change.selection, target.table.columns),
                schema_mode="merge" if change.reshapes else None,
                commit_properties=_properties(change.commit),
            )
        return Written(target.found, rows.sample)

    def merge(self, target: Target, change: Change, identity: Sequence[str]) -> Written:
        """Insert rows of new identity and update known ones; the rows are held in memory."""
        table = target.table
        rows = _fitted(table, change).read_all()
        _refuse_outside(table, rows, change.selection)
        _refuse_ambiguous(table, rows, identity)
        on = [f'target."{name}" = source."{name}"' for name in identity]
        where = to_sql(change.selection, table.columns, relation="target")
        if where is not None:
            on.append(f"({where})")

        def attempt() -> None:
            with _explained(target), local_lock(target.uri, alone=False):
                target.found.update_incremental()
                _list_features(target, change)
                merger = target.found.merge(
                    rows,
                    predicate=" AND ".join(on),
                    source_alias="source",
                    target_alias="target",
                    merge_schema=change.reshapes,
                    commit_properties=_properties(change.commit),
                )
                merger.when_matched_update_all().when_not_matched_insert_all().execute()

        log.retrying(attempt, OvertakenError)
        return Written(target.found, rows.slice(0, SAMPLE_ROWS).to_pylist())


class _Rows:
    """A stream of rows on its way to the writer, of which the first few are remembered.

    Attributes:
        stream: The rows, for one pass.
        sample: The first rows, once they have passed.
    """

    def __init__(self, source: pa.RecordBatchReader) -> None:
        import pyarrow as pa

        self.sample: list[Mapping[str, Any]] = []
        self._source = source
        self._failure: BaseException | None = None
        self.stream = pa.RecordBatchReader.from_batches(source.schema, self._pass_on())

    def _pass_on(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._source:
                missing = SAMPLE_ROWS - len(self.sample)
                if missing > 0:
                    self.sample += batch.slice(0, missing).to_pylist()
                yield batch
        except Exception as error:
            self._failure = error
            raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what failed while the rows were computed, not how the writer retells it."""
        try:
            yield
        except Exception:
            if self._failure is not None:
                raise self._failure from None
            raise


def _fitted(table: Table, change: Change) -> pa.RecordBatchReader:
    """Give rows the declared types' exact names, comments and, where it counts, nullability."""
    import pyarrow as pa

    fields = {f.name: f for f in arrow_schema(table)}
    # A table that is extended takes over the stream's nullability; otherwise the writer's own check
    # of non-null columns is the one that explains itself.
    target = pa.schema(
        [
            f if change.reshapes else f.with_nullable(True)
            for f in (fields.get(f.name, f) for f in change.rows.schema)
        ]
    )
    return change.rows.cast(target) if target != change.rows.schema else change.rows


def _list_features(target: Target, change: Change) -> None:
    """Name a table's features before a new column's type makes its protocol a list of them.

    delta-rs would list the new one only, and Spark refuses a table that has what it does not list.
    """
    import pyarrow as pa
    from deltalake import TableFeatures

    if not change.reshapes or target.found.protocol().min_writer_version >= 7:
        return
    stored = log.stored_schema(target.found).names
    added = [f.type for f in change.rows.schema if f.name not in stored]
    if any(pa.types.is_timestamp(kind) and kind.tz is None for kind in added):
        features = [TableFeatures.Invariants, TableFeatures.AppendOnly]
        if log.stored_constraints(target.found):
            features.append(TableFeatures.CheckConstraints)
        target.found.alter.add_feature(features, allow_protocol_versions_increase=True)


def _properties(commit: Commit) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    step = commit.transaction
    return CommitProperties(
        custom_metadata=commit.as_metadata(),
        app_transactions=[Transaction(step.application, step.version)] if step else None,
    )


def _refuse_outside(table: Table, rows: pa.Table, selection: Selection) -> None:
    names = list(columns_of(selection))
    if not names:
        return
    inside = to_test(selection, table.columns)
    counted = rows.group_by(names).aggregate([([], "count_all")]).to_pylist()
    outside = sum(group["count_all"] for group in counted if not inside(group))
    if outside:
        raise rows_outside(table, outside, to_sql(selection, table.columns))


def _refuse_ambiguous(table: Table, rows: pa.Table, identity: Sequence[str]) -> None:
    import pyarrow.compute as pc

    nulls = sum(rows.column(name).null_count for name in identity)
    counts = rows.group_by(list(identity)).aggregate([([], "count_all")]).column("count_all")
    twice = pc.sum(pc.greater(counts, 1)).as_py() or 0
    if nulls or twice:
        raise ambiguous_rows(table, identity, nulls, twice)


@contextmanager
def _explained(target: Target) -> Iterator[None]:
    """Turn delta-rs's errors on writing into sentences without the rows they preview."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except (DeltaError, OSError) as error:
        text = str(error)
        if "failed validation check" in text or "Check constraint violated" in text:
            # The original message previews rows, which may be personal data: it is cut off.
            count = re.search(r"(\d+) rows? failed", text)
            raise broken_rules(target.table, count[1] if count else "Some") from None
        fault = target.folder.fault(error)
        if fault is not None:
            raise fault from None
        if isinstance(error, CommitFailedError):
            foreign = re.search(r"Unsupported table features required: \[([^\]]*)\]", text)
            if foreign is None:
                raise OvertakenError(target.table) from error
            raise foreign_table(target.table, foreign[1], "the embedded engine", "Spark") from error
        # delta-rs has an error class for failing files and raises others for them all the same.
        if isinstance(error, OSError) or "(os error " in text:
            raise unwritable(target.uri, target.table, log.one_line(error)) from error
        raise
