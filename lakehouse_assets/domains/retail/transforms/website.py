"""Website analytics: delivered text to silver."""

from __future__ import annotations

from lakehouse_assets.domains.retail.tables.website import SILVER_WEBSITE, WEBSITE
from lakehouse_assets.domains.retail.transforms.labels import (
    DAYS,
    NOTHING,
    UNKNOWN,
    count,
    generation,
    given,
    labelled,
)
from lakehouse_assets.engine import DataFrame, F
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
