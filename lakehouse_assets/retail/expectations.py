"""What rows of the retail domain's silver tables must fulfil.

Belongs here: expectations beside the tables they speak of, each with its action and its source.
Not here: how values are typed (`transforms/`) and what happens to rows (`quality/`).
"""

from __future__ import annotations

from lakehouse_assets.engine import Col, F
from lakehouse_assets.quality.expectations import (
    Expectation,
    in_calendar,
    known,
    present,
    unflagged,
)
from lakehouse_assets.retail.transforms.campaigns import CHANNELS, GENERATIONS, REGIONS, UNKNOWN


def _region_of_country() -> Col:
    fits = F.lit(True)
    for country, region in REGIONS.items():
        here = F.col("country") == F.lit(country)
        fits = fits & (~here | (F.col("region") == F.lit(region)))
    return fits


TWEETS = (
    present("tweeted_at"),
    present("retweet_count"),
    present("favourite_count"),
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
    unflagged("hour_corrected", "HourOfDay is the hour of the moment; up to 34 occurs."),
    unflagged("retweet_mark_unusual", "IsRetweet is 0 or 1; up to 3 occurs."),
)

CAMPAIGNS = (
    present("campaign_name"),
    present("country"),
    present("camp_date"),
    present("cost"),
    present("revenue"),
    present("profit"),
    in_calendar("camp_date"),
    known("campaign_tactic", (*CHANNELS, UNKNOWN), "section 3.1"),
    known("customer_segment", (*GENERATIONS.values(), UNKNOWN), "section 3.1"),
    known("response_status", ("Qualified", "Active", "Accepted"), "section 3.1"),
    known(
        "status", ("Awareness", "Consideration", "Inquiries", "Intent", "Purchase"), "section 3.1"
    ),
    unflagged("customer_segment_unknown", "A result says which generation it addressed."),
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
