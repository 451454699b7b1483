"""Types, columns and helpers shared by the gold tables of the retail domain."""

from __future__ import annotations

from functools import partial
from typing import Any

from lakehouse_assets.catalog.registry import Column, Reference, Table, monthly_table
from lakehouse_assets.catalog.streams import EVENT_DATE
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER

# Wide enough for the sum of any number of amounts, exact or rounded to cents, and of counts.
FINE_TOTAL = "decimal(38,4)"
TOTAL = "decimal(38,2)"
COUNT_TOTAL = "decimal(38,0)"
COUNTRY_CODE = Column("country_code", "string", "Country, ISO alpha-2 code, or Unknown.", False)
COUNTRIES = Reference(("country_code",), "dim_countries", ("country_code",))
STORES = Reference(("store_id",), "dim_stores", ("store_id",))


gold = partial(monthly_table, DOMAIN, owner=OWNER)
"""Declares a monthly table of the domain; its name in the reference lab is an alias."""


def daily(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    *,
    day: str = "Day (UTC).",
    **declared: Any,
) -> Table:
    """Declare a daily table of the retail domain, with `event_date` as its first column.

    `day` describes that column.
    """
    event_date = Column("event_date", "date", day, False)
    return Table(
        DOMAIN, name, "gold", description, (event_date, *columns), keys, OWNER,
        partition=EVENT_DATE, **declared,
    )  # fmt: skip


def view(
    name: str, description: str, columns: tuple[Column, ...], keys: tuple[str, ...], **declared: Any
) -> Table:
    """Declare a view of the retail domain."""
    return Table(DOMAIN, name, "gold", description, columns, keys, OWNER, kind="view", **declared)
