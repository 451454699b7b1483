"""Campaigns: what they are, and what they earn and cost by day, week, country and region."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import Check, GoldTable, so_far
from lakehouse_assets.domains.conformed.tables import DIM_COUNTRIES
from lakehouse_assets.domains.retail.tables import campaigns as c
from lakehouse_assets.domains.retail.transforms import campaigns as rules

_SO_FAR = {"days": so_far(c.CAMPAIGN_DAYS)}

GOLD = (
    GoldTable(
        c.DIM_CAMPAIGNS,
        rules.dim_campaigns,
        {"results": so_far(c.SILVER_CAMPAIGNS)},
        triggered_by=(quarantine_table(c.CAMPAIGNS),),
    ),
    GoldTable(
        c.CAMPAIGN_DAYS,
        rules.campaign_days,
        {"results": c.SILVER_CAMPAIGNS, "countries": DIM_COUNTRIES},
        totals=(rules.totals_of_campaigns,),
    ),
    GoldTable(
        c.COUNTRY_REVENUE,
        rules.country_revenue,
        _SO_FAR,
        triggered_by=(c.DIM_CAMPAIGNS,),
        totals=(rules.totals_of_days,),
    ),
    GoldTable(c.CAMPAIGN_WEEKS, rules.campaign_weeks, _SO_FAR),
    GoldTable(
        c.COUNTRY_PROFIT_WEEKS,
        rules.country_profit_weeks,
        _SO_FAR,
        triggered_by=(c.DIM_CAMPAIGNS,),
        checks=(
            Check(
                "weeks_add_up_to_days",
                "A country's weeks add up to its days, half a cent a week aside.",
                rules.countries_that_are_off,
            ),
        ),
    ),
    GoldTable(c.LOSS_MAKING_CAMPAIGNS, rules.loss_making_campaigns, _SO_FAR),
)
