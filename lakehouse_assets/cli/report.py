"""Prints the report after a run: the lake as a table, the segments, and failed checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as Grid

from lakehouse_assets.catalog.datasets import Dataset, quarantine_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline.gold.segments import GOLD_SEGMENT_SUMMARY
from lakehouse_assets.engine import F
from lakehouse_assets.errors import DamagedTableError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.settings import Settings

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakehouse_assets.orchestration.run import FailedCheck


def open_lake(settings: Settings) -> Lake:
    """Open the lake of the settings outside Dagster."""
    from lakehouse_assets.orchestration.lake_resource import LakeResource

    return LakeResource.of(settings).open()


def no_lake(settings: Settings) -> str:
    """Return the message for a lake that has no table yet."""
    return (
        f"There is no lake at {settings.root}; run `lakehouse run` to make one, or name another "
        "place in LAKEHOUSE_ROOT."
    )


def print_lake(console: Console, lake: Lake, seconds: Mapping[str, float]) -> None:
    """Print every table: rows, rejected or quarantined rows, Delta version, seconds in this run."""
    grid = Grid(title="The lake", title_justify="left", header_style="bold")
    grid.add_column("table")
    for name in ("rows", "quarantined", "version", "time"):
        grid.add_column(name, justify="right")
    tables = list(lake.registry)

    def opened(table: Table) -> DeltaTable | str | None:
        try:
            return lake.open(table)
        except DamagedTableError:
            return "damaged"

    versions = log.of_each(opened, tables)
    rows = {
        table: sum(lake.rows_by_partition(table, found).values())
        for table, found in zip(tables, versions, strict=True)
        if found is not None and not isinstance(found, str)
    }
    layer = None
    for table, found in zip(tables, versions, strict=True):
        if found is None:
            continue
        if layer not in {None, table.layer}:
            grid.add_section()
        layer = table.layer
        if isinstance(found, str):
            grid.add_row(table.full_name, "", "", found, "")
            continue
        aside = _aside(lake, table)
        lost = None
        if aside is not None and aside in rows:
            lost = _lost(lake, table, aside, rows[aside])
        spent = seconds.get(table.step)
        grid.add_row(
            table.full_name,
            f"{rows[table]:,}",
            "" if lost is None else f"{lost:,}",
            str(found.version()),
            "" if spent is None else f"{spent:.2f} s",
        )
    console.print(grid)


def rows_aside(lake: Lake, dataset: Dataset, days: Collection[date]) -> int:
    """Count the quarantined rows of some delivery days or partitions, without duplicates."""
    chosen = F.col("delivered_on").isin([*days]) | F.col(dataset.partition.column).isin([*days])
    frame = lake.read(quarantine_table(dataset)).filter(
        chosen & (F.col("disposition") == F.lit("quarantined"))
    )
    return int(lake.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])


def _aside(lake: Lake, table: Table) -> Table | None:
    """Return a bronze table's rejects table or a silver table's quarantine; None for others."""
    if table.name.endswith(("_rejects", "_quarantine")) or table.layer not in {"bronze", "silver"}:
        return None
    suffix = "_rejects" if table.layer == "bronze" else "_quarantine"
    return lake.registry.meant_by(table, f"{table.name}{suffix}")


def _lost(lake: Lake, table: Table, aside: Table, rows: int) -> int:
    """Count rejected or quarantined rows, without the duplicates that the quarantine also holds."""
    if table.layer == "bronze" or not rows:
        return rows
    frame = lake.read(aside).filter(F.col("disposition") == F.lit("quarantined"))
    return int(lake.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])


def print_segments(console: Console, lake: Lake) -> None:
    """Print the latest month's segments with their profile."""
    try:
        counts = lake.rows_by_partition(GOLD_SEGMENT_SUMMARY)
    except DamagedTableError:
        return
    month = max((month for month, rows in counts.items() if rows), default=None)
    if month is None:
        console.print("No segments yet: a month needs members with all features.")
        return
    rows = lake.engine.rows(
        lake.read(GOLD_SEGMENT_SUMMARY).filter(F.col("as_of_month") == F.lit(month))
    )
    rows.sort(key=lambda row: (row["segment"] is None, row["segment"]))
    everyone = sum(row["customer_count"] for row in rows)
    grid = Grid(
        title=f"Customer segments, end of {month:%B %Y}", title_justify="left", header_style="bold"
    )
    grid.add_column("segment")
    grid.columns[0].no_wrap = True
    for name in ("members", "share", "age", "flights", "km", "days", "spent", "R", "F", "M"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(
            row["segment_name"],
            f"{row['customer_count']:,}",
            f"{row['customer_count'] / everyone:.1%}",
            _number(row["avg_age"], 1),
            _number(row["avg_flights"], 1),
            _number(row["avg_km"], 0),
            _number(row["avg_days_since_flight"], 0),
            _number(row["avg_spent"], 0),
            *(_number(row[f"avg_{score}"], 1) for score in ("recency", "frequency", "monetary")),
        )
    console.print(grid)
    for row in rows:
        console.print(f"{row['segment_name']}: {row['segment_rule']}", highlight=False)


def print_warnings(console: Console, warnings: Sequence[FailedCheck]) -> None:
    """Print what checks found without stopping anything, one line per check."""
    found: dict[tuple[str, str], list[FailedCheck]] = {}
    for warning in warnings:
        found.setdefault((warning.table, warning.check), []).append(warning)
    if not found:
        return
    grid = Grid(title="What the checks found", title_justify="left", header_style="bold")
    grid.add_column("table", no_wrap=True)
    grid.add_column("check", no_wrap=True)
    grid.add_column("runs", justify="right")
    grid.add_column("latest")
    for (table, check), cases in found.items():
        grid.add_row(table, check, str(len(cases)), cases[-1].description)
    console.print(grid)


def _number(value: Any, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
