"""Open and create Delta tables, and read what their logs say.

Logs are read through delta-rs on every engine, because that is cheap and starts no JVM.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import DamagedTableError, LakehouseError, one_line
from lakehouse_assets.lake.commits import Version, read_version
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.lake.table_path import TablePath

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_T = TypeVar("_T")
_R = TypeVar("_R")

# Reader features that delta-rs and the embedded engine are known to read correctly. With any other,
# such as deletionVectors or columnMapping, they could return deleted rows or wrong names.
_READABLE = frozenset({"timestampNtz", "vacuumProtocolCheck"})
_LOGS_AT_ONCE = 16
_LONGEST_REASON = 200
_CONSTRAINT = "delta.constraints."
# Opening a table reads each commit since the last checkpoint, with a request or two each in a
# store. With delta-rs's default of 100 commits, a table that is written daily would take ten times
# as long to open after three months.
_EACH_TABLE = {"delta.checkpointInterval": "10"}


def open_table(path: TablePath) -> DeltaTable | None:
    """Open a table; None if and only if it does not exist.

    Raises:
        LakehouseError: the store denies access, or the table is damaged; the message has the
            remedy.
        OSError: the disk cannot be read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    options = path.options() or None
    # Read first, because others may commit while the log is opened.
    noted = path.noted_version()
    try:
        try:
            found = DeltaTable(path.address, storage_options=options)
        except TableNotFoundError:
            if not path.has_log():
                return None
            # A log means a table: another writer has just created it, or it is damaged. Treating it
            # as new could replace it.
            found = DeltaTable(path.address, storage_options=options)
    except (OSError, DeltaError) as error:
        fault = path.explain(error)
        if fault is None and not isinstance(error, DeltaError):
            raise
        if fault is None:
            # Without delta-rs's own stack frames, which do not help the user.
            reason = one_line(error).partition(" 0: ")[0][:_LONGEST_REASON]
            raise _damaged(path, f"its log cannot be read ({reason})") from error
        # The chained error would repeat the client's message, whose URL may carry a signature.
        raise fault from None
    if found.version() < noted:
        raise _damaged(
            path, f"its log ends at version {found.version()}, but version {noted} was written"
        )
    if path.is_empty(found.version()):
        raise _damaged(path, f"the commit of its newest version {found.version()} is empty")
    if found.version() > noted:
        path.note_version(found.version())
    return found


def _damaged(path: TablePath, reason: str) -> DamagedTableError:
    return DamagedTableError(
        f"Table {path.uri.rpartition('/')[2]} is damaged: {reason}. Restore {path.uri} from a "
        "copy, or move it away and run `lakehouse run`, which rebuilds the table."
    )


def of_each(look: Callable[[_T], _R], tables: Iterable[_T]) -> list[_R]:
    """Apply a function to many tables in parallel; return the results in the tables' order.

    Reading a log in a store takes several slow requests, one after the other.

    Args:
        look: Function of a table; it must not use the engine.
        tables: The tables.

    Raises:
        Exception: the error of the first table that failed.
    """
    with ThreadPoolExecutor(_LOGS_AT_ONCE, thread_name_prefix="lakehouse-log") as pool:
        return list(pool.map(look, tables))


def create_table(table: Table, path: TablePath) -> DeltaTable:
    """Create a table as declared, with its constraints; or open it if another writer was faster.

    Several writers may try to create it at once. Only one of them can put the file of the first
    commit. Retries are off, so that the others fail here instead of committing the same metadata
    again, which would fail every writer that has started writing rows.

    Raises:
        LakehouseError: the lake cannot be written.
    """
    from deltalake import CommitProperties, DeltaTable
    from deltalake.exceptions import CommitFailedError, DeltaError

    # Constraints are part of the first commit, so that no writer sees the table without them.
    configuration = {_CONSTRAINT + name: rule for name, rule in table.constraints.items()}
    if any(column.type == "timestamp_ntz" for column in table.columns):
        # timestamp_ntz needs a protocol that lists features. delta-rs lists the feature for
        # non-null columns only if this version is requested, and Spark refuses tables without it.
        configuration["delta.minWriterVersion"] = "7"
    elif configuration:
        # Constraints need writer version 3, which delta-rs does not infer.
        configuration["delta.minWriterVersion"] = "3"
    try:
        return DeltaTable.create(
            path.address,
            schema=arrow_schema(table),
            mode="ignore",
            partition_by=[table.partition.column] if table.partition else None,
            name=table.name,
            description=table.description,
            configuration=configuration | _EACH_TABLE | dict(table.properties),
            storage_options=path.options() or None,
            commit_properties=CommitProperties(max_commit_retries=0),
            raise_if_key_not_exists=False,
        )
    except (OSError, DeltaError) as error:
        faster = isinstance(error, CommitFailedError) and open_table(path)
        if faster:
            return faster
        fault = path.explain(error)
        if fault is not None:
            raise fault from None
        raise LakehouseError(
            f"Table {table.name} cannot be created at {path.uri} ({one_line(error)}); check free "
            "space and write permissions of the lake (LAKEHOUSE_ROOT)."
        ) from error


