"""The stitched data product: what is tweeted about campaigns beside what they earn."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import COUNT_TOTAL, CURRENCY, FINE_TOTAL, gold

CAMPAIGN_TWEETS = gold(
    "campaign_tweets",
    "Tweets by hashtag and city with the results of the hashtag's campaign, given to its cities in "
    "proportion to their tweets, so that every total is the total of the inputs.",
    (
        Column("hashtag", "string", "Hashtag.", False),
        Column("city", "string", "City; null for a campaign that nobody tweeted about."),
        Column("campaign_name", "string", "Campaign; null for a hashtag without results."),
        Column("tweets", "bigint", "Tweets.", False, "count", aliases=("count",)),
        Column("retweets", COUNT_TOTAL, "Retweets.", False, "count"),
        Column(
            "revenue", FINE_TOTAL, "The city's share of the campaign's revenue.", False, CURRENCY
        ),
        Column("cost", FINE_TOTAL, "The city's share of its cost.", False, CURRENCY),
        Column("profit", FINE_TOTAL, "The city's share of its profit.", False, CURRENCY),
    ),
    ("hashtag", "city"),
    kind="cumulative",
    topic="tweets",
    lab="sentiment_campaign_analytics",
)
