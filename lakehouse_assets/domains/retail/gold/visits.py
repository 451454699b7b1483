"""Visits to the website: each visit with its possible reasons for happiness, and daily sums."""

from __future__ import annotations

from dataclasses import replace

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, sums
from lakehouse_assets.catalog.registry import Column, Measure
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.conformed.gold.countries import DIM_COUNTRIES, with_country_code
from lakehouse_assets.domains.retail.datasets.visits import HAPPY, NOT_HAPPY, SILVER_VISITS, VISITS
from lakehouse_assets.domains.retail.gold.common import (
    COUNT_TOTAL,
    COUNTRIES,
    COUNTRY_CODE,
    gold,
)
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

_DESCRIBED = (
    "country", "customer_segment", "customer_type", "device", "mobile_experience",
    "referrer", "search_match", "discount_offered", "product_category", "happiness",
)  # fmt: skip
_COUNTED = ("bounced", "pages", "duration_seconds")
_AGE = replace(SILVER_VISITS.column("age_group"), sort_by="youngest")
_YOUNGEST = {"<21": 0, "21-30": 21, "31-40": 31, "41-50": 41, "51-60": 51, ">60": 61}

WEBSITE_VISITS = gold(
    "website_visits",
    "One row per website visit delivered in a month, with attributes that may explain whether the "
    "visitor was happy.",
    (
        *SILVER_VISITS.pick("visit_number", "visited_at", "visit_date"),
        Column("visitor_key", "bigint", "Hash of the visitor's number; identifies a returning "
               "visitor.", False, "id",
               pii="identifier"),
        Column("country_code", "string", COUNTRY_CODE.description, False, pii="location"),
        _AGE,
        Column("youngest", "int", "Lowest age of the age group; null if unknown.",
               unit="years", pii="demographic"),
        *SILVER_VISITS.pick(*_DESCRIBED, *_COUNTED),
    ),
    ("visit_number",),
    kind="event",
    topic="website",
    references=(dates("visit_date"), COUNTRIES),
    # The key is a number; visits are looked up by date.
    clustered=("visit_date",),
    measures=(
        Measure("visits", "count(*)", "count", "additive", "Number of website visits."),
        Measure("visitors", "count(distinct visitor_key)", "count", "non_additive",
                "Number of different visitors; a returning visitor counts once."),
        Measure("bounce_rate", "100.0 * count(*) filter (where bounced) / nullif(count(*), 0)",
                "percent", "non_additive", "Share of visits that ended after one page."),
        Measure("not_happy", f"count(*) filter (where happiness = '{NOT_HAPPY}')", "count",
                "additive", "Number of visits with the answer Not Happy."),
        Measure(
            "not_happy_share",
            f"100.0 * count(*) filter (where happiness = '{NOT_HAPPY}') / "
            f"nullif(count(*) filter (where happiness in ('{HAPPY}', '{NOT_HAPPY}')), 0)",
            "percent", "non_additive", "Share of Not Happy among visits with an answer.",
        ),
        Measure("repeat_customers", "count(*) filter (where customer_type = 'Repeat customer')",
                "count", "additive", "Number of visits by customers who had bought before."),
        Measure("average_duration", "sum(duration_seconds) / nullif(count(duration_seconds), 0)",
                "seconds", "non_additive", "Average duration of a visit."),
    ),
)  # fmt: skip

WEBSITE_VISIT_DAYS = gold(
    "website_visit_days",
    "Website visits delivered in a month, by day, country, device, age group and referrer. "
    "Visitors are not counted, because one person may be in several rows.",
    (
        SILVER_VISITS.column("visit_date"),
        COUNTRY_CODE,
        Column("device", "string", "Device of the visitor: Mobile Phone, Laptop, Tablet or "
               "Unknown.", False),
        Column("age_group", "string", "Age group in years: <21, by decade to 51-60, >60, or "
               "Unknown.", False),
        Column("referrer", "string", "Where the visitor came from: Search, Direct, Social, "
               "Third-party redirect or Unknown.", False),
        Column("visits", "bigint", "Number of visits.", False, "count"),
        Column("bounces", "bigint", "Number of visits that ended after one page.", False, "count"),
        Column("happy", "bigint", "Number of visits with the answer Happy.", False, "count"),
        Column("not_happy", "bigint", "Number of visits with the answer Not Happy.", False,
               "count"),
        Column("pages", COUNT_TOTAL, "Number of pages viewed.", False, "count"),
        Column("duration_seconds", COUNT_TOTAL, "Total duration of the visits.", False, "seconds"),
    ),
    ("visit_date", "country_code", "device", "age_group", "referrer"),
    kind="aggregate",
    topic="website",
    references=(dates("visit_date"), COUNTRIES),
    measures=(
        Measure("visits", "sum(visits)", "count", "additive", "Number of website visits."),
        Measure("bounce_rate", "100.0 * sum(bounces) / nullif(sum(visits), 0)", "percent",
                "non_additive", "Share of visits that ended after one page."),
        Measure("not_happy_share",
                "100.0 * sum(not_happy) / nullif(sum(happy) + sum(not_happy), 0)",
                "percent", "non_additive", "Share of Not Happy among visits with an answer."),
    ),
)  # fmt: skip


def website_visits(visits: DataFrame, countries: DataFrame) -> DataFrame:
    """Describe the visits delivered in a month; columns as declared for `website_visits`.

    Args:
        visits: Rows of `silver_visits` delivered in the month.
        countries: Rows of `dim_countries`.
    """
    group = F.col("age_group")
    youngest = v.first_of(*((group == F.lit(label), age) for label, age in _YOUNGEST.items()))
    return with_country_code(visits, countries).withColumns(
        {"visitor_key": v.hash_key(F.col("visitor_id")), "youngest": youngest.cast("int")}
    )


def website_visit_days(visits: DataFrame) -> DataFrame:
    """Add up a month's visits by day; columns as declared for `website_visit_days`.

    Args:
        visits: The month's rows of `website_visits`.
    """

    def number(condition: Col) -> Col:
        return F.count(F.when(condition, F.lit(1))).cast("bigint")

    return visits.groupBy(*WEBSITE_VISIT_DAYS.keys).agg(
        F.count(F.lit(1)).cast("bigint").alias("visits"),
        number(F.col("bounced")).alias("bounces"),
        number(F.col("happiness") == F.lit(HAPPY)).alias("happy"),
        number(F.col("happiness") == F.lit(NOT_HAPPY)).alias("not_happy"),
        *sums(*WEBSITE_VISIT_DAYS.pick("pages", "duration_seconds")),
    )


def totals_of_visits(visits: DataFrame) -> DataFrame:
    """Return one row with the number of rows and the total of pages, which the table must match."""
    return visits.agg(F.count(F.lit(1)).alias("rows"), v.total(F.col("pages")).alias("pages"))


def totals_of_days(visits: DataFrame) -> DataFrame:
    """Return one row with the number of visits, which `website_visit_days` must match."""
    return visits.agg(F.count(F.lit(1)).alias("visits"))


GOLD = (
    GoldTable(
        WEBSITE_VISITS,
        website_visits,
        {"visits": SILVER_VISITS, "countries": DIM_COUNTRIES},
        triggered_by=(quarantine_table(VISITS),),
        totals=(totals_of_visits,),
    ),
    GoldTable(
        WEBSITE_VISIT_DAYS,
        website_visit_days,
        {"visits": WEBSITE_VISITS},
        totals=(totals_of_days,),
    ),
)
