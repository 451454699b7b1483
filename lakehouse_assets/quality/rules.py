"""Blocking rules of a stored table that compare it with the tables it is built from.

Belongs here: what comes of the rows that break such a rule. Not here: what a declaration says by
itself (`declared.py`), sums (`totals.py`), and the rules of a domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import dagster as dg

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.registry import Table
from lakehouse_assets.quality.log import BY_PARTITION


def rule_check_spec(table: Table, name: str, description: str) -> dg.AssetCheckSpec:
    """Declare the check of a rule."""
    return dg.AssetCheckSpec(name, asset=table.asset_key, blocking=True, description=description)


def rule_check_result(
    table: Table, lake: Lake, name: str, broken: Mapping[date, DataFrame]
) -> dg.AssetCheckResult:
    """Judge a rule.

    Args:
        table: The table that was written.
        lake: Where it is stored.
        name: Name of the check.
        broken: By partition a frame of the rows that break the rule.
    """
    counts = [
        frame.agg(F.count(F.lit(1)).alias("n")).select(F.lit(str(day)).alias("day"), "n")
        for day, frame in broken.items()
    ]
    # Asked at once: a question costs more than its answer.
    found = {row["day"]: int(row["n"]) for row in lake.engine.rows(lake.engine.union(counts))}
    number = sum(found.values())
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=name,
        passed=number == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{number:,} rows break the rule.",
        metadata={
            "failing_rows": number,
            BY_PARTITION: {day: {"failing": n} for day, n in found.items() if n},
        },
    )
