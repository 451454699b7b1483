"""What Dagster says was loaded of a dataset, and from which files.

Belongs here: reading the events of bronze and silver partitions. Not here: what follows from them
(`deliveries.py`, `schedules.py`), and writing them (`ingest/assets.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import dagster as dg

from lakehouse_assets.ingest.assets import LOADED_FROM
from lakehouse_assets.ingest.datasets import Dataset

_EVENTS_AT_ONCE = 1_000


def loaded_from(
    instance: dg.DagsterInstance, dataset: Dataset, partitions: Collection[date]
) -> dict[date, str]:
    """Say which files partitions were loaded from, as `content_of` names them.

    A partition counts once silver was made after bronze: a run that failed between the two has
    loaded nothing that tables further down could follow.
    """
    bronze, _, silver, _ = dataset.loaded_tables
    loads = _latest(instance, dg.AssetKey([dataset.domain, bronze]), partitions)
    cleans = _latest(instance, dg.AssetKey([dataset.domain, silver]), loads)
    found = {}
    for partition, record in loads.items():
        cleaned, event = cleans.get(partition), record.asset_materialization
        content = event.metadata.get(LOADED_FROM) if event else None
        if content is not None and cleaned and cleaned.storage_id > record.storage_id:
            found[partition] = str(content.value)
    return found


def _latest(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[date]
) -> dict[date, dg.EventLogRecord]:
    """Return the newest materialisation of each partition that has one."""
    wanted = {partition.isoformat() for partition in partitions}
    found: dict[date, dg.EventLogRecord] = {}
    cursor: str | None = None
    while wanted:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=sorted(wanted)),
            limit=_EVENTS_AT_ONCE,
            cursor=cursor,
        )
        for record in page.records:
            if record.partition_key in wanted:
                wanted.remove(record.partition_key)
                found[date.fromisoformat(record.partition_key)] = record
        if not page.has_more:
            break
        cursor = page.cursor
    return found
