"""Keys and references that a declaration states are looked for in what is stored."""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline.datasets.flights import SILVER_FLIGHTS
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.quality.declared import check_declared, declared_checks
from lakehouse_assets_tests.airline.samples import House, midnight, steps

MARCH, APRIL = date(2014, 3, 1), date(2014, 4, 1)


def customer(number: int, month: date = MARCH, **fields: Any) -> dict[str, Any]:
    """Return a stored customer."""
    return {
        "as_of_month": month, "customer_key": number, "gender": "Male", "age_group": "Unknown",
        "loyalty_tier": 4, "tier_name": "Gold", "loyalty_join_date": date(2010, 1, 1),
        "days_since_joining": 1_500, "city": "c", "province": "p", "country": "CN", "geo_key": 5,
        "snapshot_month": month, "load_timestamp": midnight(month), **fields,
    }  # fmt: skip


def geography(number: int, month: date = MARCH) -> dict[str, Any]:
    """Return a stored place."""
    return {
        "as_of_month": month, "geo_key": number, "country": "CN", "province": "p", "city": "c",
        "snapshot_month": month, "load_timestamp": midnight(month),
    }  # fmt: skip


def calendar_day(day: date) -> dict[str, Any]:
    """Return a stored day; what is not looked at is made up."""
    return {
        "date": day, "year": day.year, "month": day.month, "day": day.day, "quarter": 1,
        "day_of_week": 1, "day_name": "x", "month_name": "x", "year_month": "x", "week_start": day,
        "iso_year": day.year, "iso_week": 1, "is_weekend": False, "load_timestamp": midnight(MARCH),
    }  # fmt: skip


def results(
    house: House, table: Table, engine: Engine | None = None
) -> dict[str, tuple[bool, int, dg.AssetCheckSeverity]]:
    """Run a table's declared checks over everything stored, on another engine if asked."""
    lake = house.lake
    if engine is not None:
        current.activate(engine)
        lake = Lake(lake.location, engine, lake.registry)
    with lake.engine.scope():
        return {
            found.check.name: (found.passed, *found.numbers.values())
            for found in check_declared(table, lake, Everything(), Everything())
        }


@pytest.mark.parametrize("name", ["engine", "spark_engine"])
def test_repeated_keys_and_orphans_are_counted(
    house: House, name: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(name)
    house.put(DIM_DATE, [calendar_day(date(2010, 1, 1))])
    house.put(gold_customers.DIM_GEOGRAPHY, [geography(5)], MARCH)
    house.put(gold_customers.DIM_CUSTOMERS, [customer(1), customer(2)], MARCH)
    assert results(house, gold_customers.DIM_CUSTOMERS, engine) == {
        "keys_are_unique": (True, 0),
        "geo_key_is_in_dim_geography": (True, 0),
        "loyalty_join_date_is_in_dim_date": (True, 0),
    }
    house.put(
        gold_customers.DIM_CUSTOMERS,
        [
            customer(1), customer(1), customer(1), customer(2), customer(2), customer(3, geo_key=6),
            customer(4, loyalty_join_date=date(2010, 1, 2)),
        ],
        MARCH,
    )  # fmt: skip
    assert results(house, gold_customers.DIM_CUSTOMERS, engine) == {
        "keys_are_unique": (False, 2),
        "geo_key_is_in_dim_geography": (False, 1),
        "loyalty_join_date_is_in_dim_date": (False, 1),
    }


def test_a_parent_of_another_month_does_not_count(house: House) -> None:
    house.put(DIM_DATE, [calendar_day(date(2010, 1, 1))])
    house.put(gold_customers.DIM_GEOGRAPHY, [geography(5, APRIL)], APRIL)
    house.put(gold_customers.DIM_CUSTOMERS, [customer(1), customer(2)], MARCH)
    assert results(house, gold_customers.DIM_CUSTOMERS)["geo_key_is_in_dim_geography"] == (False, 2)


def test_the_same_customer_in_two_months_is_no_repeated_key(house: House) -> None:
    house.put(gold_customers.DIM_CUSTOMERS, [customer(1)], MARCH)
    house.put(gold_customers.DIM_CUSTOMERS, [customer(1, APRIL)], APRIL)
    assert results(house, gold_customers.DIM_CUSTOMERS)["keys_are_unique"] == (True, 0)


def test_a_purchase_of_an_unknown_member_warns_and_does_not_block(house: House) -> None:
    specs = {check.name: check.blocking for check in declared_checks(gold_value.FACT_TRANSACTIONS)}
    assert specs == {
        "keys_are_unique": True,
        "customer_key_is_in_dim_customers": False,
        "transaction_date_is_in_dim_date": True,
    }


def test_an_orphan_stops_what_is_downstream(house: House) -> None:
    # No calendar is materialised, so the date of joining is found nowhere.
    house.put(gold_customers.DIM_GEOGRAPHY, [geography(5)], MARCH)
    house.put(SILVER_FLIGHTS, [silver_member()], MARCH)
    result = house.materialise(
        "airline_monthly",
        "2014-03-01",
        gold_customers.DIM_GEOGRAPHY,
        gold_customers.DIM_CUSTOMERS,
        gold_value.FACT_FLIGHTS,
    )
    assert not result.success
    assert steps(result, "FAILURE") == {"dim_customers"}
    assert "fact_flights" not in steps(result, "START")


def silver_member() -> dict[str, Any]:
    """Return a stored silver member."""
    return {
        "member_no": 1, "ffp_date": date(2010, 1, 1), "gender": "Male", "ffp_tier": 4,
        "work_city": "c", "work_province": "p", "work_country": "CN", "window_end": MARCH,
        "flight_count": 1, "seg_km_sum": 1, "last_flight_date": date(2014, 2, 1), "last_to_end": 1,
        "points_sum": 1, "quality_flags": [], "_source_file": "f", "_row_number": 1,
        "delivered_on": date(2014, 3, 31), "snapshot_month": MARCH,
    }  # fmt: skip
