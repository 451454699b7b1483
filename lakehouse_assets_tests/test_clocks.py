"""Whatever the clock and the zone of the machine: deliveries of today give the same tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lakehouse_assets.domains import REGISTRY
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, variables_of
from lakehouse_assets_tests.clocks import at
from lakehouse_assets_tests.test_incremental import values

MIDDLE = datetime(2026, 11, 15, 12, tzinfo=UTC)
# A moment in UTC, a zone, the domain of which something is delivered at that moment, and how it is
# built.
CASES = {
    "first day, October there": (
        datetime(2026, 11, 1, 0, 30), "America/St_Johns", "airline", "build",
    ),
    "last day, December there": (
        datetime(2026, 11, 30, 20), "Asia/Kolkata", "airline", "build",
    ),
    "31 December, 2027 there": (
        datetime(2026, 12, 31, 11), "Pacific/Kiritimati", "airline", "run",
    ),
    "summer time begins": (
        datetime(2026, 3, 8, 5, 29, 58), "America/St_Johns", "retail", "build",
    ),
}  # fmt: skip
# What says when something was delivered, which differs between the cases.
DELIVERY = {"delivered_on", "as_of_month", "snapshot_month", "_source_file", "duplicate_of", "path"}


# What is delivered of each domain: of retail, tweets alone say when something was sent.
DELIVERED = {"airline": ("flights", "transactions"), "retail": ("tweets",)}
# Commands of one process; `build` builds a domain as `run` does, of gold what is made of delivered
# rows alone.
COMMANDS = """
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from lakehouse_assets.catalog.datasets import dataset_named
from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.domains.airline.gold import customers, value
from lakehouse_assets.domains.retail.gold import tweets
from lakehouse_assets_tests.airline.samples import House

gold = [made.table for module in (customers, value, tweets) for made in module.GOLD]

house, results = House.at(Path(sys.argv[1])), []
for arguments in json.loads(sys.argv[2]):
    sys.argv, code = ["lakehouse", *arguments], 0
    with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()) as errors:
        try:
            if arguments[0] == "build":
                datasets = [dataset_named(DATASETS, path) for path in arguments[1:]]
                assert house.run(*datasets, gold=gold).errors == []
            else:
                cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    results.append([code, said.getvalue(), errors.getvalue()])
print(json.dumps(results))
"""


def run_at(
    house: House, moment: datetime, zone: str, *commands: Sequence[str]
) -> list[tuple[int, str, str]]:
    """Run commands at a moment in a zone; exit code, output and errors of each."""
    folder = house.settings.landing.parent
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(folder), json.dumps(commands)],
        env={**os.environ, "NO_COLOR": "1", **variables_of(house), **at(moment, zone)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [tuple(result) for result in json.loads(done.stdout)]


def built(
    house: House, moment: datetime, zone: str, domain: str, how: str
) -> Mapping[str, list[str]]:
    """Build or run a lake of today's deliveries; return its rows without the day of delivery.

    Those are the first files of the sample, with few members.
    """
    today, tomorrow = moment.date(), moment.date() + timedelta(days=1)
    for dataset in DELIVERED[domain]:
        file = sorted((REPOSITORY / "data" / domain / dataset).glob("*/*"))[0]
        lines = file.read_bytes().splitlines(keepends=True)
        target = Path(house.settings.landing, domain, dataset, f"{today}", file.name)
        target.parent.mkdir(parents=True)
        target.write_bytes(b"".join(lines[:5] if dataset == "flights" else lines))
    paths = [f"{domain}/{dataset}" for dataset in DELIVERED[domain]]
    daily = paths[-1]
    (code, _, refused), (run_code, said, errors), (status_code, listed, complaints) = run_at(
        house, moment, zone,
        ("land", daily, str(REPOSITORY / "pyproject.toml"), "--date", f"{tomorrow}"),
        ("run",) if how == "run" else ("build", *paths),
        ("status", "--json"),
    )  # fmt: skip
    assert (code, refused.count("\n")) == (1, 1)
    assert f"{daily}/{tomorrow} cannot be loaded yet, because today is" in refused
    assert (run_code, errors) == (0, ""), said
    for name, partitions in (found := values(house)).items():
        grain = REGISTRY[name].partition
        dates = {today, today.replace(day=1)} if grain else {None}
        assert partitions.keys() <= dates, name
    assert status_code == 0, complaints
    assert [t["table"] for t in json.loads(listed) if t["rows"] and t["missing"]] == []
    return {
        name: sorted(
            repr({k: v for k, v in row.items() if k not in DELIVERY})
            for rows in partitions.values()
            for row in rows
        )
        for name, partitions in found.items()
    }


@pytest.fixture(scope="module")
def expected(new_house: Callable[..., House]) -> Mapping[str, list[str]]:
    hows = {"airline": "run", "retail": "build"}
    made = (built(new_house("middle"), MIDDLE, "UTC", *how) for how in hows.items())
    return {name: rows for tables in made for name, rows in tables.items()}


@pytest.mark.parametrize("case", CASES)
def test_today_is_built_alike_at_every_hour_of_the_world(
    house: House, expected: Mapping[str, list[str]], case: str
) -> None:
    naive, zone, domain, how = CASES[case]
    moment = naive.replace(tzinfo=UTC)
    local = moment.astimezone(ZoneInfo(zone))
    assert local.date() != moment.date() or "summer" in case
    tables = built(house, moment, zone, domain, how)
    assert len([name for name, rows in tables.items() if rows]) > 5
    assert tables == {name: expected[name] for name in tables}
    if domain == "retail":
        sent = [row["tweeted_at"] for row in house.rows("silver_tweets")]
        query = "select max(tweeted_at) || '|' || max(cast(tweeted_at as date)) from silver_tweets"
        ((_, said, _),) = run_at(house, moment, zone, ("sql", query))
        assert f"{max(sent):%Y-%m-%d %H:%M:%S}+00|{max(sent):%Y-%m-%d}" in said


SENSORS = """
import sys
from pathlib import Path
import dagster as dg
from lakehouse_assets import clock
from lakehouse_assets.domains.airline.gold.value import KPI_CUSTOMER_VALUE
from lakehouse_assets_tests.airline.samples import House, member, purchase
from lakehouse_assets_tests.automation.caretaker import Caretaker

today, house = clock.today(), House.at(Path(sys.argv[1]))
watched = dg.AssetSelection.assets(dg.AssetKey(KPI_CUSTOMER_VALUE.key)).upstream()
with dg.DagsterInstance.ephemeral() as instance:
    caretaker = Caretaker(house, instance, watched=watched)
    house.deliver_members(f"{today}", [member(1)])
    house.deliver_purchases(f"{today}", [purchase("A", customer_id=1, amount=5)])
    caretaker.wake()
    house.deliver_purchases(f"{today}", [purchase("B", customer_id=1, amount=3)], "b.json")
    caretaker.wake()
for row in house.rows(KPI_CUSTOMER_VALUE):
    print(row["as_of_month"], row["total_spent"])
"""


def test_sensors_build_the_running_month_from_deliveries_of_today(house: House) -> None:
    # 29 February, and March there.
    moment, zone = datetime(2028, 2, 29, 11, tzinfo=UTC), "Pacific/Kiritimati"
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
