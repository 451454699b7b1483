"""Tables built from streams: the days whose minutes changed are built, every five minutes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.orchestration.conditions import conditions_of
from lakehouse_assets.orchestration.partitions import accepting_beta

MINUTES = dg.AssetKey("minutes")
FIRST = datetime(2026, 11, 10, tzinfo=UTC)
DAILY = dg.DailyPartitionsDefinition(FIRST.date().isoformat(), end_offset=1)


@accepting_beta()
def _definitions() -> dg.Definitions:
    """A table of a stream, tables built from a day and from three days of it, and one of those."""
    three = dg.TimeWindowPartitionMapping(
        start_offset=-2, allow_nonexistent_upstream_partitions=True
    )

    def table(name: str, **ins: dg.AssetIn) -> dg.AssetsDefinition:
        def build(**_frames: Any) -> None: ...

        return dg.asset(name=name, partitions_def=DAILY, ins=ins)(build)

    assets = [
        table("summary", by_day=dg.AssetIn("by_day")),
        table("by_day", minutes=dg.AssetIn(MINUTES)),
        table("by_three_days", minutes=dg.AssetIn(MINUTES, partition_mapping=three)),
    ]
    found = conditions_of(assets, (), frozenset(asset.key for asset in assets))
    followed = [
        asset.map_asset_specs(
            lambda spec: spec.replace_attributes(automation_condition=found[spec.key])
        )
        for asset in assets
    ]
    return dg.Definitions(assets=[*followed, dg.AssetSpec(MINUTES, partitions_def=DAILY)])


class Days:
    """Evaluates the conditions at given moments, and builds what they request."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.definitions = _definitions()
        self.cursor: Any = None
        self.moment = FIRST + timedelta(days=9, hours=12, minutes=2)

    def report(self, *days: int) -> None:
        """Report that minutes of some days of November changed, outside of any run."""
        for day in days:
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(MINUTES, partition=f"2026-11-{day:02}")
            )

    def after(self, minutes: float) -> set[tuple[str, int]]:
        """Look after some minutes; return the tables and days that were built."""
        self.moment += timedelta(minutes=minutes)
        with warnings.catch_warnings():
            # Dagster's own tester selects by a parameter that is in beta.
            warnings.simplefilter("ignore")
            found = dg.evaluate_automation_conditions(
                self.definitions, self.instance, cursor=self.cursor, evaluation_time=self.moment
            )
        self.cursor = found.cursor
        wanted = {
            (result.key.path[-1], partition)
            for result in found.results
            for partition in result.true_subset.expensively_compute_partition_keys()
        }
        for table, partition in sorted(wanted):
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(dg.AssetKey(table), partition=partition)
            )
        return {(table, int(partition[-2:])) for table, partition in wanted}


@pytest.fixture
def days() -> Iterator[Days]:
    with dg.DagsterInstance.ephemeral() as instance:
        found = Days(instance)
        # The first look knows of no earlier one, so that no moment has passed between them.
        assert found.after(0) == set()
        yield found


def built(*numbers: int) -> set[tuple[str, int]]:
    return {(table, day) for table in ("by_day", "summary", "by_three_days") for day in numbers}


def test_the_days_whose_minutes_changed_are_built_and_no_others(days: Days) -> None:
    days.report(12, 16)
    assert days.after(6) == built(12, 16)
    assert days.after(6) == set(), "nothing changed"
    days.report(16)
    assert days.after(6) == built(16)
    # The windows of 13 and 14 have the 12th too, but these days have no minutes of their own.
    days.report(12)
    assert days.after(6) == built(12)


def test_a_late_day_rebuilds_the_windows_that_hold_it(days: Days) -> None:
    days.report(12, 13, 14, 15)
    assert days.after(6) == built(12, 13, 14, 15)
    days.report(13)
    windows = {("by_three_days", 13), ("by_three_days", 14), ("by_three_days", 15)}
    assert days.after(6) == {("by_day", 13), ("summary", 13), *windows}


def test_a_stream_that_changes_all_the_time_starts_a_build_every_five_minutes(days: Days) -> None:
    found = []
    for _ in range(20):
        days.report(18)
        found.append(days.after(1))
    assert [item for item in found if item] == [built(18)] * 4
