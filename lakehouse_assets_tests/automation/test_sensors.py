"""Sensors on real folders and tables: what arrives runs, and only that."""

from __future__ import annotations

import random
import shutil
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset, bronze_table, quarantine_table
from lakehouse_assets.domains.airline.datasets.flights import SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import value as gold
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandedFile, LandingZone
from lakehouse_assets.orchestration.planning import PlannedRun, with_follow_ups
from lakehouse_assets.orchestration.run import execute
from lakehouse_assets.orchestration.sensors import keys_of
from lakehouse_assets_tests.airline.samples import House, member, purchase
from lakehouse_assets_tests.automation.caretaker import Caretaker

ASIDE = quarantine_table(TRANSACTIONS)


@pytest.fixture
def caretaker(house: House, instance: dg.DagsterInstance) -> Caretaker:
    return Caretaker(house, instance)


def day(number: int) -> str:
    return f"2014-03-{number:02}"


def both(number: int) -> tuple[str, str]:
    return day(number), day(number)


def sorted_rows(house: House) -> list[tuple[Any, ...]]:
    """Return how purchases were sorted, whatever the order in which they came."""
    kept = [
        (r["transaction_id"], str(r["delivered_on"]), "kept", None)
        for r in house.rows(SILVER_TRANSACTIONS)
    ]
    aside = [
        (r["transaction_id"], str(r["delivered_on"]), r["disposition"], r["duplicate_of"])
        for r in house.rows(ASIDE)
    ]
    return sorted(kept) + sorted(aside)


def test_sensors_are_off_until_they_are_asked_for(house: House) -> None:
    names = {"deliveries", "late_deliveries"}
    off = {s.name: s.default_status for s in house.definitions().sensors or []}
    assert names <= off.keys()
    assert set(off.values()) == {dg.DefaultSensorStatus.STOPPED}
    running = House(house.settings.model_copy(update={"automation": True})).definitions()
    assert {s.default_status for s in running.sensors or []} == {dg.DefaultSensorStatus.RUNNING}


def test_what_arrives_while_a_dataset_is_loaded_goes_into_one_run_after_it(
    caretaker: Caretaker, capfd: pytest.CaptureFixture[str]
) -> None:
    house, instance = caretaker.house, caretaker.instance
    house.deliver_purchases(day(3), [purchase("A")])
    caretaker.settle()
    asked = caretaker.tick("deliveries")
    (request,) = asked.run_requests or []
    # Its process has not begun yet.
    job = caretaker.definitions.resolve_job_def("airline_daily")
    starting = instance.create_run_for_job(
        job, tags=request.tags, status=dg.DagsterRunStatus.STARTING
    )
    for number in (3, 4, 5):
        house.deliver_purchases(day(number), [purchase(f"B{number}")], "more.json")
        caretaker.settle()
        waiting = caretaker.tick("deliveries")
        assert not waiting.run_requests
        assert "newer files are loaded after it" in str(waiting.skip_reason)
    instance.report_run_canceled(starting)
    capfd.readouterr()
    assert caretaker.deliveries("transactions") == [(day(3), day(5))]
    # This is how `dagster sensor preview` shows what it would run.
    assert f"Loads airline/transactions of {day(3)}...{day(5)}." in capfd.readouterr().err
    assert house.count(SILVER_TRANSACTIONS) == 4


