"""From a database to silver: what comes again is known by its key, and everything adds up."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

import lakehouse_assets.domains
from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset, bronze_table, quarantine_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS, SILVER_CAMPAIGNS
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.sources import SOURCES
from lakehouse_assets.orchestration.dataset_assets import CONSERVED as DELIVERED_CONSERVED
from lakehouse_assets.orchestration.dataset_assets import READABLE, bronze_assets, silver_assets
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.resources import LakeResource, LandingResource
from lakehouse_assets_tests.airline.samples import House, check, numbers
from lakehouse_assets_tests.retail.samples import customer, order, result


class Shop:
    """A SQLite database and the house that it is copied to, this very day.

    Args:
        house: The house.
        dataset: What is copied.
        silver: Its silver table.
        whole: Columns that hold whole numbers.
    """

    def __init__(
        self, house: House, dataset: Dataset, silver: Table, whole: Sequence[str] = ()
    ) -> None:
        self.house, self.dataset, self.silver = house, dataset, silver
        self.file = house.settings.landing.parent / "source.db"
        self._instance = dg.DagsterInstance.ephemeral()
        columns = ", ".join(
            f'"{name}" {"INTEGER" if name in whole else "TEXT"}' for name in dataset.source_names
        )
        self._run(f"CREATE TABLE {dataset.name} ({columns})", [()])
        calendar = Calendar(date(2021, 1, 1))
        self._assets = [bronze_assets(dataset, calendar), silver_assets(dataset, calendar)]

    def _run(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            database.executemany(statement, rows)

    def insert(self, *rows: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(self.dataset.source_names))
        values = [[row[name] for name in self.dataset.source_names] for row in rows]
        self._run(f"INSERT INTO {self.dataset.name} VALUES ({marks})", values)  # noqa: S608

    def update(self, key: str, value: str, **changes: Any) -> None:
        changed = ", ".join(f'"{name}" = ?' for name in changes)
        statement = f'UPDATE {self.dataset.name} SET {changed} WHERE "{key}" = ?'  # noqa: S608
        self._run(statement, [(*changes.values(), value)])

    def copy(self) -> str:
        result = CliRunner().invoke(cli.app, ["extract", self.dataset.path])
        assert result.exit_code == 0, result.output
        return result.output

    def load(self) -> dg.ExecuteInProcessResult:
        today = clock.today()
        partition = today if self.dataset.grain == "day" else today.replace(day=1)
        lake = LakeResource.of(self.house.settings)
        result = dg.materialize(
            self._assets,
            partition_key=partition.isoformat(),
            instance=self._instance,
            resources={
                "lake": lake,
                "landing": LandingResource(root=str(self.house.settings.landing)),
                "io_manager": DeltaIOManager(lake=lake),
            },
        )
        assert check(result, bronze_table(self.dataset), DELIVERED_CONSERVED.name).passed
        assert check(result, self.silver, "bronze_rows_are_conserved").passed
        return result

    def aside(self) -> list[dict[str, Any]]:
        return self.house.rows(quarantine_table(self.dataset))


@pytest.fixture
def at_home(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> House:
    # Within a test the day does not change.
    begun, told = clock.now(), clock.now
    noon = begun.replace(hour=12)
    monkeypatch.setattr(clock, "now", lambda: noon + (told() - begun))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(house.settings.landing))
    database = house.settings.landing.parent / "source.db"
    for source in ("CRM", "SHOP", "MARKETING"):
        monkeypatch.setenv(f"LAKEHOUSE_SOURCE_{source}", f"sqlite:///{database}")
    return house


def test_a_late_update_of_a_state_takes_the_place_of_what_was_there(
    at_home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The lab's customers do not say when they changed; here their tenure does.
    with_cursor = [
        replace(s, cursor="tenure_month") if s.dataset is CUSTOMERS else s for s in SOURCES
    ]
    monkeypatch.setattr(lakehouse_assets.domains, "SOURCES", tuple(with_cursor))
    shop = Shop(at_home, CUSTOMERS, SILVER_CUSTOMERS, whole=["tenure_month"])
    shop.insert(
        *[customer(CustomerID=name, tenure_month=n) for name, n in (("A", 1), ("B", 5), ("C", 9))]
    )
    assert "3 rows of customers to copy (full copy)." in shop.copy()
    shop.load()
    assert {row["customer_id"] for row in at_home.rows(SILVER_CUSTOMERS)} == {"A", "B", "C"}
    shop.update("CustomerID", "A", tenure_month=10, TotalAmount="70")
    shop.insert(customer(CustomerID="D", tenure_month=12))
    assert "3 rows of customers to copy (changes since 9)." in shop.copy()
    result = shop.load()
    assert {
        row["customer_id"]: (row["tenure_months"], str(row["total_amount"]))
        for row in at_home.rows(SILVER_CUSTOMERS)
    } == {"A": (10, "70.00"), "B": (5, "30.00"), "C": (9, "30.00"), "D": (12, "30.00")}
    assert at_home.count(SILVER_CUSTOMERS) == 4
    kept = {
        row["customer_id"]: f"{row['_source_file']}#{row['_row_number']}"
        for row in at_home.rows(SILVER_CUSTOMERS)
    }
    # C did not change: it is the last one of the first copy, which the second begins with.
    assert sorted((r["customerid"], r["disposition"], r["duplicate_of"]) for r in shop.aside()) == [
        ("A", "duplicate", kept["A"]), ("C", "duplicate", kept["C"])
    ]  # fmt: skip
    (old,) = [row for row in shop.aside() if row["customerid"] == "A"]
    assert (old["tenure_month"], old["totalamount"]) == ("1", "30")
    told = numbers(check(result, SILVER_CUSTOMERS, "bronze_rows_are_conserved"))
    assert {name: told[name] for name in ("bronze", "silver", "quarantined")} == {
        "bronze": 6, "silver": 4, "quarantined": 0,
    }  # fmt: skip
    assert told["named_duplicates"] == 2
    # The first copy was not read a second time.
    read = numbers(check(result, bronze_table(CUSTOMERS), READABLE.name))
    assert (read["files"], read["files_kept"]) == (1, 1)


def test_an_event_that_comes_again_stays_what_it_was_first(at_home: House) -> None:
    shop = Shop(at_home, ONLINE_SALES, SILVER_ONLINE_SALES)
    shop.insert(order(OrderID="1"), order(OrderID="2", OrderedAt="2021-09-01T12:00:00Z"))
    shop.copy()
    shop.load()
    shop.update("OrderID", "2", OrderedAt="2021-09-02T12:00:00Z", Quantity="3", Revenue="59.97")
    # The order at which the first copy ended, and the one that was changed.
    assert "2 rows of online_sales to copy" in shop.copy()
    shop.load()
    assert {r["order_id"]: r["quantity"] for r in at_home.rows(SILVER_ONLINE_SALES)} == {
        "1": 2, "2": 2,
    }  # fmt: skip
    kept = {r["order_id"]: r["_source_file"] for r in at_home.rows(SILVER_ONLINE_SALES)}
    assert sorted((r["orderid"], r["quantity"], r["duplicate_of"]) for r in shop.aside()) == [
        ("1", "2", f"{kept['1']}#1"), ("2", "3", f"{kept['2']}#2")
    ]  # fmt: skip


def test_a_corrected_result_takes_the_place_of_what_it_was(at_home: House) -> None:
    shop = Shop(at_home, CAMPAIGNS, SILVER_CAMPAIGNS)
    shop.insert(result(Revenue="100"), result(Revenue="7", Country="USA"))
    shop.copy()
    shop.load()
    shop.update("Country", "Germany", Revenue="120")
    shop.copy()
    shop.load()
    kept = at_home.rows(SILVER_CAMPAIGNS)
    assert {row["country"]: int(row["revenue"]) for row in kept} == {"Germany": 120, "USA": 7}
    assert sorted((row["country"], row["revenue"]) for row in shop.aside()) == [
        ("Germany", "100"), ("USA", "7"),
    ]  # fmt: skip
