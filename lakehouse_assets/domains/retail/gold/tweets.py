"""Tweets: how many by day, hashtag and city, and beside what campaigns earn."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, so_far
from lakehouse_assets.domains.conformed.tables import DIM_PLACES
from lakehouse_assets.domains.retail.tables import campaigns as c
from lakehouse_assets.domains.retail.tables import product as p
from lakehouse_assets.domains.retail.tables import tweets as w
from lakehouse_assets.domains.retail.transforms import product, tweets

_PAIRS = {"pairs": w.TWEETS_BY_CITY_AND_HASHTAG}

GOLD = (
    GoldTable(w.TWEET_DAYS, tweets.tweet_days, {"tweets": w.SILVER_TWEETS}),
    GoldTable(
        w.TWEETS_BY_CITY_AND_HASHTAG,
        tweets.by_city_and_hashtag,
        {"days": so_far(w.TWEET_DAYS)},
        triggered_by=(quarantine_table(w.TWEETS),),
    ),
    GoldTable(w.TWEETS_BY_HASHTAG, tweets.by_hashtag, _PAIRS),
    GoldTable(w.TWEET_TOTALS, tweets.in_total, _PAIRS),
    GoldTable(w.TWEETS_BY_CITY, tweets.by_city, {**_PAIRS, "places": DIM_PLACES}),
    GoldTable(
        p.CAMPAIGN_TWEETS,
        product.campaign_tweets,
        {**_PAIRS, "campaigns": c.DIM_CAMPAIGNS, "days": so_far(c.CAMPAIGN_DAYS)},
        totals=(product.totals_of_tweets, product.totals_of_results),
    ),
)
