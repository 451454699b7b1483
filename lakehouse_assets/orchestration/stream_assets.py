"""The assets of a stream's tables, which every reader of the stream fills."""

import dagster as dg

from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.table_assets import asset_attributes


def stream_assets(stream: Stream, calendar: Calendar) -> list[dg.AssetsDefinition]:
    """Make the assets of a stream's tables.

    They cannot be materialised by themselves: a reader fills all of them, whatever the day of an
    event is, and reports the days that changed.
    """
    tables = stream_tables(stream)
    bronze, _, silver, _, _ = (dg.AssetKey(table.key) for table in tables)
    # Silver and its quarantine follow bronze, minutes silver.
    upstream: tuple[list[dg.AssetKey], ...] = ([], [], [bronze], [bronze], [silver])
    specs = [
        dg.AssetSpec(
            **asset_attributes(table),
            deps=deps,
            partitions_def=calendar.daily if table.partition else None,
        )
        for table, deps in zip(tables, upstream, strict=True)
    ]
    return [dg.AssetsDefinition(specs=specs)]
