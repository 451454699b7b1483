"""The silver assets of the retail domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, Limits
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.conformed import gazetteer
from lakehouse_assets.domains.conformed.transforms.places import with_city_names
from lakehouse_assets.domains.retail import expectations
from lakehouse_assets.domains.retail.tables import (
    campaigns,
    customers,
    documents,
    online_sales,
    store_sales,
    tweets,
    website,
)
from lakehouse_assets.domains.retail.transforms.campaigns import type_campaigns
from lakehouse_assets.domains.retail.transforms.customers import type_customers
from lakehouse_assets.domains.retail.transforms.documents import type_documents
from lakehouse_assets.domains.retail.transforms.sales import type_online_sales, type_store_sales
from lakehouse_assets.domains.retail.transforms.tweets import type_tweets
from lakehouse_assets.domains.retail.transforms.website import type_website
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.silver_assets import SilverRule, silver_assets


def _events(
    dataset: Dataset,
    table: Table,
    wanted: tuple[Expectation, ...],
    typed: Callable[[DataFrame], DataFrame],
    located: str | None = None,
) -> SilverRule:
    """Make the rule of events: what happened once stays one row, however often it is delivered.

    Args:
        dataset: The dataset.
        table: Its silver table.
        wanted: What rows must fulfil.
        typed: Types the bronze rows.
        located: Column whose cities are called by the one name that `dim_places` has for them.
    """

    def transform(bronze: DataFrame, lake: Lake) -> DataFrame:
        if located is None:
            return typed(bronze)
        names, regions = (
            lake.engine.from_arrow(f()) for f in (gazetteer.city_names, gazetteer.regions)
        )
        return with_city_names(typed(bronze), located, names, regions)

    return SilverRule(
        dataset=dataset,
        table=table,
        key=table.keys[-1],
        expectations=wanted,
        transform=transform,
        unique_over_time=True,
    )


# A result may be corrected after it was delivered; the source is read a week back for that.
CAMPAIGNS = SilverRule(
    dataset=campaigns.CAMPAIGNS,
    table=campaigns.SILVER_CAMPAIGNS,
    key="result_id",
    expectations=expectations.CAMPAIGNS,
    transform=lambda bronze, _lake: type_campaigns(bronze),
    version="version",
)

STORE_SALES = _events(
    store_sales.STORE_SALES,
    store_sales.SILVER_STORE_SALES,
    expectations.STORE_SALES,
    type_store_sales,
)

ONLINE_SALES = _events(
    online_sales.ONLINE_SALES,
    online_sales.SILVER_ONLINE_SALES,
    expectations.ONLINE_SALES,
    type_online_sales,
)

WEBSITE = _events(website.WEBSITE, website.SILVER_WEBSITE, expectations.WEBSITE, type_website)

# A customer is a state: the latest snapshot of the month is the truth.
CUSTOMERS = SilverRule(
    dataset=customers.CUSTOMERS,
    table=customers.SILVER_CUSTOMERS,
    key="customer_id",
    expectations=expectations.CUSTOMERS,
    transform=lambda bronze, _lake: type_customers(bronze),
    newest_delivery_first=True,
)


# A document is known by its content, whatever it is called.
DOCUMENTS = SilverRule(
    dataset=documents.DOCUMENTS,
    table=documents.SILVER_DOCUMENTS,
    key="sha256",
    expectations=expectations.DOCUMENTS,
    transform=lambda bronze, _lake: type_documents(bronze),
    unique_over_time=True,
)


def tweets_rule(tags: Sequence[str]) -> SilverRule:
    """Make the rule of tweets for a list of campaign tags."""
    # A tweet was said once; the source replays files under new names.
    return _events(
        tweets.TWEETS,
        tweets.SILVER_TWEETS,
        expectations.TWEETS,
        lambda bronze: type_tweets(bronze, tags),
        located="city",
    )


def retail_silver_assets(
    calendar: Calendar, tags: Sequence[str], limits: Limits = ()
) -> Sequence[dg.AssetsDefinition]:
    """Make the silver and quarantine assets."""
    rules = (CAMPAIGNS, tweets_rule(tags), STORE_SALES, ONLINE_SALES, CUSTOMERS, WEBSITE, DOCUMENTS)
    return [silver_assets(rule, calendar, limits) for rule in rules]
