"""Gold rules on hand-made rows: boundaries, sums, keys and the calendar."""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.domains.airline.datasets.flights import SILVER_FLIGHTS
from lakehouse_assets.domains.airline.domain import AIRLINE
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import segments as gold_segments
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.airline.models.personas import (
    AT_RISK,
    LOYAL,
    NEW,
    OCCASIONAL,
    PREMIUM,
)
from lakehouse_assets.domains.conformed.gold import calendar as gold_calendar
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.query.session import ask
from lakehouse_assets_tests.airline.samples import (
    House,
    SampleRun,
    declared_rows,
    frame,
    member,
    steps,
)

MONTH = date(2014, 3, 1)
NOW = datetime(2014, 4, 1, 6, tzinfo=UTC)


def by_key(engine: Engine, found: Any, table: Table) -> dict[Any, dict[str, Any]]:
    """Return a frame's rows by customer."""
    return {row["customer_key"]: row for row in declared_rows(engine, found, table)}


# --- labels ---------------------------------------------------------------------------------

LABELS: dict[Callable[..., Any], dict[int | None, str]] = {
    gold_value.customer_status: {
        1: "Active", 90: "Active", 91: "At Risk", 180: "At Risk", 181: "Inactive", 731: "Inactive",
    },
    gold_customers.tier_name: {3: "Silver", 4: "Gold", 5: "Platinum", 6: "Diamond", 7: "Silver"},
    gold_customers.age_group: {
        12: "Under 18", 17: "Under 18", 18: "18-29", 29: "18-29", 30: "30-39", 39: "30-39",
        40: "40-49", 49: "40-49", 50: "50-59", 59: "50-59", 60: "60+", 100: "60+", None: "Unknown",
    },
}  # fmt: skip


@pytest.mark.parametrize("rule", LABELS)
def test_labels_change_at_their_boundaries(engine: Engine, rule: Callable[..., Any]) -> None:
    given = engine.from_arrow(pa.table({"x": pa.array(LABELS[rule], pa.int64())}))
    found = engine.rows(given.select("x", rule(F.col("x")).alias("label")))
    assert {row["x"]: row["label"] for row in found} == LABELS[rule]


def test_rfm_scores_change_at_the_boundaries_of_section_5(engine: Engine) -> None:
    # days, flights, points -> recency, frequency, monetary
    cases = {
        (1, 40, 50_000): (5, 5, 5), (90, 41, 985_572): (5, 5, 5), (91, 39, 49_999): (4, 4, 4),
        (180, 20, 20_000): (4, 4, 4), (181, 19, 19_999): (3, 3, 3), (365, 10, 10_000): (3, 3, 3),
        (366, 9, 9_999): (2, 2, 2), (730, 5, 5_000): (2, 2, 2), (731, 4, 4_999): (1, 1, 1),
        (9999, 0, 0): (1, 1, 1),
    }  # fmt: skip
    rows = [
        {
            "customer_key": n,
            "days_since_last_flight": days,
            "total_flights": flights,
            "total_loyalty_points": points,
        }
        for n, (days, flights, points) in enumerate(cases)
    ]
    scored = gold_segments.with_scores(frame(engine, gold_value.KPI_CUSTOMER_VALUE, *rows))
    found = by_key(engine, scored, gold_segments.GOLD_CUSTOMER_SEGMENTS_ML)
    scores = [
        (found[n]["recency_score"], found[n]["frequency_score"], found[n]["monetary_score"])
        for n in range(len(cases))
    ]
    assert scores == list(cases.values())


# --- dimensions -----------------------------------------------------------------------------


def test_the_calendar_agrees_with_pythons_on_every_day(sample: SampleRun) -> None:
    rows = sample.house.rows("dim_date", order="date")
    assert len(rows) == 73_049
    day = date(1900, 1, 1)
    for row in rows:
        # Python counts Monday as 0, the table Sunday as 1.
        weekday = day.weekday()
        expected = (
            day, day.year, day.month, day.day, math.ceil(day.month / 3), (weekday + 1) % 7 + 1,
            calendar.day_name[weekday], calendar.month_name[day.month], day.isoformat()[:7],
            *day.isocalendar()[:2], day - timedelta(days=weekday), weekday >= 5,
        )  # fmt: skip
        assert tuple(row.values())[:-1] == expected
        day += timedelta(days=1)
    assert day == date(2100, 1, 1)


