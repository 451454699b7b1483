"""The gold assets of the retail domain.

Belongs here: which tables gold is built from and through which partitions. Not here: the rules
(`transforms/`).
"""

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.conformed.tables import DIM_DATE, DIM_PLACES
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.ingest.datasets import quarantine_table
from lakehouse_assets.lake.assets import (
    daily_asset,
    delivered_in_month,
    delivered_so_far,
    monthly_asset,
    of_month,
)
from lakehouse_assets.partitions import WITHIN, Calendar
from lakehouse_assets.retail.tables import campaigns as c
from lakehouse_assets.retail.tables import product as p
from lakehouse_assets.retail.tables import tweets as w
from lakehouse_assets.retail.transforms import campaigns as rules
from lakehouse_assets.retail.transforms import product, tweets


def campaign_assets(calendar: Calendar, week_starts_on: Weekday) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of campaign analytics.

    Args:
        calendar: Days and months, and how they map.
        week_starts_on: First day of a week.
    """
    monthly, so_far = calendar.monthly, calendar.so_far
    added_up = {c.CAMPAIGN_DAYS: so_far, c.DIM_CAMPAIGNS: None}
    return (
        monthly_asset(
            c.DIM_CAMPAIGNS,
            lambda now, f: rules.dim_campaigns(
                delivered_so_far(f["silver_campaigns"], now), now.month, now.loaded_at
            ),
            monthly,
            {c.SILVER_CAMPAIGNS: so_far, DIM_DATE: None},
            begun_by=[quarantine_table(c.CAMPAIGNS)],
        ),
        monthly_asset(
            c.CAMPAIGN_DAYS,
            lambda now, f: rules.campaign_days(
                delivered_in_month(f["silver_campaigns"], now), now.month
            ),
            monthly,
            {c.SILVER_CAMPAIGNS: WITHIN, c.DIM_CAMPAIGNS: None, DIM_DATE: None},
        ),
        monthly_asset(
            c.COUNTRY_REVENUE,
            lambda now, f: rules.country_revenue(f["campaign_days"], now.month),
            monthly,
            added_up,
        ),
        monthly_asset(
            c.CAMPAIGN_WEEKS,
            lambda now, f: rules.campaign_weeks(f["campaign_days"], now.month, week_starts_on),
            monthly,
            {**added_up, DIM_DATE: None},
        ),
        monthly_asset(
            c.COUNTRY_PROFIT_WEEKS,
            lambda now, f: rules.country_profit_weeks(
                f["campaign_days"], now.month, week_starts_on
            ),
            monthly,
            {**added_up, DIM_DATE: None},
        ),
        monthly_asset(
            c.LOSS_MAKING_CAMPAIGNS,
            lambda now, f: rules.loss_making_campaigns(f["campaign_days"], now.month),
            monthly,
            added_up,
        ),
    )


def tweet_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the assets that count tweets, and the product of tweets and campaigns."""
    monthly, so_far = calendar.monthly, calendar.so_far
    pairs = w.TWEETS_BY_CITY_AND_HASHTAG
    return (
        daily_asset(
            w.TWEET_DAYS,
            lambda f: tweets.tweet_days(f["silver_tweets"]),
            calendar.daily,
            {w.SILVER_TWEETS: None, DIM_DATE: None},
        ),
        monthly_asset(
            pairs,
            lambda now, f: tweets.by_city_and_hashtag(
                delivered_so_far(f["tweet_days"], now), now.month
            ),
            monthly,
            {w.TWEET_DAYS: so_far},
            begun_by=[quarantine_table(w.TWEETS)],
        ),
        monthly_asset(
            w.TWEETS_BY_HASHTAG,
            lambda now, f: tweets.by_hashtag(of_month(f[pairs.name], now), now.month),
            monthly,
            {pairs: None},
        ),
        monthly_asset(
            w.TWEETS_BY_CITY,
            lambda now, f: tweets.by_city(of_month(f[pairs.name], now), f["dim_places"], now.month),
            monthly,
            {pairs: None, DIM_PLACES: None},
        ),
        monthly_asset(
            p.CAMPAIGN_TWEETS,
            lambda now, f: product.campaign_tweets(
                of_month(f[pairs.name], now),
                of_month(f["dim_campaigns"], now),
                f["campaign_days"],
                now.month,
            ),
            monthly,
            {pairs: None, c.DIM_CAMPAIGNS: None, c.CAMPAIGN_DAYS: so_far},
            totals=lambda now, f: [
                product.totals_of_tweets(of_month(f[pairs.name], now)),
                product.totals_of_results(f["campaign_days"], now.month),
            ],
        ),
    )
