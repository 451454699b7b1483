"""Website analytics from delivered text to visits and conversion: answers worked out by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa

from lakehouse_assets.domains.retail.datasets.website import SILVER_WEBSITE, WEBSITE
from lakehouse_assets.domains.retail.gold import website as gold_website
from lakehouse_assets.domains.retail.gold.website import WEBSITE_CONVERSION, WEBSITE_DAYS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.quality.fields import typed_rows
from lakehouse_assets_tests.airline.samples import bronze, declared_rows, typed
from lakehouse_assets_tests.retail.samples import VISIT, visit

SEPTEMBER = date(2021, 9, 1)


def test_a_plain_count_is_typed_field_by_field(engine: Engine) -> None:
    (row,) = typed(engine, WEBSITE, VISIT)
    assert {name: row[name] for name in SILVER_WEBSITE.column_names if name != "visit_id"} == {
        "visit_date": date(2021, 9, 5), "country": "USA", "region": "South America",
        "product_category": "Books", "product": "Atlas", "channel": "Online", "gender": "Female",
        "customer_segment": "Gen X (60\u201380s)", "device_category": "Mobile",
        "traffic_source": "Google", "conversation": "Twitter", "page": "HomePage",
        "browser": "Edge", "sentiment": "Positive", "campaign_name": "GoGreen",
        "hashtag": "#NeedForSpeed", "visits": 50, "sessions": 40, "unique_visitors": 30,
        "return_visitors": 12, "daily_users": 25, "duration_minutes": 3,
        "conversion_rate": Decimal("48.0000"), "tweets": 1213, "retweets": 39,
        "quality_flags": [], "_source_file": "file.csv", "_row_number": 1,
        "delivered_on": date(2014, 3, 31),
    }  # fmt: skip


def test_labels_rates_and_tags_are_normalised(engine: Engine) -> None:
    found = typed(
        engine,
        WEBSITE,
        visit(Gender="NULL", Customer_Segment="Boomer; GenX; GenY; GenZ", Hashtags="#Funky"),
        visit(Conversion_Rate="101", Customer_Segment="NULL", Hashtags=""),
        visit(Conversion_Rate="12.5", Campaign_Name="NA", Visits="x"),
    )
    names = ("gender", "customer_segment", "hashtag", "conversion_rate", "campaign_name", "visits")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("Unknown", "All generations", "#Funky", Decimal(48), "GoGreen", 50),
        ("Female", "Unknown", None, None, "GoGreen", 50),
        ("Female", "Gen X (60\u201380s)", "#NeedForSpeed", Decimal("12.5"), None, None),
    ]
    assert [row["quality_flags"] for row in found] == [
        [], ["customer_segment_unknown", "conversion_rate_unreadable"], [],
    ]  # fmt: skip


def test_equal_rows_of_a_file_stay_and_a_file_delivered_again_brings_none(engine: Engine) -> None:
    rows = [
        {**VISIT, "_source_file": "a.csv", "_row_number": 1},
        {**VISIT, "_source_file": "a.csv", "_row_number": 2},
        {**VISIT, "_source_file": "b.csv", "_row_number": 5},
    ]
    found = typed(engine, WEBSITE, *rows)
    ids = {(row["_source_file"], row["_row_number"]): row["visit_id"] for row in found}
    assert ids["a.csv", 1] == ids["b.csv", 5] != ids["a.csv", 2]


def test_visits_are_added_up_by_day_and_conversion_over_months(engine: Engine) -> None:
    rows = [
        visit(),
        visit(Visits="10", Conversion_Rate="0.05"),
        visit(Visits="7", Conversion_Rate="101", Unique_Visitors=""),
        visit(Country="Germany", Visits="1", Conversion_Rate="100"),
        visit(Country="Atlantis", Device_Category="Tablet", Conversion_Rate="NULL"),
    ]
    countries = engine.from_arrow(
        pa.table(
            {"country_code": ["US", "DE"], "country_name": ["united states", "germany"],
             "iso3": ["USA", "DEU"]}
        )
    )  # fmt: skip
    silver = typed_rows(WEBSITE, engine, bronze(engine, WEBSITE, rows))
    days = gold_website.website_days(silver, countries)
    names = ("visits", "rated_visits", "conversions")
    of_days = declared_rows(engine, days, WEBSITE_DAYS)
    found = {row["country_code"]: tuple(row[n] for n in names) for row in of_days}
    # 50 x 48 % + 10 x 0.05 %; the rate above 100 counts for nothing.
    assert found == {
        "US": (67, 60, Decimal("24.0050")),
        "DE": (1, 1, Decimal("1.0000")),
        "Unknown": (50, 0, Decimal("0.0000")),
    }
    (total,) = engine.rows(gold_website.totals_of_visits(silver))
    assert total == {"visits": 118}
    conversion = gold_website.website_conversion(days.unionByName(days))
    over_months = declared_rows(engine, conversion, WEBSITE_CONVERSION)
    rates = {row["device_category"]: row for row in over_months}
    assert (rates["Mobile"]["visits"], rates["Mobile"]["rated_visits"]) == (136, 122)
    assert rates["Mobile"]["conversion_rate"] == 5001 / 122
    assert rates["Tablet"]["conversion_rate"] is None
