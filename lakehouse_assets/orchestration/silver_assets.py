"""The silver assets of a dataset: its typed rows, its quarantine and the checks on both."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.datasets import (
    Dataset,
    Limits,
    bronze_table,
    delivery_columns,
    provenance_columns,
    quarantine_table,
    with_limits,
)
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import between
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.table_assets import asset_attributes
from lakehouse_assets.quality.classify import (
    KEPT,
    QUARANTINED,
    classify,
    duplicates_of_earlier,
    duplicates_within,
    judge,
    kept,
    named_after_the_earliest,
    set_aside,
    standing_rows,
    violations,
)
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets.quality.late import duplicates_of, kept_twice, named_wrongly, sorted_otherwise
from lakehouse_assets.quality.log import BY_PARTITION
from lakehouse_assets.quality.losses import Loss, losses_check_result, losses_check_spec

CONSERVED = "bronze_rows_are_conserved"
LATER_DAYS_AGREE = "later_days_agree"
# Metadata of the silver table: days that its run has put out of date, as ISO dates.
RUN_AGAIN = "run_again"
_EARLIER = "delivered_before"
_REASONS = 3


@dataclass(frozen=True)
class SilverRule:
    """How a dataset's bronze rows become a silver table.

    Attributes:
        dataset: The dataset.
        table: Its silver table.
        key: Column that identifies a row.
        expectations: What rows must fulfil.
        transform: Types the bronze rows; the lake is given for reference data.
        newest_delivery_first: Within a partition a later delivery replaces an earlier one (state);
            otherwise the first delivery counts (events). `classify.py` says what is later.
        unique_over_time: A key that an earlier partition has kept is a duplicate.
        version: Column of the typed rows that is the same for equal values of a row: the value of
            a key that was delivered last counts, whichever partition it is in. Every run compares
            the deliveries of all days, so this is for datasets of moderate size.
    """

    dataset: Dataset
    table: Table
    key: str
    expectations: tuple[Expectation, ...]
    transform: Callable[[DataFrame, Lake], DataFrame]
    newest_delivery_first: bool = False
    unique_over_time: bool = False
    version: str | None = None


def silver_assets(rule: SilverRule, calendar: Calendar, limits: Limits = ()) -> dg.AssetsDefinition:
    """Make the assets of a dataset's silver table and its quarantine.

    Args:
        rule: How bronze rows become silver rows.
        calendar: Days and months, and how they map.
        limits: How much may be quarantined where the settings say something else than the dataset.
    """
    dataset, table = with_limits(rule.dataset, limits), rule.table
    aside, bronze = quarantine_table(dataset), bronze_table(dataset)
    over_time = rule.unique_over_time or rule.version is not None
    inputs = {"bronze": dg.AssetIn(key=bronze.asset_key)}
    upstream = {bronze.asset_key}
    if rule.unique_over_time:
        inputs[_EARLIER] = dg.AssetIn(
            key=table.asset_key,
            partition_mapping=calendar.earlier,
            metadata={
                "columns": [rule.key, "_source_file", "_row_number", dataset.partition.column]
            },
        )

    @dg.multi_asset(
        name=table.step,
        pool=table.step,
        ins=inputs,
        outs={t.name: dg.AssetOut(**asset_attributes(t)) for t in (table, aside)},
        internal_asset_deps={
            table.name: upstream | ({table.asset_key} if rule.unique_over_time else set()),
            aside.name: upstream | ({table.asset_key} if rule.unique_over_time else set()),
        },
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
                for e in rule.expectations
            ),
            *(_other_days_spec(table) if over_time else ()),
            losses_check_spec(table, dataset.quarantined, "quarantined"),
        ],
        required_resource_keys={"lake"},
    )
    @retries_transient
    def clean(
        context: dg.AssetExecutionContext, **frames: Any
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        engine = lake.engine
        with engine.scope():
            typed = rule.transform(frames["bronze"], lake)
            judged = engine.checkpoint(judge(typed, rule.expectations))
            standing = None
            if rule.version is not None:
                read = engine.versions_read(frames["bronze"]).get(bronze.name)
                history = rule.transform(lake.read(bronze, version=read), lake)
                standing = engine.checkpoint(
                    standing_rows(
                        judge(history, rule.expectations),
                        rule.key, rule.version, dataset.partition.column,
                    )
                )  # fmt: skip
                duplicates = standing.filter(F.col("address") != F.col("duplicate_of")).select(
                    "repeated_file", "repeated_row", "duplicate_of"
                )
            else:
                apart = None if rule.unique_over_time else dataset.partition.column
                duplicates = engine.checkpoint(
                    duplicates_within(judged, rule.key, rule.newest_delivery_first, apart)
                )
            if rule.unique_over_time:
                # A run over many days has days before its last one, but those are its own: what it
                # stored for them last time says nothing about the deliveries before the run.
                start = context.partition_time_window.start.date()
                before = F.col(dataset.partition.column) < F.lit(start)
                earlier = frames[_EARLIER].filter(before)
                duplicates = _with_delivered_before(lake, judged, duplicates, earlier, rule.key)
            rows = engine.stage(classify(judged, duplicates))
            outdated = (
                _days_to_run_again(context, lake, rule, rows)
                if standing is None
                else _days_sorted_otherwise(context, lake, rule, standing)
            )
            yield dg.Output(
                kept(rows, table.column_names),
                table.name,
                metadata={RUN_AGAIN: [day.isoformat() for day in outdated]} if outdated else None,
            )
            yield dg.Output(set_aside(rows, dataset), aside.name)
            column = dataset.partition.column
            counts = engine.rows(violations(rows, rule.expectations, column))
            sides = engine.rows(
                rows.groupBy(column, "disposition").agg(F.count(F.lit(1)).alias("n"))
            )
            incoming = lake.rows_read(bronze, frames["bronze"])
        yield _balance(context, lake, rule, incoming, sides).check_result(
            table.asset_key, CONSERVED
        )
        for expectation in rule.expectations:
            yield _verdict(table, expectation, column, counts)
        if over_time:
            yield _other_days_verdict(table, outdated)
        yield losses_check_result(
            dataset, table, dataset.quarantined, "quarantined", _losses(sides, column),
            lambda _days: _reasons(rule.expectations, column, counts),
        )  # fmt: skip

    return clean


def _losses(sides: Sequence[dict[str, Any]], column: str) -> dict[date, Loss]:
    """Return what each partition lost to quarantine; a duplicate is not lost."""
    records: Counter[date] = Counter()
    lost: Counter[date] = Counter()
    for row in sides:
        records[row[column]] += row["n"]
        lost[row[column]] += row["n"] if row["disposition"] == QUARANTINED else 0
    return {day: Loss(lost[day], count) for day, count in records.items()}


def _reasons(
    expectations: Sequence[Expectation], column: str, counts: Sequence[dict[str, Any]]
) -> dict[date, list[tuple[str, int]]]:
    """Return, by partition, the expectations that quarantined most rows."""
    drops = [e.name for e in expectations if e.action == "drop"]
    return {
        row[column]: [
            (name, row[name])
            for name in sorted(drops, key=lambda name: (-row[name], name))[:_REASONS]
            if row[name]
        ]
        for row in counts
    }


def _days_to_run_again(
    context: dg.AssetExecutionContext, lake: Lake, rule: SilverRule, rows: DataFrame
) -> list[date]:
    """Find the later days that the run's days put out of date; none in a run that goes forward."""
    if not rule.unique_over_time:
        return []
    dataset, aside = rule.dataset, quarantine_table(rule.dataset)
    window = context.partition_time_window
    first, end = window.start.date(), window.end.date()
    column = dataset.partition.column
    stored = [*lake.rows_by_partition(rule.table), *lake.rows_by_partition(aside)]
    newest = max((day for day in stored if day >= end), default=None)
    if newest is None:
        return []
    later = between(dataset.partition, end, newest + timedelta(days=1))
    mine = rows.filter(F.col("disposition") == F.lit(KEPT))
    kept_later = lake.read(rule.table, later, [rule.key, column])
    named = duplicates_of(lake.read(aside, later), dataset, first, end)
    typed = rule.transform(named.select(*_bronze_columns(dataset)), lake)
    found = lake.engine.union(
        [
            kept_twice(mine, kept_later, rule.key, dataset),
            named_wrongly(mine, named, typed, rule.key, dataset),
        ]
    )
    return sorted({row["day"] for row in lake.engine.rows(found)})


