"""The lake: declared tables at a location, read and written by the configured engine.

Nothing is overwritten by accident: a write names the rows it replaces, rows outside that selection
are refused, and a table is created only if it certainly does not exist.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Column, Registry, Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine, SourceColumn
from lakehouse_assets.errors import DamagedTableError, LakehouseError, one_line
from lakehouse_assets.lake import log
from lakehouse_assets.lake.commits import Commit, Version, WriteReport
from lakehouse_assets.lake.format import stamp
from lakehouse_assets.lake.predicate import (
    Everything,
    Selection,
    Values,
    Windows,
    columns_of,
    to_filter,
    to_python_predicate,
    to_sql,
)
from lakehouse_assets.lake.schema import arrow_schema, differences, stored_differences
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.lake.writer import Change, FencedError, Progress, Written
from lakehouse_assets.storage.identity import DEFAULT, Identity
from lakehouse_assets.storage.location import Location, parse_location
from lakehouse_assets.storage.store import files_at

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakehouse_assets.lake.delta_rs import DeltaRsWriter
    from lakehouse_assets.lake.delta_spark import SparkWriter

_LOG = logging.getLogger(__name__)


class Lake:
    """Declared tables at a root location.

    Args:
        root: Location of the tables, which are at `<domain>/<table>` below it.
        engine: Engine whose frames are written and returned.
        registry: Declared tables.
        identity: Identity that accesses a store.
        governed: Whether the engine has its own access to the store, as Databricks does through
            Unity Catalog; if so, it gets no credentials from here.

    Raises:
        LakehouseError: the engine cannot access the store as that identity.
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
        identity = identity or DEFAULT
        self._root = LakeRoot(self.location, identity)
        self.files = None if governed else files_at(self.location, identity)
        if not governed:
            self._root.grant_access(engine)
        self._writer = _writer_for(engine)

    def uri(self, table: Table) -> str:
        """Return the table's address."""
        return self._root.table(table).uri

    def open(self, table: Table) -> DeltaTable | None:
        """Open a table; None if and only if it does not exist.

        Raises:
            LakehouseError: the table is damaged, the store denies access, or the table uses
                features that this engine would misread.
        """
        found = log.open_table(self._root.table(table))
        foreign = log.foreign_features(found) if found else frozenset()
        if foreign and not self._writer.knows_every_feature:
            raise LakehouseError(
                f"Table {table.name} uses {', '.join(sorted(foreign))}, which the embedded engine "
                "does not support; read it on Spark, or rewrite it without these features."
            )
        return found

    def version(self, table: Table) -> int | None:
        """Return the current version, None if the table does not exist."""
        found = self.open(table)
        return None if found is None else found.version()

    def history(self, table: Table, limit: int | None = None) -> list[Version]:
        """Return the newest versions with the origin of their rows, newest first."""
        found = self.open(table)
        return log.history(found, limit) if found else []

    def ensure(self, table: Table) -> DeltaTable:
        """Open a table for writing; create it from its declaration if it does not exist.

        Nullable columns that were declared after it was created are added to it, and columns that
        have become nullable may be null from then on.

        Raises:
            LakehouseError: the stored table differs from its declaration, or the lake cannot be
                written.
        """
        found = self.open(table)
        if found is None:
            if self.files is not None:
                stamp(self.files)
            found = log.create_table(table, self._root.table(table))
        check_declaration(table, found)
        log.follow_declaration(table, found)
        return found

    def read(
        self,
        table: Table | str,
        selection: Selection | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> DataFrame:
        """Read the selected rows and columns of one version, lazily.

        The version is fixed here, so later commits do not change the frame. A table that does not
        exist yet reads as empty, because none of its partitions has been delivered.

        Raises:
            LakehouseError: there is no such version or column, or the stored table differs from
                its declaration.
        """
        declared = self.registry[table] if isinstance(table, str) else table
        unknown = sorted(set(columns or ()) - set(declared.column_names))
        if unknown:
            raise LakehouseError(
                f"Table {declared.name} has no column {', '.join(unknown)}; it has "
                f"{', '.join(declared.column_names)}."
            )
        selection = selection or Everything()
        found = self.open(declared)
        if version is not None:
            found = log.load_version(declared, found, version)
        if found is None:
            frame = self.engine.from_arrow(
                arrow_schema(declared).empty_table(), declared.identifier
            )
        else:
            needed = {*columns, *columns_of(selection)} if columns else None
            frame = self.scan(declared, found, needed)
        where = to_filter(selection)
        if where is not None:
            frame = frame.filter(where)
        return frame.select(*columns) if columns else frame

    def fetch(self, table: Table, selection: Selection) -> DataFrame:
        """Read the selected rows of the newest version at once; they are kept until the scope ends.

        This is for few rows of a table that a long-running process reads again after each commit:
        DuckDB's Delta reader keeps memory of each version that it has ever opened.

        Raises:
            LakehouseError: the stored table differs from its declaration.
        """
        if self._writer.knows_every_feature:
            return self.engine.checkpoint(self.read(table, selection))
        found = self.open(table)
        if found is None:
            return self.engine.from_arrow(arrow_schema(table).empty_table())
        check_declaration(table, found)
        return self.engine.from_arrow(log.rows_of(found, table, to_sql(selection)))

    def scan(
        self, table: Table, found: DeltaTable, names: Collection[str] | None = None
    ) -> DataFrame:
        """Read an open table lazily at its version: the named columns, or all of them.

        Raises:
            DamagedTableError: the stored table differs from its declaration.
        """
        check_declaration(table, found)
        # Fewer columns make a cheaper plan.
        columns = [column for column in table.columns if not names or column.name in names]
        absent = missing_columns(table, found)
        stored = [column for column in columns if column not in absent]
        frame = self.engine.scan_delta(self.uri(table), found.version(), table.identifier, stored)
        if len(stored) == len(columns):
            return frame
        for column in absent:
            frame = frame.withColumn(column.name, F.lit(None).cast(column.type))
        return frame.select(*(column.name for column in columns))

    def write(
        self, table: Table, frame: DataFrame, selection: Selection, commit: Commit
    ) -> WriteReport:
        """Replace exactly the selected rows with the frame's rows, in one commit.

        An empty frame deletes the selected rows. A partitioned table is never replaced as a whole.

        Args:
            table: Declaration of the table, which is created if it does not exist.
            frame: The new rows, in the declared columns.
            selection: `Windows` for a partitioned table, which may be limited to some values or
                times of a column; `Everything` or `Values` for other tables.
            commit: Origin of the rows.

        Raises:
            LakehouseError: the frame's schema is not the declared one, a row is outside the
                selection or breaks a constraint, or the lake cannot be written. Nothing changes.
        """
        lineage = self._lineage(table, frame)
        written = self._change(table, frame, selection, commit, {})
        return self._report(table, selection, written, lineage)

    def advance(
        self,
        table: Table,
        frame: DataFrame,
        commit: Commit,
        progress: Progress,
        replaced: Selection | None = None,
    ) -> int:
        """Add rows of messages, and record how far the table has read them, in one commit.

        The rows and the offsets are in the log or neither is, so that a process that continues at
        the recorded offsets reads each message exactly once.

        Args:
            table: Declaration of the table, which is created if it does not exist.
            frame: The new rows, in the declared columns; there may be none.
            commit: Origin of the rows.
            progress: How far the commit takes the table in each source.
            replaced: Rows that the new ones replace, as for `write`; None to only add rows.

        Returns:
            The version that was committed.

        Raises:
            FencedError: the table is not where `progress` begins, because another process has
                written the same messages; nothing changes.
            LakehouseError: as for `write`.
        """
        return int(self._change(table, frame, replaced, commit, progress).found.version())

    def progress(self, table: Table, sources: Iterable[str]) -> dict[str, int]:
        """Return the offset that a table has reached in each source; none that it has not read."""
        found = self.open(table)
        if found is None:
            return {}
        reached = {source: found.transaction_version(source) for source in sources}
        return {source: offset for source, offset in reached.items() if offset is not None}

    def _change(
        self,
        table: Table,
        frame: DataFrame,
        selection: Selection | None,
        commit: Commit,
        progress: Progress,
    ) -> Written:
        """Commit a change, once the schema and the offsets that it starts from are checked."""
        by = selection.partition if isinstance(selection, Windows) else None
        if selection is not None and by != table.partition:
            column = table.partition.column if table.partition else "no column"
            raise LakehouseError(
                f"Table {table.name} is partitioned by {column}, so a write must name its "
                "partitions; run the asset with a partition."
            )
        found = self.ensure(table)
        for source, advance in progress.items():
            if found.transaction_version(source) != advance.begin:
                raise FencedError(table, source)
        names = list(frame.columns)  # SQLFrame computes them on every access
        order = [*(n for n in table.column_names if n in names)]
        order += [name for name in names if name not in order]
        rows, schema = self._writer.rows_of(frame if names == order else frame.select(*order))
        texts = differences(table.columns, schema)
        if texts:
            raise LakehouseError(
                f"The rows for table {table.name} do not match its declaration: {'; '.join(texts)}"
                "; nothing was written. Correct the transformation or the declaration."
            )
        path = self._root.table(table)
        change = Change(table, path, found, selection, commit, progress)
        written = self._writer.apply(change, rows)
        path.note_version(written.found.version())
        return written

    def _lineage(self, table: Table, frame: DataFrame) -> Mapping[str, frozenset[SourceColumn]]:
        """Return the lineage of the columns; a failure is only a warning, and rows are written."""
        try:
            return self.engine.lineage(frame)
        except Exception as error:  # noqa: BLE001 - the rows are correct without lineage
            reason = f"{type(error).__name__}: {one_line(error)}"
            _LOG.warning("The column lineage of %s could not be derived (%s).", table.name, reason)
            return {}

    def _report(
        self,
        table: Table,
        selection: Selection,
        written: Written,
        lineage: Mapping[str, frozenset[SourceColumn]],
    ) -> WriteReport:
        """Report the committed version."""
        found, inside = written.found, to_python_predicate(selection)
        stored = self.rows_by_partition(table, found)
        counts = {value: rows for value, rows in stored.items() if inside(value)}
        if isinstance(selection, Values):
            # The log counts only whole partitions.
            selected = self.scan(table, found).filter(to_filter(selection))
            counts = self._count_by_partition(table, selected)
        files = [file for file in log.files_of(found) if inside(file.partition)]
        return WriteReport(
            version=found.version(),
            rows=sum(stored.values()),
            partition_rows=sum(counts.values()),
            rows_by_partition={str(value): rows for value, rows in counts.items()},
            files=len(files),
            bytes=sum(file.bytes for file in files),
            lineage=lineage,
            sample=written.sample,
        )

    def rows_by_partition(self, table: Table, found: DeltaTable | None = None) -> dict[Any, int]:
        """Count rows by partition value from the table's log, without reading data.

        The data is read only if the log has no counts, or the table uses features with which they
        may be wrong, such as deletion vectors.

        Args:
            table: The table to count.
            found: The open table, at the version to count; None for the newest.
        """
        found = found or self.open(table)
        if found is None:
            return {}
        files = log.files_of(found)
        if log.foreign_features(found) or log.sum_rows(files) is None:
            return self._count_by_partition(table, self.scan(table, found))
        return log.rows_by_partition(files)

    def rows_read(self, table: Table, frame: DataFrame) -> dict[Any, int]:
        """Count rows by partition value in the version of the table that the frame reads."""
        version = self.engine.versions_read(frame).get(table.identifier)
        if version is None:
            return {}
        return self.rows_by_partition(table, log.load_version(table, self.open(table), version))

    def _count_by_partition(self, table: Table, frame: DataFrame) -> dict[Any, int]:
        value = F.col(table.partition.column) if table.partition else F.lit(None).cast("string")
        count = F.count(F.lit(1)).alias("rows")
        groups = frame.groupBy(value.alias("value")).agg(count)
        return {row["value"]: int(row["rows"]) for row in self.engine.rows(groups)}


def _writer_for(engine: Engine) -> DeltaRsWriter | SparkWriter:
    if engine.name == "spark":
        from lakehouse_assets.lake.delta_spark import SparkWriter

        return SparkWriter()
    from lakehouse_assets.lake.delta_rs import DeltaRsWriter

    return DeltaRsWriter(engine)


def missing_columns(table: Table, found: DeltaTable) -> list[Column]:
    """Return the declared nullable columns that the stored table does not have yet."""
    stored = {field.name for field in found.schema().fields}
    return [column for column in table.columns if column.nullable and column.name not in stored]


def check_declaration(table: Table, found: DeltaTable) -> None:
    """Check that the stored table matches its declaration.

    A nullable column may be missing: it reads as null until the next write adds it. It may also be
    stored as not nullable, until the next write.

    Raises:
        DamagedTableError: partition columns, columns, their types, or constraints differ.
    """
    partitions = tuple(found.metadata().partition_columns)
    declared = (table.partition.column,) if table.partition else ()
    absent = missing_columns(table, found)
    declared_columns = [column for column in table.columns if column not in absent]
    texts = stored_differences(declared_columns, log.stored_schema(found))
    if partitions != declared:
        texts.append(f"it is partitioned by {list(partitions)} instead of {list(declared)}")
    rules = log.stored_constraints(found)
    texts += [
        f"constraint {name} is {rules.get(name, 'missing')} instead of {rule}"
        for name, rule in table.constraints.items()
        if rules.get(name) != rule
    ]
    if texts:
        raise DamagedTableError(
            f"Table {table.name} differs from its declaration: {'; '.join(texts)}; "
            f"change the declaration, or move {found.table_uri} away and rebuild the table with "
            "`lakehouse run`."
        )
