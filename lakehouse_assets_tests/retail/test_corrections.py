"""A corrected campaign result replaces the former one, whatever the order in which they arrive."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS, SILVER_CAMPAIGNS
from lakehouse_assets.domains.retail.gold import campaigns as gold
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.quality.classify import apply_expectations, final_versions
from lakehouse_assets.quality.fields import expectations_of, typed_rows
from lakehouse_assets.quality.silver import with_version
from lakehouse_assets_tests.airline.samples import House, bronze
from lakehouse_assets_tests.quality.test_batches import Shop, rebuilt
from lakehouse_assets_tests.retail.samples import deliver, quoted_csv, result

ASIDE = quarantine_table(CAMPAIGNS)
GOLD = (gold.DIM_CAMPAIGNS, gold.CAMPAIGN_DAYS, gold.CAMPAIGN_WEEKS, gold.COUNTRY_REVENUE)


def earned(revenue: str, **fields: Any) -> dict[str, Any]:
    return result(Revenue=revenue, **fields)


FILES = {
    "2021-09-06": [earned("100"), earned("100"), earned("7", Country="USA"), earned("1", Cost="x")],
    # One of two equal results is corrected, another comes again, the region of the third changes.
    "2021-09-13": [earned("120"), earned("100.0"), earned("7", Country="USA", Region="North")],
    # The first is as it was, in the month after; one is new, and the refused one can be read.
    "2021-10-04": [earned("100"), earned("100"), earned("9", Country="Japan"), earned("1")],
}


def counted(house: House) -> list[tuple[str, int, str, str]]:
    """Return what silver holds: the day of delivery, the row, the country and the revenue."""
    rows = house.rows(SILVER_CAMPAIGNS, order="delivered_on, _row_number")
    return [
        (f"{r['delivered_on']:%m-%d}", r["_row_number"], r["country"], f"{r['revenue']:.0f}")
        for r in rows
    ]


def standing(engine: Engine, *deliveries: tuple[str, Sequence[dict[str, Any]]]) -> dict[str, str]:
    """Return which row counts for each row of deliveries, by `<day>#<row>`."""
    rows = [
        {**row, "_source_file": day, "_row_number": n, "delivered_on": date.fromisoformat(day)}
        for day, given in deliveries
        for n, row in enumerate(given, 1)
    ]
    typed = typed_rows(CAMPAIGNS, engine, bronze(engine, CAMPAIGNS, rows))
    evaluated = apply_expectations(with_version(CAMPAIGNS, typed), expectations_of(CAMPAIGNS))
    found = engine.rows(final_versions(evaluated, "result_id", "version", "delivered_on"))
    return {row["address"]: row["duplicate_of"] for row in found}


# What one result says delivery by delivery, and the delivery that counts: the one that brought the
# last value.
HISTORIES = {
    "A": 1, "AA": 1, "AB": 2, "ABB": 2, "ABA": 3, "AAB": 3, "ABBA": 4, "ABCC": 3,
}  # fmt: skip


def test_the_delivery_counts_that_brought_the_last_value(engine: Engine) -> None:
    revenue = {"A": "100", "B": "120", "C": "90"}
    days = [f"2021-09-{n:02}" for n in range(1, 5)]
    told = [[h for h in HISTORIES if len(h) > place] for place in range(len(days))]
    given = [
        (day, [earned(revenue[h[place]], Campaign_Name=h) for h in told[place]])
        for place, day in enumerate(days)
    ]
    at = {
        (history, place): f"{day}#{told[place].index(history) + 1}"
        for place, day in enumerate(days)
        for history in told[place]
    }
    wanted = {address: at[history, HISTORIES[history] - 1] for (history, _), address in at.items()}
    for order in itertools.islice(itertools.permutations(given), 0, None, 11):
        assert standing(engine, *order) == wanted


def test_spelling_and_format_are_no_correction_and_labels_are(engine: Engine) -> None:
    found = standing(
        engine,
        ("2021-09-01", [earned("100"), earned("5", Country="Japan")]),
        ("2021-09-02", [earned("1e2", CampDate="9/5/2021", Region=" Europe")]),
        ("2021-09-03", [earned("100", Status="Purchase"), earned("5", Country="Japan", ROI="")]),
    )
    assert found == {
        "2021-09-01#1": "2021-09-03#1", "2021-09-02#1": "2021-09-03#1",
        "2021-09-03#1": "2021-09-03#1", "2021-09-01#2": "2021-09-03#2",
        "2021-09-03#2": "2021-09-03#2",
    }  # fmt: skip


@pytest.fixture(scope="module")
def at_once(new_house: Callable[..., House]) -> House:
    """All deliveries in one run; only to be read."""
    house: House = new_house("at-once")
    for day, rows in FILES.items():
        deliver(house, CAMPAIGNS, day, "results.csv", quoted_csv(CAMPAIGNS, rows))
    assert house.run(CAMPAIGNS, gold=GOLD).errors == []
    return house


def test_a_correction_counts_once_and_what_comes_again_stays(at_once: House) -> None:
    assert counted(at_once) == [
        ("09-06", 2, "Germany", "100"), ("09-13", 3, "USA", "7"), ("10-04", 1, "Germany", "100"),
        ("10-04", 3, "Japan", "9"), ("10-04", 4, "Germany", "1"),
    ]  # fmt: skip
    aside = at_once.rows(ASIDE, order="delivered_on, _row_number")
    assert [(r["_row_number"], r["reasons"] or r["duplicate_of"][-16:]) for r in aside] == [
        (1, "04/results.csv#1"), (3, "13/results.csv#3"), (4, ["cost_is_readable"]),
        (1, "04/results.csv#1"), (2, "06/results.csv#2"), (2, "06/results.csv#2"),
    ]  # fmt: skip
    revenue = {
        (r["as_of_month"].month, r["country"]): r["total_revenue"]
        for r in at_once.rows(gold.COUNTRY_REVENUE)
    }
    assert revenue == {
        (9, "Germany"): Decimal(100), (9, "USA"): Decimal(7), (10, "Germany"): Decimal(201),
        (10, "USA"): Decimal(7), (10, "Japan"): Decimal(9),
    }  # fmt: skip


def test_day_by_day_in_another_order_gives_the_same_tables(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "lake", CAMPAIGNS)
    first, second, third = map(date.fromisoformat, FILES)
    for day, outdated in ((second, []), (third, [second]), (first, [second, third])):
        shop.land(day, "results.csv", *FILES[f"{day}"])
        assert shop.build(day)[0] == outdated
    shop.build(second, third)
    whole, _ = rebuilt(shop, tmp_path / "whole")
    assert shop.tables() == whole.tables()
