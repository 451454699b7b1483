"""Website and social analytics: visits and conversion by product, country, device and source.

The source is the reference lab's table WebsiteSocialAnalytics, with 25 columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lakehouse_assets.catalog.datasets import Field, silver_table
from lakehouse_assets.domains.retail.shared import (
    DAYS,
    SEGMENT_IS_KNOWN,
    count,
    dataset,
    generation_or_label,
    label,
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


WEBSITE = dataset(
    name="website",
    grain="day",
    description="Website and social media counts for one product and kind of visitor on one day.",
    rows=(
        "One row per delivered row: typed, with normalised labels. A row that is delivered again "
        "in another file is a duplicate of the first delivery; equal rows within a file are kept."
    ),
    key="visit_id",
    dates=DAYS,
    columns=(
        Field("visit_id", "bigint", "Key of the row: hash of its content and of its number among "
              "equal rows of its file.", need="checked", derived=True, unit="id"),
        Field("visit_date", "date", "Day of the visits.", "Date", need="required",
              in_calendar=True),
        Field("country", "string", "Country of the visitors.", "Country", need="required"),
        label("region", "Region, which need not match the country in this source.", "Region"),
        label("product_category", "Category of the product.", "Product_Category"),
        label("product", "Name of the product.", "Product"),
        label("channel", "Sales channel, such as Online.", "Channel"),
        label("gender", "Gender of the visitors: Female, Male or Other.", "Gender",
              ("Female", "Male", "Other")),
        label("customer_segment", "Generation of the visitors.", "Customer_Segment",
              parse=generation_or_label,
              unknown="Generation is given; missing values became Unknown."),
        label("device_category", "Kind of device: Mobile, Tablet or Desktop.", "Device_Category",
              ("Mobile", "Tablet", "Desktop")),
        label("traffic_source", "Where visitors came from, such as Google or Direct.", "Sources"),
        label("conversation", "Platform on which the product was discussed.", "Conversations"),
        label("page", "Page of the website.", "Page"),
        label("browser", "Browser of the visitors.", "Browser"),
        label("sentiment", "Sentiment of the discussion: Positive, Neutral or Negative.",
              "Sentiment"),
        Field("campaign_name", "string", "Name of the campaign; null if not given.",
              "Campaign_Name"),
        Field("hashtag", "string", "Hashtag of the tweets, with #; null if not given.", "Hashtags",
              parse=_hashtag, delivered="Hashtag of the tweets, without #."),
        replace(count("visits", "Number of visits.", "Visits"), need="required"),
        count("sessions", "Number of sessions.", "Sessions"),
        count("unique_visitors", "Number of different visitors.", "Unique_Visitors"),
        count("return_visitors", "Number of returning visitors.", "Return_Visitors"),
        count("daily_users", "Number of users on the day.", "Daily_Users"),
        count("duration_minutes", "Average duration of a visit.", "Duration_min", "minutes"),
        Field("conversion_rate", "decimal(9,4)", "Share of visits that ended in an order; null and "
              "flagged if not from 0 to 100.", "Conversion_Rate", parse=_percent,
              unit="percent"),
        count("tweets", "Number of tweets about the product.", "Tweets"),
        count("retweets", "Number of retweets of these tweets.", "Retweets"),
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
