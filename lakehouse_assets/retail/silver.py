"""The silver assets of the retail domain.

Belongs here: which rule makes which silver table. Not here: the rules (`transforms/`,
`expectations.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.partitions import Calendar
from lakehouse_assets.quality.assets import SilverRule, silver_assets
from lakehouse_assets.retail import expectations
from lakehouse_assets.retail.tables import campaigns, tweets
from lakehouse_assets.retail.transforms.campaigns import type_campaigns
from lakehouse_assets.retail.transforms.tweets import type_tweets

# A result is an event: it happened once, however often it is delivered.
CAMPAIGNS = SilverRule(
    dataset=campaigns.CAMPAIGNS,
    table=campaigns.SILVER_CAMPAIGNS,
    key="result_id",
    expectations=expectations.CAMPAIGNS,
    transform=lambda bronze, _lake: type_campaigns(bronze),
    unique_over_time=True,
)


def tweets_rule(tags: Sequence[str]) -> SilverRule:
    """Make the rule of tweets for a list of campaign tags."""
    # A tweet was said once; the source replays files under new names.
    return SilverRule(
        dataset=tweets.TWEETS,
        table=tweets.SILVER_TWEETS,
        key="tweet_id",
        expectations=expectations.TWEETS,
        transform=lambda bronze, _lake: type_tweets(bronze, tags),
        unique_over_time=True,
    )


def retail_silver_assets(calendar: Calendar, tags: Sequence[str]) -> Sequence[dg.AssetsDefinition]:
    """Make the silver and quarantine assets."""
    return [silver_assets(rule, calendar) for rule in (CAMPAIGNS, tweets_rule(tags))]
