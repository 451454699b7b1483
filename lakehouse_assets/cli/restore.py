"""`lakehouse restore`: an earlier version of a table becomes the newest one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table as Grid

from lakehouse_assets.cli.terminal import console

_MOST = 20


def restore(
    name: Annotated[str, typer.Argument(help="The table.")],
    version: Annotated[int, typer.Option(min=0, help="The version, as in `describe history`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make an earlier version of a table the newest one again.

    Shows which partitions change, with their rows before and after, and asks. Nothing is lost: the
    versions since stay in the history. Only for tables that are computed from others; the next run
    of the table's own step computes it anew. Dagster hears of the change, so that what is computed
    from the table follows.
    """
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.lake.restore import plan_restoration
    from lakehouse_assets.lake.restore import restore as restore_version
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.orchestration.restored import report_restored
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    lake, table = open_lake(settings), REGISTRY[name]
    planned = plan_restoration(lake, table, version)
    if not planned.rows:
        console.print(f"Version {planned.newest} of {table.full_name} has the same rows already.")
        return
    grid = Grid("partition" if table.partition else "", header_style="bold")
    grid.add_column("rows now", justify="right")
    grid.add_column(f"in version {version}", justify="right")
    for part, (now, then) in sorted(planned.rows.items(), key=str)[:_MOST]:
        grid.add_row("all" if part is None else str(part), f"{now:,}", f"{then:,}")
    console.print(grid)
    if len(planned.rows) > _MOST:
        console.print(f"and {len(planned.rows) - _MOST} more partitions.")
    origin = planned.written and planned.written.commit
    if planned.written and origin:
        console.print(
            f"Version {version} was written on {planned.written.written_at:%Y-%m-%d %H:%M} UTC by "
            f"run {origin.run_id}."
        )
    question = f"Restore version {version} of {table.full_name} over {planned.newest}?"
    if not yes and not typer.confirm(question):
        raise typer.Exit(1)
    made = restore_version(lake, planned)
    with dagster_instance(settings) as instance:
        report_restored(instance, lake, planned, made)
    console.print(
        f"{table.full_name} has the rows of version {version} again, as version {made}. Dagster "
        "knows; what is computed from the table follows as its conditions say, or with a "
        "materialisation of its downstream assets.",
        soft_wrap=True,
    )
