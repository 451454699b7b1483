"""The bronze assets of a landing dataset.

Belongs here: the factory that turns a dataset into its bronze table and rejects table. Not here:
reading files (`reader.py`) and declaring datasets (`datasets.py`).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from lakehouse_assets.ingest.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.ingest.landing import LandedFile, LandingZone, content_of
from lakehouse_assets.ingest.reader import partition_value, read_delivery
from lakehouse_assets.lake.assets import asset_attributes, step_of
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.transient import transient_faults_tried_again
from lakehouse_assets.partitions import Calendar
from lakehouse_assets.quality.conservation import Balance

CONSERVED = "delivered_rows_are_conserved"
READABLE = "files_are_readable"
# Metadata of a bronze partition: the files it was loaded from, as `content_of` names them.
LOADED_FROM = "loaded_from"


def bronze_assets(dataset: Dataset, calendar: Calendar) -> dg.AssetsDefinition:
    """Make the assets that load a dataset's landing folders into bronze.

    One step reads the files of the run's partitions once and writes two tables: rows and rejects.
    A file that must be refused fails the check `files_are_readable`; the others are loaded.
    """
    rows, rejects = bronze_table(dataset), rejects_table(dataset)

    @dg.multi_asset(
        name=step_of(rows),
        pool=step_of(rows),
        outs={table.name: dg.AssetOut(**asset_attributes(table)) for table in (rows, rejects)},
        partitions_def=calendar.of_grain(dataset.grain),
        check_specs=[
            dg.AssetCheckSpec(
                CONSERVED,
                asset=rows.asset_key,
                blocking=True,
                description="Records in the delivered files = bronze rows + rejects.",
            ),
            dg.AssetCheckSpec(
                READABLE,
                asset=rows.asset_key,
                description="No delivered file had to be refused as a whole.",
            ),
        ],
        required_resource_keys={"lake", "landing"},
    )
    @transient_faults_tried_again
    def load(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        window = context.partition_time_window
        zone: LandingZone = context.resources.landing.open()
        listed = zone.files(dataset, window.start.date(), window.end.date())
        context.log.info(f"{len(listed)} files of {dataset.path} to read")
        with zone.fetched(listed) as files, lake.engine.scope():
            delivery = read_delivery(dataset, files, lake.engine, datetime.now(UTC))
            _say_what_is_loaded(context, dataset, listed)
            yield dg.Output(delivery.rows, rows.name)
            yield dg.Output(delivery.rejects, rejects.name)
            refused_rows = {partition_value(dataset, file.delivered_on): 0 for file in files}
            for row in lake.engine.rows(
                delivery.rejects.filter("line_number = 0").select(dataset.partition.column)
            ):
                refused_rows[row[dataset.partition.column]] += 1
        stored = lake.rows_by_partition(rejects)
        balance = Balance(
            source="delivered",
            incoming=delivery.delivered,
            parts={
                "bronze": lake.rows_by_partition(rows),
                "rejects": {day: count - refused_rows.get(day, 0) for day, count in stored.items()},
            },
            partitions=sorted(refused_rows),
        )
        yield balance.check_result(rows.asset_key, CONSERVED)
        yield dg.AssetCheckResult(
            asset_key=rows.asset_key,
            check_name=READABLE,
            passed=not delivery.refused,
            description="\n".join(delivery.refused) or f"All {delivery.files} files were read.",
            metadata={"files": delivery.files, "refused_files": len(delivery.refused)},
        )

    return load


def _say_what_is_loaded(
    context: dg.AssetExecutionContext, dataset: Dataset, listed: Sequence[LandedFile]
) -> None:
    """Record with each partition from which files it was loaded; sensors compare that."""
    by_partition: dict[date, list[LandedFile]] = {}
    for file in listed:
        by_partition.setdefault(partition_value(dataset, file.delivered_on), []).append(file)
    key = bronze_table(dataset).asset_key
    for partition, files in by_partition.items():
        context.add_asset_metadata(
            {LOADED_FROM: content_of(files)}, asset_key=key, partition_key=partition.isoformat()
        )