def test_weeks_of_the_calendar_start_when_the_setting_says_and_iso_weeks_on_monday(
    engine: Engine,
) -> None:
    days = [date(2020, 12, 28) + timedelta(days=n) for n in range(14)]
    rows = engine.rows(
        gold_calendar.dim_date(engine.from_arrow(pa.table({"date": days})), "thursday")
    )
    for row in rows:
        day = row["date"]
        assert row["week_start"] == day - timedelta(days=(day.weekday() - 3) % 7)
        assert (row["iso_year"], row["iso_week"]) == day.isocalendar()[:2]
    assert len(rows) == 14


def place(number: int, country: str, province: str, city: str) -> dict[str, Any]:
    """Return a silver member who works somewhere."""
    return {
        "member_no": number, "work_country": country, "work_province": province, "work_city": city,
    }  # fmt: skip


def test_geo_key_depends_on_the_names_alone_and_tells_places_apart(engine: Engine) -> None:
    people = [
        place(1, "CN", "beijing", "beijing"), place(2, "CN", "beijing", "beijing"),
        # The same letters, cut elsewhere.
        place(3, "CN", "beijingb", "eijing"), place(4, "CN", "b", "eijingbeijing"),
        place(5, "Unknown", "Unknown", "Unknown"), place(6, "CN", "Unknown", "beijing"),
        place(7, "CN", "beijing", "Unknown"),
    ]  # fmt: skip
    members = frame(engine, SILVER_FLIGHTS, *people)
    described = gold_customers.dim_customers(members)
    customers = by_key(engine, described, gold_customers.DIM_CUSTOMERS)
    places = engine.rows(gold_customers.dim_geography(members))
    keys = {row["geo_key"]: (row["country"], row["province"], row["city"]) for row in places}
    assert len(places) == len(keys) == 6
    assert all(0 <= key < 2**60 for key in keys)
    for person in people:
        row = customers[person["member_no"]]
        assert keys[row["geo_key"]] == (row["country"], row["province"], row["city"])
    other_month = frame(engine, SILVER_FLIGHTS, *reversed(people))
    described = gold_customers.dim_customers(other_month)
    again = by_key(engine, described, gold_customers.DIM_CUSTOMERS)
    assert {n: r["geo_key"] for n, r in again.items()} == {
        n: r["geo_key"] for n, r in customers.items()
    }


def test_every_customer_of_the_sample_finds_its_place_and_its_dates(sample: SampleRun) -> None:
    orphans = sample.house.sql(
        """SELECT count(*) AS customers, count(g.geo_key) AS placed, count(d.date) AS dated,
                  count(*) FILTER (c.city = g.city AND c.province = g.province
                                   AND c.country = g.country) AS agreeing
           FROM {c} c LEFT JOIN {g} g USING (as_of_month, geo_key)
           LEFT JOIN {d} d ON d.date = c.loyalty_join_date""",
        c=gold_customers.DIM_CUSTOMERS, g=gold_customers.DIM_GEOGRAPHY, d=DIM_DATE,
    )  # fmt: skip
    (row,) = orphans
    assert row["customers"] > 4_000
    assert row["customers"] == row["placed"] == row["dated"] == row["agreeing"]


