"""Helpers shared by the declarations of the airline's gold tables."""

from __future__ import annotations

from typing import Any

from lakehouse_assets.catalog.registry import Column, Table, monthly_table
from lakehouse_assets.domains.airline.shared import DOMAIN, OWNER


def gold(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    **declared: Any,
) -> Table:
    """Declare a monthly table of the airline domain, see `monthly_table`."""
    return monthly_table(DOMAIN, name, description, columns, keys, OWNER, **declared)
