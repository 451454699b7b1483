"""Website analytics: delivered text to silver, and silver to visits and conversion."""

from __future__ import annotations

from datetime import date

from lakehouse_assets.domains.conformed.transforms.countries import with_country_code
from lakehouse_assets.domains.retail.tables.website import (
    SILVER_WEBSITE,
    WEBSITE,
    WEBSITE_CONVERSION,
    WEBSITE_DAYS,
)
from lakehouse_assets.domains.retail.transforms.labels import (
    DAYS,
    NOTHING,
    UNKNOWN,
    count,
    generation,
    given,
    labelled,
)
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import content_key, lineage_columns, with_content, with_text
from lakehouse_assets.quality.fields import Fields, Flag

FIELDS = Fields(
    WEBSITE,
    SILVER_WEBSITE,
    NOTHING,
    flags={"customer_segment_unknown": Flag("A count says of which generation the visitors are.")},
)
_LABELS = {
    "region": "region", "product_category": "product_category", "product": "product",
    "channel": "channel", "gender": "gender", "device_category": "device_category",
    "traffic_source": "sources", "conversation": "conversations", "page": "page",
    "browser": "browser", "sentiment": "sentiment",
}  # fmt: skip
COUNTS = {
    "visits": "visits", "sessions": "sessions", "unique_visitors": "unique_visitors",
    "return_visitors": "return_visitors", "daily_users": "daily_users",
    "duration_minutes": "duration_min", "tweets": "tweets", "retweets": "retweets",
}  # fmt: skip
_ADDED = ("visits", "rated_visits")
_ORDERS = "decimal(38,4)"


def type_website(bronze: DataFrame) -> DataFrame:
    """Type website analytics.

    Args:
        bronze: Rows of `bronze_website`.

    Returns:
        One row per bronze row: the columns of `silver_website` (null where a key or fact cannot be
        read) and `raw_*` text.
    """
    frame = with_content(with_text(bronze, WEBSITE), WEBSITE)
    text = {c.name: F.col(f"text_{c.name}") for c in WEBSITE.fields}
    segment = given(text["customer_segment"])
    frame = v.staged(
        frame.select(
            *frame.columns,
            segment.alias("segment"),
            v.decimal(text["conversion_rate"], 9, 4).alias("rate"),
            given(text["hashtags"]).alias("tag"),
        )
    )
    possible = F.col("rate").between(0, 100)
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        content_key().alias("visit_id"),
        v.parse_date(text["date"], *DAYS).alias("visit_date"),
        given(text["country"]).alias("country"),
        *[labelled(text[field]).alias(name) for name, field in _LABELS.items()],
        F.coalesce(generation(F.col("segment")), F.col("segment"), F.lit(UNKNOWN)).alias(
            "customer_segment"
        ),
        given(text["campaign_name"]).alias("campaign_name"),
        F.when(F.col("tag").startswith("#"), F.col("tag"))
        .otherwise(F.concat(F.lit("#"), F.col("tag")))
        .alias("hashtag"),
        *[count(text[field]).alias(name) for name, field in COUNTS.items()],
        F.when(possible, F.col("rate")).alias("conversion_rate"),
        F.col("segment").isNull().alias("flag_customer_segment_unknown"),
        *lineage_columns(WEBSITE),
    )
    return FIELDS.flagged(typed)


def website_days(visits: DataFrame, countries: DataFrame, month: date) -> DataFrame:
    """Add up the visits delivered in a month; columns as declared for `website_days`.

    Args:
        visits: Rows of `silver_website` delivered in the month.
        countries: Rows of `dim_countries`.
        month: The month, as its first day.
    """
    rated = F.when(F.col("conversion_rate").isNotNull(), F.col("visits"))
    # Percent of visits in ten-thousandths: whole numbers, so that nothing is rounded.
    orders = (rated * F.col("conversion_rate") * F.lit("0.01").cast("decimal(3,2)")).cast(_ORDERS)
    placed = with_country_code(visits, "country", countries)
    counted = v.staged(placed.select(*placed.columns, rated.alias("rated"), orders.alias("orders")))
    return (
        counted.groupBy("visit_date", "country_code", "device_category", "traffic_source")
        .agg(
            _total("visits", "visits"),
            _total("rated", "rated_visits"),
            F.coalesce(v.total(F.col("orders"), 4), F.lit(0).cast(_ORDERS)).alias("conversions"),
        )
        .withColumn("as_of_month", F.lit(month))
        .select(*WEBSITE_DAYS.column_names)
    )


def website_conversion(days: DataFrame, month: date) -> DataFrame:
    """Add days up by device and source; columns as declared for `website_conversion`.

    Args:
        days: Rows of `website_days` of this and all earlier months.
        month: The month, as its first day.
    """
    grouped = days.groupBy("device_category", "traffic_source").agg(
        *[_total(name, name) for name in _ADDED],
        v.total(F.col("conversions"), 4).alias("conversions"),
    )
    return grouped.withColumns(
        {
            "as_of_month": F.lit(month),
            "conversion_rate": v.ratio(F.col("conversions") * F.lit(100), F.col("rated_visits")),
        }
    ).select(*WEBSITE_CONVERSION.column_names)


def totals_of_visits(visits: DataFrame) -> DataFrame:
    """Add up, in one row, what the days must hold of the visits."""
    return visits.agg(_total("visits", "visits"))


def _total(name: str, alias: str) -> Col:
    return F.coalesce(F.sum(name).cast("bigint"), F.lit(0).cast("bigint")).alias(alias)
