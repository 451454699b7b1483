"""Website visits and conversion by day, country, device and traffic source."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, so_far, sums
from lakehouse_assets.catalog.registry import Column, Measure
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.conformed.gold.countries import DIM_COUNTRIES, with_country_code
from lakehouse_assets.domains.retail.datasets.website import SILVER_WEBSITE, WEBSITE
from lakehouse_assets.domains.retail.gold.common import (
    COUNTRIES,
    COUNTRY_CODE,
    FINE_TOTAL,
    gold,
)
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

_DAY = Column("visit_date", "date", "Day of the visits.", False)
_DEVICE = Column(
    "device_category", "string", "Kind of device: Mobile, Tablet, Desktop or Unknown.", False
)
_SOURCE = Column(
    "traffic_source",
    "string",
    "Where visitors came from, such as Google or Direct; or Unknown.",
    False,
)

_VISITS = (
    Column("visits", "bigint", "Number of visits.", False, "count"),
    Column(
        "rated_visits", "bigint", "Number of visits with a known conversion rate.", False, "count"
    ),
    Column(
        "conversions",
        FINE_TOTAL,
        "Orders from rated visits: visits times conversion rate, to 4 decimals per delivered row.",
        False,
        "count",
    ),
)

WEBSITE_DAYS = gold(
    "website_days",
    "Website visits delivered in a month, by day, country, device and traffic source. "
    "website_conversion adds up the months. Visitors are not counted, because one person may be in "
    "several rows of silver_website.",
    (_DAY, COUNTRY_CODE, _DEVICE, _SOURCE, *_VISITS),
    ("visit_date", "country_code", "device_category", "traffic_source"),
    kind="aggregate",
    topic="website",
    references=(dates("visit_date"), COUNTRIES),
    measures=(
        Measure("visits", "sum(visits)", "count", "additive", "Number of website visits."),
        Measure(
            "orders", "sum(conversions)", "count", "additive", "Number of orders from rated visits."
        ),
        Measure(
            "conversion_rate",
            "100 * sum(conversions) / nullif(sum(rated_visits), 0)",
            "percent",
            "non_additive",
            "Share of rated visits that ended in an order.",
        ),
    ),
)

WEBSITE_CONVERSION = gold(
    "website_conversion",
    "Visits and conversion rate by device and traffic source, from everything delivered so far.",
    (
        _DEVICE, _SOURCE, *_VISITS,
        Column("conversion_rate", "double", "Share of rated visits that ended in an order; null "
               "if there are none.", unit="percent"),
    ),
    ("device_category", "traffic_source"),
    kind="cumulative",
    topic="website",
)  # fmt: skip


def website_days(visits: DataFrame, countries: DataFrame) -> DataFrame:
    """Add up the visits delivered in a month; columns as declared for `website_days`.

    Args:
        visits: Rows of `silver_website` delivered in the month.
        countries: Rows of `dim_countries`.
    """
    rated = F.when(F.col("conversion_rate").isNotNull(), F.col("visits"))
    # Decimals instead of doubles, so that sums do not depend on the order of addition.
    orders = rated * F.col("conversion_rate") * F.lit("0.01").cast("decimal(3,2)")
    counted = with_country_code(visits, countries).withColumns(
        {"rated_visits": rated, "conversions": orders.cast(FINE_TOTAL)}
    )
    return v.staged(counted).groupBy(*WEBSITE_DAYS.keys[1:]).agg(*sums(*_VISITS))


def website_conversion(days: DataFrame) -> DataFrame:
    """Add up days by device and source; columns as declared for `website_conversion`.

    Args:
        days: Rows of `website_days` of this and all earlier months.
    """
    grouped = days.groupBy("device_category", "traffic_source").agg(*sums(*_VISITS))
    rate = v.ratio(F.col("conversions") * F.lit(100), F.col("rated_visits"))
    return grouped.withColumn("conversion_rate", rate)


def totals_of_visits(visits: DataFrame) -> DataFrame:
    """Return one row with the total of visits, which `website_days` must match."""
    return visits.agg(*sums(_VISITS[0]))


GOLD = (
    GoldTable(
        WEBSITE_DAYS,
        website_days,
        {"visits": SILVER_WEBSITE, "countries": DIM_COUNTRIES},
        triggered_by=(quarantine_table(WEBSITE),),
        totals=(totals_of_visits,),
    ),
    GoldTable(
        WEBSITE_CONVERSION,
        website_conversion,
        {"days": so_far(WEBSITE_DAYS)},
        triggered_by=(quarantine_table(WEBSITE),),
    ),
)
