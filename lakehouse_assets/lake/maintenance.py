"""Keep tables small and fast: compact, order, and remove files of old versions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Measure:
    """A table's size.

    Attributes:
        files: Live data files.
        bytes: Their size.
    """

    files: int
    bytes: int


@dataclass(frozen=True)
class Maintained:
    """Result of maintaining a table.

    Attributes:
        before: Its size before.
        after: Its size after.
        removed: Files of old versions that were removed from the store.
    """

    before: Measure
    after: Measure
    removed: int


def maintain(lake: Lake, table: Table, *, ordered: bool = True) -> Maintained | None:
    """Compact a table, order it by its clustered columns, remove old files, write a checkpoint.

    Only partitions with more than one file are rewritten; rows and their values do not change.

    Args:
        lake: The lake.
        table: The table.
        ordered: Whether to order the rows, which costs several times as much as compacting.

    Returns:
        The result; None if the table does not exist.

    Raises:
        LakehouseError: the lake cannot be written, or another writer changed the table meanwhile.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError, DeltaError

    found = lake.open(table)
    if found is None:
        return None
    before = measure(found)
    # A stream would leave thousands of files a day; its tables say how long they keep them.
    retention = None if _RETENTION in table.properties else RETENTION_HOURS
    try:
        with local_lock(lake.uri(table), alone=False):
            # Logs drop old commits, so maintenance repeats the origin of the last write.
            last = log.last_write(found)
            properties = CommitProperties(custom_metadata=last.as_metadata() if last else None)
            _compact(found, table, properties, ordered=ordered)
            removed = found.vacuum(
                retention_hours=retention, dry_run=False, commit_properties=properties
            )
            found.create_checkpoint()
    except CommitFailedError as error:
        raise LakehouseError(
            f"Table {table.name} was changed during maintenance. Nothing is lost; run the "
            "maintenance again."
        ) from error
    except (DeltaError, OSError) as error:
        raise LakehouseError(
            f"Table {table.name} cannot be maintained ({one_line(error)}); check free space "
            "and write permissions of the lake (LAKEHOUSE_ROOT)."
        ) from error
    found.update_incremental()
    return Maintained(before, measure(found), len(removed))


def purge(lake: Lake, table: Table) -> None:
    """Remove all that is not in the newest version: files of old versions, and their log entries.

    Time travel ends here, and a reader of an old version fails. The log goes too, because it has
    the smallest and largest values of each file.

    Raises:
        LakehouseError: the lake cannot be written, or another writer changed the table meanwhile.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError, DeltaError

    found = lake.open(table)
    if found is None:
        return
    keeps = found.metadata().configuration
    last = log.last_write(found)
    properties = CommitProperties(custom_metadata=last.as_metadata() if last else None)
    try:
        with local_lock(lake.uri(table), alone=False):
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
    except CommitFailedError as error:
        raise LakehouseError(
            f"Table {table.name} was changed during the removal; run the same command again."
        ) from error
    except (DeltaError, OSError) as error:
        raise LakehouseError(
            f"Old versions of table {table.name} cannot be removed ({one_line(error)}); check "
            "write permissions of the lake (LAKEHOUSE_ROOT), and run the same command again."
        ) from error


def measure(found: DeltaTable) -> Measure:
    """Measure a table from its log alone."""
    sizes = found.get_add_actions(flatten=True)["size_bytes"].to_pylist()
    return Measure(len(sizes), sum(sizes))


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