def test_deliveries_corrections_and_snapshots_load_what_they_touch(caretaker: Caretaker) -> None:
    house = caretaker.house
    house.deliver_purchases(day(3), [purchase("A", amount=1)])
    house.deliver_purchases(day(4), [purchase("B", amount=2)])
    house.deliver_members("2014-03-31", [member(1)])
    caretaker.settle()
    assert caretaker.deliveries("transactions") == [(day(3), day(4))]
    assert caretaker.deliveries("transactions") == []
    assert caretaker.deliveries("flights") == [("2014-03-01", "2014-03-01")]
    assert house.count(SILVER_TRANSACTIONS) == 2
    assert house.count(SILVER_FLIGHTS) == 1
    house.deliver_purchases(day(4), [purchase("B", amount=5)])
    house.deliver_purchases(day(4), [purchase("C")], "more.json")
    caretaker.settle()
    assert caretaker.deliveries("transactions") == [both(4)]
    assert caretaker.deliveries("flights") == []
    rows = house.rows(SILVER_TRANSACTIONS, "transaction_id = 'B'")
    assert [float(row["amount"]) for row in rows] == [5.0]
    assert house.count(SILVER_TRANSACTIONS) == 3


def test_what_ran_by_hand_is_not_loaded_again_when_the_sensor_is_switched_on(
    caretaker: Caretaker,
) -> None:
    house = caretaker.house
    for number in (3, 4, 5):
        house.deliver_purchases(day(number), [purchase(f"T{number}")])
    caretaker.settle()
    keys = keys_of(TRANSACTIONS, TRANSACTIONS.loaded_tables)
    caretaker.run(keys, day(3), day(4))
    # Bronze alone is not enough: nothing further down has the rows.
    caretaker.run(keys[:2], day(5), day(5))
    house.deliver_purchases(day(4), [purchase("B")], "second.json")
    caretaker.settle()
    result = caretaker.tick("deliveries")
    assert caretaker.obey(result) == [(day(4), day(5))]
    caretaker.run(keys, day(4), day(4))
    house.deliver_purchases(day(6), [purchase("T6")])
    caretaker.settle()
    caretaker.run(keys, day(6), day(6))
    again = caretaker.tick("deliveries")
    assert not again.run_requests
    assert house.count(SILVER_TRANSACTIONS) == 5


def test_a_file_just_written_waits_for_the_next_tick(caretaker: Caretaker) -> None:
    file = caretaker.house.deliver_purchases(day(3), [purchase("A")])
    caretaker.house.deliver("transactions", day(4), "big.json.part", "[")
    first = caretaker.tick("deliveries")
    assert not first.run_requests
    assert file.name in str(first.skip_reason)
    assert caretaker.deliveries("transactions") == [both(3)]


