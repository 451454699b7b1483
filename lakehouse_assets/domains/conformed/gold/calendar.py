"""The calendar."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.expectations import CALENDAR
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.domains.conformed.tables import DIM_DATE
from lakehouse_assets.domains.conformed.transforms.dates import dim_date

if TYPE_CHECKING:
    import pyarrow as pa


def calendar_days() -> pa.Table:
    """Return every day of the calendar as `date`."""
    import pyarrow as pa

    first, last = CALENDAR
    days = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    return pa.table({"date": pa.array(days, pa.date32())})


GOLD = (GoldTable(DIM_DATE, dim_date, {"days": calendar_days}),)
