"""The daily refresh asks for what is behind its files, and for nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets_tests.airline.samples import House, purchase
from lakehouse_assets_tests.automation.caretaker import Caretaker


@pytest.fixture
def caretaker(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caretaker]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance(house.settings) as instance:
        yield Caretaker(house, instance)


def refresh(caretaker: Caretaker, now: datetime) -> Any:
    name = "airline_daily_refresh"
    (schedule,) = [s for s in caretaker.definitions.schedules or [] if s.name == name]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.cron_schedule == "0 6 * * *"
    with dg.build_schedule_context(
        instance=caretaker.instance,
        scheduled_execution_time=now,
        resources={"landing": caretaker.definitions.resources["landing"]},
    ) as context:
        return schedule(context)


def test_what_the_sensors_missed_is_asked_for(caretaker: Caretaker) -> None:
    house, now = caretaker.house, clock.now()
    for day in ("2014-03-03", "2014-03-04", "2014-03-06"):
        house.deliver_purchases(day, [purchase(day)])
    caretaker.settle()
    found = refresh(caretaker, now)
    ranges = [(r.partition_key or r.tags["dagster/asset_partition_range_start"]) for r in found]
    assert ranges == ["2014-03-03", "2014-03-06"]
    caretaker.deliveries("transactions")
    assert isinstance(refresh(caretaker, now), dg.SkipReason)
    # A correction that nobody loaded, because its run failed or the sensor was off.
    house.deliver_purchases("2014-03-04", [purchase("B")])
    late = clock.now() + timedelta(hours=1)
    (request,) = refresh(caretaker, late)
    assert request.partition_key == "2014-03-04"
    assert {key.path[-1] for key in request.asset_selection} == {
        "bronze_transactions", "bronze_transactions_rejects",
        "silver_transactions", "silver_transactions_quarantine",
    }  # fmt: skip


def test_a_file_that_arrives_with_an_old_time_is_seen(caretaker: Caretaker) -> None:
    house = caretaker.house
    house.deliver_purchases("2014-03-03", [purchase("A")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    # Copied with its times (`cp -p`, `rsync -t`): older than the run that did not see it.
    file = house.deliver_purchases("2014-03-03", [purchase("B")], "second.json")
    past = (clock.now() - timedelta(days=400)).timestamp()
    os.utime(file, (past, past))
    (request,) = refresh(caretaker, clock.now())
    assert request.partition_key == "2014-03-03"


def test_a_file_being_written_is_left_to_the_sensor(caretaker: Caretaker) -> None:
    caretaker.house.deliver_purchases("2014-03-03", [purchase("A")])
    assert isinstance(refresh(caretaker, clock.now()), dg.SkipReason)


def test_a_day_of_which_a_late_run_failed_is_asked_for(caretaker: Caretaker) -> None:
    house = caretaker.house
    day, aside = "2014-03-03", house.path(quarantine_table(TRANSACTIONS))
    house.deliver_purchases(day, [purchase("A")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    away = aside.rename(aside.with_name("away"))
    aside.write_text("a file in its place", encoding="utf-8")
    caretaker.may_fail = True
    names = TRANSACTIONS.loaded_tables[2:]
    caretaker.run([dg.AssetKey(["airline", name]) for name in names], day, day)
    aside.unlink()
    away.rename(aside)
    # Its files are those that were loaded; what was to be cleaned again was not.
    (request,) = refresh(caretaker, clock.now())
    assert request.partition_key == day
    caretaker.run(list(request.asset_selection), day, day)
    assert isinstance(refresh(caretaker, clock.now()), dg.SkipReason)
