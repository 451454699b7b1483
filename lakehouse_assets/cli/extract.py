"""`lakehouse extract`: copies database tables into the landing zone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.text import Text

from lakehouse_assets import clock
from lakehouse_assets.cli.opening import load_settings
from lakehouse_assets.cli.terminal import Terminal
from lakehouse_assets.text import counted

if TYPE_CHECKING:
    from pydantic import SecretStr

    from lakehouse_assets.catalog.sources import SourceTable
    from lakehouse_assets.sources.lookup import LookUp

console = Terminal(highlight=False, soft_wrap=True)
# Relative to the project's folder.
EMBEDDED = Path(".lakehouse") / "sources" / "demo.db"


def extract(
    dataset: Annotated[str, typer.Argument(help="Dataset to copy, as <domain>/<dataset>.")],
    full: Annotated[
        bool, typer.Option("--full", help="Copy every row, not only new and changed ones.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Copy from this cursor value on, such as 2021-09-06.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be copied without copying it.")
    ] = False,
    accept_types: Annotated[
        bool, typer.Option("--accept-types", help="Copy even if a column's type has changed.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Copy from the built-in sample database (SQLite).")
    ] = False,
    chunk: Annotated[int, typer.Option(min=1, help="Maximum rows per file.")] = 1_000_000,
) -> None:
    """Copy a database table into the landing zone, as a delivery of today.

    Checks first that the source answers, counts the rows to copy and reports schema changes. The
    same command resumes an interrupted copy. LAKEHOUSE_SOURCE_<NAME> holds the address of the
    database; docs/how-to/databases.md has an example for each kind.
    """
    from lakehouse_assets.catalog.sources import source_of
    from lakehouse_assets.domains import SOURCES
    from lakehouse_assets.ingest.landing import LandingZone
    from lakehouse_assets.sources.connection import Source
    from lakehouse_assets.sources.extraction import CopyRequest, ask
    from lakehouse_assets.sources.extraction import extract as copy

    declared = source_of(SOURCES, dataset)
    settings = load_settings()
    zone = LandingZone(settings.landing, settings.zone_identity)
    source = Source.named(declared.source, _embedded() if demo else None)
    wanted = CopyRequest(full, since, accept_types, chunk)
    now = clock.now()
    if dry_run:
        found = ask(zone, source, declared, wanted, now.date())
        _print_found(declared, found)
        return
    shown = (SpinnerColumn(), TextColumn("{task.description}", markup=False), _Rows(), Elapsed())
    with Progress(*shown, console=console, transient=True) as progress:
        bar = progress.add_task(f"copying {dataset}", total=None)

        def looked_up(found: LookUp) -> None:
            progress.update(bar, total=found.waiting)
            _print_found(declared, found)

        def copied_rows(rows: int) -> None:
            progress.advance(bar, rows)

        copied = copy(zone, source, declared, wanted, now, copied_rows, looked_up)
    for finding in copied.findings:
        console.print(f"Note: {finding}", style="yellow")
    if not copied.rows:
        console.print(f"{dataset} has no new rows, so nothing was delivered.")
        return
    again = " It resumed an interrupted copy." if copied.resumed else ""
    console.print(
        f"Copied {counted(copied.rows, 'row')} to {counted(copied.files, 'file')} in "
        f"{settings.landing}/{dataset}/{copied.day}.{again} Next: load them with `lakehouse run`, "
        "unless the sensors do."
    )


def _embedded() -> SecretStr:
    from lakehouse_assets.domains import SOURCES
    from lakehouse_assets.project import project_folder
    from lakehouse_assets.sample import write_source_data
    from lakehouse_assets.sources.embedded import embedded

    return embedded(project_folder() / EMBEDDED, SOURCES, write_source_data)


def _print_found(declared: SourceTable, found: LookUp) -> None:
    what = "full copy" if found.window.low is None else f"changes since {found.window.low}"
    console.print(
        f"{found.database} answers: {counted(found.waiting, 'row')} of {declared.full_name} to "
        f"copy ({what})."
    )
    for finding in found.findings:
        console.print(f"Note: {finding}", style="yellow")


class _Rows(ProgressColumn):
    """Shows the rows copied so far, the total, and the rows per second."""

    def render(self, task: Task) -> Text:
        """Format the numbers of a task."""
        of = f" of {task.total:,.0f}" if task.total is not None else ""
        speed = f", {task.speed:,.0f} rows/s" if task.speed else ""
        return Text(f"{task.completed:,.0f}{of} rows{speed}")
