"""The assets of a dataset, in bronze and in silver, and the checks on them."""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import (
    Dataset,
    bronze_table,
    quarantine_table,
    rejects_table,
    silver_table,
)
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.load_plan import plan_load
from lakehouse_assets.ingest.reader import WHOLE_FILE, by_partition, read_delivery
from lakehouse_assets.ingest.removal import REMOVED
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Windows, between
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.io_manager import NewRows
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.recorded import record, record_outdated
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.table_assets import Results, asset_attributes
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets.quality.losses import Loss, check_losses, losses_check
from lakehouse_assets.quality.silver import check_silver, clean, silver_checks
from lakehouse_assets.text import counted, visible

CONSERVED = Check(
    "delivered_rows_are_conserved",
    "Records in the delivered files = bronze rows + rejects.",
    blocking=True,
)
READABLE = Check("files_are_readable", "No delivered file was refused as a whole.", error=True)
DECLARED = Check("attributes_are_declared", "Records have the declared attributes, and no others.")
_REASONS = 3


def bronze_assets(dataset: Dataset, calendar: Calendar) -> dg.AssetsDefinition:
    """Make the assets that load a dataset's landing folders into bronze.

    One step reads the new and changed files of the run's partitions once and replaces their rows in
    two tables: rows and rejects. Rows of files that are gone from the landing zone are removed. An
    unreadable file fails the check `files_are_readable`; the other files are loaded.
    """
    rows, rejects = bronze_table(dataset), rejects_table(dataset)

    @dg.multi_asset(
        name=rows.step,
        pool=rows.step,
        outs={table.name: dg.AssetOut(**asset_attributes(table)) for table in (rows, rejects)},
        **calendar.attributes_of(dataset.grain),
        check_specs=check_specs(
            rows, [CONSERVED, READABLE, DECLARED, losses_check(dataset.rejected, "rejected")]
        ),
        required_resource_keys={"lake", "landing"},
    )
    @retries_transient
    def load(context: dg.AssetExecutionContext) -> Results:
        context.resources.lake.check_reads_files()
        lake: Lake = context.resources.lake.open()
        started_at, span = clock.now(), context.partition_time_window
        window = between(dataset.partition, span.start.date(), span.end.date())
        zone: LandingZone = context.resources.landing.open()
        listed = by_partition(dataset, zone.files(dataset, span.start.date(), span.end.date()))
        with lake.engine.scope():
            plan = plan_load(lake, dataset, listed, window)
            context.log.info(
                f"Reading {len(plan.files)} files of {dataset.path}; bronze already holds "
                f"{plan.reused_files} others."
            )
            with zone.fetched(plan.files) as files:
                removal = context.resources.lake.removal(dataset)
                delivery = read_delivery(
                    dataset, files, lake.engine, started_at, zone.limits, removal
                )
                delivered = delivery.delivered + plan.records
                record(context, dataset, listed)
                for table, frame in ((rows, delivery.rows), (rejects, delivery.rejects)):
                    yield dg.Output(NewRows(frame, plan.replaced), table.name)
            refused_rows = dict.fromkeys(listed, 0)
            for row in lake.engine.rows(
                delivery.rejects.filter(F.col("line_number") == F.lit(WHOLE_FILE)).select(
                    dataset.partition.column
                )
            ):
                refused_rows[row[dataset.partition.column]] += 1
        stored = lake.rows_by_partition(rejects)
        balance = Balance(
            source="delivered",
            incoming=delivered,
            parts={
                "bronze": lake.rows_by_partition(rows),
                "rejects": {day: count - refused_rows.get(day, 0) for day, count in stored.items()},
            },
            partitions=sorted(refused_rows),
        )
        readable = Finding(
            READABLE,
            "\n".join(map(visible, delivery.refused))
            or _read_well(delivery.files, plan.reused_files),
            {day: n for day, n in refused_rows.items() if n},
            numbers={
                "files": delivery.files,
                "files_kept": plan.reused_files,
                "refused_files": len(delivery.refused),
            },
        )
        text = _undeclared(dataset, delivery.undeclared)
        removed = _removed(lake, dataset, window) if removal else {}
        losses = {
            day: Loss(
                balance.parts["rejects"].get(day, 0) - removed.get(day, 0), delivered[day], refused
            )
            for day, refused in refused_rows.items()
        }
        lost = check_losses(
            dataset, "rejected", losses, lambda days: _reasons(lake, dataset, window, days)
        )
        declared = Finding(DECLARED, text, delivery.differing)
        yield from check_results(rows, [balance.finding(CONSERVED), readable, declared, lost])

    return load