def _days_sorted_otherwise(
    context: dg.AssetExecutionContext, lake: Lake, rule: SilverRule, standing: DataFrame
) -> list[date]:
    """Find the stored days besides the run's own that its deliveries put out of date."""
    aside, column = quarantine_table(rule.dataset), rule.dataset.partition.column
    address = ["_source_file", "_row_number"]
    found = sorted_otherwise(
        standing,
        lake.read(rule.table, columns=[column, *address]),
        lake.read(aside, columns=[column, *address, "disposition", "duplicate_of"]),
        column,
    )
    window = context.partition_time_window
    first, end = window.start.date(), window.end.date()
    stored = {*lake.rows_by_partition(rule.table), *lake.rows_by_partition(aside)}
    days = {row["day"] for row in lake.engine.rows(found)}
    return sorted(day for day in days & stored if not first <= day < end)


def _bronze_columns(dataset: Dataset) -> list[str]:
    """Name the columns that rows set aside have in common with bronze."""
    columns = (*dataset.fields, *provenance_columns(), *delivery_columns(dataset))
    return [column.name for column in columns]


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


def _with_delivered_before(
    lake: Lake, judged: DataFrame, duplicates: DataFrame, earlier: DataFrame, key: str
) -> DataFrame:
    """Add the rows whose keys earlier partitions hold to the duplicates, reading little of them.

    The batch's lowest and highest key become a filter on the history, which file statistics turn
    into skipped files wherever keys rise with time.
    """
    engine = lake.engine
    batch = (
        classify(judged, duplicates)
        .filter(F.col("disposition") == F.lit(KEPT))
        .select(key, "_source_file", "_row_number")
    )
    bounds = engine.rows(batch.agg(F.min(key).alias("lowest"), F.max(key).alias("highest")))[0]
    if bounds["lowest"] is None:
        return duplicates
    candidates = earlier.filter(
        (F.col(key) >= F.lit(bounds["lowest"])) & (F.col(key) <= F.lit(bounds["highest"]))
    )
    found = engine.checkpoint(duplicates_of_earlier(batch, candidates, key))
    return engine.checkpoint(engine.union([named_after_the_earliest(duplicates, found), found]))


