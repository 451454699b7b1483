"""The assets that follow members from month to month."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.transforms.movements import newly_at_risk, segment_migration
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.table_assets import BuildContext, monthly_asset, of_month

SOURCE = t.GOLD_CUSTOMER_SEGMENTS_ML


def movement_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the assets of segments over time."""
    return [
        _compared(t.GOLD_SEGMENT_MIGRATION, segment_migration, calendar),
        _compared(t.GOLD_NEWLY_AT_RISK, newly_at_risk, calendar),
    ]


def _compared(
    table: Table,
    rule: Callable[[DataFrame, DataFrame, date], DataFrame],
    calendar: Calendar,
) -> dg.AssetsDefinition:
    """Make a table out of each month and the month before it that has members."""

    def build(ctx: BuildContext, frames: Mapping[str, DataFrame]) -> DataFrame:
        segments = frames[SOURCE.name]
        return rule(_month_before(segments, ctx), of_month(segments, ctx), ctx.month)

    return monthly_asset(
        table,
        build,
        calendar.monthly,
        {SOURCE: calendar.so_far},
        # A month's own segments begin it; the earlier ones alone do not.
        begun_by=[t.GOLD_SEGMENT_SUMMARY],
    )


def _month_before(segments: DataFrame, ctx: BuildContext) -> DataFrame:
    """Return the rows of the latest earlier month that has any; which one, the log says."""
    counts = ctx.lake.rows_read(SOURCE, segments)
    earlier = [month for month, rows in counts.items() if rows and month < ctx.month]
    wanted = max(earlier, default=None)
    # Nobody leaves in a month of which no members were delivered.
    if wanted is None or not counts.get(ctx.month):
        return segments.filter(F.lit(False))
    return segments.filter(F.col("as_of_month") == F.lit(wanted))
