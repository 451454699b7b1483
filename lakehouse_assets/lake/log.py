"""The log of a Delta table: opening and creating tables, and what the log tells of them.

It goes through
delta-rs on every engine: that is cheap, starts no JVM, and creates a table's first commit under the
one name that only one writer can take, which Spark cannot do on a local disk.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.lake.commits import Version, read_version
from lakehouse_assets.lake.place import FIRST_COMMIT, Folder
from lakehouse_assets.lake.schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_T = TypeVar("_T")
_R = TypeVar("_R")

# Reader features that delta-rs and the embedded engine are known to read right. Any other, such
# as deletionVectors or columnMapping, could show deleted rows or wrong names.
_READABLE = frozenset({"timestampNtz", "vacuumProtocolCheck"})
_COMMIT_ATTEMPTS = 10
_LOGS_AT_ONCE = 16
# Bytes of files that are read for some of their rows.
_SMALL = 4 * 1024 * 1024
_LONGEST_PAUSE = 1.0
_LONGEST_REASON = 200
_CONSTRAINT = "delta.constraints."
# Whoever opens a table reads each commit since the last checkpoint, in a store by a request or two:
# with delta-rs's hundred, a table that is written daily takes ten times as long after three months.
_EACH_TABLE = {"delta.checkpointInterval": "10"}


def open_table(folder: Folder, *, lasting: bool = False) -> DeltaTable | None:
    """Open a table; None if and only if it does not exist.

    Args:
        folder: Where it lies.
        lasting: Whether it is opened to be written, which may take long.

    Raises:
        LakehouseError: a store refuses, or the table is damaged; the message has the remedy.
        OSError: the disk refuses.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    options = folder.options(lasting=lasting) or None
    # Asked for first: others may commit while the log is opened.
    noted = folder.noted()
    try:
        try:
            found = DeltaTable(folder.address, storage_options=options)
        except TableNotFoundError:
            if not folder.has_log():
                return None
            # There is a log, so there is a table: another writer has just created it, or it is
            # broken. Treating it as new could replace it.
            found = DeltaTable(folder.address, storage_options=options)
    except (OSError, DeltaError) as error:
        fault = folder.fault(error)
        if fault is None and not isinstance(error, DeltaError):
            raise
        if fault is None:
            # Frames of delta-rs's own code follow, which tell nobody anything.
            reason = one_line(error).partition(" 0: ")[0][:_LONGEST_REASON]
            raise _damaged(folder, f"its log cannot be read ({reason})") from error
        # The chain would repeat the client's words, in which an address may carry a signature.
        raise fault from None
    if found.version() < noted:
        raise _damaged(
            folder, f"its log ends at version {found.version()}, and version {noted} was written"
        )
    if folder.is_empty(found.version()):
        raise _damaged(folder, f"the commit of its newest version {found.version()} is empty")
    return found


def _damaged(folder: Folder, reason: str) -> DamagedTableError:
    return DamagedTableError(
        f"Table {folder.uri.rpartition('/')[2]} is damaged: {reason}. Restore {folder.uri} from a "
        "copy, or move it away and run `lakehouse run`, which builds the table anew."
    )


def of_each(look: Callable[[_T], _R], tables: Iterable[_T]) -> list[_R]:
    """Look at the logs of many tables at once, and return what was seen in their order.

    Each takes some requests one after the other, and a store takes its time to answer.

    Args:
        look: What to do with a table; it must not use the engine.
        tables: The tables.

    Raises:
        Exception: what the first of the looks that failed raised.
    """
    with ThreadPoolExecutor(_LOGS_AT_ONCE, thread_name_prefix="lakehouse-log") as pool:
        return list(pool.map(look, tables))


def create_table(table: Table, folder: Folder) -> DeltaTable:
    """Create a table as declared, constraints and all, in its first commit; or open what is there.

    Several first writers may start at once: the first commit is a file that only one of them can
    put. delta-rs's own creation turns into a later commit of the same metadata where another was
    faster, and that fails everyone who is writing rows by then.

    Raises:
        LakehouseError: the lake cannot be written.
    """
    from deltalake.exceptions import DeltaError

    try:
        folder.begin_log(_first_commit(table, folder))
    except (OSError, DeltaError) as error:
        raise LakehouseError(
            f"Table {table.name} cannot be created at {folder.uri} ({one_line(error)}); check free "
            "space and write rights of the lake (LAKEHOUSE_ROOT)."
        ) from error
    found = open_table(folder, lasting=True)
    if found is None:
        raise LakehouseError(
            f"Table {table.name} was removed from {folder.uri} as soon as it was created; let "
            "nobody clean the lake while it is written, and run again."
        )
    return found


