"""Keep tables small and fast: compact, order, and remove files of old versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.local_lock import local_lock

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

# Running readers and writers use files of older versions. A week covers the longest run, and
# `lakehouse sql` can read any version of the last week.
RETENTION_HOURS = 168
_RETENTION = "delta.deletedFileRetentionDuration"
_LOG_RETENTION, _LOGS_ARE_KEPT = "delta.logRetentionDuration", "interval 30 days"


def maintain(lake: Lake, table: Table, *, ordered: bool = True) -> dict[str, int] | None:
    """Compact a table, order it by its clustered columns, remove old files, write a checkpoint.

    Only partitions with more than one file are rewritten; rows and their values do not change.

    Args:
        lake: The lake.
        table: The table.
        ordered: Whether to order the rows, which costs several times as much as compacting.

    Returns:
        Live files and bytes before and after, and the old files that were removed, by name; None
        if the table does not exist.

    Raises:
        LakehouseError: the lake cannot be written, or another writer changed the table meanwhile.
    """
    found = lake.open(table)
    if found is None:
        return None
    figures = _size(found, "before")
    # A stream would leave thousands of files a day; its tables say how long they keep them.
    retention = None if _RETENTION in table.properties else RETENTION_HOURS
    with _commits(
        lake,
        table,
        found,
        f"Table {table.name} was changed during maintenance. Nothing is lost; run the "
        "maintenance again.",
        f"Table {table.name} cannot be maintained ({{reason}}); check free space and write "
        "permissions of the lake (LAKEHOUSE_ROOT).",
    ) as properties:
        _compact(found, table, properties, ordered=ordered)
        removed = found.vacuum(
            retention_hours=retention, dry_run=False, commit_properties=properties
        )
        found.create_checkpoint()
    found.update_incremental()
    return figures | _size(found, "after") | {"old files removed": len(removed)}


def purge(lake: Lake, table: Table) -> None:
    """Remove all that is not in the newest version: files of old versions, and their log entries.

    Time travel ends here, and a reader of an old version fails. The log goes too, because it has
    the smallest and largest values of each file.

    Raises:
        LakehouseError: the lake cannot be written, or another writer changed the table meanwhile.
    """
    found = lake.open(table)
    if found is None:
        return
    keeps = found.metadata().configuration
    with _commits(
        lake,
        table,
        found,
        f"Table {table.name} was changed during the removal; run the same command again.",
        f"Old versions of table {table.name} cannot be removed ({{reason}}); check write "
        "permissions of the lake (LAKEHOUSE_ROOT), and run the same command again.",
    ) as properties:
        found.vacuum(
            retention_hours=0,
            dry_run=False,
            enforce_retention_duration=False,
            commit_properties=properties,
        )
        found.alter.set_table_properties(
            {_LOG_RETENTION: "interval 0 seconds"}, commit_properties=properties
        )
        found.create_checkpoint()
        found.cleanup_metadata()
        found.alter.set_table_properties(
            {_LOG_RETENTION: keeps.get(_LOG_RETENTION) or _LOGS_ARE_KEPT},
            commit_properties=properties,
        )


@contextmanager
def _commits(
    lake: Lake, table: Table, found: DeltaTable, changed: str, failed: str
) -> Iterator[CommitProperties]:
    """Provide the properties of maintenance commits: logs drop old ones, so they repeat the origin.

    Args:
        lake: The lake.
        table: The table.
        found: The open table.
        changed: Message if another writer changes the table meanwhile.
        failed: Message for any other error; `{reason}` stands for its text.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        with local_lock(lake.uri(table), alone=False):
            last = log.last_write(found)
            yield CommitProperties(custom_metadata=last.as_metadata() if last else None)
    except CommitFailedError as error:
        raise LakehouseError(changed) from error
    except (DeltaError, OSError) as error:
        raise LakehouseError(failed.format(reason=one_line(error))) from error


def _size(found: DeltaTable, when: str) -> dict[str, int]:
    """Return the number and the bytes of a table's live files, from its log."""
    files = log.files_of(found)
    return {f"files {when}": len(files), f"bytes {when}": sum(file.bytes for file in files)}


def _compact(
    found: DeltaTable, table: Table, properties: CommitProperties, *, ordered: bool
) -> None:
    """Compact the partitions that have more than one file."""
    counts = Counter(file.partition for file in log.files_of(found))
    scattered = [value for value, number in counts.items() if number > 1]
    if not scattered:
        return
    filters = None
    if table.partition is not None:
        filters = [(table.partition.column, "in", [str(value) for value in sorted(scattered)])]
    if table.clustered and ordered:
        found.optimize.z_order(
            list(table.clustered), partition_filters=filters, commit_properties=properties
        )
    else:
        found.optimize.compact(partition_filters=filters, commit_properties=properties)
