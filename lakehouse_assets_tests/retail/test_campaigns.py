"""Campaign results from delivered text to analytics: hand-made rows, answers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.retail.datasets.campaigns import CAMPAIGNS, SILVER_CAMPAIGNS
from lakehouse_assets.domains.retail.gold import campaigns as gold
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets_tests.airline.samples import House, bronze, declared_rows, typed
from lakehouse_assets_tests.retail.samples import RESULT, deliver, quoted_csv, result

SEPTEMBER, OCTOBER = date(2021, 9, 1), date(2021, 10, 1)
NOW = datetime(2021, 11, 1, tzinfo=UTC)


# --- silver ---------------------------------------------------------------------------------


def test_a_plain_result_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, CAMPAIGNS, RESULT)
    assert {name: row[name] for name in SILVER_CAMPAIGNS.column_names if name != "result_id"} == {
        "campaign_id": 11, "campaign_name": "GoGreen", "country": "Germany", "region": "Europe",
        "product_category": None, "qualification": None, "qualification_number": None,
        "lead_generation": None, "response_status": "Qualified", "responses": Decimal("229.5000"),
        "cost": Decimal("191.0000"), "revenue": Decimal("11180.5600"),
        "roi": Decimal("5940.0000"), "revenue_target": Decimal("-58.2200"),
        "campaign_tactic": "Social", "customer_segment": "Gen X (60\u201380s)",
        "status": "Awareness", "profit": Decimal("197.2000"),
        "marketing_cost": Decimal("93.8910"), "camp_date": date(2021, 9, 5), "sorted_id": 3,
        "quality_flags": [], "_source_file": "file.csv", "_row_number": 1,
        "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_the_swapped_labels_are_put_right_and_straight_ones_stay(engine: Engine) -> None:
    pairs = [
        ("Gen Z (2000s - now)", "TV"),
        ("TV", "Gen Z (2000s - now)"),
        ("NULL", "Email"),
        ("email", "NULL"),
        ("", ""),
        ("NA", "Baby Boomers (45 ? 60s)"),
        ("Gen Q", "Billboards"),
    ]
    rows = typed(
        engine, CAMPAIGNS, *[result(Campaign_Tactic=a, Customer_Segment=b) for a, b in pairs]
    )
    assert [(row["campaign_tactic"], row["customer_segment"]) for row in rows] == [
        ("TV", "Gen Z (2000s\u2013now)"),
        ("TV", "Gen Z (2000s\u2013now)"),
        ("Email", "Unknown"),
        ("Email", "Unknown"),
        ("Unknown", "Unknown"),
        ("Unknown", "Baby Boomers (45\u201360s)"),
        ("Billboards", "Gen Q"),
    ]
    assert rows[2]["quality_flags"] == ["customer_segment_unknown"]
    assert rows[4]["quality_flags"] == ["campaign_tactic_unknown", "customer_segment_unknown"]


def test_every_generation_label_of_the_source_has_one_name(engine: Engine) -> None:
    labels = {
        "Boomer; GenX; GenY; GenZ": "All generations",
        "Baby Boomers (45 ? 60s)": "Baby Boomers (45\u201360s)",
        "Gen X (60 ? 80s)": "Gen X (60\u201380s)",
        "Gen Y (80 ? 2000s)": "Gen Y (80\u20132000s)",
        "Gen Z (2000s - now)": "Gen Z (2000s\u2013now)",
        "GEN X (60 \u2013 80s)": "Gen X (60\u201380s)",
        "GenZ; Boomer;": "Baby Boomers (45\u201360s); Gen Z (2000s\u2013now)",
        "Boomer; GenX": "Baby Boomers (45\u201360s); Gen X (60\u201380s)",
        "genx;geny;genz": "Gen X (60\u201380s); Gen Y (80\u20132000s); Gen Z (2000s\u2013now)",
        "Boomer; Gen Q": "Boomer; Gen Q",
    }
    rows = typed(engine, CAMPAIGNS, *[result(Campaign_Tactic=label) for label in labels])
    assert [row["customer_segment"] for row in rows] == list(labels.values())


def test_equal_rows_are_one_result_each_and_the_same_when_delivered_again(engine: Engine) -> None:
    first = {"_source_file": "a.csv"}
    again = {"_source_file": "b.csv", "delivered_on": date(2014, 4, 1)}
    rows = typed(
        engine,
        CAMPAIGNS,
        {**RESULT, **first, "_row_number": 1},
        {**RESULT, **first, "_row_number": 2},
        {**result(Profit="197.20"), **first, "_row_number": 3},
        {**RESULT, **again, "_row_number": 7},
        {**RESULT, **again, "_row_number": 9},
    )
    ids = [row["result_id"] for row in rows]
    assert ids[3:] == ids[:2]
    assert len(set(ids[:3])) == 3


# --- analytics ------------------------------------------------------------------------------


def days(engine: Engine, *rows: dict[str, Any]) -> Any:
    """Make rows of `campaign_days`; what is not named is zero or a plain label."""
    plain = {
        "as_of_month": SEPTEMBER, "camp_date": date(2021, 9, 5),
        "campaign_name": "GoGreen", "country": "Germany", "country_code": "DE", "region": "Europe",
        "campaign_tactic": "TV", "customer_segment": "Unknown", "results": 1, "responses": 0,
        "cost": 0, "revenue": 0, "revenue_target": 0, "profit": 0, "marketing_cost": 0,
        "min_cost": 0, "max_cost": 0, "loss_results": 0, "loss": 0,
    }  # fmt: skip
    full = [{**plain, **row} for row in rows]
    for row in full:
        row["campaign_key"] = sum(row["campaign_name"].lower().encode())
    schema = arrow_schema(gold.CAMPAIGN_DAYS)
    data = {
        f.name: pa.array(
            [
                Decimal(str(value)) if pa.types.is_decimal(f.type) else value
                for value in (filled[f.name] for filled in full)
            ],
            f.type,
        )
        for f in schema
    }
    return engine.from_arrow(pa.table(data))


def countries(engine: Engine) -> Any:
    """Make rows of `dim_countries`, as far as names are looked up in it."""
    names = {"DE": ("germany", "DEU"), "US": ("united states", "USA"), "Unknown": ("unknown", None)}
    columns = {
        "country_code": [*names],
        "country_name": [name for name, _ in names.values()],
        "iso3": [iso3 for _, iso3 in names.values()],
    }
    return engine.from_arrow(pa.table(columns))


def silver(engine: Engine, *rows: dict[str, Any]) -> Any:
    return typed_rows(CAMPAIGNS, engine, bronze(engine, CAMPAIGNS, rows))


def test_results_are_added_up_by_day_and_labels(engine: Engine) -> None:
    results = silver(
        engine,
        result(Profit="10.005", Cost="5", Marketing_Cost=""),
        result(Profit="-2.5", Cost="1.25"),
        result(Profit="-4", Customer_Segment="TV"),
        result(Campaign_Name="GOGREEN", Country="USA"),
    )
    frame = gold.campaign_days(results, countries(engine))
    rows = declared_rows(engine, frame, gold.CAMPAIGN_DAYS)
    found = {(r["country"], r["campaign_tactic"]): r for r in rows}
    assert set(found) == {("Germany", "Social"), ("Germany", "TV"), ("USA", "Social")}
    row = found["Germany", "Social"]
    assert {k: str(row[k]) for k in ("results", "profit", "loss", "loss_results", "min_cost")} == {
        "results": "2", "profit": "7.5050", "loss": "-2.5000", "loss_results": "1",
        "min_cost": "1.2500",
    }  # fmt: skip
    assert (str(row["max_cost"]), str(row["marketing_cost"])) == ("5.0000", "93.8910")
    # Spellings of a name are one campaign, which has the first of them.
    assert {(r["campaign_key"], r["campaign_name"]) for r in found.values()} == {
        (row["campaign_key"], "GOGREEN")
    }


def test_a_country_is_found_by_its_name_or_iso_code_and_counts_as_unknown_otherwise(
    engine: Engine,
) -> None:
    given = ["Germany", "germany", "USA", "United States", "Unknown", "", "Atlantis", "DE"]
    results = silver(engine, *[result(Country=country) for country in given])
    found = engine.rows(gold.campaign_days(results, countries(engine)))
    assert {(row["country"], row["country_code"], row["results"]) for row in found} == {
        ("Germany", "DE", 1), ("germany", "DE", 1), ("USA", "US", 1), ("United States", "US", 1),
        ("Unknown", "Unknown", 2), ("Atlantis", "Unknown", 1), ("DE", "Unknown", 1),
    }  # fmt: skip


def test_a_campaign_is_described_once_whatever_its_spelling(engine: Engine) -> None:
    results = silver(
        engine,
        result(CampDate="2021-09-05"),
        result(Campaign_Name="gogreen", CampDate="9/2/2021", Campaign_ID="9"),
        result(Campaign_Name="LetsRun", Campaign_ID=""),
    )
    frame = gold.dim_campaigns(results)
    rows = declared_rows(engine, frame, gold.DIM_CAMPAIGNS)
    found = {r["campaign_name"]: r for r in rows}
    assert set(found) == {"GoGreen", "LetsRun"}
    green = found["GoGreen"]
    assert (green["campaign_id"], green["hashtag"]) == (9, "#GoGreen")
    assert (green["first_day"], green["last_day"]) == (date(2021, 9, 2), date(2021, 9, 5))
    assert found["LetsRun"]["campaign_id"] is None


def test_country_revenue_adds_months_up(engine: Engine) -> None:
    given = days(
        engine,
        {"revenue": 10.004, "profit": -1, "revenue_target": 5, "min_cost": 2, "max_cost": 9},
        {"revenue": 20.002, "profit": 3, "min_cost": 1, "max_cost": 4, "results": 2,
         "as_of_month": OCTOBER},
        {"revenue": 7, "country": "USA", "country_code": "US", "region": "North & Central America"},
    )  # fmt: skip
    frame = gold.country_revenue(given)
    rows = declared_rows(engine, frame, gold.COUNTRY_REVENUE)
    found = {row["country"]: row for row in rows}
    assert {k: str(v) for k, v in found["Germany"].items()} == {
        "country": "Germany", "country_code": "DE",
        "region": "Europe", "results": "3",
        "total_revenue": "30.01", "total_revenue_target": "5.00", "total_profit": "2.00",
        "max_cost": "9.00", "min_cost": "1.00",
    }  # fmt: skip
    assert str(found["USA"]["total_revenue"]) == "7.00"
    assert set(found) == {"Germany", "USA"}


def test_weeks_start_on_monday_or_where_counting_from_the_epoch_puts_them(engine: Engine) -> None:
    # 5 September 2021 is a Sunday, the 6th a Monday, the 9th a Thursday.
    given = days(
        engine,
        {"camp_date": date(2021, 9, 5)},
        {"camp_date": date(2021, 9, 6), "results": 2},
        {"camp_date": date(2021, 9, 9), "results": 4, "as_of_month": OCTOBER},
    )

    def weeks(first: Any) -> dict[date, tuple[date, int]]:
        frame = gold.campaign_weeks(given, first)
        rows = declared_rows(engine, frame, gold.CAMPAIGN_WEEKS)
        return {r["week_start"]: (r["week_end"], r["results"]) for r in rows}

    assert weeks("monday") == {
        date(2021, 8, 30): (date(2021, 9, 5), 1),
        date(2021, 9, 6): (date(2021, 9, 12), 6),
    }
    assert weeks("thursday") == {
        date(2021, 9, 2): (date(2021, 9, 8), 3),
        date(2021, 9, 9): (date(2021, 9, 15), 4),
    }


def test_spellings_of_a_campaign_are_one_in_weeks_and_losses(engine: Engine) -> None:
    given = days(
        engine,
        {"campaign_name": "gogreen", "loss": -1, "loss_results": 1},
        {"campaign_name": "GoGreen", "loss": -2, "loss_results": 1, "as_of_month": OCTOBER},
        {"campaign_name": "gogreen", "camp_date": date(2021, 9, 6), "as_of_month": OCTOBER},
    )
    weeks = engine.rows(gold.campaign_weeks(given, "monday"))
    assert sorted((r["campaign_name"], r["week_start"].day, r["results"]) for r in weeks) == [
        ("GoGreen", 6, 1), ("GoGreen", 30, 2),
    ]  # fmt: skip
    (lost,) = engine.rows(gold.loss_making_campaigns(given, OCTOBER))
    assert (lost["campaign_name"], lost["loss_results"], lost["total_loss"]) == ("GoGreen", 2, -3)
    assert {r["campaign_key"] for r in weeks} == {lost["campaign_key"]}


def test_profit_by_country_and_week(engine: Engine) -> None:
    given = days(
        engine,
        {"profit": 1.115},
        {"profit": 1.12, "campaign_name": "LetsRun"},
        {"profit": -7, "camp_date": date(2021, 9, 6)},
        {"profit": 5, "country": "USA", "country_code": "US"},
    )
    frame = gold.country_profit_weeks(given, "monday")
    found = {
        (r["country_code"], r["week_start"].day): (r["country"], str(r["total_profit"]))
        for r in declared_rows(engine, frame, gold.COUNTRY_PROFIT_WEEKS)
    }
    assert found == {
        ("DE", 30): ("Germany", "2.24"), ("DE", 6): ("Germany", "-7.00"),
        ("US", 30): ("USA", "5.00"),
    }  # fmt: skip


def test_a_country_that_its_weeks_leave_out_or_change_is_found(engine: Engine) -> None:
    given = days(
        engine,
        {"profit": 1.115},
        {"profit": 1.115, "camp_date": date(2021, 9, 6)},
        {"profit": 5, "country": "Unknown"},
        {"profit": 5, "country": "USA"},
    )
    weeks = engine.checkpoint(gold.country_profit_weeks(given, "monday"))

    def off(found: Any) -> set[str]:
        rows = engine.rows(gold.countries_that_are_off(found, given))
        return {row["country"] for row in rows}

    # Two weeks, each rounded by half a cent, are a cent off together, and that is all right.
    assert off(weeks) == set()
    assert off(weeks.filter(F.col("country") != F.lit("Unknown"))) == {"Unknown"}
    assert off(weeks.filter(F.col("week_start") != F.lit(date(2021, 9, 6)))) == {"Germany"}
    twice = engine.checkpoint(weeks.unionByName(weeks.filter(F.col("country") == F.lit("USA"))))
    assert off(twice) == {"USA"}


def test_losses_are_added_up_by_campaign_and_the_largest_comes_first(engine: Engine) -> None:
    given = days(
        engine,
        {"campaign_name": "A", "profit": 90, "loss": -10, "loss_results": 1},
        {"campaign_name": "B", "profit": -40, "loss": -60.5, "loss_results": 3},
        {"campaign_name": "B", "profit": -1, "loss": -1, "loss_results": 1,
         "as_of_month": OCTOBER},
        {"campaign_name": "C", "profit": 5},
        {"campaign_name": "D", "profit": -10, "loss": -10, "loss_results": 2},
    )  # fmt: skip
    frame = gold.loss_making_campaigns(given, OCTOBER)
    rows = declared_rows(engine, frame, gold.LOSS_MAKING_CAMPAIGNS)
    found = sorted(rows, key=lambda row: row["loss_rank"])
    assert [
        (r["loss_rank"], r["campaign_name"], r["loss_results"], str(r["total_loss"])) for r in found
    ] == [(1, "B", 4, "-61.50"), (2, "A", 1, "-10.00"), (3, "D", 2, "-10.00")]
    assert [str(r["total_profit"]) for r in found] == ["-41.00", "90.00", "-10.00"]


# --- end to end -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def delivered(new_house: Callable[..., House]) -> House:
    """Two deliveries, the second with all of the first once more; only to be read."""
    house: House = new_house("campaigns")
    rows = [
        result(),
        result(),
        result(Profit="-5"),
        result(Country="", Profit="x", CampDate="2021-13-01"),
        result(Country="Japan", Region="Europe", CampaignID="12"),
    ]
    text = quoted_csv(CAMPAIGNS, rows)
    deliver(house, CAMPAIGNS, "2021-09-06", "campaign-data.csv", text)
    later = [
        result(CampDate="2021-09-06", Revenue="1"),
        result(CampDate="2021-09-06", Revenue="10", Profit="1", Country="NULL", Region=""),
        result(CampDate="2021-09-06", Revenue="20", Profit="2", Country="Atlantis"),
    ]
    more = quoted_csv(CAMPAIGNS, [*rows, *later])
    deliver(house, CAMPAIGNS, "2021-10-04", "campaign-data.csv", more)
    outcome = house.run(CAMPAIGNS, gold=[made.table for made in gold.GOLD])
    assert outcome.errors == []
    warned = {(w.check, w.description) for w in outcome.warnings if w.table == "silver_campaigns"}
    assert ("region_fits_country", "1 of 13 rows failed: kept and reported.") in warned
    assert ("campaign_numbers_agree", "1 of 13 rows failed: kept and reported.") in warned
    assert ("country_is_known", "2 of 13 rows failed: kept and reported.") in warned
    # Nothing of the airline was delivered.
    domains = {path.name for path in house.settings.root.iterdir()}
    assert {"conformed", "retail"} <= domains
    assert "airline" not in domains
    return house


def test_every_delivered_result_is_kept_once_or_set_aside_with_its_reason(
    delivered: House,
) -> None:
    kept = delivered.rows(SILVER_CAMPAIGNS)
    assert sorted((r["delivered_on"].month, r["_row_number"]) for r in kept) == [
        (9, 1), (9, 2), (9, 3), (9, 5), (10, 6), (10, 7), (10, 8),
    ]  # fmt: skip
    aside = delivered.rows(quarantine_table(CAMPAIGNS), order="delivered_on, _row_number")
    first = "retail/campaigns/2021-09-06/campaign-data.csv"
    reasons = ["profit_is_readable", "camp_date_is_readable"]
    assert [(r["delivered_on"].month, r["_row_number"], r["duplicate_of"]) for r in aside] == [
        (9, 4, None), (10, 1, f"{first}#1"), (10, 2, f"{first}#2"), (10, 3, f"{first}#3"),
        (10, 4, None), (10, 5, f"{first}#5"),
    ]  # fmt: skip
    assert aside[0]["reasons"] == reasons
    assert aside[0]["profit"] == "x"


def test_gold_holds_as_of_the_end_of_each_month(delivered: House) -> None:
    def revenue(month: int) -> dict[str, str]:
        rows = delivered.rows(gold.COUNTRY_REVENUE, f"month(as_of_month) = {month}")
        return {row["country"]: str(row["total_revenue"]) for row in rows}

    assert revenue(9) == {"Germany": "33541.68", "Japan": "11180.56"}
    # Where a result's country is not given, or nobody knows it, its revenue counts all the same.
    assert revenue(10) == {
        "Germany": "33542.68", "Japan": "11180.56", "Unknown": "10.00", "Atlantis": "20.00",
    }  # fmt: skip
    rows = delivered.rows(gold.COUNTRY_REVENUE, "month(as_of_month) = 10")
    assert {row["country"]: row["country_code"] for row in rows} == {
        "Germany": "DE", "Japan": "JP", "Unknown": "Unknown", "Atlantis": "Unknown",
    }  # fmt: skip
    # Two countries without a code stay two rows of a week.
    profits = delivered.rows(gold.COUNTRY_PROFIT_WEEKS, "month(as_of_month) = 10", "country")
    assert {
        (row["country"], str(row["total_profit"]))
        for row in profits
        if row["country_code"] == "Unknown"
    } == {("Unknown", "1.00"), ("Atlantis", "2.00")}
    weeks = delivered.rows(gold.CAMPAIGN_WEEKS, "month(as_of_month) = 10", "week_start")
    assert [(r["week_start"], r["results"]) for r in weeks] == [
        (date(2021, 8, 30), 4), (date(2021, 9, 6), 3),
    ]  # fmt: skip
    (loss,) = delivered.rows(gold.LOSS_MAKING_CAMPAIGNS, "month(as_of_month) = 10")
    assert (str(loss["total_loss"]), str(loss["total_profit"])) == ("-5.00", "786.80")
