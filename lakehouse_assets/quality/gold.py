"""Checks of a gold table against its inputs: totals that it must keep, and rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from lakehouse_assets.catalog import gold
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Selection
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.text import counted

# A join that multiplies or loses rows changes the sums.
TOTALS_ARE_KEPT = Check(
    "totals_are_kept",
    "Its totals equal those of the tables that it is built from.",
    blocking=True,
)
# Stands for the number of rows, not for a column.
ROWS = "rows"


def rule_check(rule: gold.Check) -> Check:
    """Return the check of a gold table's rule."""
    return Check(rule.name, rule.description, rule.blocking)


def check_rule(rule: gold.Check, lake: Lake, broken: Mapping[date, DataFrame]) -> Finding:
    """Check a rule.

    Args:
        rule: The rule.
        lake: Where the table is stored.
        broken: A frame of the rows that break the rule, by partition. The total of the rule's
            `amount` is reported for the last partition only, since cumulative partitions share
            rows.
    """
    total = F.sum(rule.amount) if rule.amount else F.lit(None)
    counts = [
        frame.agg(F.count(F.lit(1)).alias("n"), total.cast("decimal(38,2)").alias("amount")).select(
            F.lit(str(day)).alias("day"), "n", "amount"
        )
        for day, frame in broken.items()
    ]
    # One query for all partitions, because the fixed cost of a query dominates.
    rows = {row["day"]: row for row in lake.engine.rows(lake.engine.union(counts))}
    found = {day: int(row["n"]) for day, row in rows.items()}
    number = sum(found.values())
    description = f"{counted(number, 'row')} {_breaks(number)} the rule."
    worth: dict[str, str] = {}
    if rule.amount and rows:
        last = max(rows)
        worth = {rule.amount: str(rows[last]["amount"] or 0)}
        description = (
            f"{counted(found[last], 'row')} of {last} {_breaks(found[last])} the rule: "
            f"{rule.amount} {worth[rule.amount]}."
        )
    return Finding(
        rule_check(rule),
        description,
        {day: n for day, n in found.items() if n},
        numbers={"failing_rows": number, **worth},
    )


def _breaks(rows: int) -> str:
    return "breaks" if rows == 1 else "break"


def check_totals(
    table: Table, lake: Lake, selection: Selection, wanted: Mapping[date, Sequence[DataFrame]]
) -> Finding:
    """Compare the sums of stored columns with the expected ones, month by month.

    Args:
        table: A monthly table.
        lake: Where it is stored.
        selection: The partitions just written.
        wanted: Expected sums: frames of one row each, by month, whose columns are named like the
            table's, or `rows` for the number of rows.
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
            f"{name} of {month:%B %Y} is {found[name] or 0}, but the inputs have {value}"
            for name, value in expected.items()
            if (found[name] or 0) != value
        ]
        if differing:
            wrong[month] = differing
    texts = [text for differing in wrong.values() for text in differing]
    return Finding(
        TOTALS_ARE_KEPT,
        "; ".join(texts) or "All totals equal those of the inputs.",
        {month: len(differing) for month, differing in wrong.items()},
        numbers={"differing_totals": len(texts), "months": len(wanted)},
    )


def _sum(table: Table, name: str) -> Col:
    if name == ROWS:
        return F.count(F.lit(1)).alias(name)
    # A sum may be wider than its column.
    kind = "decimal(38,4)" if table.column(name).decimal else "bigint"
    return F.sum(name).cast(kind).alias(name)
