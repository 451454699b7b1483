"""The page on member segments: their size, their value, and how members move between them."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.airline.shared import DOMAIN

LOYALTY = Page(
    "loyalty",
    "Loyalty segments",
    DOMAIN,
    "Member segments at the end of the latest month: their size and value, and how members move "
    "between them.",
    sources=(
        Source("gold_customer_segments_ml", "segments"),
        # A source of its own, because only this visual needs a row per member.
        Source("gold_customer_segments_ml", "each_member"),
        Source("gold_customer_segments_ml", "months", history=True),
        Source("gold_segment_migration", "migration", dimensions={
            "segment_name": "to_segment_name",
        }),
        Source("gold_newly_at_risk", "newly_at_risk", dimensions={
            "from_segment_name": "previous_segment_name", "tier_name": "dim_customers.tier_name",
            "age_group": "dim_customers.age_group", "gender": "dim_customers.gender",
        }),
    ),
    labels={
        "segment_name": "Segment", "tier_name": "Tier", "as_of_month": "Month",
        "from_segment_name": "Previous segment", "customer_status": "Status",
    },
    slicers=(
        Slicer("segment_name"), Slicer("tier_name"), Slicer("age_group"), Slicer("gender"),
        Slicer("customer_status"),
    ),
    visuals=(
        Visual("card", "Members", measures=("members",), width=3),
        Visual("card", "High-value members", measures=("high_value_members",), width=3),
        Visual("card", "Average RFM score", measures=("average_rfm",), width=3),
        Visual("card", "Newly at risk", source="newly_at_risk", measures=("members",), width=3),
        Visual("donut", "Members by segment", dimensions=("segment_name",), measures=("members",),
               width=4),
        Visual("bar", "Spend by segment", dimensions=("segment_name",), measures=("spend",),
               width=4),
        Visual("bar", "Spend per member by segment", dimensions=("segment_name",),
               measures=("spend_per_member",), width=4),
        Visual("bar", "Scores by segment", dimensions=("segment_name",), width=6,
               measures=("average_recency", "average_frequency", "average_monetary"),
               note="Scores run from 1 (lowest) to 5 (highest)."),
        Visual("stacked_column", "Segments by month", source="months",
               dimensions=("as_of_month",), series="segment_name", measures=("members",),
               sort="dimension", width=6),
        Visual("matrix", "Migration since the previous month", source="migration", width=7,
               dimensions=("from_segment_name", "segment_name"), measures=("customers",),
               note="Rows: previous segment. Columns: current segment."),
        Visual("matrix", "Members by segment and tier", dimensions=("segment_name", "tier_name"),
               measures=("members",), width=5),
        Visual("scatter", "Recency and points by member",
            source="each_member", dimensions=("customer_key",),
               measures=("average_days_since_flight", "average_points", "average_flights"),
               series="segment_name", width=7, height="tall",
               note="One point per member; its size is the number of flights."),
        Visual("table", "Members newly at risk", source="newly_at_risk", width=5, height="tall",
               dimensions=("customer_key", "from_segment_name", "previous_status"),
               measures=("spend", "average_days_since_flight"), top=50),
    ),
)  # fmt: skip
