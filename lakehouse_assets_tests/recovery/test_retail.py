"""Kill -9 while files and copies of a database are loaded, then run again: nothing twice or lost.

The airline's pipelines are killed in `test_kills.py`, the copying itself in `sources/`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from lakehouse_assets.catalog.sources import source_of
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.domains.retail.sources import SOURCES
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.extraction import CopyRequest, extract
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.recovery.pipelines import LOADS
from lakehouse_assets_tests.recovery.test_kills import played
from lakehouse_assets_tests.retail.samples import deliver, order, quoted_csv, result

FIRST, SECOND = LOADS["retail"].days
NEW = 40
"""Rows that are new on each day."""


def furnished_with_retail(house: House) -> Path:
    """Deliver two days of two datasets: news, what came before, and what cannot be used."""
    results = [result(Campaign_Name=f"C{n}", Revenue=str(n)) for n in range(2 * NEW)]
    bad = result(Profit="x")
    deliver(house, CAMPAIGNS, FIRST, "data.csv", quoted_csv(CAMPAIGNS, [*results[:NEW], bad]))
    torn = quoted_csv(CAMPAIGNS, [*results[:5], *results[NEW:]]) + '"too","short"\n'
    deliver(house, CAMPAIGNS, SECOND, "data.csv", torn)
    database = house.settings.landing.parent / "shop.db"
    _copy(house, database, range(NEW), FIRST)
    _copy(house, database, range(NEW, 2 * NEW), SECOND)
    return house.settings.landing.parent


def _copy(house: House, database: Path, numbers: Sequence[int], day: str) -> None:
    """Have orders come in, one a minute, and copy what is new."""
    begun, names = datetime(2021, 9, 5, 22, tzinfo=UTC), ONLINE_SALES.source_names
    orders = [
        order(OrderID=f"O-{n:03}", OrderedAt=(begun + timedelta(minutes=n)).isoformat())
        for n in numbers
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = ", ".join(f'"{name}" TEXT' for name in names)
        connection.execute(f"CREATE TABLE IF NOT EXISTS online_sales ({columns})")
        marks = ", ".join("?" * len(names))
        rows = [[row[name] for name in names] for row in orders]
        connection.executemany(f"INSERT INTO online_sales VALUES ({marks})", rows)  # noqa: S608
    source = Source("shop", SecretStr(f"sqlite:///{database}"))
    declared = source_of(SOURCES, ONLINE_SALES.path)
    now = datetime.fromisoformat(f"{day}T05:00:00+00:00")
    extract(LandingZone(house.settings.landing), source, declared, CopyRequest(), now)


def assert_whole(rows: dict[str, list[dict[str, Any]]]) -> None:
    """Check what both days hold: each result and order once, and what is set aside."""
    silver = {name: rows[f"silver_{name}"] for name in LOADS["retail"].datasets}
    assert {name: len(found) for name, found in silver.items()} == dict.fromkeys(silver, 2 * NEW)
    revenues = {float(row["revenue"]) for row in silver["campaigns"]}
    assert revenues == {float(n) for n in range(2 * NEW)}
    assert {row["order_id"] for row in silver["online_sales"]} == {
        f"O-{n:03}" for n in range(2 * NEW)
    }
    aside = {name: len(rows[f"silver_{name}_quarantine"]) for name in silver}
    # The second copy begins with the first one's last order.
    assert aside == {"campaigns": 6, "online_sales": 1}
    assert [row["line_number"] for row in rows["bronze_campaigns_rejects"]] == ["47"]


def test_killed_loads_of_files_and_copies_heal_when_they_run_again(house: House) -> None:
    folder = furnished_with_retail(house)
    found = played(folder, task="kills", load="retail", points=4, seed=5)
    assert_whole(found["expected"])
    assert found["hit"] >= 4
    # The kills hit before, between and after the commits of the tables.
    assert len(found["states"]) >= 3
    assert found["healed"]
    assert all(found["healed"])
    assert set(found["runs"]) <= {"SUCCESS", "FAILURE"}
    assert found["slots"] == 0
