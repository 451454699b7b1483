"""Totals that a joined table must keep: a join that multiplies or loses rows shows in its sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Selection
from lakehouse_assets.quality.log import BY_PARTITION

TOTALS_ARE_KEPT = "totals_are_kept"
# Not a column but how many rows there must be.
ROWS = "rows"


def totals_check_spec(table: Table) -> Iterator[dg.AssetCheckSpec]:
    """Declare the check."""
    yield dg.AssetCheckSpec(
        TOTALS_ARE_KEPT,
        asset=table.asset_key,
        blocking=True,
        description="Its columns add up to what the tables it is built from add up to.",
    )


def totals_check_result(
    table: Table, lake: Lake, selection: Selection, wanted: Mapping[date, Sequence[DataFrame]]
) -> dg.AssetCheckResult:
    """Compare the sums of stored columns with what they must be, month by month.

    Args:
        table: A monthly table.
        lake: Where it is stored.
        selection: The partitions just written.
        wanted: By month frames of one row each, whose columns are named as the table's, or `rows`
            for how many there must be.
    """
    wrong: dict[date, list[str]] = {}
    for month, frames in wanted.items():
        expected = {
            name: value or 0
            for frame in frames
            for row in lake.engine.rows(frame)
            for name, value in row.items()
        }
        rows = lake.read(table, selection).filter(F.col("as_of_month") == F.lit(month))
        (found,) = lake.engine.rows(rows.agg(*[_sum(table, name) for name in expected]))
        differing = [
            f"{name} of {month:%B %Y} is {found[name] or 0} where the inputs have {value}"
            for name, value in expected.items()
            if (found[name] or 0) != value
        ]
        if differing:
            wrong[month] = differing
    told = [text for differing in wrong.values() for text in differing]
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=TOTALS_ARE_KEPT,
        passed=not told,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(told) or "Every total is that of the inputs.",
        metadata={
            "differing_totals": len(told),
            "months": len(wanted),
            BY_PARTITION: {str(month): {"failing": len(texts)} for month, texts in wrong.items()},
        },
    )


def _sum(table: Table, name: str) -> Col:
    if name == ROWS:
        return F.count(F.lit(1)).alias(name)
    # A sum may be wider than its column.
    kind = "decimal(38,4)" if table.column(name).decimal else "bigint"
    return F.sum(name).cast(kind).alias(name)
