"""Website and social analytics: visits and conversion by product, country, device and source.

The source is a table of 25 columns (spec, section 6: WebsiteSocialAnalytics). The table behind the
report's page Website Analytics was not found; this one is related to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset, Field, silver_table
from lakehouse_assets.domains.retail.shared import (
    DAYS,
    DOMAIN,
    NOTHING,
    OWNER,
    SEGMENT_IS_KNOWN,
    UNKNOWN,
    generation_or_label,
)
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.fields import with_content_key


def _percent(text: Col) -> Col:
    rate = v.decimal(text, 9, 4)
    return F.when(rate.between(0, 100), rate)


def _hashtag(given: Col) -> Col:
    return F.when(given.startswith("#"), given).otherwise(F.concat(F.lit("#"), given))


def with_visit_id(visits: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
    """Identify rows by their content, since they have no number."""
    return with_content_key(visits, WEBSITE, "visit_id")


def _label(name: str, description: str, source: str, labels: tuple[str, ...] = ()) -> Field:
    return Field(name, "string", description, source, missing=UNKNOWN, labels=labels)


def _count(name: str, description: str, source: str, unit: str = "count") -> Field:
    """Declare a count that fits a 32-bit integer, so that sums cannot overflow."""
    return Field(
        name, "bigint", description, source, parse=v.small_number, not_negative=True, unit=unit
    )


WEBSITE = Dataset(
    domain=DOMAIN,
    name="website",
    grain="day",
    description="Counts of the website for a product and a kind of visitor on a day.",
    owner=OWNER,
    rows=(
        "One row per delivered count: typed, labels normalised. A row that is delivered again is a "
        "duplicate of the first; equal rows within one file are kept."
    ),
    key="visit_id",
    nothing=NOTHING,
    dates=DAYS,
    columns=(
        Field("visit_id", "bigint", "Hash of the delivered row, and of its occurrence among equal "
              "rows of its file.", need="checked", derived=True, unit="id"),
        Field("visit_date", "date", "Day.", "Date", need="required", in_calendar=True),
        Field("country", "string", "Country of the visitors.", "Country", need="required"),
        _label("region", "Region, which does not follow from the country in this source; Unknown "
               "if not given.", "Region"),
        _label("product_category", "Category; Unknown if not given.", "Product_Category"),
        _label("product", "Product; Unknown if not given.", "Product"),
        _label("channel", "Online, or Unknown.", "Channel"),
        _label("gender", "Female, Male, Other or Unknown.", "Gender", ("Female", "Male", "Other")),
        Field("customer_segment", "string", "Generation, or Unknown.", "Customer_Segment",
              parse=generation_or_label, missing=UNKNOWN,
              unknown="A count names the visitors' generation."),
        _label("device_category", "Mobile, Tablet, Desktop or Unknown.", "Device_Category",
               ("Mobile", "Tablet", "Desktop")),
        _label("traffic_source", "Google, Direct ... or Unknown.", "Sources"),
        _label("conversation", "Platform on which it was discussed, or Unknown.", "Conversations"),
        _label("page", "Page, or Unknown.", "Page"),
        _label("browser", "Browser, or Unknown.", "Browser"),
        _label("sentiment", "Positive, Neutral, Negative or Unknown.", "Sentiment"),
        Field("campaign_name", "string", "Campaign; null if not given.", "Campaign_Name"),
        Field("hashtag", "string", "Hashtag with a # before it; null if not given.", "Hashtags",
              parse=_hashtag, delivered="Hashtag of the tweets, without #."),
        replace(_count("visits", "Visits.", "Visits"), need="required"),
        _count("sessions", "Sessions.", "Sessions"),
        _count("unique_visitors", "Visitors.", "Unique_Visitors"),
        _count("return_visitors", "Returning visitors.", "Return_Visitors"),
        _count("daily_users", "Users of the day.", "Daily_Users"),
        _count("duration_minutes", "Mean duration of a visit.", "Duration_min", "minutes"),
        Field("conversion_rate", "decimal(9,4)", "Share of visits that ended in an order; null if "
              "not between 0 and 100 (flagged).", "Conversion_Rate", parse=_percent,
              unit="percent"),
        _count("tweets", "Tweets about the product.", "Tweets"),
        _count("retweets", "Retweets of them.", "Retweets"),
    ),
    delivered_order=(
        "Country", "Product_Category", "Product", "Channel", "Gender", "Sessions",
        "Device_Category", "Sources", "Conversations", "Page", "Visits", "Unique_Visitors",
        "Browser", "Sentiment", "Duration_min", "Region", "Customer_Segment", "Daily_Users",
        "Conversion_Rate", "Return_Visitors", "Tweets", "Retweets", "Hashtags", "Campaign_Name",
        "Date",
    ),
    rule=with_visit_id,
    expectations=(SEGMENT_IS_KNOWN,),
    watched=("country", "device_category"),
    clustered=("visit_date",),
)  # fmt: skip
SILVER_WEBSITE = silver_table(WEBSITE)