def test_revenue_is_called_revenue_and_keeps_its_cents(engine: Engine) -> None:
    member_row = {
        "member_no": 1, "flight_count": 3, "bp_sum": 10, "sum_yr_1": Decimal("1.25"),
        "sum_yr_2": None, "seg_km_sum": 400, "avg_interval": 2.5, "max_interval": 9,
        "last_to_end": 32, "exchange_count": 1, "avg_discount": 0.5, "points_sum": 70,
        "point_notflight": 2, "last_flight_date": date(2014, 2, 28),
        "snapshot_month": date(2014, 2, 1),
    }  # fmt: skip
    found = gold_value.fact_flights(frame(engine, SILVER_FLIGHTS, member_row))
    (row,) = declared_rows(engine, found, gold_value.FACT_FLIGHTS)
    assert row == {
        "customer_key": 1, "total_flights": 3, "base_points": 10,
        "year_1_revenue": Decimal("1.25"), "year_2_revenue": None, "total_km_flown": 400,
        "avg_flight_interval_days": 2.5, "max_flight_interval_days": 9,
        "days_since_last_flight": 32, "exchange_count": 1, "avg_discount_rate": 0.5,
        "total_loyalty_points": 70, "non_flight_points": 2,
        "last_flight_date": date(2014, 2, 28), "snapshot_month": date(2014, 2, 1),
    }  # fmt: skip


# --- spend and value ------------------------------------------------------------------------


def sale(name: str, customer: int, amount: str, status: str = "completed") -> dict[str, Any]:
    """Return a purchase as `fact_transactions` holds it."""
    return {
        "as_of_month": MONTH, "transaction_id": name, "customer_key": customer,
        "transaction_amount": Decimal(amount), "status": status,
    }  # fmt: skip


def test_spend_adds_completed_purchases_only_and_exactly(engine: Engine) -> None:
    sales = [sale(f"c{n}", 1, "0.10") for n in range(3)]
    sales += [
        sale("p", 1, "100", "pending"), sale("r", 1, "100", "refunded"),
        sale("x", 2, "7", "cancelled"), sale("neg", 3, "-2.50"), sale("pos", 3, "4.00"),
    ]  # fmt: skip
    found = gold_value.customer_spend(frame(engine, gold_value.FACT_TRANSACTIONS, *sales))
    rows = by_key(engine, found, gold_value.CUSTOMER_SPEND)
    assert {k: (r["completed_amount"], r["completed_count"]) for k, r in rows.items()} == {
        1: (Decimal("0.30"), 3),
        3: (Decimal("1.50"), 2),
    }


def test_value_adds_up_all_months(engine: Engine) -> None:
    spend = [
        {"as_of_month": month, "customer_key": 1, "completed_amount": Decimal(amount),
         "completed_count": count}
        for month, amount, count in (
            (date(2014, 1, 1), "10.10", 1), (date(2014, 2, 1), "20.20", 2),
            (date(2014, 3, 1), "30.30", 3),
        )
    ]  # fmt: skip
    nobody = {"as_of_month": MONTH, "customer_key": 99, "completed_amount": Decimal(5)}
    spend.append({**nobody, "completed_count": 1})
    found = gold_value.kpi_customer_value(
        frame(
            engine,
            gold_customers.DIM_CUSTOMERS,
            *[{"as_of_month": MONTH, "customer_key": n} for n in (1, 2)],
        ),
        frame(
            engine,
            gold_value.FACT_FLIGHTS,
            *[{"customer_key": n, "days_since_last_flight": 90 + n} for n in (1, 2)],
        ),
        frame(engine, gold_value.CUSTOMER_SPEND, *spend),
    )
    rows = by_key(engine, found, gold_value.KPI_CUSTOMER_VALUE)
    assert {k: (r["total_spent"], r["transaction_count"]) for k, r in rows.items()} == {
        1: (Decimal("60.60"), 6),
        2: (Decimal("0.00"), 0),
    }
    assert {r["customer_status"] for r in rows.values()} == {"At Risk"}
    others = gold_value.spend_of_others(frame(engine, gold_value.CUSTOMER_SPEND, *spend), found)
    assert engine.rows(others) == [{"customer_key": 99, "completed_amount": Decimal("5.00")}]


def test_spenders_who_are_not_members_are_counted_in_each_month(sample: SampleRun) -> None:
    members, spenders = (
        [(row["as_of_month"], row["customer_key"]) for row in sample.house.rows(table)]
        for table in (gold_value.KPI_CUSTOMER_VALUE, gold_value.CUSTOMER_SPEND)
    )
    expected = {
        str(month): len(
            {key for when, key in spenders if when <= month}
            - {key for when, key in members if when == month}
        )
        for month in {when for when, _ in members}
    }
    assert sorted(expected.values()) == [0, 1, 1]
    query = "select partition, failing_rows from quality_rules where rule = 'spenders_are_members'"
    found = dict(rows_of(ask(sample.house.lake, query).rows))
    assert found == expected