def _balance(
    context: dg.AssetExecutionContext,
    lake: Lake,
    rule: SilverRule,
    incoming: Mapping[date, int],
    sides: list[dict[str, Any]],
) -> Balance:
    """Balance the stored tables; the quarantine's two kinds are told apart by what was computed."""
    dataset = rule.dataset
    aside = lake.rows_by_partition(quarantine_table(dataset))
    window = context.partition_time_window
    start, end = window.start.date(), window.end.date()
    partitions = sorted(p for p in {*incoming, *aside} if start <= p < end)
    duplicates = {
        row[dataset.partition.column]: int(row["n"])
        for row in sides
        if row["disposition"] == "duplicate"
    }
    return Balance(
        source="bronze",
        incoming=incoming,
        parts={
            "silver": lake.rows_by_partition(rule.table),
            "quarantined": {p: n - duplicates.get(p, 0) for p, n in aside.items()},
            "named duplicates": duplicates,
        },
        partitions=partitions,
    )


def _verdict(
    table: Table, expectation: Expectation, column: str, counts: Sequence[dict[str, Any]]
) -> dg.AssetCheckResult:
    fails = expectation.action == "fail"
    done = {"warn": "kept and reported", "drop": "moved to quarantine", "fail": "downstream stops"}
    failing = sum(int(row[expectation.name]) for row in counts)
    rows = sum(int(row["all_rows"]) for row in counts)
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
                str(row[column]): {
                    "failing": int(row[expectation.name]),
                    "rows": int(row["all_rows"]),
                }
                for row in sorted(counts, key=lambda row: str(row[column]))
            },
        },
    )