def test_a_deleted_file_is_recorded_and_its_rows_stay(caretaker: Caretaker) -> None:
    house = caretaker.house
    file = house.deliver_purchases(day(3), [purchase("A")])
    house.deliver_purchases(day(4), [purchase("B")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    file.unlink()
    result = caretaker.tick("deliveries")
    assert not result.run_requests
    (event,) = result.asset_events
    assert event.asset_key == dg.AssetKey(bronze_table(TRANSACTIONS).key)
    assert event.metadata["deleted_files"].value == [f"1 of 1 file of {day(3)}"]
    again = caretaker.tick("deliveries")
    assert not again.asset_events
    assert "The tables are unchanged" in str(again.skip_reason)
    assert house.count(SILVER_TRANSACTIONS) == 2


def test_a_failed_listing_is_an_error_and_forgets_nothing(caretaker: Caretaker) -> None:
    house = caretaker.house
    house.deliver_purchases(day(3), [purchase("A")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    away = house.settings.landing.rename(house.settings.landing.with_name("away"))
    with pytest.raises(LakehouseError, match="landing zone"):
        caretaker.tick("deliveries")
    shutil.move(away, house.settings.landing)
    result = caretaker.tick("deliveries")
    assert not result.run_requests
    assert not result.asset_events


def test_a_dataset_that_cannot_be_listed_stops_no_other(
    caretaker: Caretaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, listed = caretaker.house, LandingZone.files
    house.deliver_purchases(day(3), [purchase("A")])
    caretaker.settle()

    def files(zone: LandingZone, dataset: Dataset, *span: Any) -> list[LandedFile]:
        if dataset.name == "flights":
            raise LakehouseError("The store says no.")
        return listed(zone, dataset, *span)

    monkeypatch.setattr(LandingZone, "files", files)
    assert caretaker.deliveries("transactions") == [both(3)]
    # Once nothing else is to be done, the tick fails, which people see.
    with pytest.raises(LakehouseError, match="The store says no"):
        caretaker.tick("deliveries")


def test_nothing_is_forgotten_with_a_cursor_or_a_lost_run(caretaker: Caretaker) -> None:
    house = caretaker.house
    house.deliver_purchases(day(3), [purchase("A")])
    caretaker.settle()
    (lost,) = caretaker.tick("deliveries").run_requests or []
    (again,) = caretaker.tick("deliveries").run_requests or []
    # Under one key, so that Dagster does not start both.
    assert again.run_key == lost.run_key
    keys = keys_of(TRANSACTIONS, TRANSACTIONS.loaded_tables)
    # A run that ended after bronze has loaded nothing that others could follow.
    caretaker.run(keys[:2], *both(3))
    assert caretaker.deliveries("transactions") == [both(3)]
    for cursor in (None, "", "{}", "what somebody has typed"):
        caretaker.forget(cursor)
        assert caretaker.deliveries("transactions") == []


def test_a_load_that_fails_is_tried_again_alone_after_a_pause_and_at_once_when_it_is_mended(
    caretaker: Caretaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, caretaker.may_fail = caretaker.house, True
    house.deliver_purchases(day(3), [purchase("A")])
    bad = [purchase(f"B{number}", amount="oops") for number in range(3)]
    house.deliver_purchases(day(4), bad)
    caretaker.settle()
    assert caretaker.deliveries("transactions") == [(day(3), day(4))]
    paused = caretaker.tick("deliveries")
    assert not paused.run_requests
    assert "are retried later" in str(paused.skip_reason)
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert caretaker.deliveries("transactions") == [both(3), both(4)]
    assert [row["transaction_id"] for row in house.rows(SILVER_TRANSACTIONS)] == ["A"]
    house.deliver_purchases(day(4), [purchase("B")])
    caretaker.settle()
    assert caretaker.deliveries("transactions") == [both(4)]
    assert house.count(SILVER_TRANSACTIONS) == 2


# --- late days --------------------------------------------------------------------------------


def test_a_late_day_takes_its_ids_from_the_later_days_that_have_them(
    caretaker: Caretaker,
) -> None:
    house = caretaker.house
    house.deliver_purchases(day(5), [purchase("A"), purchase("B")])
    house.deliver_purchases(day(6), [purchase("A"), purchase("C")])
    house.deliver_purchases(day(7), [purchase("D")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    house.deliver_purchases(day(3), [purchase("A")])
    caretaker.settle()
    assert caretaker.deliveries("transactions") == [both(3)]
    # Until the 5th runs again, another day repeats what two days keep.
    house.deliver_purchases(day(9), [purchase("A")])
    caretaker.settle()
    assert caretaker.deliveries("transactions") == [both(9)]
    assert house.count(SILVER_TRANSACTIONS, "transaction_id = 'A'") == 2
    # The 6th called its A a duplicate of the 5th's, which is one itself now.
    assert caretaker.late() == [both(5), both(6)]
    assert house.count(SILVER_TRANSACTIONS, "transaction_id = 'A'") == 1
    first = f"airline/transactions/{day(3)}/transactions.json#1"
    assert [row["duplicate_of"] for row in house.rows(ASIDE)] == [first] * 3


def test_a_correction_that_drops_an_id_gives_it_to_the_next_day_that_has_it(
    caretaker: Caretaker,
) -> None:
    house = caretaker.house
    house.deliver_purchases(day(3), [purchase("A"), purchase("B")])
    house.deliver_purchases(day(5), [purchase("A", amount=7)])
    caretaker.settle()
    caretaker.deliveries("transactions")
    house.deliver_purchases(day(3), [purchase("B")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    assert house.count(SILVER_TRANSACTIONS, "transaction_id = 'A'") == 0
    # A run that is lost is asked for again, by the key under which Dagster starts it once.
    lost, again = (caretaker.tick("late_deliveries").run_requests for _ in range(2))
    assert lost
    assert again == lost
    assert caretaker.late() == [both(5)]
    (row,) = house.rows(SILVER_TRANSACTIONS, "transaction_id = 'A'")
    assert float(row["amount"]) == 7


def test_days_in_any_order_end_as_days_in_order(
    caretaker: Caretaker, new_house: Any, instance: dg.DagsterInstance
) -> None:
    chance = random.Random(7)  # noqa: S311
    numbers = [3, 4, 5, 6, 8]
    content = {
        n: [purchase(f"T{chance.randrange(6)}", amount=n) for _ in range(4)] for n in numbers
    }
    chance.shuffle(numbers)
    for number in numbers:
        caretaker.house.deliver_purchases(day(number), content[number])
        caretaker.settle()
        assert caretaker.deliveries("transactions") == [both(number)]
        caretaker.late()
    straight: House = new_house()
    for number in sorted(numbers):
        straight.deliver_purchases(day(number), content[number])
    assert straight.materialise("airline_daily", day(3), last=day(8)).success
    assert sorted_rows(caretaker.house) == sorted_rows(straight)


def test_running_late_days_by_hand_runs_the_later_ones_and_their_month(house: House) -> None:
    house.deliver_purchases(day(5), [purchase("A", amount=9)])
    first = [PlannedRun("reference_data"), PlannedRun("airline_daily", *both(5))]
    assert execute(house.settings, first).errors == []
    house.deliver_purchases(day(3), [purchase("A", amount=1)])
    started: list[str] = []
    outcome = execute(
        house.settings,
        [PlannedRun("airline_daily", *both(3))],
        lambda run: started.append(run.label),
    )
    assert outcome.errors == []
    assert started == [
        f"airline_daily {day(3)}",
        f"airline_daily {day(5)}",
        "airline_monthly 2014-03-01",
    ]
    assert [w.run for w in outcome.warnings if w.check == "later_days_agree"] == [started[0]]
    assert [float(r["transaction_amount"]) for r in house.rows(gold.FACT_TRANSACTIONS)] == [1.0]


def test_days_that_are_still_to_run_are_not_added() -> None:
    waiting = [
        PlannedRun("airline_daily", day(4), day(6)),
        PlannedRun("airline_monthly", "2014-03-01", "2014-03-01"),
    ]
    outdated = {"airline": {date(2014, 3, 5), date(2014, 4, 9)}}
    assert with_follow_ups(waiting, outdated, waiting[0]) == [
        PlannedRun("airline_daily", "2014-04-09", "2014-04-09"),
        *waiting,
        PlannedRun("airline_monthly", "2014-04-01", "2014-04-01"),
    ]


def test_late_days_of_one_domain_run_nothing_of_another() -> None:
    waiting = [PlannedRun("airline_daily", day(5), day(5))]
    outdated = {"retail": {date(2014, 3, 5)}, "airline": set[date]()}
    assert with_follow_ups(waiting, outdated, waiting[0]) == [
        PlannedRun("retail_daily", day(5), day(5)),
        *waiting,
        PlannedRun("retail_monthly", "2014-03-01", "2014-03-01"),
    ]


def test_earlier_months_are_built_before_those_that_add_them_up() -> None:
    waiting = [PlannedRun("retail_monthly", "2014-03-01", "2014-03-01")]
    done = PlannedRun("retail_daily", day(5), day(9))
    months = [PlannedRun("retail_monthly", month, month) for month in ("2014-01-01", "2014-02-01")]
    assert with_follow_ups(waiting, {"retail": {date(2014, 1, 7)}}, done) == [
        PlannedRun("retail_daily", "2014-01-07", "2014-01-07"),
        *months,
        *waiting,
    ]
