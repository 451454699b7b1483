"""Types, columns and helpers shared by the gold tables of the retail domain."""

from __future__ import annotations

from typing import Any

from lakehouse_assets.catalog.registry import Column, Reference, Table, monthly_table
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER

# Wide enough for the sum of any number of amounts, exact or rounded to cents, and of counts.
FINE_TOTAL = "decimal(38,4)"
TOTAL = "decimal(38,2)"
COUNT_TOTAL = "decimal(38,0)"
COUNTRY_CODE = Column("country_code", "string", "Country, ISO alpha-2 code, or Unknown.", False)
COUNTRIES = Reference(("country_code",), "dim_countries", ("country_code",))


def gold(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    *,
    lab: str | None = None,
    **declared: Any,
) -> Table:
    """Declare a monthly table of the retail domain, see `monthly_table`.

    `lab` is its name in the reference lab.
    """
    aliases = (lab,) if lab else ()
    return monthly_table(
        DOMAIN, name, description, columns, keys, OWNER, aliases=aliases, **declared
    )
