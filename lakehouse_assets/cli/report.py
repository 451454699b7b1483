"""Prints the report after a run: the tables, summaries of the domains, and failed checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from rich.table import Column
from rich.table import Table as Grid

from lakehouse_assets.catalog.datasets import Dataset, quarantine_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.cli.terminal import console
from lakehouse_assets.domains import DOMAINS
from lakehouse_assets.engine import F
from lakehouse_assets.errors import DamagedTableError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakehouse_assets.catalog.gold import Summary
    from lakehouse_assets.orchestration.run import FailedCheck


def _titled(title: str, *columns: Column | str) -> Grid:
    return Grid(*columns, title=title, title_justify="left", header_style="bold")


def print_lake(lake: Lake, seconds: Mapping[str, float]) -> None:
    """Print every table: rows, rejected or quarantined rows, Delta version, seconds in this run."""
    numbers = (Column(name, justify="right") for name in ("rows", "quarantined", "version", "time"))
    grid = _titled("The lake", "table", *numbers)
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
        lost_rows = _table_of_lost_rows(lake, table)
        lost = None
        if lost_rows is not None and lost_rows in rows:
            lost = _lost(lake, table, lost_rows, rows[lost_rows])
        spent = seconds.get(table.step)
        grid.add_row(
            table.full_name,
            f"{rows[table]:,}",
            "" if lost is None else f"{lost:,}",
            str(found.version()),
            "" if spent is None else f"{spent:.2f} s",
        )
    console.print(grid)


def count_quarantined(lake: Lake, dataset: Dataset, days: Collection[date]) -> int:
    """Count the quarantined rows of some delivery days or partitions, without duplicates."""
    chosen = F.col("delivered_on").isin([*days]) | F.col(dataset.partition.column).isin([*days])
    frame = lake.read(quarantine_table(dataset)).filter(
        chosen & (F.col("disposition") == F.lit("quarantined"))
    )
    return int(lake.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])


def _table_of_lost_rows(lake: Lake, table: Table) -> Table | None:
    """Return a bronze table's rejects table or a silver table's quarantine; None for others."""
    if table.name.endswith(("_rejects", "_quarantine")) or table.layer not in {"bronze", "silver"}:
        return None
    suffix = "_rejects" if table.layer == "bronze" else "_quarantine"
    return lake.registry.meant_by(table, f"{table.name}{suffix}")


def _lost(lake: Lake, table: Table, lost_rows: Table, rows: int) -> int:
    """Count rejected or quarantined rows, without the duplicates that the quarantine also holds."""
    if table.layer == "bronze" or not rows:
        return rows
    frame = lake.read(lost_rows).filter(F.col("disposition") == F.lit("quarantined"))
    return int(lake.engine.rows(frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])


def print_summaries(lake: Lake) -> None:
    """Print the latest month of each table that declares a summary."""
    for gold in (gold for domain in DOMAINS for gold in domain.gold):
        partition = gold.table.partition
        if gold.summary is None or partition is None:
            continue
        try:
            counts = lake.rows_by_partition(gold.table)
        except DamagedTableError:
            continue
        month = max((month for month, rows in counts.items() if rows), default=None)
        if month is not None:
            latest = lake.read(gold.table).filter(F.col(partition.column) == F.lit(month))
            _print_summary(gold.summary, month, lake.engine.rows(latest))


def _print_summary(summary: Summary, month: date, rows: list[dict[str, Any]]) -> None:
    rows.sort(key=lambda row: (row[summary.sorted_by] is None, row[summary.sorted_by]))
    grid = _titled(f"{summary.title}, end of {month:%B %Y}")
    total = sum(row[summary.share_of] for row in rows)
    columns = []
    for heading, (column, form) in summary.columns.items():
        grid.add_column(heading, justify="right" if form else "left", no_wrap=True)
        columns.append(["-" if row[column] is None else format(row[column], form) for row in rows])
        if column == summary.share_of:
            grid.add_column("share", justify="right", no_wrap=True)
            columns.append([f"{row[column] / total:.1%}" for row in rows])
    for cells in zip(*columns, strict=True):
        grid.add_row(*cells)
    console.print(grid)
    name, text = summary.rule
    for row in rows:
        console.print(f"{row[name]}: {row[text]}", highlight=False)


def print_warnings(warnings: Sequence[FailedCheck]) -> None:
    """Print the warnings of checks, one line per check."""
    found: dict[tuple[str, str], list[FailedCheck]] = {}
    for warning in warnings:
        found.setdefault((warning.table, warning.check), []).append(warning)
    if not found:
        return
    names = (Column(name, no_wrap=True) for name in ("table", "check"))
    grid = _titled("What the checks found", *names, Column("runs", justify="right"), "latest")
    for (table, check), cases in found.items():
        grid.add_row(table, check, str(len(cases)), cases[-1].description)
    console.print(grid)
