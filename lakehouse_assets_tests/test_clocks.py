"""Whatever the clock and the zone of the machine: deliveries of today give the same tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lakehouse_assets.airline import tables as t
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, command, variables_of
from lakehouse_assets_tests.clocks import at
from lakehouse_assets_tests.test_incremental import values

MIDDLE = datetime(2026, 11, 15, 12, tzinfo=UTC)
CASES = {
    "first day, October there": (datetime(2026, 11, 1, 0, 30, tzinfo=UTC), "America/St_Johns"),
    "last day, December there": (datetime(2026, 11, 30, 18, 45, tzinfo=UTC), "Asia/Kolkata"),
    "29 February, March there": (datetime(2028, 2, 29, 11, tzinfo=UTC), "Pacific/Kiritimati"),
    "31 December, 2027 there": (datetime(2026, 12, 31, 11, tzinfo=UTC), "Pacific/Kiritimati"),
    "summer time begins": (datetime(2026, 3, 8, 5, 29, 58, tzinfo=UTC), "America/St_Johns"),
    "summer time ends": (datetime(2026, 10, 25, 0, 59, 58, tzinfo=UTC), "Europe/Berlin"),
}
# What says when something was delivered, which differs between the cases.
DELIVERY = {"delivered_on", "as_of_month", "snapshot_month", "_source_file", "duplicate_of", "path"}
SENT = "select min(tweeted_at), max(tweeted_at), max(cast(tweeted_at as date)) from silver_tweets"


def in_process(house: House, moment: datetime, zone: str, *arguments: str) -> tuple[int, str, str]:
    """Run the command line at a moment in a zone; exit code, output and errors."""
    variables = {**variables_of(house), **at(moment, zone)}
    done = command(*arguments, variables=variables, cwd=house.settings.landing.parent)
    return done.returncode, done.stdout, done.stderr


def deliver_today(house: House, moment: datetime, zone: str) -> None:
    """Deliver the first file of each dataset of the sample, a few members only."""
    today = f"{moment.date()}"
    for dataset in (REPOSITORY / "data").glob("*/*"):
        first = sorted(day for day in dataset.iterdir() if day.is_dir())[0]
        file = sorted(first.iterdir())[0]
        target = Path(house.settings.landing, *dataset.parts[-2:], today, file.name)
        target.parent.mkdir(parents=True)
        lines = file.read_bytes().splitlines(keepends=True)
        few = dataset.name == "flights"
        target.write_bytes(b"".join(lines[:5] if few else lines))
    more = house.settings.landing.parent / "more.json"
    shutil.copy(REPOSITORY / "data/airline/transactions/2014-03-06/transactions.json", more)
    land = ("land", "airline/transactions", str(more), "--date")
    code, _, said = in_process(house, moment, zone, *land, today)
    assert code == 0, said
    tomorrow = f"{moment.date() + timedelta(days=1)}"
    code, _, said = in_process(house, moment, zone, *land, tomorrow)
    assert (code, said.count("\n")) == (1, 1)
    assert f"airline/transactions/{tomorrow} cannot be loaded" in said


def built(house: House, moment: datetime, zone: str) -> tuple[Mapping[str, Any], str]:
    """Build a lake of today's deliveries; its rows without the day of delivery, and a query."""
    deliver_today(house, moment, zone)
    code, said, errors = in_process(house, moment, zone, "run")
    assert (code, errors) == (0, ""), said
    found = {
        name: sorted(
            repr({k: v for k, v in row.items() if k not in DELIVERY})
            for rows in partitions.values()
            for row in rows
        )
        for name, partitions in values(house).items()
    }
    month = moment.date().replace(day=1)
    assert {row["as_of_month"] for row in house.rows(t.KPI_CUSTOMER_VALUE)} == {month}
    assert {row["delivered_on"] for row in house.rows(t.SILVER_TRANSACTIONS)} == {moment.date()}
    return found, in_process(house, moment, zone, "sql", SENT)[1]


@pytest.fixture(scope="module")
def expected(new_house: Callable[..., House]) -> tuple[Mapping[str, Any], str]:
    return built(new_house("middle"), MIDDLE, "UTC")


@pytest.mark.parametrize("case", CASES)
def test_today_is_built_alike_at_every_hour_of_the_world(
    house: House, expected: tuple[Mapping[str, Any], str], case: str
) -> None:
    moment, zone = CASES[case]
    local = moment.astimezone(ZoneInfo(zone))
    assert local.date() != moment.date() or "summer" in case
    tables, query = built(house, moment, zone)
    assert tables == expected[0]
    assert query == expected[1]
    code, said, errors = in_process(house, moment, zone, "status", "--json")
    assert code == 0, errors
    assert [table["table"] for table in json.loads(said) if table["missing"]] == []


SENSORS = """
import sys
from pathlib import Path
import dagster as dg
from lakehouse_assets import clock
from lakehouse_assets.airline import tables as t
from lakehouse_assets_tests.airline.samples import House, member, purchase
from lakehouse_assets_tests.automation.caretaker import Caretaker

today, house = clock.today(), House.at(Path(sys.argv[1]))
whole = [f"conformed/{name}" for name in ("dim_date", "dim_countries", "dim_places")]
watched = dg.AssetSelection.key_prefixes(t.DOMAIN) | dg.AssetSelection.assets(*whole)
with dg.DagsterInstance.ephemeral() as instance:
    caretaker = Caretaker(house, instance, watched=watched)
    house.deliver_members(f"{today}", [member(1)])
    house.deliver_purchases(f"{today}", [purchase("A", customer_id=1, amount=5)])
    caretaker.wake()
    house.deliver_purchases(f"{today}", [purchase("B", customer_id=1, amount=3)], "b.json")
    caretaker.wake()
for row in house.rows(t.KPI_CUSTOMER_VALUE):
    print(row["as_of_month"], row["total_spent"])
"""


def test_sensors_build_the_running_month_from_deliveries_of_today(house: House) -> None:
    moment, zone = CASES["29 February, March there"]
    folder = house.settings.landing.parent
    done = subprocess.run(
        [sys.executable, "-c", SENSORS, str(folder)],
        env={**os.environ, **variables_of(house), **at(moment, zone)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2028-02-01 8.00\n", done.stderr