def _undeclared(dataset: Dataset, found: Sequence[str]) -> str:
    if not found:
        return "Every record has the declared attributes."
    text = visible("; ".join(found))
    more = " to load its values" if dataset.additive else " or set additive=True on the dataset"
    return f"{text[0].upper()}{text[1:]}. Ask the source, or declare the field{more}."


def _removed(lake: Lake, dataset: Dataset, window: Windows) -> dict[date, int]:
    """Count the removed records of forgotten people, which are not losses, by partition."""
    column = dataset.partition.column
    with lake.engine.scope():
        rejects = lake.read(rejects_table(dataset), window)
        removed = rejects.filter(F.col("reason") == F.lit(REMOVED)).groupBy(column)
        counted = lake.engine.rows(removed.agg(F.count(F.lit(1)).alias("records")))
    return {row[column]: row["records"] for row in counted}


def _reasons(
    lake: Lake, dataset: Dataset, window: Windows, days: Sequence[date]
) -> dict[date, list[tuple[str, int]]]:
    """Return the most frequent reject reasons of some partitions, refused files first."""
    table, column = rejects_table(dataset), dataset.partition.column
    with lake.engine.scope():
        rejects = lake.read(table, window).filter(F.col(column).isin([*days]))
        whole = F.when(F.col("line_number") == F.lit(WHOLE_FILE), F.lit(1)).otherwise(F.lit(0))
        counted = lake.engine.rows(
            rejects.groupBy(column, "reason").agg(
                F.count(F.lit(1)).alias("records"), F.max(whole).alias("whole")
            )
        )
    counted.sort(key=lambda row: (-row["whole"], -row["records"], row["reason"]))
    found: dict[date, list[tuple[str, int]]] = {}
    for row in counted:
        reasons = found.setdefault(row[column], [])
        if len(reasons) < _REASONS:
            reasons.append((row["reason"].rstrip("."), row["records"]))
    return found


def _read_well(files: int, kept: int) -> str:
    which, were = "All " if files != 1 else "", "were" if files != 1 else "was"
    if not kept:
        return f"{which}{counted(files, 'file')} {were} read."
    are = "are" if kept != 1 else "is"
    return (
        f"{which}{counted(files, 'new or changed file')} {were} read; {counted(kept, 'other')} "
        f"{are} unchanged."
    )


_EARLIER = "delivered_before"


def silver_assets(dataset: Dataset, calendar: Calendar) -> dg.AssetsDefinition:
    """Make the assets of a dataset's silver table and its quarantine."""
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
            if cleaned.files:
                context.log.info(
                    f"Cleaned {len(cleaned.files.values)} new files of {dataset.path}; rows of "
                    "other files are kept."
                )
            # Recorded before the commit: whoever reads the new rows must find it.
            version = lake.version(table) or 0
            record_outdated(context, dg.AssetKey(table.key), cleaned.outdated, version)
            yield dg.Output(NewRows(cleaned.accepted, cleaned.files, cleaned.state), table.name)
            yield dg.Output(
                NewRows(cleaned.quarantined, cleaned.files, cleaned.state), quarantine.name
            )
            incoming = lake.rows_read(bronze, frames["bronze"])
        findings = check_silver(dataset, lake, cleaned, incoming, span)
        yield from check_results(table, findings)

    return clean_rows
