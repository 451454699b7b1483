"""Roles that every domain has, and what they may read of the shared tables."""

from lakehouse_assets.catalog.access import Grant, Role

ROLES = (
    Role("analyst", "Analyses data without seeing whom it is about.", (Grant(("dim_*",)),)),
    Role("marketing", "Plans campaigns and contacts customers.", (Grant(("dim_*",)),)),
    Role(
        "steward",
        "Is responsible for the data and its quality.",
        (Grant(("*", "quality.*"), shows=("identifier",)),),
    ),
)
