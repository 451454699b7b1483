"""The lake: declared tables at a location, read and written by whatever engine runs.

Nothing is overwritten by accident: a write names its rows by a predicate, rows outside it are
refused by the writer, and only "this table does not exist" means that a table is new.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine, SourceColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.commits import SAMPLE_ROWS, Commit, Version, WriteReport
from lakehouse_assets.lake.kept_logs import keep_log, take_log
from lakehouse_assets.lake.place import Folder, place_of
from lakehouse_assets.lake.predicate import (
    Everything,
    Selection,
    columns_of,
    to_filter,
    to_sql,
    to_test,
)
from lakehouse_assets.lake.schema import arrow_schema, differences, stored_differences
from lakehouse_assets.lake.writer import Change, Target, Writer, Written
from lakehouse_assets.storage.identity import DefaultIdentity, Identity
from lakehouse_assets.storage.location import Location, parse_location

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from lakehouse_assets.engine.spark import SparkEngine

_LOG = logging.getLogger(__name__)
# Tables of which some rows are read back from their files.
_FEW_FILES = 200


class Lake:
    """Declared tables at a root location.

    Args:
        root: Location under which tables lie at `<domain>/<table>`.
        engine: Engine whose frames are written and returned.
        registry: Declared tables.
        identity: As whom a store is entered.
        governed: Whether the engine enters the store by rights of its own, as Databricks does by
            Unity Catalog; then it is told nothing.

    Raises:
        LakehouseError: the engine cannot enter the store as that identity.
    """

    def __init__(
        self,
        root: Location | str,
        engine: Engine,
        registry: Registry,
        identity: Identity | None = None,
        *,
        governed: bool = False,
    ) -> None:
        self.location = parse_location(root) if isinstance(root, str) else root
        self.root = str(self.location)
        self.engine = engine
        self.registry = registry
        self._place = place_of(self.location, identity or DefaultIdentity())
        if not governed:
            self._place.admit(engine)
        self._writer = _writer_for(engine)

    def uri(self, table: Table) -> str:
        """Return where the table lies."""
        return str(self.location / table.domain / table.name)

    def _folder(self, table: Table) -> Folder:
        return self._place.folder(f"{table.domain}/{table.name}")

    def open(self, table: Table, *, lasting: bool = False) -> DeltaTable | None:
        """Open a table's log; None if and only if the table does not exist.

        It is the caller's alone; `give_back` lets the next look use it again.

        Args:
            table: Which.
            lasting: Whether it is opened to be written, which may take long.

        Raises:
            LakehouseError: the table is damaged, a store refuses, or the table needs features that
                this engine would read wrong.
        """
        found = take_log(self._folder(table), lasting=lasting)
        foreign = log.foreign_features(found) if found else frozenset()
        if foreign and not self._writer.knows_every_feature:
            raise LakehouseError(
                f"Table {table.name} uses {', '.join(sorted(foreign))}, which the embedded "
                "engine would read wrong; read it on Spark, or rewrite it without."
            )
        return found

    def give_back(self, table: Table, found: DeltaTable | None) -> None:
        """Give back what `open` gave: the next look reads only what is new since."""
        if found is not None:
            keep_log(self._folder(table), found)

    def version(self, table: Table) -> int | None:
        """Return the current version, None if the table does not exist."""
        found = self.open(table)
        version = None if found is None else found.version()
        self.give_back(table, found)
        return version

    def history(self, table: Table, limit: int | None = None) -> list[Version]:
        """Return the newest versions and where they came from, newest first."""
        found = self.open(table)
        versions = log.history(found, limit) if found else []
        self.give_back(table, found)
        return versions

    def ensure(self, table: Table) -> DeltaTable:
        """Open a table, creating it from its declaration first if it does not exist.

        Constraints that were declared since are added, which fails if stored rows break them.

        Raises:
            LakehouseError: the stored schema, partitioning or a constraint is not the declared one,
                or the lake cannot be written.
        """
        found = self.open(table, lasting=True)
        if found is None:
            found = log.create_table(table, self._folder(table))
        check_declaration(table, found)
        stored = log.stored_constraints(found)
        for name, rule in table.constraints.items():
            if name in stored and not log.same_rule(stored[name], rule):
                raise LakehouseError(
                    f"Table {table.name} is stored with the constraint {name} as {stored[name]}, "
                    f"but it is declared as {rule}; give the new rule a new name."
                )
        missing = {n: rule for n, rule in table.constraints.items() if n not in stored}
        if missing:
            self._writer.add_constraints(Target(table, self._folder(table), found), missing)
            found = self.open(table, lasting=True) or found
        return found

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
            found = log.load_version(declared, found, version)
        if found is None:
            frame = self.engine.from_arrow(arrow_schema(declared).empty_table())
        else:
            check_declaration(declared, found)
            needed = {*columns, *columns_of(selection or Everything())} if columns else None
            frame = self._scan(declared, found, needed)
            if version is None:
                self.give_back(declared, found)
        where = to_filter(selection or Everything(), declared.columns)
        if where is not None:
            frame = frame.filter(where)
        return frame.select(*columns) if columns else frame

    def _scan(
        self, table: Table, found: DeltaTable, names: Collection[str] | None = None
    ) -> DataFrame:
        """Scan the named columns, or all of them; a narrow plan is a cheap plan."""
        stored = set(log.stored_schema(found).names)
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
        if to_sql(selection, table.columns) is None and table.partition is not None:
            raise LakehouseError(
                f"Table {table.name} is partitioned by {table.partition.column}; a write must name "
                "its partitions, so run the asset with a partition."
            )
        found = self.ensure(table)
        lineage = self._lineage(table, frame)
        if _has(found, commit):
            return self._report(table, selection, Written(found, skipped=True), lineage)
        change = self._change(table, frame, selection, commit, found)
        written = self._writer.replace(Target(table, self._folder(table), found), change)
        return self._report(table, selection, written, lineage)

    def merge(
        self, table: Table, frame: DataFrame, selection: Selection, commit: Commit
    ) -> WriteReport:
        """Insert new keys and update known ones within the selection; other rows stay.

        A key counts within its partition, so one run over a range does what one run per partition
        would do. The embedded engine holds the rows in memory.

        Raises:
            LakehouseError: the table declares no keys, a key is null or comes twice, or as for
                `write`.
        """
        if not table.keys:
            raise LakehouseError(
                f"Table {table.name} declares no keys, so rows cannot be merged; declare them."
            )
        found = self.ensure(table)
        lineage = self._lineage(table, frame)
        if _has(found, commit):
            return self._report(table, selection, Written(found, skipped=True), lineage)
        change = self._change(table, frame, selection, commit, found)
        identity = [*table.keys]
        if table.partition and table.partition.column not in identity:
            identity.append(table.partition.column)
        written = self._writer.merge(Target(table, self._folder(table), found), change, identity)
        return self._report(table, selection, written, lineage)

    def _lineage(self, table: Table, frame: DataFrame) -> Mapping[str, frozenset[SourceColumn]]:
        """Return where the columns come from; a fault of that costs no rows, and is told."""
        try:
            return self.engine.lineage(frame)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are right
            reason = f"{type(error).__name__}: {log.one_line(error)}"
            _LOG.warning("Where the columns of %s come from is not known (%s).", table.name, reason)
            return {}

    def _change(
        self,
        table: Table,
        frame: DataFrame,
        selection: Selection,
        commit: Commit,
        found: DeltaTable,
    ) -> Change:
        """Hold a frame's schema against the declared and the stored one."""
        names = list(frame.columns)  # SQLFrame works them out anew each time
        extra = [name for name in names if name not in table.column_names]
        order = [*(n for n in table.column_names if n in names), *extra]
        rows = self._writer.rows_of(frame if names == order else frame.select(*order))
        schema, stored = self._writer.schema_of(rows), log.stored_schema(found)
        if table.allow_new_columns:
            texts = differences(table.columns, _only(schema, table.column_names))
            texts += [
                f"column {f.name} is {f.type} where {stored.field(f.name).type} is stored"
                for f in _only(schema, [n for n in extra if n in stored.names])
                if f.type != stored.field(f.name).type
            ]
        else:
            texts = differences(table.columns, schema)
        if texts:
            raise LakehouseError(
                f"The rows for table {table.name} do not fit its declaration: {'; '.join(texts)}; "
                "nothing was written. Cast or select in the transformation, or change the table."
            )
        reshapes = set(schema.names) != set(stored.names)
        return Change(rows, selection, commit, reshapes)

    def _report(
        self,
        table: Table,
        selection: Selection,
        written: Written,
        lineage: Mapping[str, frozenset[SourceColumn]],
    ) -> WriteReport:
        """Sum up the version that was committed, from its log as far as that tells."""
        found = written.found
        files = log.files_of(found)
        partition = table.partition.column if table.partition else ""
        inside = to_test(selection, table.columns)
        chosen = [f for f in files if inside({partition: f.partition} if partition else {})]
        exact = not log.foreign_features(found)
        rows = log.sum_rows(files) if exact else None
        if rows is None:
            rows = self._count(table, found, Everything())
        # The log knows rows by file: what is finer, or has no statistics, is counted.
        told_by_files = exact and set(columns_of(selection)) <= {partition}
        counts: Mapping[Any, int] = log.rows_by_partition(chosen)
        if not told_by_files or log.sum_rows(chosen) is None:
            counts = self._count_by_partition(table, self._selected(table, found, selection))
        partition_rows = sum(counts.values())
        sample = written.sample or ()
        if written.sample is None and partition_rows and not written.skipped:
            # A query of Spark takes longer than many a small write.
            small = told_by_files and len(files) <= _FEW_FILES
            few = log.some_rows(found, chosen, SAMPLE_ROWS) if small else None
            selected = self._selected(table, found, selection)
            sample = self.engine.rows(selected.limit(SAMPLE_ROWS)) if few is None else few
        version = found.version()
        self.give_back(table, found)
        return WriteReport(
            version=version,
            rows=rows,
            partition_rows=partition_rows,
            rows_by_partition={str(value): number for value, number in counts.items()},
            files=len(chosen),
            bytes=sum(f.bytes for f in chosen),
            lineage=lineage,
            sample=tuple(sample),
            skipped=written.skipped,
        )

    def _selected(self, table: Table, found: DeltaTable, selection: Selection) -> DataFrame:
        frame = self._scan(table, found)
        where = to_filter(selection, table.columns)
        return frame if where is None else frame.filter(where)

    def _count(self, table: Table, found: DeltaTable, selection: Selection) -> int:
        frame = self._selected(table, found, selection)
        return int(self.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])

    def rows_by_partition(
        self, table: Table, found: DeltaTable | None = None, version: int | None = None
    ) -> dict[Any, int]:
        """Count rows by partition value from the table's log, without reading data.

        Tables of which the log does not tell how many rows were deleted are read.

        Args:
            table: Which.
            found: Its log, if somebody has just opened it.
            version: The version to count, if not the newest.

        Raises:
            LakehouseError: the log was written without row counts, or there is no such version.
        """
        if found is not None:
            return self._rows_by_partition(table, found)
        found = self.open(table)
        if version is not None and (found is None or found.version() != version):
            return self._rows_by_partition(table, log.load_version(table, found, version))
        counts = self._rows_by_partition(table, found)
        self.give_back(table, found)
        return counts

    def rows_read(self, table: Table, frame: DataFrame) -> dict[Any, int]:
        """Count rows by partition value in the version of a table that a frame reads."""
        version = self.engine.versions_read(frame).get(table.name)
        return {} if version is None else self.rows_by_partition(table, version=version)

    def _rows_by_partition(self, table: Table, found: DeltaTable | None) -> dict[Any, int]:
        if found is None:
            return {}
        if log.foreign_features(found):
            return self._count_by_partition(table, self._scan(table, found))
        files = log.files_of(found)
        if log.sum_rows(files) is None:
            raise LakehouseError(
                f"The log of table {table.name} has no row counts; rewrite the table with "
                "statistics on."
            )
        return log.rows_by_partition(files)

    def _count_by_partition(self, table: Table, frame: DataFrame) -> dict[Any, int]:
        value = F.col(table.partition.column) if table.partition else F.lit(None).cast("string")
        count = F.count(F.lit(1)).alias("rows")
        groups = frame.groupBy(value.alias("value")).agg(count)
        return {row["value"]: int(row["rows"]) for row in self.engine.rows(groups)}


