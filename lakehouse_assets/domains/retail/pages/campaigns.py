"""The page on campaigns: revenue, cost and profit by country, channel and generation."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.retail.shared import DOMAIN

CAMPAIGNS = Page(
    "campaigns",
    "Campaigns",
    DOMAIN,
    "Revenue, cost and profit of campaigns by country, channel and generation, as marketing "
    "reports them. Profit is not revenue less cost, and targets may be negative.",
    sources=(
        Source(
            "campaign_days",
            dimensions={
                "campaign": "campaign_name",
                "channel": "campaign_tactic",
                "generation": "customer_segment",
                "week": "dim_date.week_start",
            },
        ),
    ),
    slicers=(Slicer("week", "range"), Slicer("country"), Slicer("channel")),
    visuals=(
        Visual("card", "Revenue", measures=("revenue",), width=3),
        Visual("card", "Revenue as a share of target", measures=("revenue_to_target",),
               width=3),
        Visual("card", "Profit", measures=("profit",), width=3),
        Visual("card", "Cost", measures=("cost",), width=3),
        Visual("bar", "Revenue by campaign", dimensions=("campaign",), measures=("revenue",),
               width=7),
        Visual("donut", "Revenue by country", dimensions=("country",), measures=("revenue",),
               width=5),
        Visual(
            "decomposition_tree", "Revenue breakdown",
            dimensions=("country", "campaign", "channel", "generation"), measures=("revenue",),
            width=12, height="tall",
        ),
        Visual("stacked_column", "Revenue by week", dimensions=("week",), measures=("revenue",),
               series="channel", sort="dimension", width=7),
        Visual("bar", "Profit by campaign", dimensions=("campaign",), measures=("profit",),
               width=5, note="Negative for a loss."),
        Visual(
            "table", "Campaigns by country", dimensions=("country", "campaign"),
            measures=("revenue", "results", "cost", "profit"), top=40, width=12,
        ),
    ),
)  # fmt: skip
