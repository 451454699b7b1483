"""All assets of the retail domain, bronze to gold."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import Limits
from lakehouse_assets.domains.retail.gold import (
    campaign_assets,
    dimension_assets,
    sales_assets,
    tweet_assets,
    website_assets,
)
from lakehouse_assets.domains.retail.silver import retail_silver_assets
from lakehouse_assets.domains.retail.tables import DATASETS
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.orchestration.bronze_assets import bronze_assets
from lakehouse_assets.orchestration.partitions import Calendar


def retail_assets(
    calendar: Calendar, week_starts_on: Weekday, campaign_tags: Sequence[str], limits: Limits = ()
) -> Sequence[dg.AssetsDefinition]:
    """Make every asset of the domain.

    Args:
        calendar: Days and months, and how they map.
        week_starts_on: First day of a week in tables by week.
        campaign_tags: Hashtags by which tweets are collected.
        limits: How much of a dataset may be lost, where the settings say so.
    """
    return [
        *(bronze_assets(dataset, calendar, limits) for dataset in DATASETS),
        *retail_silver_assets(calendar, campaign_tags, limits),
        *campaign_assets(calendar, week_starts_on),
        *tweet_assets(calendar),
        *dimension_assets(calendar),
        *sales_assets(calendar, week_starts_on),
        *website_assets(calendar),
    ]
