"""The website: visits and conversion, by what people came with and from where."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, so_far
from lakehouse_assets.domains.conformed.tables import DIM_COUNTRIES
from lakehouse_assets.domains.retail.tables import website as t
from lakehouse_assets.domains.retail.transforms import website as rules

GOLD = (
    GoldTable(
        t.WEBSITE_DAYS,
        rules.website_days,
        {"visits": t.SILVER_WEBSITE, "countries": DIM_COUNTRIES},
        triggered_by=(quarantine_table(t.WEBSITE),),
        totals=(rules.totals_of_visits,),
    ),
    GoldTable(
        t.WEBSITE_CONVERSION,
        rules.website_conversion,
        {"days": so_far(t.WEBSITE_DAYS)},
        triggered_by=(quarantine_table(t.WEBSITE),),
    ),
)
