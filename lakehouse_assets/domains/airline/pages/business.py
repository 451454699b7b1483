"""The page on members, their flights and their purchases."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.airline.shared import DOMAIN

_MEMBER = {"country": "dim_customers.country", "member_province": "dim_customers.province",
           "city": "dim_customers.city", "tier_name": "dim_customers.tier_name"}  # fmt: skip

BUSINESS = Page(
    "business",
    "Business",
    DOMAIN,
    "Members, their flights and their purchases.",
    sources=(
        Source(
            "fact_transactions",
            dimensions={
                "month": "dim_date.year_month",
                "tier_name": "dim_customers.tier_name",
                "country": "dim_customers.country",
            },
        ),
        Source("kpi_customer_value", dimensions={"country": "dim_customers.country"}),
        # A source of its own, because only this visual needs a row per member.
        Source("kpi_customer_value", "spenders", dimensions={"country": "dim_customers.country"}),
        Source("fact_flights", dimensions=_MEMBER),
    ),
    labels={"tier_name": "Tier", "member_province": "Province"},
    slicers=(
        Slicer("month", "range"),
        Slicer("region"),
        Slicer("tier_name"),
        Slicer("status"),
    ),
    visuals=(
        Visual("card", "Completed revenue", measures=("completed_amount",), width=3),
        Visual("card", "Purchases", measures=("purchases",), width=3),
        Visual("card", "Members", source="kpi_customer_value", measures=("members",), width=3),
        Visual("card", "Flights", source="fact_flights", measures=("flights",), width=3),
        Visual(
            "line", "Revenue by month", dimensions=("month",), measures=("completed_amount",),
            width=7,
        ),
        Visual(
            "donut", "Purchases by payment method", dimensions=("payment_method",),
            measures=("purchases",), width=5,
        ),
        Visual(
            "column", "Revenue and purchases by region", dimensions=("region",),
            measures=("completed_amount", "purchases"), width=7,
        ),
        Visual("donut", "Purchases by status", dimensions=("status",), measures=("purchases",),
               width=5),
        Visual(
            "bar", "Flights by place", source="fact_flights", measures=("flights",), top=15,
            dimensions=("country", "member_province", "city"), drill=True, height="tall",
        ),
        Visual(
            "table", "Top 10 members by spend", source="spenders",
            dimensions=("customer_key", "tier_name", "customer_status"),
            measures=("spend", "flown"), top=10, height="tall",
        ),
    ),
)  # fmt: skip
