"""What each role may read of the airline's tables."""

from lakehouse_assets.catalog.access import NULL, Grant, Role, RowFilter

ROLES = (
    Role(
        "analyst",
        "Sees members by hashed key, and ages as decades.",
        (Grant(("*",), layers=("gold", "segments")),),
    ),
    Role(
        "marketing",
        "Sees members by hashed key, without their city.",
        (
            Grant(
                ("dim_customers", "gold_*", "customer_segments_ml"),
                shows=("demographic",),
                masks={"city": NULL},
            ),
        ),
    ),
    Role(
        "manager_beijing",
        "Looks after the members in and around Beijing.",
        (
            Grant(
                ("dim_geography", "dim_customers", "kpi_customer_value",
                 "gold_customer_segments_ml"),
                rows=RowFilter("province", ("beijing", "tianjin", "hebei")),
                shows=("identifier", "demographic", "location"),
            ),
            Grant(("conformed.*", "gold_segment_*")),
        ),
    ),
    Role(
        "steward",
        "Reads every table of the airline as it is stored.",
        (Grant(("*",), shows=("identifier", "contact", "demographic", "location")),),
    ),
)  # fmt: skip
