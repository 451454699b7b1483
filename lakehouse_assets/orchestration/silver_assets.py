"""The silver assets of a dataset: its typed rows, its quarantine and the checks on both."""

import dagster as dg

from lakehouse_assets.catalog.datasets import (
    Dataset,
    Limits,
    bronze_table,
    quarantine_table,
    silver_table,
    with_limits,
)
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.io_manager import NewRows
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.table_assets import Results, asset_attributes
from lakehouse_assets.quality.silver import check_silver, clean, silver_checks

# Metadata of the silver table: days that its run put out of date, as ISO dates.
RUN_AGAIN = "run_again"
_EARLIER = "delivered_before"


def silver_assets(dataset: Dataset, calendar: Calendar, limits: Limits = ()) -> dg.AssetsDefinition:
    """Make the assets of a dataset's silver table and its quarantine.

    The loss limits of the settings, `limits`, override those of datasets.
    """
    dataset = with_limits(dataset, limits)
    table, quarantine, bronze = (
        silver_table(dataset),
        quarantine_table(dataset),
        bronze_table(dataset),
    )
    inputs = {"bronze": dg.AssetIn(key=dg.AssetKey(bronze.key))}
    upstream = {t.name: {dg.AssetKey(bronze.key)} for t in (table, quarantine)}
    if dataset.counts == "first":
        # Only for silver: with the quarantine too, Dagster would backfill one day at a time.
        upstream[table.name].add(dg.AssetKey(table.key))
        columns = [dataset.key, "_source_file", "_row_number", dataset.partition.column]
        inputs[_EARLIER] = dg.AssetIn(
            key=dg.AssetKey(table.key),
            partition_mapping=calendar.earlier,
            metadata={"columns": columns},
        )

    @dg.multi_asset(
        name=table.step,
        pool=table.step,
        ins=inputs,
        outs={t.name: dg.AssetOut(**asset_attributes(t)) for t in (table, quarantine)},
        internal_asset_deps=upstream,
        **calendar.attributes_of(dataset.grain),
        check_specs=check_specs(table, silver_checks(dataset)),
        required_resource_keys={"lake"},
    )
    @retries_transient
    def clean_rows(context: dg.AssetExecutionContext, **frames: DataFrame) -> Results:
        lake: Lake = context.resources.lake.open()
        window = context.partition_time_window
        span = (window.start.date(), window.end.date())
        with lake.engine.scope():
            cleaned = clean(dataset, lake, frames["bronze"], frames.get(_EARLIER), span)
            again = [day.isoformat() for day in cleaned.outdated]
            if cleaned.files:
                context.log.info(
                    f"Cleaned {len(cleaned.files.values)} new files of {dataset.path}; rows of "
                    "other files are kept."
                )
            yield dg.Output(
                NewRows(cleaned.accepted, cleaned.files, cleaned.state),
                table.name,
                metadata={RUN_AGAIN: again} if again else None,
            )
            yield dg.Output(
                NewRows(cleaned.quarantined, cleaned.files, cleaned.state), quarantine.name
            )
            incoming = lake.rows_read(bronze, frames["bronze"])
        findings = check_silver(dataset, lake, cleaned, incoming, span)
        yield from check_results(table, findings)

    return clean_rows
