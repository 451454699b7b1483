"""Helpers shared by the declarations of the airline's gold tables."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import (
    Column,
    Kind,
    Layer,
    Measure,
    Reference,
    Table,
    monthly_table,
)
from lakehouse_assets.domains.airline.shared import DOMAIN, OWNER


def gold(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    *,
    kind: Kind,
    references: tuple[Reference, ...] = (),
    layer: Layer = "gold",
    watched: tuple[str, ...] = (),
    latest_with: str | None = None,
    measures: tuple[Measure, ...] = (),
) -> Table:
    """Declare a monthly table of the airline domain; see `monthly_table`."""
    return monthly_table(
        DOMAIN, name, description, columns, keys, OWNER,
        kind=kind, references=references, layer=layer, watched=watched, latest_with=latest_with,
        measures=measures,
    )  # fmt: skip


def dates(column: str) -> Reference:
    """Return a reference to `dim_date`."""
    return Reference((column,), "dim_date", ("date",))
