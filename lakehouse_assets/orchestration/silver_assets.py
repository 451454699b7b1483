"""The silver assets of a dataset: its typed rows, its quarantine and the checks on both."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.datasets import (
    Dataset,
    Limits,
    bronze_table,
    quarantine_table,
    silver_table,
    with_limits,
)
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.table_assets import asset_attributes
from lakehouse_assets.quality.classify import DUPLICATE, QUARANTINED
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets.quality.fields import expectations_of
from lakehouse_assets.quality.log import BY_PARTITION
from lakehouse_assets.quality.losses import Loss, losses_check_result, losses_check_spec
from lakehouse_assets.quality.silver import Cleaned, clean

CONSERVED = "bronze_rows_are_conserved"
LATER_DAYS_AGREE = "later_days_agree"
# Metadata of the silver table: days that its run has put out of date, as ISO dates.
RUN_AGAIN = "run_again"
_EARLIER = "delivered_before"
_REASONS = 3


def silver_assets(dataset: Dataset, calendar: Calendar, limits: Limits = ()) -> dg.AssetsDefinition:
    """Make the assets of a dataset's silver table and its quarantine.

    Args:
        dataset: The dataset.
        calendar: Days and months, and how they map.
        limits: How much may be quarantined where the settings say something else than the dataset.
    """
    dataset = with_limits(dataset, limits)
    table, aside, bronze = silver_table(dataset), quarantine_table(dataset), bronze_table(dataset)
    expectations = expectations_of(dataset)
    inputs = {"bronze": dg.AssetIn(key=bronze.asset_key)}
    upstream = {bronze.asset_key}
    if dataset.counts == "first":
        upstream.add(table.asset_key)
        columns = [dataset.key, "_source_file", "_row_number", dataset.partition.column]
        inputs[_EARLIER] = dg.AssetIn(
            key=table.asset_key, partition_mapping=calendar.earlier, metadata={"columns": columns}
        )

    @dg.multi_asset(
        name=table.step,
        pool=table.step,
        ins=inputs,
        outs={t.name: dg.AssetOut(**asset_attributes(t)) for t in (table, aside)},
        internal_asset_deps={t.name: upstream for t in (table, aside)},
        partitions_def=calendar.of_grain(dataset.grain),
        check_specs=[
            dg.AssetCheckSpec(
                CONSERVED,
                asset=table.asset_key,
                blocking=True,
                description="Bronze rows = silver + quarantined + named duplicates.",
            ),
            *(
                dg.AssetCheckSpec(
                    e.name,
                    asset=table.asset_key,
                    blocking=e.action == "fail",
                    description=f"{e.description} ({e.action})",
                )
                for e in expectations
            ),
            *(_other_days_spec(table) if dataset.counts != "latest" else ()),
            losses_check_spec(table, dataset.quarantined, "quarantined"),
        ],
        required_resource_keys={"lake"},
    )
    @retries_transient
    def clean_rows(
        context: dg.AssetExecutionContext, **frames: Any
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        window = context.partition_time_window
        span = (window.start.date(), window.end.date())
        with lake.engine.scope():
            cleaned = clean(dataset, lake, frames["bronze"], frames.get(_EARLIER), span)
            again = [day.isoformat() for day in cleaned.outdated]
            yield dg.Output(
                cleaned.accepted, table.name, metadata={RUN_AGAIN: again} if again else None
            )
            yield dg.Output(cleaned.quarantined, aside.name)
            incoming = lake.rows_read(bronze, frames["bronze"])
        balance = _balance(dataset, lake, cleaned, incoming, span)
        yield balance.check_result(table.asset_key, CONSERVED)
        for expectation in expectations:
            yield _verdict(table, expectation, cleaned)
        if dataset.counts != "latest":
            yield _other_days_verdict(table, cleaned.outdated)
        yield losses_check_result(
            dataset, table, dataset.quarantined, "quarantined", _losses(cleaned),
            lambda _days: _reasons(expectations, cleaned),
        )  # fmt: skip

    return clean_rows


def _losses(cleaned: Cleaned) -> dict[date, Loss]:
    """Return what each partition lost to quarantine; a duplicate is not lost."""
    lost = cleaned.dispositions[QUARANTINED]
    return {day: Loss(lost[day], row["all_rows"]) for day, row in cleaned.failing.items()}


def _reasons(
    expectations: Sequence[Expectation], cleaned: Cleaned
) -> dict[date, list[tuple[str, int]]]:
    """Return, by partition, the expectations that quarantined most rows."""
    drops = [e.name for e in expectations if e.action == "drop"]
    return {
        day: [
            (name, row[name])
            for name in sorted(drops, key=lambda name: (-row[name], name))[:_REASONS]
            if row[name]
        ]
        for day, row in cleaned.failing.items()
    }


def _other_days_spec(table: Table) -> Iterator[dg.AssetCheckSpec]:
    yield dg.AssetCheckSpec(
        LATER_DAYS_AGREE,
        asset=table.asset_key,
        description=(
            "No stored other day keeps an id that this run's days keep, or names a row that they "
            "lost."
        ),
    )


def _other_days_verdict(table: Table, outdated: Sequence[date]) -> dg.AssetCheckResult:
    named = ", ".join(day.isoformat() for day in outdated)
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=LATER_DAYS_AGREE,
        passed=not outdated,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"This delivery puts other days out of date: {named}. `lakehouse run` and the sensor "
            "late_deliveries run them again; by hand, materialise these days."
            if outdated
            else "No other day is out of date."
        ),
        # Each is judged again by its own next run.
        metadata={
            "days": len(outdated),
            BY_PARTITION: {day.isoformat(): {"failing": 1} for day in outdated},
        },
    )


def _balance(
    dataset: Dataset,
    lake: Lake,
    cleaned: Cleaned,
    incoming: Mapping[date, int],
    span: tuple[date, date],
) -> Balance:
    """Balance the stored tables; the quarantine's two kinds are told apart by what was computed."""
    aside = lake.rows_by_partition(quarantine_table(dataset))
    duplicates = cleaned.dispositions[DUPLICATE]
    return Balance(
        source="bronze",
        incoming=incoming,
        parts={
            "silver": lake.rows_by_partition(silver_table(dataset)),
            "quarantined": {p: n - duplicates.get(p, 0) for p, n in aside.items()},
            "named duplicates": duplicates,
        },
        partitions=sorted(p for p in {*incoming, *aside} if span[0] <= p < span[1]),
    )


def _verdict(table: Table, expectation: Expectation, cleaned: Cleaned) -> dg.AssetCheckResult:
    fails = expectation.action == "fail"
    done = {"warn": "kept and reported", "drop": "moved to quarantine", "fail": "downstream stops"}
    failing = sum(row[expectation.name] for row in cleaned.failing.values())
    rows = sum(row["all_rows"] for row in cleaned.failing.values())
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=expectation.name,
        passed=failing == 0,
        severity=dg.AssetCheckSeverity.ERROR if fails else dg.AssetCheckSeverity.WARN,
        description=f"{failing:,} of {rows:,} rows fail: {done[expectation.action]}.",
        metadata={
            "failing_rows": failing,
            "rows": rows,
            "action": expectation.action,
            BY_PARTITION: {
                str(day): {"failing": row[expectation.name], "rows": row["all_rows"]}
                for day, row in sorted(cleaned.failing.items())
            },
        },
    )
