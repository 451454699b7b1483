"""Delta tables of the lake, read and written on the embedded engine through delta-rs.

Belongs here: creating, opening, replacing, merging and reading declared tables at their location.
Not here: what a partition key means (`predicate.py`) and Dagster (`io_manager.py`).

Nothing is overwritten by accident: a write names its rows by a predicate, rows outside it are
refused by the writer, and only "this table does not exist" means that a table is new.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine, SourceColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.predicate import (
    Everything,
    Selection,
    columns_of,
    to_filter,
    to_sql,
    to_test,
)
from lakehouse_assets.lake.registry import Registry, Table
from lakehouse_assets.lake.schema import arrow_schema, differences, stored_differences

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_T = TypeVar("_T")

# Reader features that the embedded engine is known to read right. Any other, such as
# deletionVectors or columnMapping, could show deleted rows or wrong names.
_READABLE = frozenset({"timestampNtz", "vacuumProtocolCheck"})
_COMMIT_ATTEMPTS = 10
_LONGEST_PAUSE = 1.0
_COMMITTED = re.compile(r"\d{20}\.(json|checkpoint.*\.parquet)")
_CONSTRAINT = "delta.constraints."
SAMPLE_ROWS = 5


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
        sample: Some of the written rows, for a preview; never log them as they are.
    """

    version: int
    rows: int
    partition_rows: int
    files: int
    bytes: int
    lineage: Mapping[str, frozenset[SourceColumn]] = field(default_factory=dict)
    sample: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


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
            if not _has_log(uri):
                return None
            # There is a log, so there is a table: another writer has just created it, or it is
            # broken. Treating it as new could replace it.
            found = DeltaTable(uri, storage_options=self._options or None)
        unreadable = set(found.protocol().reader_features or ()) - _READABLE
        # Reader version 2 stands for column mapping without naming it as a feature.
        if found.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
            unreadable.add("columnMapping")
        if unreadable:
            raise LakehouseError(
                f"Table {table.name} uses {', '.join(sorted(unreadable))}, which the embedded "
                "engine would read wrong; read it on Spark, or rewrite it without."
            )
        return found

    def version(self, table: Table) -> int | None:
        """Return the current version, None if the table does not exist."""
        found = self.open(table)
        return None if found is None else found.version()

    def ensure(self, table: Table) -> DeltaTable:
        """Open a table, creating it from its declaration first if it does not exist.

        Creating up front with mode `ignore` lets several first writers start at once. Constraints
        that were declared since are added, which fails if stored rows break them.

        Raises:
            LakehouseError: the stored schema, partitioning or a constraint is not the declared one,
                or the lake cannot be written.
        """
        found = self.open(table)
        if found is None:
            found = self._create(table)
        self._check_declaration(table, found)
        return self._constrain(table, found)

    def _create(self, table: Table) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError, DeltaError

        uri = self.uri(table)
        configuration = {_CONSTRAINT + name: rule for name, rule in table.constraints.items()}
        if configuration:
            # Constraints are part of the first commit, so no writer ever sees the table without
            # them; they are enforced from writer version 3 on, which delta-rs does not infer.
            configuration["delta.minWriterVersion"] = "3"

        def create() -> DeltaTable:
            return DeltaTable.create(
                uri,
                schema=arrow_schema(table),
                mode="ignore",
                partition_by=[table.partition.column] if table.partition else None,
                name=table.name,
                description=table.description,
                configuration=configuration,
                storage_options=self._options or None,
                raise_if_key_not_exists=False,
            )

        try:
            return _retrying(create, CommitFailedError)
        except (OSError, DeltaError) as error:
            raise LakehouseError(
                f"Table {table.name} cannot be created at {uri} ({_one_line(error)}); check free "
                "space and write rights of the lake (LAKEHOUSE_ROOT)."
            ) from error

    def _constrain(self, table: Table, found: DeltaTable) -> DeltaTable:
        from deltalake.exceptions import CommitFailedError

        stored = _constraints(found)
        for name, rule in table.constraints.items():
            if name in stored and not _same_rule(stored[name], rule):
                raise LakehouseError(
                    f"Table {table.name} is stored with the constraint {name} as {stored[name]}, "
                    f"but it is declared as {rule}; give the new rule a new name."
                )
        if set(table.constraints) <= set(stored):
            return found

        def add() -> DeltaTable:
            fresh = self.open(table) or found
            kept = _constraints(fresh)
            missing = {n: rule for n, rule in table.constraints.items() if n not in kept}
            if missing:
                fresh.alter.add_constraint(missing)
            return fresh

        with _explained(table, self.uri(table)):
            return _retrying(add, CommitFailedError)

    def _check_declaration(self, table: Table, found: DeltaTable) -> None:
        partitions = tuple(found.metadata().partition_columns)
        declared = (table.partition.column,) if table.partition else ()
        if partitions != declared:
            raise LakehouseError(
                f"Table {table.name} is stored with partition columns {list(partitions)} but "
                f"declared with {list(declared)}; change the declaration, or move the table away."
            )
        stored = _stored_schema(found)
        columns = table.columns
        if table.allow_new_columns:
            # Declared columns that may be null are added by the next write; stored ones that are
            # not declared came with an earlier frame.
            columns = tuple(c for c in columns if c.name in stored.names or not c.nullable)
            stored = _only(stored, table.column_names)
        texts = stored_differences(columns, stored)
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

        The version is fixed here, so the frame stays the same whatever is committed later. A table
        that does not exist yet reads as empty: an upstream partition nobody has delivered.

        Raises:
            LakehouseError: there is no such version or column, the selection cannot be expressed,
                or the table is stored otherwise than declared.
        """
        declared = self.registry[table] if isinstance(table, str) else table
        unknown = sorted(set(columns or ()) - set(declared.column_names))
        if unknown:
            raise LakehouseError(
                f"Table {declared.name} has no column {', '.join(unknown)}; it has "
                f"{', '.join(declared.column_names)}."
            )
        found = self.open(declared)
        if version is not None:
            found = self._at_version(declared, found, version)
        if found is None:
            frame = self.engine.from_arrow(arrow_schema(declared).empty_table())
        else:
            self._check_declaration(declared, found)
            needed = {*columns, *columns_of(selection or Everything())} if columns else None
            frame = self._scan(declared, found, needed)
        where = to_filter(selection or Everything(), declared.columns)
        if where is not None:
            frame = frame.filter(where)
        return frame.select(*columns) if columns else frame

    def _at_version(self, table: Table, found: DeltaTable | None, version: int) -> DeltaTable:
        from deltalake.exceptions import DeltaError

        if found is None or not 0 <= version <= found.version():
            newest = "it does not exist" if found is None else f"its newest is {found.version()}"
            raise LakehouseError(
                f"Table {table.name} has no version {version}, {newest}; choose another."
            )
        try:
            found.load_as_version(version)
        except DeltaError as error:
            raise LakehouseError(
                f"Version {version} of table {table.name} can no longer be read "
                f"({_one_line(error)}); choose a newer one."
            ) from error
        return found

    def _scan(
        self, table: Table, found: DeltaTable, names: Collection[str] | None = None
    ) -> DataFrame:
        """Scan the named columns, or all of them; a narrow plan is a cheap plan."""
        stored = set(_stored_schema(found).names)
        if names and stored.issuperset(names):
            wanted = [c for c in table.columns if c.name in names]
            return self.engine.scan_delta(self.uri(table), found.version(), table.name, wanted)
        columns = [column for column in table.columns if column.name in stored]
        frame = self.engine.scan_delta(self.uri(table), found.version(), table.name, columns)
        for column in table.columns:
            if column.name not in stored:
                frame = frame.withColumn(column.name, F.lit(None).cast(column.type))
        return frame.select(*table.column_names) if len(columns) < len(table.columns) else frame

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
        rows = _Rows(self._stream(table, frame, found))
        extended = set(rows.stream.schema.names) != set(_stored_schema(found).names)
        with _explained(table, self.uri(table)), rows.errors():
            write_deltalake(
                found,
                rows.stream,
                mode="overwrite",
                predicate=predicate,
                schema_mode="merge" if extended else None,
                commit_properties=CommitProperties(custom_metadata=commit.as_metadata()),
            )
        return self._report(table, found, selection, lineage, rows.sample)

    def merge(
        self, table: Table, frame: DataFrame, selection: Selection, commit: Commit
    ) -> WriteReport:
        """Insert new keys and update known ones within the selection; other rows stay.

        A key counts within its partition, so one run over a range does what one run per partition
        would do. The rows are held in memory.

        Raises:
            LakehouseError: the table declares no keys, a key is null or comes twice, or as for
                `write`.
        """
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError

        if not table.keys:
            raise LakehouseError(
                f"Table {table.name} declares no keys, so rows cannot be merged; declare them."
            )
        lineage = self.engine.lineage(frame)
        rows = self._stream(table, frame, self.ensure(table)).read_all()
        self._refuse_outside(table, rows, selection)
        identity = [*table.keys]
        if table.partition and table.partition.column not in identity:
            identity.append(table.partition.column)
        self._refuse_ambiguous(table, rows, identity)
        on = [f'target."{name}" = source."{name}"' for name in identity]
        where = to_sql(selection, table.columns, relation="target")
        if where is not None:
            on.append(f"({where})")

        def attempt() -> DeltaTable:
            found = self.ensure(table)
            merger = found.merge(
                rows,
                predicate=" AND ".join(on),
                source_alias="source",
                target_alias="target",
                commit_properties=CommitProperties(custom_metadata=commit.as_metadata()),
            )
            merger.when_matched_update_all().when_not_matched_insert_all().execute()
            return found

        with _explained(table, self.uri(table)):
            found = _retrying(attempt, CommitFailedError)
        sample = rows.slice(0, SAMPLE_ROWS).to_pylist()
        return self._report(table, found, selection, lineage, sample)

    def _refuse_outside(self, table: Table, rows: pa.Table, selection: Selection) -> None:
        names = list(columns_of(selection))
        if not names:
            return
        inside = to_test(selection, table.columns)
        counted = rows.group_by(names).aggregate([([], "count_all")]).to_pylist()
        outside = sum(group["count_all"] for group in counted if not inside(group))
        if outside:
            raise LakehouseError(
                f"{outside} rows for table {table.name} lie outside the written partitions "
                f"({to_sql(selection, table.columns)}); nothing was written. Filter them in the "
                "transformation."
            )

    def _refuse_ambiguous(self, table: Table, rows: pa.Table, identity: Sequence[str]) -> None:
        import pyarrow.compute as pc

        nulls = sum(rows.column(name).null_count for name in identity)
        counts = rows.group_by(list(identity)).aggregate([([], "count_all")]).column("count_all")
        twice = pc.sum(pc.greater(counts, 1)).as_py() or 0
        if nulls or twice:
            raise LakehouseError(
                f"The rows for table {table.name} cannot be merged by {', '.join(identity)}: "
                f"{nulls} keys are null and {twice} come more than once; nothing was written. "
                "Deduplicate in the transformation."
            )

    def _stream(self, table: Table, frame: DataFrame, found: DeltaTable) -> pa.RecordBatchReader:
        """Run the frame and hold its schema against the declared and the stored one."""
        import pyarrow as pa

        names = list(frame.columns)  # SQLFrame works them out anew each time
        extra = [name for name in names if name not in table.column_names]
        order = [*(n for n in table.column_names if n in names), *extra]
        stream = self.engine.arrow_stream(frame if names == order else frame.select(*order))
        if table.allow_new_columns:
            texts = differences(table.columns, _only(stream.schema, table.column_names))
            stored = _stored_schema(found)
            texts += [
                f"column {f.name} is {f.type} where {stored.field(f.name).type} is stored"
                for f in _only(stream.schema, [n for n in extra if n in stored.names])
                if f.type != stored.field(f.name).type
            ]
        else:
            texts = differences(table.columns, stream.schema)
        if texts:
            raise LakehouseError(
                f"The rows for table {table.name} do not fit its declaration: {'; '.join(texts)}; "
                "nothing was written. Cast or select in the transformation, or change the table."
            )
        fields = {f.name: f for f in arrow_schema(table)}
        # Extending the table takes over the stream's nullability; otherwise the writer's own check
        # of non-null columns is the one that explains itself.
        extended = set(stream.schema.names) != set(_stored_schema(found).names)
        target = pa.schema(
            [
                f if extended else f.with_nullable(True)
                for f in (fields.get(f.name, f) for f in stream.schema)
            ]
        )
        return stream.cast(target) if target != stream.schema else stream

    def _report(
        self,
        table: Table,
        found: DeltaTable,
        selection: Selection,
        lineage: Mapping[str, frozenset[SourceColumn]],
        sample: Sequence[Mapping[str, Any]],
    ) -> WriteReport:
        """Sum up the version that was committed from its log."""
        files = _files(found)
        partition = table.partition.column if table.partition else ""
        inside = to_test(selection, table.columns)
        chosen = [f for f in files if inside({partition: f.partition} if partition else {})]
        rows = _sum_rows(files)
        if rows is None:
            rows = self._count(table, found, Everything())
        # The log knows rows by file: what is finer, or has no statistics, is counted.
        told_by_files = set(columns_of(selection)) <= {partition}
        partition_rows = _sum_rows(chosen) if told_by_files else None
        if partition_rows is None:
            partition_rows = self._count(table, found, selection)
        return WriteReport(
            version=found.version(),
            rows=rows,
            partition_rows=partition_rows,
            files=len(chosen),
            bytes=sum(f.bytes for f in chosen),
            lineage=lineage,
            sample=tuple(sample),
        )

    def _count(self, table: Table, found: DeltaTable, selection: Selection) -> int:
        frame = self._scan(table, found)
        where = to_filter(selection, table.columns)
        if where is not None:
            frame = frame.filter(where)
        return int(self.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])

    def rows_by_partition(self, table: Table) -> dict[Any, int]:
        """Count rows by partition value from the table's log, without reading data.

        Raises:
            LakehouseError: the log was written without row counts.
        """
        found = self.open(table)
        counts: Counter[Any] = Counter()
        for file in _files(found) if found else ():
            if file.rows is None:
                raise LakehouseError(
                    f"The log of table {table.name} has no row counts; rewrite the table with "
                    "statistics on."
                )
            counts[file.partition] += file.rows
        return dict(counts)


@dataclass(frozen=True)
class _File:
    partition: Any
    rows: int | None
    bytes: int


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


def _files(found: DeltaTable) -> list[_File]:
    """List the live data files as the log has them."""
    actions = found.get_add_actions(flatten=True)
    names = actions.schema.names
    partitions = [name for name in names if name.startswith("partition.")]
    nothing = [None] * int(actions.num_rows)
    rows = actions["num_records"].to_pylist() if "num_records" in names else nothing
    values = actions[partitions[0]].to_pylist() if partitions else nothing
    sizes = actions["size_bytes"].to_pylist()
    return [_File(v, n, int(s)) for v, n, s in zip(values, rows, sizes, strict=True)]


def _sum_rows(files: Sequence[_File]) -> int | None:
    """Add up the files' rows; None if a file was written without statistics."""
    counts = [f.rows for f in files]
    return None if None in counts else sum(n for n in counts if n is not None)


