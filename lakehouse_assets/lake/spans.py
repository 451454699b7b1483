"""Select the rows of its inputs from which a month or day of a gold table is built."""

from __future__ import annotations

from datetime import date, timedelta

from lakehouse_assets.catalog.gold import Read
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.clock import following
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.errors import SourceNotReadyError
from lakehouse_assets.lake.delta import Lake


def rows_of(read: Read, frame: DataFrame, month: date, lake: Lake) -> DataFrame:
    """Return the rows of an input table from which a month is built.

    Args:
        read: The input table and the span of its rows.
        frame: Rows of the table, in the version that is read.
        month: First day of the month.
        lake: The lake, whose logs give row counts.

    Raises:
        SourceNotReadyError: every row of the latest snapshot was rejected or quarantined.
    """
    partition = read.table.partition
    if partition is None:
        return frame
    column = F.col(partition.column)
    if read.span == "latest":
        return frame.filter(column == F.lit(_latest_snapshot(read.table, frame, month, lake)))
    if read.span == "before":
        found = _month_before(read.table, frame, month, lake)
        return frame.filter(F.lit(False) if found is None else column == F.lit(found))
    if partition.grain == "month":
        return frame.filter(
            column == F.lit(month) if read.span == "same" else column <= F.lit(month)
        )
    delivered = frame.filter(column < F.lit(following(month, "month")))
    return delivered.filter(column >= F.lit(month)) if read.span == "same" else delivered


def rows_of_days(read: Read, frame: DataFrame, day: date) -> DataFrame:
    """Return the rows of an input table from which a day is built: the day's or the last days'."""
    partition = read.table.partition
    if partition is None:
        return frame
    column = F.col(partition.column)
    first = day - timedelta(days=read.days - 1)
    return frame.filter((column >= F.lit(first)) & (column <= F.lit(day)))


def _latest_snapshot(table: Table, frame: DataFrame, month: date, lake: Lake) -> date:
    """Return the month of the latest snapshot delivered up to and including a month.

    A snapshot without any accepted row is not replaced by an earlier one.

    Raises:
        SourceNotReadyError: every row of that snapshot was rejected or quarantined.
    """
    stored = {found for found, rows in lake.rows_read(table, frame).items() if rows}
    # Read before the table's newest version, because a step writes its accepted rows first and
    # then the rejected or quarantined ones.
    with_lost = {
        found
        for name in _lost_tables(table)
        for found in _months_with_rows(lake, lake.registry.meant_by(table, name))
    }
    lost = with_lost - stored - _months_with_rows(lake, table)
    snapshot = max((m for m in stored | lost if m <= month), default=month)
    if snapshot in lost:
        raise SourceNotReadyError(
            f"Every row of the snapshot of {snapshot:%Y-%m} was rejected or quarantined, so "
            f"nothing is built from {table.name} for {month:%Y-%m}. See the reasons in "
            f"{', '.join(_lost_tables(table))}, correct the delivery, and run that month again."
        )
    return snapshot


def _lost_tables(silver: Table) -> tuple[str, str]:
    """Return the names of the tables with a silver table's quarantined and rejected rows."""
    return f"{silver.name}_quarantine", f"bronze_{silver.name.removeprefix('silver_')}_rejects"


def _months_with_rows(lake: Lake, table: Table) -> set[date]:
    return {month for month, rows in lake.rows_by_partition(table).items() if rows}


def _month_before(table: Table, frame: DataFrame, month: date, lake: Lake) -> date | None:
    """Return the latest earlier month with rows; None if there is none or `month` has no rows."""
    counts = lake.rows_read(table, frame)
    if not counts.get(month):
        return None
    return max((found for found, rows in counts.items() if rows and found < month), default=None)
