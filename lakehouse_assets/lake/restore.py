"""Makes an earlier version of a table the newest one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import DamagedTableError, LakehouseError, one_line
from lakehouse_assets.lake import log
from lakehouse_assets.lake.commits import Version
from lakehouse_assets.lake.delta import Lake, check_declaration
from lakehouse_assets.lake.local_lock import local_lock
from lakehouse_assets.lake.writer import OvertakenError

# Layers of tables that are computed from others, as a whole or by partition.
_COMPUTED = ("gold", "segments")


@dataclass(frozen=True)
class Restoration:
    """The changes made by restoring a version.

    Attributes:
        table: The table.
        version: The version to restore.
        newest: The newest version, which it replaces.
        written: The last write of the version to restore; None if it has no rows of a run.
        rows: Rows before and after, by the value of the partition column, of the partitions whose
            files differ. An unpartitioned table has one entry, None.
    """

    table: Table
    version: int
    newest: int
    written: Version | None
    rows: Mapping[Any, tuple[int, int]]


def plan_restoration(lake: Lake, table: Table, version: int) -> Restoration:
    """Say what restoring a version would change.

    Raises:
        LakehouseError: there is no such version, the table differs from its declaration there, or
            the table's rows belong together with what is recorded elsewhere.
    """
    if table.layer not in _COMPUTED or table.step != table.identifier:
        raise LakehouseError(
            f"Table {table.name} cannot be restored: an older version would contradict the record "
            "of loaded files and messages. Deliver corrected files instead, then run `lakehouse "
            "run`."
        )
    # Loading a version changes a handle.
    found, other = lake.open(table), lake.open(table)
    earlier = log.load_version(table, other, version)
    if found is None:
        raise DamagedTableError(f"Table {table.name} was removed in the meantime.")
    check_declaration(table, earlier)
    before, after = log.files_of(found), log.files_of(earlier)
    changed = {file.partition for file in {*before} ^ {*after}}
    rows = {part: (_rows_in(part, before), _rows_in(part, after)) for part in changed}
    newest = int(found.version())
    written = log.last_write(earlier)
    return Restoration(table, version, newest, written, rows)


def restore(lake: Lake, restoration: Restoration) -> int:
    """Restore a version in one commit, which keeps the origin of its rows; return the new version.

    Raises:
        LakehouseError: the table was changed meanwhile, files of the version have been removed, or
            the lake cannot be written. Nothing changes.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError, DeltaError

    table, written = restoration.table, restoration.written
    found = lake.open(table)
    if found is None or found.version() != restoration.newest:
        raise OvertakenError(table)
    properties = CommitProperties(
        custom_metadata=written.as_metadata() if written else None, max_commit_retries=0
    )
    try:
        with local_lock(lake.uri(table), alone=False):
            found.restore(restoration.version, commit_properties=properties)
    except CommitFailedError as error:
        raise OvertakenError(table) from error
    except (DeltaError, OSError) as error:
        raise LakehouseError(
            f"Version {restoration.version} of table {table.name} cannot be restored "
            f"({one_line(error)}); maintenance removes old files after a week, so choose a newer "
            "version."
        ) from error
    return int(found.version())


def _rows_in(partition: Any, files: Sequence[log.File]) -> int:
    return sum(file.rows or 0 for file in files if file.partition == partition)