def _has_log(uri: str) -> bool:
    """Say whether a folder holds a Delta log; leftovers of an interrupted creation are none."""
    if "://" in uri:
        return False
    log = Path(uri) / "_delta_log"
    try:
        return any(_COMMITTED.fullmatch(entry.name) for entry in log.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LakehouseError(
            f"The lake cannot be read at {uri} ({_one_line(error)}); LAKEHOUSE_ROOT must be a "
            "folder that you may read and write."
        ) from error


def _stored_schema(found: DeltaTable) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(found.schema().to_arrow())


def _only(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([f for f in schema if f.name in names])


def _constraints(found: DeltaTable) -> dict[str, str]:
    configuration = found.metadata().configuration
    return {
        key.removeprefix(_CONSTRAINT): str(rule)
        for key, rule in configuration.items()
        if key.startswith(_CONSTRAINT)
    }


def _same_rule(stored: str, declared: str) -> bool:
    """Compare rules by meaning: delta-rs rewrites `<>` as `!=` when it adds a constraint."""
    if stored == declared:
        return True
    import sqlglot

    return sqlglot.parse_one(stored) == sqlglot.parse_one(declared)


def _one_line(error: BaseException) -> str:
    """Put an error's text on one line, without the colours and arrows of delta-rs's error trees."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\u21b3", "", str(error))
    return " ".join(plain.split())


def _retrying(attempt: Callable[[], _T], error: type[Exception]) -> _T:
    """Try again when another writer was faster; the last failure is raised."""
    for number in range(1, _COMMIT_ATTEMPTS):
        try:
            return attempt()
        except error:
            # Jitter keeps competing writers apart; it decides nothing about the data.
            pause = min(0.05 * 2**number, _LONGEST_PAUSE)
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
    return attempt()


@contextmanager
def _explained(table: Table, uri: str) -> Iterator[None]:
    """Turn delta-rs's errors on writing into sentences without the rows they preview."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise LakehouseError(
            f"Another writer changed table {table.name} at the same time; nothing was written, run "
            "the partition again."
        ) from error
    except (DeltaError, OSError) as error:
        text = str(error)
        # delta-rs has an error class for failing files and raises others for them all the same.
        if isinstance(error, OSError) or "(os error " in text:
            raise LakehouseError(
                f"Table {table.name} cannot be written at {uri} ({_one_line(error)}); check free "
                "space and write rights, then run the partition again."
            ) from error
        if "failed validation check" not in text and "Check constraint violated" not in text:
            raise
        # The original message previews rows, which may be personal data: it is cut off.
        count = re.search(r"(\d+) rows? failed", text)
        rules = [f"{c.name} is not null" for c in table.columns if not c.nullable]
        rules += list(table.constraints.values())
        raise LakehouseError(
            f"{count[1] if count else 'Some'} rows for table {table.name} break a constraint, a "
            "non-null column or the bounds of the written partition; nothing was written. "
            f"Declared: {'; '.join(rules)}."
        ) from None
