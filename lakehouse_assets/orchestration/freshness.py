"""How old a table may be, by the grain of its partitions: day or month."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table

if TYPE_CHECKING:
    import dagster as dg

# Deliveries come once a day or month, at no fixed hour. A delivery that is a day late is a warning;
# a gap over a weekend and holidays is not a failure, but a gap of more than a week is.
_DAILY = (timedelta(hours=28), timedelta(days=8))
_MONTHLY = (timedelta(days=33), timedelta(days=63))


def windows_of(table: Table) -> tuple[timedelta, timedelta] | None:
    """Return the ages at which a table is due and is late; None if it never ages."""
    if table.partition is None:
        return None
    return _DAILY if table.partition.grain == "day" else _MONTHLY


def policy_of(table: Table) -> dg.FreshnessPolicy | None:
    """Return a table's freshness policy; None if it never ages."""
    # Imported here because `lakehouse status` needs only the ages.
    import dagster as dg

    windows = windows_of(table)
    if windows is None:
        return None
    warn, fail = windows
    return dg.FreshnessPolicy.time_window(warn_window=warn, fail_window=fail)