def _writer_for(engine: Engine) -> Writer:
    if engine.name == "spark":
        from lakehouse_assets.lake.delta_spark import SparkWriter

        return SparkWriter(cast("SparkEngine", engine))
    from lakehouse_assets.lake.delta_rs import DeltaRsWriter

    return DeltaRsWriter(engine)


def _has(found: DeltaTable, commit: Commit) -> bool:
    """Say whether a table already has the step of an application that a commit stands for."""
    step = commit.transaction
    return step is not None and log.written_transaction(found, step.application) >= step.version


def check_declaration(table: Table, found: DeltaTable) -> None:
    """Make sure that a table is stored as it is declared.

    Raises:
        LakehouseError: partition columns, or columns and their types, differ.
    """
    partitions = tuple(found.metadata().partition_columns)
    declared = (table.partition.column,) if table.partition else ()
    if partitions != declared:
        raise LakehouseError(
            f"Table {table.name} is stored with partition columns {list(partitions)} but "
            f"declared with {list(declared)}; change the declaration, or move the table away."
        )
    stored = log.stored_schema(found)
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
            "change the declaration (allow_new_columns for added ones), or move the table away "
            f"from {found.table_uri} and run `lakehouse run`, which builds it anew."
        )


def _only(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([f for f in schema if f.name in names])
