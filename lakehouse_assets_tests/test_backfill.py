"""Backfills: chunks give what partitions one by one give, and an interrupted one goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration import planning
from lakehouse_assets.orchestration.backfill import Months, plan_backfill
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets_tests.airline.samples import House, member, purchase

RANGE = Months(date(2014, 1, 1), date(2014, 3, 1))


@pytest.fixture(autouse=True)
def _restore_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def labels(runs: list[PlannedRun]) -> list[str]:
    return [run.label for run in runs]


def test_months_are_read_as_people_write_them() -> None:
    assert Months.parse("2014-01..2014-03") == Months.parse("2014-01-01..2014-03-31") == RANGE
    assert str(Months.parse("2014-12")) == "2014-12..2014-12"
    for text in ("2014", "2014-13", "2014-01..", "x..y", "2014-03..2014-01"):
        with pytest.raises(LakehouseError):
            Months.parse(text)


def test_only_the_range_is_planned(house: House) -> None:
    for day in ("2013-12-31", "2014-01-01", "2014-03-31", "2014-04-01"):
        house.deliver_purchases(day, [purchase(day)])
    runs = plan_backfill(house.settings, "airline", RANGE).runs
    assert labels(runs) == [
        "reference_data",
        "airline_daily 2014-01-01..2014-03-31",
        "airline_monthly 2014-01-01",
        "airline_monthly 2014-03-01",
        "quality",
    ] or labels(runs) == [
        "reference_data",
        "airline_daily 2014-01-01",
        "airline_monthly 2014-01-01",
        "airline_daily 2014-03-31",
        "airline_monthly 2014-03-01",
        "quality",
    ]
    with pytest.raises(LakehouseError, match="no domain 'shop'"):
        plan_backfill(house.settings, "shop", RANGE)
    with pytest.raises(LakehouseError, match="Nothing of airline was delivered in 2015"):
        plan_backfill(house.settings, "airline", Months.parse("2015-01"))


def test_an_interrupted_backfill_goes_on_and_reads_what_has_changed_again(house: House) -> None:
    for month in (1, 2, 3):
        house.deliver_purchases(f"2014-0{month}-10", [purchase(f"T{month}")])
    first = plan_backfill(house.settings, "airline", RANGE, 1)
    # The process ends after January and the days of February.
    assert labels(first.runs)[3:4] == ["airline_daily 2014-02-10"]
    for run in first.runs[:4]:
        first.note(run)
    second = plan_backfill(house.settings, "airline", RANGE, 1)
    assert second.done == 3
    assert labels(second.runs) == [
        "reference_data",
        "airline_monthly 2014-02-01",
        "airline_daily 2014-03-10",
        "airline_monthly 2014-03-01",
        "quality",
    ]
    house.deliver_purchases("2014-01-10", [purchase("T1", amount=9)])
    third = plan_backfill(house.settings, "airline", RANGE, 1)
    assert labels(third.runs)[1:3] == ["airline_daily 2014-01-10", "airline_monthly 2014-01-01"]
    # Another range, or a fresh start, knows nothing of it.
    assert plan_backfill(house.settings, "airline", Months.parse("2014-01"), 1).done == 0
    assert plan_backfill(house.settings, "airline", RANGE, 1, restart=True).done == 0
    assert plan_backfill(house.settings, "airline", RANGE, 1).done == 0


def test_the_command_fills_a_range_and_forgets_its_progress(
    house: House, lakehouse: Callable[..., tuple[int, str, str]]
) -> None:
    house.deliver_purchases("2014-02-10", [purchase("A")])
    for later in ("2014-04-02", "2014-05-30"):
        house.deliver_purchases(later, [purchase(later)])
    code, out, err = lakehouse("backfill", "airline", "2014-02")
    assert code == 0, err
    assert "· airline_daily 2014-02-10" in out
    assert house.count("silver_transactions") == 1
    assert "lakehouse backfill airline 2014-04..2014-05" in out
    assert list((house.settings.dagster_home / "backfills").iterdir()) == []
    code, _, err = lakehouse("backfill", "airline", "February")
    assert code == 1
    assert "write it as 2024-01..2024-12" in err


def test_large_deliveries_are_loaded_in_shorter_runs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2014-01-01", "2014-01-02", "2014-02-01", "2014-03-01", "2014-03-02"):
        house.deliver_purchases(day, [purchase(f"T{day}", customer_id=1)])
    house.deliver_members("2014-02-28", [member(1)])
    assert [run.label for run in house.planned()[1:-1]] == [
        "airline_daily 2014-01-01..2014-03-02", "airline_monthly 2014-01-01..2014-03-01",
    ]  # fmt: skip
    size = (house.settings.landing / "airline/transactions/2014-01-01/transactions.json").stat()
    monkeypatch.setattr(planning, "BYTES_PER_RUN", 2 * size.st_size)
    assert [run.label for run in house.planned()[1:-1]] == [
        "airline_daily 2014-01-01..2014-01-02", "airline_monthly 2014-01-01",
        "airline_daily 2014-02-01", "airline_monthly 2014-02-01",
        "airline_daily 2014-03-01..2014-03-02", "airline_monthly 2014-03-01",
    ]  # fmt: skip
    # A compressed file counts as what it unpacks to.
    house.deliver_purchases("2014-03-01", [purchase("T9", customer_id=1)], "more.json.gz")
    assert [run.label for run in house.planned()[-4:-1]] == [
        "airline_daily 2014-03-01", "airline_daily 2014-03-02", "airline_monthly 2014-03-01",
    ]  # fmt: skip
