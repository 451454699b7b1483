"""The gold assets of the retail domain.

Belongs here: which tables gold is built from and through which partitions. Not here: the rules
(`transforms/`).
"""

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.conformed.tables import DIM_DATE
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.ingest.datasets import quarantine_table
from lakehouse_assets.lake.assets import delivered_in_month, delivered_so_far, monthly_asset
from lakehouse_assets.partitions import WITHIN, Calendar
from lakehouse_assets.retail.tables import campaigns as c
from lakehouse_assets.retail.transforms import campaigns as rules


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
