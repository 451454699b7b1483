"""What Dagster records of a load: from which files a bronze partition was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.ingest.landing import LandedFile, content_of

# Metadata of a bronze partition: its files, as `content_of` names them, and their records.
LOADED_FROM = "loaded_from"
RECORDS = "delivered_records"
_EVENTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Load:
    """A load of a partition.

    Attributes:
        content: Its files, as `content_of` names them.
        records: Records that were counted in the files themselves.
    """

    content: str
    records: int


def record(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    listed: Mapping[date, Sequence[LandedFile]],
    records: Counter[date],
) -> None:
    """Record with each partition from which files it is loaded, and how many records they have."""
    key = bronze_table(dataset).asset_key
    for partition, files in listed.items():
        context.add_asset_metadata(
            {LOADED_FROM: content_of(files), RECORDS: records[partition]},
            asset_key=key,
            partition_key=partition.isoformat(),
        )


def content_recorded(event: dg.EventLogRecord) -> str | None:
    """Read from which files a bronze partition was loaded, as `content_of` names them."""
    content = _metadata(event).get(LOADED_FROM)
    return None if content is None else str(content.value)


def newest_loads(
    instance: dg.DagsterInstance, dataset: Dataset, partitions: Collection[date]
) -> dict[date, Load]:
    """Return the newest load of each partition whose run stored both rows and rejects."""
    rows = newest(instance, bronze_table(dataset).asset_key, partitions)
    rejects = newest(instance, rejects_table(dataset).asset_key, rows)
    found = {}
    for partition, event in rows.items():
        content, records = content_recorded(event), _metadata(event).get(RECORDS)
        stored = partition in rejects and rejects[partition].run_id == event.run_id
        if stored and content and isinstance(records, dg.IntMetadataValue):
            found[partition] = Load(content, records.value or 0)
    return found


def newest(
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


def _metadata(event: dg.EventLogRecord) -> Mapping[str, dg.MetadataValue[Any]]:
    return event.asset_materialization.metadata if event.asset_materialization else {}
