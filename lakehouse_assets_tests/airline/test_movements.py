"""Members' movement between personas: everyone counts once, and shares add up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from lakehouse_assets.domains.airline.gold import movements as gold_movements
from lakehouse_assets.domains.airline.gold import segments as gold_segments
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.airline.models.personas import AT_RISK, LOYAL, NEW
from lakehouse_assets_tests.airline.samples import House, SampleRun

JANUARY, MARCH = date(2014, 1, 1), date(2014, 3, 1)


def segmented(month: date, key: int, name: str, status: str = "Active") -> dict[str, Any]:
    return {
        "as_of_month": month, "customer_key": key, "gender": "Male", "age_group": "30-39",
        "loyalty_tier": 4, "tier_name": "Gold", "province": "x",
        "days_since_joining": 700, "total_flights": 1,
        "total_km_flown": 1, "total_loyalty_points": 1, "days_since_last_flight": 10 * key,
        "total_spent": Decimal(f"{key}.50"), "transaction_count": 1, "customer_status": status,
        "recency_score": 1, "frequency_score": 1, "monetary_score": 1, "segment": 1,
        "segment_name": name,
    }  # fmt: skip


def put(house: House, month: date, *members: tuple[Any, ...]) -> None:
    rows = [segmented(month, *member) for member in members]
    house.put(gold_segments.GOLD_CUSTOMER_SEGMENTS_ML, rows, month)


def build(house: House, first: str, last: str | None = None) -> None:
    tables = (gold_movements.GOLD_SEGMENT_MIGRATION, gold_movements.GOLD_NEWLY_AT_RISK)
    result = house.materialise("airline_monthly", first, *tables, last=last)
    failed = {
        evaluation.check_name
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    }
    # The members themselves are not in this small house.
    assert failed <= {"customer_key_is_in_dim_customers"}


def moves(house: House, month: date) -> dict[tuple[str, str], tuple[int, float]]:
    return {
        (row["from_segment_name"], row["to_segment_name"]): (row["customers"], row["share"])
        for row in house.rows(gold_movements.GOLD_SEGMENT_MIGRATION)
        if row["as_of_month"] == month
    }


def test_members_are_followed_to_the_next_month_that_has_any(house: House) -> None:
    loyal, risk, new = LOYAL.name, AT_RISK.name, NEW.name
    put(
        house, JANUARY, (1, loyal), (2, loyal), (3, loyal), (4, risk), (5, new),
        (11, loyal, "Active"), (12, risk, "At Risk"), (13, risk, "Inactive"), (14, new, "Active"),
        (15, loyal, "Active"),
    )  # fmt: skip
    # February was not delivered. 13 flew in it and has not since; 15 is Inactive at once; 6 and 16
    # are new.
    put(
        house, MARCH, (1, loyal), (2, risk), (4, risk), (5, risk), (6, new), (11, risk, "At Risk"),
        (12, risk, "At Risk"), (13, risk, "At Risk"), (14, new, "At Risk"), (15, risk, "Inactive"),
        (16, risk, "At Risk"),
    )  # fmt: skip
    build(house, "2014-03-01")
    found = moves(house, MARCH)
    assert found == {
        (loyal, loyal): (1, 0.2), (loyal, risk): (3, 0.6), (loyal, "(left)"): (1, 0.2),
        (risk, risk): (3, 1.0), (new, risk): (1, 0.5), (new, new): (1, 0.5),
        ("(joined)", new): (1, 0.5), ("(joined)", risk): (1, 0.5),
    }  # fmt: skip
    # Members of either month, each once.
    assert sum(number for number, _ in found.values()) == 12
    # Newly at risk is whose status turned since the latest earlier month.
    assert [
        (r["customer_key"], r["previous_status"], r["previous_segment_name"], r["total_spent"])
        for r in house.rows(gold_movements.GOLD_NEWLY_AT_RISK, order="customer_key")
    ] == [
        (11, "Active", loyal, Decimal("11.50")),
        (13, "Inactive", risk, Decimal("13.50")),
        (14, "Active", new, Decimal("14.50")),
    ]


def test_newly_at_risk_members_of_the_sample_are_those_whose_days_passed_90(
    sample: SampleRun,
) -> None:
    days: list[dict[int, int]] = []
    for month, expected in (("2014-01", 0), ("2014-02", 101), ("2014-03", 71)):
        rows = sample.house.rows(gold_value.FACT_FLIGHTS, f"as_of_month = DATE '{month}-01'")
        days.append({r["customer_key"]: r["days_since_last_flight"] for r in rows})
        was = days[-2] if len(days) > 1 else {}
        turned = {
            key
            for key, now in days[-1].items()
            if 90 < now <= 180 and key in was and not 90 < was[key] <= 180
        }
        found = sample.house.rows(
            gold_movements.GOLD_NEWLY_AT_RISK, f"as_of_month = DATE '{month}-01'"
        )
        assert {r["customer_key"] for r in found} == turned
        assert len(turned) == expected


def test_months_in_one_run_are_those_of_one_run_each(house: House) -> None:
    put(house, JANUARY, (1, LOYAL.name), (2, NEW.name, "At Risk"))
    put(house, MARCH, (1, AT_RISK.name), (2, NEW.name, "At Risk"))
    build(house, "2014-01-01")
    # In the first month everyone joins, and nobody is newly at risk.
    assert moves(house, JANUARY) == {
        ("(joined)", LOYAL.name): (1, 0.5), ("(joined)", NEW.name): (1, 0.5),
    }  # fmt: skip
    assert house.count(gold_movements.GOLD_NEWLY_AT_RISK) == 0
    build(house, "2014-03-01")
    before = house.rows(gold_movements.GOLD_SEGMENT_MIGRATION)
    build(house, "2014-01-01", "2014-03-01")
    assert house.rows(gold_movements.GOLD_SEGMENT_MIGRATION) == before
