"""What Dagster records of a load: from which files a bronze partition was made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, bronze_table
from lakehouse_assets.ingest.landing import LandedFile, content_of

# Metadata of a bronze partition: its files, as `content_of` names them.
LOADED_FROM = "loaded_from"
_EVENTS_AT_ONCE = 1_000


def record(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    listed: Mapping[date, Sequence[LandedFile]],
) -> None:
    """Record with each partition from which files it is loaded."""
    key = bronze_table(dataset).asset_key
    for partition, files in listed.items():
        context.add_asset_metadata(
            {LOADED_FROM: content_of(files)}, asset_key=key, partition_key=partition.isoformat()
        )


def loaded_from(
    instance: dg.DagsterInstance, dataset: Dataset, partitions: Collection[date]
) -> dict[date, str]:
    """Say which files partitions were loaded from, as `content_of` names them.

    A partition counts once silver was made after bronze: a run that failed between the two has
    loaded nothing that tables further down could follow.
    """
    bronze, _, silver, _ = dataset.loaded_tables
    loads = _newest(instance, dg.AssetKey([dataset.domain, bronze]), partitions)
    cleans = _newest(instance, dg.AssetKey([dataset.domain, silver]), loads)
    found = {}
    for partition, event in loads.items():
        cleaned, made = cleans.get(partition), event.asset_materialization
        content = made.metadata.get(LOADED_FROM) if made else None
        if content is not None and cleaned and cleaned.storage_id > event.storage_id:
            found[partition] = str(content.value)
    return found


def _newest(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[date]
) -> dict[date, dg.EventLogRecord]:
    """Return the newest materialisation of each partition that has one."""
    wanted = {partition.isoformat() for partition in partitions}
    found: dict[date, dg.EventLogRecord] = {}
    cursor: str | None = None
    while wanted:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=sorted(wanted)),
            # A partition that grows file by file has many events, of which the newest counts.
            limit=min(len(wanted), _EVENTS_AT_ONCE),
            cursor=cursor,
        )
        for event in page.records:
            if event.partition_key in wanted:
                wanted.remove(event.partition_key)
                found[date.fromisoformat(event.partition_key)] = event
        if not page.has_more:
            break
        cursor = page.cursor
    return found