def test_a_month_without_a_snapshot_uses_the_latest_before_it(three_months: House) -> None:
    rows = three_months.rows("fact_flights", order="as_of_month, customer_key")
    found = [(r["as_of_month"].month, r["customer_key"], r["total_flights"]) for r in rows]
    # Of March's two snapshots each member's newest row counts: 4 is only in the earlier one.
    assert found == [
        (1, 1, 10), (1, 2, 135), (1, 3, 135),
        (2, 1, 10), (2, 2, 135), (2, 3, 135),
        (3, 1, 14), (3, 2, 135), (3, 4, 135),
    ]  # fmt: skip


def test_the_older_snapshot_of_a_month_is_named_as_duplicate_of_the_newer(
    three_months: House,
) -> None:
    rows = three_months.rows("silver_flights_quarantine", order="member_no")
    assert [(r["member_no"], r["disposition"], r["duplicate_of"]) for r in rows] == [
        ("1", "duplicate", "airline/flights/2014-03-31/late.csv#1"),
        ("2", "duplicate", "airline/flights/2014-03-31/late.csv#2"),
    ]


def test_spend_grows_by_month_with_completed_purchases(three_months: House) -> None:
    rows = three_months.rows("kpi_customer_value", "customer_key = 1", "as_of_month")
    assert [(r["total_spent"], r["transaction_count"]) for r in rows] == [
        (Decimal("1.00"), 1),
        (Decimal("3.00"), 2),
        (Decimal("7.00"), 3),
    ]


def test_a_purchase_of_an_unknown_member_stays_in_the_facts(three_months: House) -> None:
    rows = three_months.rows("fact_transactions", "customer_key = 77")
    assert [(r["transaction_id"], r["transaction_amount"]) for r in rows] == [
        ("E", Decimal("16.00"))
    ]
    assert three_months.count("kpi_customer_value", "customer_key = 77") == 0


def test_a_month_whose_snapshot_is_withdrawn_uses_the_one_before(new_house) -> None:
    house: House = new_house("withdrawn")
    house.deliver_members("2014-01-31", [member(1, FLIGHT_COUNT="10")])
    file = house.deliver_members("2014-02-28", [member(1, FLIGHT_COUNT="20"), member(2)])
    tables = (
        SILVER_FLIGHTS,
        gold_customers.DIM_GEOGRAPHY,
        gold_customers.DIM_CUSTOMERS,
        gold_value.FACT_FLIGHTS,
    )
    loading = [
        table
        for table in AIRLINE.tables
        if table.name.startswith(("bronze_flights", "silver_flights"))
    ]
    house.materialise("reference_data", None)
    house.materialise("airline_monthly", "2014-01-01", *loading, *tables, last="2014-02-01")
    assert house.count("fact_flights", "as_of_month = DATE '2014-02-01'") == 2
    file.unlink()
    result = house.materialise("airline_monthly", "2014-02-01", *loading, *tables)
    assert "fact_flights" in steps(result, "SUCCESS")
    rows = house.rows("fact_flights", "as_of_month = DATE '2014-02-01'")
    assert [(r["customer_key"], r["total_flights"]) for r in rows] == [(1, 10)]


# --- summary --------------------------------------------------------------------------------


def scored(number: int, segment: int | None, name: str, **fields: Any) -> dict[str, Any]:
    """Return a customer with its segment."""
    return {
        "as_of_month": MONTH, "customer_key": number, "segment": segment, "segment_name": name,
        "age": 40, "total_flights": 1, "total_km_flown": 1, "total_loyalty_points": 1,
        "days_since_last_flight": 1, "days_since_joining": 700, "total_spent": Decimal(0),
        "recency_score": 5,
        "frequency_score": 1, "monetary_score": 1, **fields,
    }  # fmt: skip


