"""`lakehouse restore`: makes an earlier version of a table the current one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column
from rich.table import Table as Grid

from lakehouse_assets.cli.opening import load_settings, open_lake
from lakehouse_assets.cli.terminal import Yes, console, say

_MOST = 20


def restore(
    name: Annotated[str, typer.Argument(help="Table to restore.")],
    version: Annotated[
        int, typer.Option(min=0, help="Version to restore, as `describe history` lists it.")
    ],
    yes: Yes = False,
) -> None:
    """Make an earlier version of a table the current one.

    Shows the row counts of the partitions that change, and asks before it writes. The versions in
    between stay in the history. Only computed tables can be restored, and the next run of the
    table's own step computes it again. Dagster records the change, so that automation rebuilds the
    downstream tables.
    """
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.lake.restore import plan_restoration
    from lakehouse_assets.lake.restore import restore as restore_version
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.orchestration.restored import report_restored

    settings = load_settings()
    lake, table = open_lake(settings), REGISTRY[name]
    planned = plan_restoration(lake, table, version)
    if not planned.rows:
        console.print(f"{table.full_name} already has the rows of version {version}.")
        return
    counts = (Column(name, justify="right") for name in ("rows now", f"in version {version}"))
    grid = Grid("partition" if table.partition else "", *counts, header_style="bold")
    for part, (now, then) in sorted(planned.rows.items(), key=str)[:_MOST]:
        grid.add_row("all" if part is None else str(part), f"{now:,}", f"{then:,}")
    console.print(grid)
    if len(planned.rows) > _MOST:
        console.print(f"... and {len(planned.rows) - _MOST} more partitions.")
    origin = planned.written and planned.written.commit
    if planned.written and origin:
        console.print(
            f"Version {version} was written on {planned.written.written_at:%Y-%m-%d %H:%M} UTC by "
            f"run {origin.run_id}."
        )
    question = f"Restore {table.full_name} from version {planned.newest} to version {version}?"
    if not yes and not typer.confirm(question):
        raise typer.Exit(1)
    made = restore_version(lake, planned)
    with dagster_instance(settings) as instance:
        report_restored(instance, lake, planned, made)
    say(
        f"Restored {table.full_name} to version {version}, as version {made}. Automation rebuilds "
        "the downstream tables; without it, materialise them in Dagster.",
    )
