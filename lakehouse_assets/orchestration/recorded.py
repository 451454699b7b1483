"""Reads materialisations and their metadata from Dagster's event log."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg

_EVENTS_AT_ONCE = 1_000
# Metadata by the instance's folder, the storage id and the name. Events never change, and fetching
# them is most of the work of a tick.
_values: dict[tuple[str, int, str], Any] = {}


def recorded(
    instance: dg.DagsterInstance, key: dg.AssetKey, events: Collection[int], name: str
) -> dict[int, Any]:
    """Return a metadata value of materialisations, by storage id; None where it is not recorded.

    It is fetched once for the life of the process.

    Args:
        instance: The instance that holds the events.
        key: The asset.
        events: Storage ids of its materialisations; those that were deleted are left out.
        name: Name of the metadata.
    """
    home = instance.root_directory
    unknown = [event for event in events if (home, event, name) not in _values]
    for start in range(0, len(unknown), _EVENTS_AT_ONCE):
        chunk = unknown[start : start + _EVENTS_AT_ONCE]
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, storage_ids=chunk), limit=_EVENTS_AT_ONCE
        )
        for record in page.records:
            made = record.asset_materialization
            found = made.metadata.get(name) if made else None
            _values[home, record.storage_id, name] = None if found is None else found.value
    return {e: _values[home, e, name] for e in events if (home, e, name) in _values}


def materialisations_after(
    instance: dg.DagsterInstance, key: dg.AssetKey, after: int | None
) -> Iterator[dg.EventLogRecord]:
    """Return the materialisations of an asset after a storage id (None: all), oldest first."""
    more = True
    while more:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, after_storage_id=after), _EVENTS_AT_ONCE, ascending=True
        )
        yield from page.records
        more = page.has_more
        after = page.records[-1].storage_id if page.records else after
