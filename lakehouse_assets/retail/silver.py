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
from lakehouse_assets.retail.tables import (
    campaigns,
    customers,
    online_sales,
    store_sales,
    tweets,
    website,
)
from lakehouse_assets.retail.transforms.campaigns import type_campaigns
from lakehouse_assets.retail.transforms.customers import type_customers
from lakehouse_assets.retail.transforms.sales import type_online_sales, type_store_sales
from lakehouse_assets.retail.transforms.tweets import type_tweets
from lakehouse_assets.retail.transforms.website import type_website

# A result is an event: it happened once, however often it is delivered.
CAMPAIGNS = SilverRule(
    dataset=campaigns.CAMPAIGNS,
    table=campaigns.SILVER_CAMPAIGNS,
    key="result_id",
    expectations=expectations.CAMPAIGNS,
    transform=lambda bronze, _lake: type_campaigns(bronze),
    unique_over_time=True,
)

STORE_SALES = SilverRule(
    dataset=store_sales.STORE_SALES,
    table=store_sales.SILVER_STORE_SALES,
    key="sale_id",
    expectations=expectations.STORE_SALES,
    transform=lambda bronze, _lake: type_store_sales(bronze),
    unique_over_time=True,
)

ONLINE_SALES = SilverRule(
    dataset=online_sales.ONLINE_SALES,
    table=online_sales.SILVER_ONLINE_SALES,
    key="order_id",
    expectations=expectations.ONLINE_SALES,
    transform=lambda bronze, _lake: type_online_sales(bronze),
    unique_over_time=True,
)

# A customer is a state: the latest snapshot of the month is the truth.
CUSTOMERS = SilverRule(
    dataset=customers.CUSTOMERS,
    table=customers.SILVER_CUSTOMERS,
    key="customer_id",
    expectations=expectations.CUSTOMERS,
    transform=lambda bronze, _lake: type_customers(bronze),
    newest_delivery_first=True,
)

WEBSITE = SilverRule(
    dataset=website.WEBSITE,
    table=website.SILVER_WEBSITE,
    key="visit_id",
    expectations=expectations.WEBSITE,
    transform=lambda bronze, _lake: type_website(bronze),
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
    rules = (CAMPAIGNS, tweets_rule(tags), STORE_SALES, ONLINE_SALES, CUSTOMERS, WEBSITE)
    return [silver_assets(rule, calendar) for rule in rules]
