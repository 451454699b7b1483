"""How old a table may be, by what its partitions are: days or months."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table

if TYPE_CHECKING:
    import dagster as dg

# Deliveries come once a day or month, at no exact hour. A day late is a warning; no delivery of
# events for a weekend and holidays is no failure, and none for a week is one.
_DAILY = (timedelta(hours=28), timedelta(days=8))
_MONTHLY = (timedelta(days=33), timedelta(days=63))


def windows_of(table: Table) -> tuple[timedelta, timedelta] | None:
    """Return the ages from which a table is due and is late; None for what never ages."""
    if table.partition is None:
        return None
    return _DAILY if table.partition.grain == "day" else _MONTHLY


def policy_of(table: Table) -> dg.FreshnessPolicy | None:
    """Return a table's freshness policy; None for what never ages."""
    # `lakehouse status` asks for the ages only.
    import dagster as dg

    windows = windows_of(table)
    if windows is None:
        return None
    warn, fail = windows
    return dg.FreshnessPolicy.time_window(warn_window=warn, fail_window=fail)
