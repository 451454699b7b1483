"""Rules of a stored table that compare it with the tables it is built from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.quality.log import BY_PARTITION


def rule_check_spec(
    table: Table, name: str, description: str, *, blocking: bool = True
) -> dg.AssetCheckSpec:
    """Declare the check of a rule."""
    return dg.AssetCheckSpec(
        name, asset=table.asset_key, blocking=blocking, description=description
    )


def rule_check_result(
    table: Table,
    lake: Lake,
    name: str,
    broken: Mapping[date, DataFrame],
    *,
    amount: str | None = None,
    blocking: bool = True,
) -> dg.AssetCheckResult:
    """Judge a rule.

    Args:
        table: The table that was written.
        lake: Where it is stored.
        name: Name of the check.
        broken: By partition a frame of the rows that break the rule.
        amount: A decimal column of theirs whose total is reported; of several partitions that of
            the last, since partitions of what is so far share rows.
        blocking: Whether such rows are an error, not a warning.
    """
    total = F.sum(amount) if amount else F.lit(None)
    counts = [
        frame.agg(F.count(F.lit(1)).alias("n"), total.cast("decimal(38,2)").alias("amount")).select(
            F.lit(str(day)).alias("day"), "n", "amount"
        )
        for day, frame in broken.items()
    ]
    # Asked at once: a question costs more than its answer.
    rows = {row["day"]: row for row in lake.engine.rows(lake.engine.union(counts))}
    found = {day: int(row["n"]) for day, row in rows.items()}
    number = sum(found.values())
    description = f"{number:,} rows break the rule."
    worth: dict[str, str] = {}
    if amount and rows:
        last = max(rows)
        worth = {amount: str(rows[last]["amount"] or 0)}
        description = f"{found[last]:,} rows of {last} break the rule: {amount} {worth[amount]}."
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=name,
        passed=number == 0,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "failing_rows": number,
            **worth,
            BY_PARTITION: {day: {"failing": n} for day, n in found.items() if n},
        },
    )
