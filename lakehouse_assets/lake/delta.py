"""Delta tables of the lake, read and written on the embedded engine through delta-rs.

Belongs here: creating, opening, replacing, merging and reading declared tables at their location.
Not here: what a partition key means (`predicate.py`) and Dagster (`io_manager.py`).

Nothing is overwritten by accident: a write names its rows by a predicate, rows outside it are
refused by the writer, and only "this table does not exist" means that a table is new.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine, SourceColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.predicate import Everything, Selection, to_sql
from lakehouse_assets.lake.registry import Registry, Table
from lakehouse_assets.lake.schema import arrow_schema, differences

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_T = TypeVar("_T")

# What delta-rs does not read right: it would show deleted rows or wrong names.
_UNREADABLE = frozenset({"deletionVectors", "columnMapping", "v2Checkpoint", "typeWidening"})
_COMMIT_ATTEMPTS = 5


@dataclass(frozen=True)
class Commit:
    """What a commit says about where it came from; kept in the table's history.

    Attributes:
        run_id: Dagster run.
        asset: Asset key.
        partition: Partition key or range, empty for an unpartitioned table.
        code_version: Version of the code that made the rows.
    """

    run_id: str
    asset: str
    partition: str = ""
    code_version: str = ""

    def as_metadata(self) -> dict[str, str]:
        """Return the entries as the commit stores them."""
        return {
            "lakehouse.run_id": self.run_id,
            "lakehouse.asset": self.asset,
            "lakehouse.partition": self.partition,
            "lakehouse.code_version": self.code_version,
        }


@dataclass(frozen=True)
class WriteReport:
    """What a write left behind.

    Attributes:
        version: Delta version of the table after the write.
        rows: Rows in the whole table.
        partition_rows: Rows in the partitions that were written.
        files: Data files of the written partitions.
        bytes: Their size.
        lineage: Stored columns from which each written column is computed.
    """

    version: int
    rows: int
    partition_rows: int
    files: int
    bytes: int
    lineage: Mapping[str, frozenset[SourceColumn]] = field(default_factory=dict)


class Lake:
    """Declared tables at a root location.

    Args:
        root: Folder under which tables lie at `<domain>/<table>`.
        engine: Engine whose frames are written and returned.
        registry: Declared tables.
        storage_options: Options of the object store, for locations that need them.
    """

    def __init__(
        self,
        root: Path | str,
        engine: Engine,
        registry: Registry,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        self.root = str(root)
        self.engine = engine
        self.registry = registry
        self._options = dict(storage_options or {})

    def uri(self, table: Table) -> str:
        """Return where the table lies."""
        return f"{self.root.rstrip('/')}/{table.domain}/{table.name}"

    def open(self, table: Table) -> DeltaTable | None:
        """Open a table; None if and only if it does not exist.

        Raises:
            LakehouseError: the table needs features this engine would read wrong.
            Exception: whatever else goes wrong on opening, unchanged.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        uri = self.uri(table)
        try:
            found = DeltaTable(uri, storage_options=self._options or None)
        except TableNotFoundError:
            log = Path(uri) / "_delta_log"
            if "://" not in uri and log.is_dir() and any(log.iterdir()):
                # The log is there, so the table is; treating it as new could replace it.
                raise
            return None
        features = set(found.protocol().reader_features or ())
        if features & _UNREADABLE:
            raise LakehouseError(
                f"Table {table.name} uses {', '.join(sorted(features & _UNREADABLE))}, which the "
                "embedded engine would read wrong; read it on Spark, or rewrite it without."
            )
        return found

    def version(self, table: Table) -> int | None:
        """Return the current version, None if the table does not exist."""
        found = self.open(table)
        return None if found is None else found.version()

    def ensure(self, table: Table) -> DeltaTable:
        """Open a table, creating it from its declaration first if it does not exist.

        Creating up front with mode `ignore` lets several first writers start at once.

        Raises:
            LakehouseError: the stored schema or partitioning is not the declared one, or the lake
                cannot be written.
        """
        found = self.open(table)
        if found is None:
            found = self._create(table)
        self._check_declaration(table, found)
        return found

    def _create(self, table: Table) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError, DeltaError

        uri = self.uri(table)

        def create() -> DeltaTable:
            return DeltaTable.create(
                uri,
                schema=arrow_schema(table),
                mode="ignore",
                partition_by=[table.partition.column] if table.partition else None,
                name=table.name,
                description=table.description,
                storage_options=self._options or None,
            )

        try:
            found = _retrying(create, (CommitFailedError, DeltaError, OSError), uri)
            if table.constraints and not _constraints(found):
                found = _retrying(lambda: self._constrain(table), (CommitFailedError,), uri)
        except OSError as error:
            raise LakehouseError(
                f"Table {table.name} cannot be created at {uri} ({error}); check free space and "
                "write rights of the lake (LAKEHOUSE_ROOT)."
            ) from error
        return found

    def _constrain(self, table: Table) -> DeltaTable:
        found = self.open(table)
        if found is None:
            raise LakehouseError(f"Table {table.name} vanished while it was created; run again.")
        missing = {k: v for k, v in table.constraints.items() if k not in _constraints(found)}
        if missing:
            found.alter.add_constraint(missing)
        return found

    def _check_declaration(self, table: Table, found: DeltaTable) -> None:
        import pyarrow as pa

        partitions = tuple(found.metadata().partition_columns)
        declared = (table.partition.column,) if table.partition else ()
        if partitions != declared:
            raise LakehouseError(
                f"Table {table.name} is stored with partition columns {list(partitions)} but "
                f"declared with {list(declared)}; change the declaration, or move the table away."
            )
        stored = pa.schema(found.schema().to_arrow())
        texts = differences(table.columns, stored)
        if table.allow_new_columns:
            texts = [text for text in texts if not text.endswith("is missing")]
        if texts:
            raise LakehouseError(
                f"Table {table.name} is stored otherwise than declared: {'; '.join(texts)}; "
                "change the declaration (allow_new_columns for added ones), or migrate the table."
            )

    def read(
        self,
        table: Table | str,
        selection: Selection | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> DataFrame:
        """Read the selected rows and columns of one version, lazily.

        A table that does not exist yet reads as empty: an upstream partition nobody has delivered.
        """
        declared = self.registry[table] if isinstance(table, str) else table
        found = self.open(declared)
        if found is None:
            frame = self.engine.from_arrow(arrow_schema(declared).empty_table())
        else:
            self._check_declaration(declared, found)
            frame = self.engine.scan_delta(
                self.uri(declared),
                found.version() if version is None else version,
                declared.name,
                declared.columns,
            )
        where = to_sql(selection or Everything(), declared.columns)
        if where is not None:
            frame = frame.filter(F.expr(where))
        return frame.select(*columns) if columns else frame

    def write(
        self, table: Table, frame: DataFrame, selection: Selection, commit: Commit
    ) -> WriteReport:
        """Replace exactly the selected rows by the frame's rows, in one commit.

        An empty frame empties the selection. A partitioned table is never replaced as a whole.

        Raises:
            LakehouseError: the frame's schema is not the declared one, a row lies outside the
                selection or breaks a constraint, or the lake cannot be written. Nothing changes.
        """
        from deltalake import CommitProperties, write_deltalake

        predicate = to_sql(selection, table.columns)
        if predicate is None and table.partition is not None:
            raise LakehouseError(
                f"Table {table.name} is partitioned by {table.partition.column}; a write must name "
                "its partitions, so run the asset with a partition."
            )
        found = self.ensure(table)
        lineage = self.engine.lineage(frame)
        extra = self._added_columns(table, frame, found)
        with _explained(table, self.uri(table)):
            write_deltalake(
                found,
                self._stream(table, frame, extra),
                mode="overwrite",
                predicate=predicate,
                schema_mode="merge" if extra else None,
                commit_properties=CommitProperties(custom_metadata=commit.as_metadata()),
            )
        return self._report(table, found, selection, lineage)

    def merge(
        self, table: Table, frame: DataFrame, selection: Selection, commit: Commit
    ) -> WriteReport:
        """Insert new keys and update known ones within the selection; other rows stay.

        Raises:
            LakehouseError: the table declares no keys, or as for `write`.
        """
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError

        if not table.keys:
            raise LakehouseError(
                f"Table {table.name} declares no keys, so rows cannot be merged; declare them."
            )
        self.ensure(table)
        lineage = self.engine.lineage(frame)
        rows = self._stream(table, frame, ()).read_all()
        self._refuse_outside(table, rows, selection)
        where = to_sql(selection, table.columns)
        on = " AND ".join(f"target.{key} = source.{key}" for key in table.keys)
        if where is not None:
            on += f" AND ({_qualified(where)})"

        def attempt() -> DeltaTable:
            found = self.ensure(table)
            merger = found.merge(
                rows,
                predicate=on,
                source_alias="source",
                target_alias="target",
                commit_properties=CommitProperties(custom_metadata=commit.as_metadata()),
            )
            merger.when_matched_update_all().when_not_matched_insert_all().execute()
            return found

        with _explained(table, self.uri(table)):
            found = _retrying(attempt, (CommitFailedError,), self.uri(table))
        return self._report(table, found, selection, lineage)

    def _refuse_outside(self, table: Table, rows: pa.Table, selection: Selection) -> None:
        where = to_sql(selection, table.columns)
        if where is None:
            return
        with self.engine.scope():
            frame = self.engine.from_arrow(rows)
            outside = self.engine.rows(
                frame.filter(~F.coalesce(F.expr(where), F.lit(False))).agg(
                    F.count(F.lit(1)).alias("n")
                )
            )[0]["n"]
        if outside:
            raise LakehouseError(
                f"{outside} rows for table {table.name} lie outside the written partitions "
                f"({where}); nothing was written. Filter them in the transformation."
            )

    def _added_columns(
        self, table: Table, frame: DataFrame, found: DeltaTable
    ) -> tuple[str, ...]:
        stored = {f.name for f in found.schema().fields}
        added = tuple(name for name in frame.columns if name not in stored)
        return added if table.allow_new_columns else ()

    def _stream(
        self, table: Table, frame: DataFrame, extra: Sequence[str]
    ) -> pa.RecordBatchReader:
        """Run the frame and hold its schema against the declared one."""
        import pyarrow as pa

        order = [*(n for n in table.column_names if n in frame.columns), *extra]
        unknown = [n for n in frame.columns if n not in order]
        stream = self.engine.arrow_stream(frame.select(*order, *unknown))
        declared = [c for c in table.columns if c.name in order or not table.allow_new_columns]
        texts = [
            text
            for text in differences(declared, stream.schema)
            if not any(text == f"column {name} is not declared" for name in extra)
        ]
        if texts:
            raise LakehouseError(
                f"The rows for table {table.name} do not fit its declaration: {'; '.join(texts)}; "
                "nothing was written. Cast or select in the transformation, or change the table."
            )
        fields = {f.name: f for f in arrow_schema(table)}
        target = pa.schema([fields.get(f.name, f).with_nullable(True) for f in stream.schema])
        return stream.cast(target) if target != stream.schema else stream

    def _report(
        self,
        table: Table,
        found: DeltaTable,
        selection: Selection,
        lineage: Mapping[str, frozenset[SourceColumn]],
    ) -> WriteReport:
        found.update_incremental()
        everything = _files(found)
        chosen = everything
        if table.partition is not None and not isinstance(selection, Everything):
            chosen = _within(found, table, selection, self.engine)
        return WriteReport(
            version=found.version(),
            rows=sum(f.rows for f in everything),
            partition_rows=sum(f.rows for f in chosen),
            files=len(chosen),
            bytes=sum(f.bytes for f in chosen),
            lineage=lineage,
        )

    def rows_by_partition(self, table: Table) -> dict[Any, int]:
        """Count rows by partition value from the table's log, without reading data."""
        found = self.open(table)
        counts: dict[Any, int] = {}
        for file in _files(found) if found else ():
            counts[file.partition] = counts.get(file.partition, 0) + file.rows
        return counts


@dataclass(frozen=True)
class _File:
    partition: Any
    rows: int
    bytes: int


def _files(found: DeltaTable) -> list[_File]:
    """List the live data files as the log has them."""
    actions = found.get_add_actions(flatten=True)
    names = actions.schema.names
    partitions = [name for name in names if name.startswith("partition.")]
    count = actions.num_rows
    rows = actions["num_records"].to_pylist() if "num_records" in names else [None] * count
    sizes = actions["size_bytes"].to_pylist() if count else []
    values = actions[partitions[0]].to_pylist() if partitions else [None] * count
    if any(n is None for n in rows):
        raise LakehouseError(
            f"The log of {found.metadata().name} has no row counts, so rows cannot be added up; "
            "rewrite the table with statistics on."
        )
    return [_File(v, int(n), int(s)) for v, n, s in zip(values, rows, sizes, strict=True)]


def _within(
    found: DeltaTable, table: Table, selection: Selection, engine: Engine
) -> list[_File]:
    """Select files by the same predicate that selects rows."""
    import pyarrow as pa

    if table.partition is None:
        return _files(found)
    files = _files(found)
    column = table.column(table.partition.column)
    where = to_sql(selection, table.columns)
    values = list({f.partition for f in files})
    if where is None or not values:
        return files
    schema = arrow_schema(table)
    with engine.scope():
        frame = engine.from_arrow(
            pa.table({column.name: pa.array(values, schema.field(column.name).type)})
        )
        kept = {row[column.name] for row in engine.rows(frame.filter(F.expr(where)))}
    return [f for f in files if f.partition in kept]


def _constraints(found: DeltaTable) -> set[str]:
    prefix = "delta.constraints."
    return {k.removeprefix(prefix) for k in found.metadata().configuration if k.startswith(prefix)}


def _qualified(where: str) -> str:
    return re.sub(r'"(\w+)"', r'target."\1"', where)


def _retrying(attempt: Callable[[], _T], errors: tuple[type[Exception], ...], uri: str) -> _T:
    """Try again when another writer was faster; the last failure is raised."""
    import random
    import time

    for number in range(1, _COMMIT_ATTEMPTS + 1):
        try:
            return attempt()
        except errors:
            if number == _COMMIT_ATTEMPTS:
                raise
            # Jitter keeps competing writers apart; it decides nothing about the data.
            time.sleep(0.05 * 2**number * (1 + random.random()))  # noqa: S311
    raise LakehouseError(f"No attempt was made to write {uri}.")


class _explained:  # noqa: N801 - reads as a with-statement
    """Turn delta-rs's errors on writing into sentences without the rows they preview."""

    def __init__(self, table: Table, uri: str) -> None:
        self._table = table
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from deltalake.exceptions import CommitFailedError, DeltaError

        if error is None or isinstance(error, LakehouseError):
            return
        name, text = self._table.name, str(error)
        if isinstance(error, CommitFailedError):
            raise LakehouseError(
                f"Another writer changed table {name} at the same time; nothing was written, run "
                "the partition again."
            ) from error
        if isinstance(error, DeltaError) and "failed validation check" in text:
            # The original message previews rows, which may be personal data: it is cut off.
            count = re.search(r"(\d+) rows? failed", text)
            rules = [f"{c.name} is not null" for c in self._table.columns if not c.nullable]
            rules += list(self._table.constraints.values())
            raise LakehouseError(
                f"{count[1] if count else 'Some'} rows for table {name} break a constraint, a "
                "non-null column or the bounds of the written partition; nothing was written. "
                f"Declared: {'; '.join(rules)}."
            ) from None
        if isinstance(error, OSError):
            raise LakehouseError(
                f"Table {name} cannot be written at {self._uri} ({text.splitlines()[0]}); check "
                "free space and write rights, then run the partition again."
            ) from error


def partition_dates(counts: Mapping[Any, int]) -> list[date]:
    """Return the dates among partition values, sorted."""
    return sorted(value for value in counts if isinstance(value, date))
