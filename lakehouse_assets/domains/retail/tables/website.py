"""Website and social analytics: visits and conversion, by what people came with and from where.

The source is a table of 25 columns (spec, section 6: WebsiteSocialAnalytics). The table behind the
report's page Website Analytics was not found; this is its sibling.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import DOMAIN, OWNER

WEBSITE = Dataset(
    domain=DOMAIN,
    name="website",
    grain="day",
    description="What was counted on the website for a product and a kind of visitor on a day.",
    owner=OWNER,
    fields=(
        text_field("Country", "Country of the visitors."),
        text_field("Product_Category", "Category of the product."),
        text_field("Product", "Product."),
        text_field("Channel", "Always Online."),
        text_field("Gender", "Female, Male or Other; NULL occurs."),
        text_field("Sessions", "Sessions."),
        text_field("Device_Category", "Mobile, Tablet or Desktop."),
        text_field("Sources", "Where visitors came from: Google, Direct ..."),
        text_field("Conversations", "Where the product was talked about: Twitter ..."),
        text_field("Page", "Page that was visited."),
        text_field("Visits", "Visits."),
        text_field("Unique_Visitors", "Visitors."),
        text_field("Browser", "Browser."),
        text_field("Sentiment", "Positive, Neutral or Negative."),
        text_field("Duration_min", "Mean duration of a visit.", unit="minutes"),
        text_field("Region", "Region; it does not follow from the country in this source."),
        text_field("Customer_Segment", "Generation of the visitors."),
        text_field("Daily_Users", "Users of the day."),
        text_field("Conversion_Rate", "Share of visits that ended in an order.", unit="percent"),
        text_field("Return_Visitors", "Visitors who had been there before."),
        text_field("Tweets", "Tweets about the product."),
        text_field("Retweets", "Retweets of them."),
        text_field("Hashtags", "Hashtag of the tweets, without #."),
        text_field("Campaign_Name", "Campaign."),
        text_field("Date", "Day, yyyy-MM-dd or M/d/yyyy."),
    ),
)

SILVER_WEBSITE = silver_table(
    WEBSITE,
    (
        "One row per delivered count: typed, labels normalised. A row that is delivered again is a "
        "duplicate of the first; equal rows within one file stay."
    ),
    "visit_id",
    (
        Column("visit_id", "bigint",
               "Hash of the delivered row, and of how often its file had it before.", False, "id"),
        Column("visit_date", "date", "Day.", False, source="date"),
        Column("country", "string", "Country.", False),
        Column("region", "string", "Region as the source has it; Unknown if not given.", False),
        Column("product_category", "string", "Category; Unknown if not given.", False),
        Column("product", "string", "Product; Unknown if not given.", False),
        Column("channel", "string", "Online, or Unknown.", False),
        Column("gender", "string", "Female, Male, Other or Unknown.", False),
        Column("customer_segment", "string", "Generation, or Unknown.", False),
        Column("device_category", "string", "Mobile, Tablet, Desktop or Unknown.", False),
        Column("traffic_source", "string", "Google, Direct ... or Unknown.", False),
        Column("conversation", "string", "Where it was talked about, or Unknown.", False),
        Column("page", "string", "Page, or Unknown.", False),
        Column("browser", "string", "Browser, or Unknown.", False),
        Column("sentiment", "string", "Positive, Neutral, Negative or Unknown.", False),
        Column("campaign_name", "string", "Campaign; null if not given."),
        Column("hashtag", "string", "Hashtag with a # before it; null if not given."),
        Column("visits", "bigint", "Visits.", False, "count"),
        Column("sessions", "bigint", "Sessions.", unit="count"),
        Column("unique_visitors", "bigint", "Visitors.", unit="count"),
        Column("return_visitors", "bigint", "Visitors who had been there before.", unit="count"),
        Column("daily_users", "bigint", "Users of the day.", unit="count"),
        Column("duration_minutes", "bigint", "Mean duration of a visit.", unit="minutes",
               source="duration_min"),
        Column("conversion_rate", "decimal(9,4)", "Share of visits that ended in an order; null "
               "if not between 0 and 100 (flagged).", unit="percent"),
        Column("tweets", "bigint", "Tweets about the product.", unit="count"),
        Column("retweets", "bigint", "Retweets of them.", unit="count"),
    ),
    watched=("country", "device_category"),
    clustered=("visit_date",),
)  # fmt: skip
