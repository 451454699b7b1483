"""The comparison of lakes finds what it is there to find."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from lakehouse_assets.domains.airline.gold import value as gold
from lakehouse_assets.lake import log
from lakehouse_assets.lake.table_path import TablePath
from lakehouse_assets_tests.airline.samples import House, midnight
from lakehouse_assets_tests.parity.lakes import Difference, differences, empty_tables

MONTH = date(2014, 3, 1)


def flying(key: int, **changes: Any) -> dict[str, Any]:
    return {
        "as_of_month": MONTH, "customer_key": key, "total_flights": 3, "total_km_flown": 9,
        "avg_flight_interval_days": 0.0, "days_since_last_flight": 1, "total_loyalty_points": 5,
        "year_1_revenue": Decimal("1.00"), "last_flight_date": MONTH,
        "snapshot_month": MONTH, "load_timestamp": midnight(MONTH), **changes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def one(new_house: Callable[..., House]) -> House:
    house = new_house("one")
    house.put(gold.FACT_FLIGHTS, [flying(1), flying(2)], MONTH)
    return house


def other(new_house: Callable[..., House], *rows: dict[str, Any]) -> House:
    house = new_house("other")
    house.put(gold.FACT_FLIGHTS, rows, MONTH)
    return house


def test_order_and_clocks_make_no_difference(one, new_house):
    later = flying(1, load_timestamp=midnight(date(2020, 1, 1)))
    assert differences(one, other(new_house, flying(2), later)) == []
    assert "fact_flights" not in empty_tables(one)
    assert "silver_flights" in empty_tables(one)


@pytest.mark.parametrize(
    ("change", "column", "here", "there"),
    [
        ({"base_points": 0}, "base_points", None, 0),
        ({"year_1_revenue": Decimal("1.01")}, "year_1_revenue", Decimal("1.00"), Decimal("1.01")),
        ({"avg_flight_interval_days": -0.0}, "avg_flight_interval_days", "0.0", "-0.0"),
        ({"avg_flight_interval_days": 5e-324}, "avg_flight_interval_days", "0.0", "5e-324"),
    ],
)
def test_a_value_is_named_with_table_column_key_and_both_sides(
    one, new_house, change, column, here, there
):
    (found,) = differences(one, other(new_house, flying(1), flying(2, **change)))
    assert found == Difference("fact_flights", column, (MONTH, 2), here, there)
    assert str(found).startswith(f"fact_flights.{column} of ")


def test_rows_that_one_side_lacks_or_has_twice_are_found(one, new_house):
    (found,) = differences(one, other(new_house, flying(1)))
    assert (found.column, found.key, found.there) == ("rows", (MONTH, 2), [])
    (found,) = differences(one, other(new_house, flying(1), flying(2), flying(2)))
    assert (found.column, found.key, len(found.here), len(found.there)) == (
        "rows",
        (MONTH, 2),
        0,
        1,
    )


def test_a_missing_table_and_another_shape_are_found(one, new_house):
    (found,) = differences(one, new_house("nothing"))
    assert (found.table, found.column, found.here, found.there) == (
        "fact_flights", "existence", True, False,
    )  # fmt: skip
    house = new_house("shape")
    columns = [
        replace(c, type="int") if c.name == "total_flights" else c
        for c in gold.FACT_FLIGHTS.columns
    ]
    loose = replace(
        gold.FACT_FLIGHTS, columns=tuple(columns), constraints={"some": "total_flights >= 0"}
    )
    log.create_table(loose, TablePath(house.path(gold.FACT_FLIGHTS), ""))
    assert {d.column for d in differences(one, house)} == {"schema", "constraints"}
    shutil.rmtree(house.path(gold.FACT_FLIGHTS))
    whole = replace(gold.FACT_FLIGHTS, partition=None)
    log.create_table(whole, TablePath(house.path(gold.FACT_FLIGHTS), ""))
    assert {d.column for d in differences(one, house)} == {"partition columns"}