def test_means_are_rounded_half_up_to_their_decimals(engine: Engine) -> None:
    ages = (40, 41, 41, 43)  # 41.25
    kilometres = (0, 1, 1, 0)  # 0.5
    spent = ("0.01", "0.01", "0.02", "0.02")  # 0.015
    recency = (1, 1, 1, 2, 1, 1, 1, 2)  # 1.25
    rows = [
        scored(n, 1, "Premium Elite Members", age=age, total_km_flown=km, total_flights=flights,
               total_spent=Decimal(money), recency_score=recency[n])
        for n, (age, km, money, flights) in enumerate(
            zip(ages, kilometres, spent, (1, 1, 1, 2), strict=True)
        )
    ] + [
        scored(10, None, "Uncategorized", age=None, total_flights=7, total_spent=Decimal("2.50")),
        scored(11, None, "Uncategorized", age=None, total_flights=8),
    ]  # fmt: skip
    found = gold_segments.summarise(frame(engine, gold_segments.GOLD_CUSTOMER_SEGMENTS_ML, *rows))
    summary = declared_rows(engine, found, gold_segments.GOLD_SEGMENT_SUMMARY)
    premium, nobody = sorted(summary, key=lambda row: -row["customer_count"])
    assert premium == {
        "as_of_month": MONTH, "segment": 1, "segment_name": "Premium Elite Members",
        "segment_rule": PREMIUM.rule, "avg_days_since_joining": 700.0,
        "customer_count": 4, "avg_age": 41.3, "avg_flights": 1.3, "avg_km": 1.0, "avg_points": 1.0,
        "avg_days_since_flight": 1.0, "avg_spent": 0.02, "avg_recency": 1.25,
        "avg_frequency": 1.0, "avg_monetary": 1.0, "total_spent": Decimal("0.06"),
    }  # fmt: skip
    assert (nobody["segment"], nobody["segment_name"]) == (None, "Uncategorized")
    assert (nobody["customer_count"], nobody["avg_age"]) == (2, None)
    assert (nobody["avg_flights"], nobody["avg_spent"]) == (7.5, 1.25)


def test_each_member_fits_the_rule_of_exactly_one_persona(engine: Engine) -> None:
    # cluster, flights, days since joining, days since the last flight
    cases = {
        (0, 10, 366, 90): PREMIUM, (0, 10, 365, 90): PREMIUM, (0, 10, 366, 91): AT_RISK,
        (1, 10, 366, 90): LOYAL, (4, 10, 0, 1): LOYAL, (1, 10, 366, 91): AT_RISK,
        (1, 9, 365, 90): NEW, (0, 0, 0, 1): NEW, (2, 9, 365, 91): NEW, (2, 9, 365, 400): NEW,
        (1, 9, 366, 90): OCCASIONAL, (0, 9, 366, 90): OCCASIONAL,
        (1, 9, 366, 91): AT_RISK, (1, 9, 366, 181): AT_RISK, (None, 40, 366, 1): None,
    }  # fmt: skip
    rows = [
        {
            "customer_key": n, "total_flights": flights, "days_since_joining": membership,
            "days_since_last_flight": days,
            "customer_status": "Active" if days <= 90 else "At Risk" if days <= 180 else "Inactive",
        }
        for n, (_, flights, membership, days) in enumerate(cases)
    ]  # fmt: skip
    labels = pa.table(
        {
            "labelled": pa.array(range(len(cases)), pa.int64()),
            "cluster": pa.array([case[0] for case in cases], pa.int32()),
            "model_version": pa.array([1] * len(cases), pa.int32()),
        }
    )
    scored = gold_segments.with_scores(frame(engine, gold_value.KPI_CUSTOMER_VALUE, *rows))
    same = F.col("customer_key") == F.col("labelled")
    found = gold_segments.with_personas(scored.join(engine.from_arrow(labels), same, "left"))
    named = by_key(engine, found, gold_segments.GOLD_CUSTOMER_SEGMENTS_ML)
    for n, (case, persona) in enumerate(cases.items()):
        expected = (persona.code, persona.name) if persona else (None, "Uncategorized")
        assert (named[n]["segment"], named[n]["segment_name"]) == expected, case