def follow_declaration(table: Table, found: DeltaTable) -> None:
    """Add nullable columns that a table lacks, and let columns be null that are declared so.

    Nothing is committed if the table has all of them.
    """
    from deltalake import Schema

    stored = {field.name: field.nullable for field in found.schema().fields}
    declared = [field for field in Schema.from_arrow(arrow_schema(table)).fields if field.nullable]
    added = [field for field in declared if field.name not in stored]
    if added:
        found.alter.add_columns(added)
    for field in declared:
        if not stored.get(field.name, True):
            found.alter.drop_column_not_null(field.name)


def rows_of(found: DeltaTable, table: Table, condition: str | None) -> pa.Table:
    """Return the rows that fulfil an SQL condition, or all of them, in the declared columns."""
    import pyarrow as pa
    from deltalake import QueryBuilder

    schema = arrow_schema(table)
    columns = ", ".join(f'"{name}"' for name in schema.names)
    query = f"SELECT {columns} FROM rows" + (f" WHERE {condition}" if condition else "")  # noqa: S608
    reader = QueryBuilder().register("rows", found).execute(query)
    return pa.table(reader).cast(schema)


def load_version(table: Table, found: DeltaTable | None, version: int) -> DeltaTable:
    """Load a version of a table.

    Raises:
        LakehouseError: there is no such version, or it can no longer be read.
    """
    from deltalake.exceptions import DeltaError

    if found is None or not 0 <= version <= found.version():
        if found is None:
            raise LakehouseError(f"Table {table.name} is not built; run `lakehouse run`.")
        raise LakehouseError(
            f"Table {table.name} has no version {version}; its newest is {found.version()}."
        )
    try:
        if version != found.version():
            found.load_as_version(version)
    except DeltaError as error:
        raise LakehouseError(
            f"Version {version} of table {table.name} can no longer be read "
            f"({one_line(error)}); choose a newer one."
        ) from error
    return found


def foreign_features(found: DeltaTable) -> frozenset[str]:
    """Return the table's features with which rows or names taken from the log may be wrong."""
    features = set(found.protocol().reader_features or ()) - _READABLE
    # Reader version 2 implies column mapping without listing it as a feature.
    if found.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    return frozenset(features)


def history(found: DeltaTable, limit: int | None = None) -> list[Version]:
    """Return the newest versions, newest first."""
    return [read_version(entry) for entry in found.history(limit)]


def last_write(found: DeltaTable) -> Version | None:
    """Return the newest version that says which run wrote the rows and when; None if none does.

    It is usually among the newest few, so each attempt looks four times as far back as the one
    before, down to the oldest version that the log keeps.
    """
    limit = 4
    while True:
        versions = history(found, limit)
        found_write = next((v for v in versions if v.commit is not None), None)
        if found_write is not None or len(versions) < limit:
            return found_write
        limit *= 4


@dataclass(frozen=True)
class File:
    """A live data file.

    Attributes:
        path: Its path in the table's folder.
        partition: Value of the partition column; None if the table has none.
        rows: Its rows; None if it was written without statistics.
        bytes: Its size.
    """

    path: str
    partition: Any
    rows: int | None
    bytes: int


def files_of(found: DeltaTable) -> list[File]:
    """List the live data files from the log."""
    actions = found.get_add_actions(flatten=True)
    names = actions.schema.names
    partitions = [name for name in names if name.startswith("partition.")]
    nothing = [None] * int(actions.num_rows)
    rows = actions["num_records"].to_pylist() if "num_records" in names else nothing
    values = actions[partitions[0]].to_pylist() if partitions else nothing
    paths = actions["path"].to_pylist()
    sizes = actions["size_bytes"].to_pylist()
    return [
        File(str(path), value, number, int(size))
        for path, value, number, size in zip(paths, values, rows, sizes, strict=True)
    ]


def sum_rows(files: Sequence[File]) -> int | None:
    """Add up the files' rows; None if a file was written without statistics."""
    counts = [f.rows for f in files]
    return None if None in counts else sum(n for n in counts if n is not None)


def rows_by_partition(files: Sequence[File]) -> dict[Any, int]:
    """Add up the files' rows by the value of the partition column."""
    counts: Counter[Any] = Counter()
    for file in files:
        counts[file.partition] += file.rows or 0
    return dict(counts)


def stored_schema(found: DeltaTable) -> pa.Schema:
    """Return the stored schema, including comments and nullability."""
    import pyarrow as pa

    return pa.schema(found.schema().to_arrow())


def stored_constraints(found: DeltaTable) -> dict[str, str]:
    """Return the stored CHECK constraints by name."""
    configuration = found.metadata().configuration
    return {
        key.removeprefix(_CONSTRAINT): str(rule)
        for key, rule in configuration.items()
        if key.startswith(_CONSTRAINT)
    }
