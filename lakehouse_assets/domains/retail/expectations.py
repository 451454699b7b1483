"""What rows of the retail silver tables must fulfil, each with its action and its source."""

from __future__ import annotations

from lakehouse_assets.catalog.expectations import Expectation, in_calendar, known, present
from lakehouse_assets.domains.retail.transforms import (
    campaigns,
    customers,
    documents,
    sales,
    tweets,
    website,
)
from lakehouse_assets.domains.retail.transforms.campaigns import CHANNELS
from lakehouse_assets.domains.retail.transforms.customers import YES_NO
from lakehouse_assets.domains.retail.transforms.documents import name_fits
from lakehouse_assets.domains.retail.transforms.labels import (
    GENERATIONS,
    REGIONS,
    UNKNOWN,
    is_generation,
)
from lakehouse_assets.domains.retail.transforms.sales import revenue_fits
from lakehouse_assets.engine import Col, F


def _region_of_country() -> Col:
    fits = F.lit(True)
    for country, region in REGIONS.items():
        here = F.col("country") == F.lit(country)
        fits = fits & (~here | (F.col("region") == F.lit(region)))
    return fits


def _not_negative(name: str) -> Expectation:
    return Expectation(
        f"{name}_is_not_negative",
        "drop",
        f"{name.upper()} counts something: a negative one states no facts.",
        lambda: F.coalesce(F.col(name) >= F.lit(0), F.lit(True)),
    )


_GENERATION = Expectation(
    "customer_segment_is_known",
    "warn",
    f"One or several of {', '.join(GENERATIONS)}, all of them, or Unknown (section 3.1).",
    lambda: is_generation(F.col("customer_segment")),
)
_REVENUE = Expectation(
    "revenue_is_quantity_times_price",
    "warn",
    "Revenue is quantity times price, to the cent (section 3.4).",
    revenue_fits,
)

TWEETS = (
    *tweets.FIELDS.expectations,
    _not_negative("retweet_count"),
    _not_negative("favourite_count"),
    in_calendar("tweet_date"),
    Expectation(
        "valid_city",
        "drop",
        "A tweet names a city; 44 % of the reference's do not (section 3.2).",
        lambda: F.col("city").isNotNull(),
    ),
    Expectation(
        "has_campaign_tag",
        "drop",
        "A tweet was found by a campaign tag or holds one, in any letters (section 3.2).",
        lambda: F.col("hashtag").isNotNull(),
    ),
)

CAMPAIGNS = (
    present("campaign_name"),
    *campaigns.FIELDS.expectations,
    _not_negative("responses"),
    in_calendar("camp_date"),
    # What a result earned counts wherever it was.
    known("country", tuple(REGIONS), "the countries of section 3.1"),
    known("campaign_tactic", (*CHANNELS, UNKNOWN), "section 3.1"),
    _GENERATION,
    known("response_status", ("Qualified", "Active", "Accepted"), "section 3.1"),
    known(
        "status", ("Awareness", "Consideration", "Inquiries", "Intent", "Purchase"), "section 3.1"
    ),
    Expectation(
        "region_fits_country",
        "warn",
        "A country lies in one region; 403 of the reference's 3,708 in Japan do not say so.",
        _region_of_country,
    ),
    Expectation(
        "campaign_numbers_agree",
        "warn",
        "Campaign_ID and CampaignID are the same number.",
        lambda: F.coalesce(F.col("campaign_id") == F.col("campaignid"), F.lit(False)),
    ),
)

STORE_SALES = (
    present("sale_id"),
    present("brand"),
    *sales.STORE_FIELDS.expectations,
    in_calendar("week_starting"),
    _not_negative("quantity"),
    known("brand", ("BrandA", "BrandB", "BrandC"), "section 3.4"),
    _REVENUE,
)

ONLINE_SALES = (
    present("order_id"),
    present("country"),
    present("product"),
    present("brand"),
    *sales.ONLINE_FIELDS.expectations,
    in_calendar("order_date"),
    _not_negative("quantity"),
    known("country", tuple(REGIONS), "the countries of section 3.1"),
    _REVENUE,
)

CUSTOMERS = (
    present("customer_id"),
    present("senior_citizen"),
    *customers.FIELDS.expectations,
    _not_negative("tenure_months"),
    Expectation(
        "churn_is_told",
        "drop",
        "Churn is Yes or No: what is learned from customers is whether they leave.",
        lambda: F.col("churn").isin(*YES_NO),
    ),
    known("gender", ("Male", "Female"), "section 4.1"),
    known("outlet_size", ("Big", "Medium", "Small"), "section 4.1"),
    known("order_status", ("Shipped", "Cancelled", UNKNOWN), "section 4.1"),
    known("brand", ("Local", "National"), "section 4.1"),
    known("store_contract", ("Month-to-month", "One year", "Two year"), "section 4.1"),
    *(
        known(name, YES_NO, "section 4.1")
        for name in (
            "partner", "dependents", "discount", "online_delivery", "customer_support",
            "paperless_billing",
        )
    ),
)  # fmt: skip

WEBSITE = (
    present("country"),
    *website.FIELDS.expectations,
    in_calendar("visit_date"),
    *map(_not_negative, website.COUNTS),
    known("gender", ("Female", "Male", "Other"), "profile of 826 rows"),
    known("device_category", ("Mobile", "Tablet", "Desktop"), "profile of 826 rows"),
    _GENERATION,
)

DOCUMENTS = (
    *documents.FIELDS.expectations,
    Expectation(
        "has_content",
        "drop",
        "A file without bytes is no document.",
        lambda: F.col("size") > F.lit(0),
    ),
    Expectation(
        "media_type_is_known",
        "drop",
        "The first bytes are those of an image or a PDF file.",
        lambda: F.col("media_type").isNotNull(),
    ),
    Expectation(
        "name_fits_media_type",
        "drop",
        "The name ends in what the first bytes say the file is.",
        name_fits,
    ),
)