def _first_commit(table: Table, folder: Folder) -> bytes:
    """Return the commit that creates a table, as delta-rs writes it."""
    from deltalake import DeltaTable

    configuration = {_CONSTRAINT + name: rule for name, rule in table.constraints.items()}
    needs_version = bool(configuration)
    configuration |= _EACH_TABLE
    if any(column.type == "timestamp_ntz" for column in table.columns):
        # The type needs a protocol that lists its features. delta-rs lists the one for non-null
        # columns only where this version is asked for, and Spark refuses tables that lack it.
        configuration["delta.minWriterVersion"] = "7"
    elif needs_version:
        # Constraints are part of the first commit, so no writer ever sees the table without them;
        # they are enforced from writer version 3 on, which delta-rs does not infer.
        configuration["delta.minWriterVersion"] = "3"
    with tempfile.TemporaryDirectory(prefix="lakehouse-table-") as scratch:
        DeltaTable.create(
            scratch,
            schema=arrow_schema(table),
            partition_by=[table.partition.column] if table.partition else None,
            name=table.name,
            description=table.description,
            configuration=configuration,
            raise_if_key_not_exists=False,
        )
        lines = (Path(scratch) / FIRST_COMMIT).read_text("utf-8").splitlines()
    actions = [json.loads(line) for line in lines]
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["operationParameters"]["location"] = folder.uri
    return "".join(json.dumps(a, ensure_ascii=False) + "\n" for a in actions).encode()


def load_version(table: Table, found: DeltaTable | None, version: int) -> DeltaTable:
    """Go to a version of a table.

    Raises:
        LakehouseError: there is no such version, or it can no longer be read.
    """
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
            f"({one_line(error)}); choose a newer one."
        ) from error
    return found


def foreign_features(found: DeltaTable) -> frozenset[str]:
    """Return the features under which the log alone does not tell rows or names right."""
    features = set(found.protocol().reader_features or ()) - _READABLE
    # Reader version 2 stands for column mapping without naming it as a feature.
    if found.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    return frozenset(features)


def history(found: DeltaTable, limit: int | None = None) -> list[Version]:
    """Return the newest versions, newest first."""
    return [read_version(entry) for entry in found.history(limit)]


def last_write(found: DeltaTable) -> Version | None:
    """Return the newest version that tells who wrote the rows, and when; None if none does.

    Usually it is one of the newest; each further look goes four times as far back, to the end of
    what the log keeps.
    """
    limit = 4
    while True:
        versions = history(found, limit)
        told = next((version for version in versions if version.commit is not None), None)
        if told is not None or len(versions) < limit:
            return told
        limit *= 4


def written_transaction(found: DeltaTable, application: str) -> int:
    """Return the last step of an application that a table has; -1 if it has none."""
    version = found.transaction_version(application)
    return -1 if version is None else int(version)


@dataclass(frozen=True)
class File:
    """A live data file.

    Attributes:
        partition: Value of the partition column; None without one.
        rows: Its rows; None if it was written without statistics.
        bytes: Its size.
    """

    partition: Any
    rows: int | None
    bytes: int


def files_of(found: DeltaTable) -> list[File]:
    """List the live data files as the log has them."""
    actions = found.get_add_actions(flatten=True)
    names = actions.schema.names
    partitions = [name for name in names if name.startswith("partition.")]
    nothing = [None] * int(actions.num_rows)
    rows = actions["num_records"].to_pylist() if "num_records" in names else nothing
    values = actions[partitions[0]].to_pylist() if partitions else nothing
    sizes = actions["size_bytes"].to_pylist()
    return [File(v, n, int(s)) for v, n, s in zip(values, rows, sizes, strict=True)]


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


def some_rows(found: DeltaTable, files: Sequence[File], most: int) -> list[dict[str, Any]] | None:
    """Read some rows of small files; None if they are large, or delta-rs cannot read them.

    Args:
        found: The table.
        files: Its files in question.
        most: Rows at most.
    """
    from pyarrow import dataset

    filled = [file for file in files if file.rows]
    foreign = {*(found.protocol().reader_features or ())} - {"timestampNtz"}
    if not filled or foreign or sum(file.bytes for file in filled) > _SMALL:
        return None
    columns = found.metadata().partition_columns
    value = filled[0].partition
    if columns and value is None:
        return None
    where = dataset.field(columns[0]) == value if columns else None
    return list(found.to_pyarrow_dataset().head(most, filter=where).to_pylist())


def stored_schema(found: DeltaTable) -> pa.Schema:
    """Return the stored schema, comments and nullability included."""
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


def same_rule(stored: str, declared: str) -> bool:
    """Compare rules by meaning: delta-rs rewrites `<>` as `!=` when it adds a constraint."""
    if stored == declared:
        return True
    import sqlglot

    return sqlglot.parse_one(stored) == sqlglot.parse_one(declared)


def retrying(attempt: Callable[[], _T], error: type[Exception]) -> _T:
    """Try again when another writer was faster; the last failure is raised."""
    for number in range(1, _COMMIT_ATTEMPTS):
        try:
            return attempt()
        except error:
            # Jitter keeps competing writers apart; it decides nothing about the data.
            pause = min(0.05 * 2**number, _LONGEST_PAUSE)
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311
    return attempt()


def one_line(error: BaseException) -> str:
    """Put an error's text on one line, without the colours and arrows of delta-rs's error trees."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\u21b3", "", str(error))
    return " ".join(plain.split())
