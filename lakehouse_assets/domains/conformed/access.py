"""Roles that every domain knows, and what they read of what domains share."""

from lakehouse_assets.catalog.access import Grant, Role

ROLES = (
    Role("analyst", "Studies figures without knowing whom they are about.", (Grant(("dim_*",)),)),
    Role("marketing", "Plans campaigns.", (Grant(("dim_*",)),)),
    Role(
        "steward",
        "Answers for the data and its quality.",
        (Grant(("*", "quality.*"), shows=("identifier",)),),
    ),
)
