"""`lakehouse run`, `backfill`, `replay` and `land`: the commands that fill the lake."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lakehouse_assets.cli.opening import load_settings, open_lake
from lakehouse_assets.cli.terminal import console, errors, say
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.text import counted

if TYPE_CHECKING:
    from lakehouse_assets.orchestration.planning import PlannedRun
    from lakehouse_assets.orchestration.run import RunSummary
    from lakehouse_assets.settings import Settings


def run() -> None:
    """Load every delivery in the landing zone, build all tables and print a summary.

    Reads LAKEHOUSE_LANDING (default: ./data), writes to LAKEHOUSE_ROOT (default: ./.lakehouse/lake)
    and tracks models in LAKEHOUSE_MLFLOW_URI. Running it again gives the same tables.
    """
    started = time.monotonic()
    from lakehouse_assets.cli.report import print_lake, print_summaries, print_warnings
    from lakehouse_assets.orchestration.planning import plan
    from lakehouse_assets.orchestration.resources import LakeResource

    settings = load_settings()
    LakeResource.of(settings).check_reads_files()
    planned = plan(settings)
    summary = watched(settings, planned.runs, "lakehouse run")
    summary.errors += planned.refused
    lake = open_lake(settings)
    try:
        print_lake(lake, summary.seconds)
        print_summaries(lake)
    except LakehouseError as error:
        # A table that cannot be shown must not hide earlier errors.
        summary.errors.append(str(error))
    print_warnings(summary.warnings)
    for line in summary.errors:
        errors.print(f"Error: {line}", style="red")
    say(
        f"{summary.runs} runs in {time.monotonic() - started:.1f} s. Next: "
        "`make pages` opens the pages, `make ui` the Dagster UI, `make mlflow` shows the models, "
        "`lakehouse sql` queries the lake.",
    )
    if summary.errors:
        raise typer.Exit(1)


def watched(
    settings: Settings,
    runs: list[PlannedRun],
    command: str,
    note: Callable[[PlannedRun], None] = lambda _run: None,
) -> RunSummary:
    """Execute runs with a progress bar that shows the runs and the time left."""
    from lakehouse_assets.orchestration.run import execute

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("starting", total=len(runs))
        count = 0

        def on_start(planned: PlannedRun) -> None:
            nonlocal count
            # Days that a late delivery put out of date add runs that were not planned.
            total = max(len(runs), count + 1)
            progress.update(bar, total=total, description=planned.label)
            count += 1
            if not console.is_terminal:
                console.print(f"· {planned.label}")

        def on_step(step: str) -> None:
            progress.update(bar, description=step.replace("__", "."))

        def on_done(planned: PlannedRun) -> None:
            progress.advance(bar)
            note(planned)

        summary = execute(settings, runs, on_start, on_step, on_done, command=command)
        if not summary.errors:
            progress.update(bar, completed=count, total=count, description="done")
    return summary


def backfill(
    domain: Annotated[str, typer.Argument(help="Domain to build.")],
    months: Annotated[
        str, typer.Argument(help="Month or range of months, as 2024-01 or 2024-01..2024-12.")
    ],
    chunk: Annotated[
        int, typer.Option(min=1, help="Months in one run; fewer months need less memory.")
    ] = 3,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of resuming.")
    ] = False,
) -> None:
    """Build a range of months in chunks; the same command resumes after an interruption.

    The tables are the same as if each partition had been run on its own, oldest first.
    """
    from lakehouse_assets.cli.report import print_warnings
    from lakehouse_assets.orchestration.backfill import Months, plan_backfill

    settings = load_settings()
    wanted = Months.parse(months)
    planned = plan_backfill(settings, domain, wanted, chunk, restart=restart)
    if planned.done:
        console.print(f"Runs finished before: {planned.done}; --restart repeats them.")
    summary = watched(settings, planned.runs, "lakehouse backfill", planned.note)
    summary.errors += planned.refused
    print_warnings(summary.warnings)
    end(summary)
    planned.progress.forget()
    _mention_later_months(settings, domain, wanted.last)


def replay(
    dataset: Annotated[str, typer.Argument(help="Dataset to clean, as <domain>/<dataset>.")],
    days: Annotated[
        list[str] | None,
        typer.Option(
            "--date",
            help="Date of a loaded delivery, YYYY-MM-DD; repeat for more. Default: every date with "
            "quarantined rows.",
        ),
    ] = None,
) -> None:
    """Clean stored deliveries again, for example after a rule was corrected.

    Bronze holds the delivered rows, so nothing needs to be delivered again. Quarantined rows are
    included, and downstream tables are rebuilt.
    """
    from lakehouse_assets.catalog.datasets import dataset_named, quarantine_table
    from lakehouse_assets.cli.report import count_quarantined, print_warnings
    from lakehouse_assets.domains import DATASETS
    from lakehouse_assets.orchestration.backfill import loaded_partitions, plan_replay

    settings = load_settings()
    found = dataset_named(DATASETS, dataset)
    lake = open_lake(settings)
    if days:
        chosen = sorted({_date(day) for day in days})
    else:
        counts = lake.rows_by_partition(quarantine_table(found))
        chosen = sorted(partition for partition, rows in counts.items() if rows)
    if not chosen:
        console.print(f"{dataset} has no quarantined rows, so there is nothing to replay.")
        return
    partitions = loaded_partitions(lake, found, chosen)
    before = count_quarantined(lake, found, chosen)
    summary = watched(settings, plan_replay(found, partitions), "lakehouse replay")
    print_warnings(summary.warnings)
    after = count_quarantined(lake, found, chosen)
    where = f"{chosen[0]}..{chosen[-1]}" if len(chosen) > 1 else str(chosen[0])
    say(
        f"{counted(before, 'row')} of {dataset} ({where}) {'was' if before == 1 else 'were'} "
        f"quarantined; {after:,} still {'is' if after == 1 else 'are'}.",
    )
    end(summary)
    _mention_later_months(settings, found.domain, partitions[-1].replace(day=1))


def _mention_later_months(settings: Settings, domain: str, last: date) -> None:
    """Say that gold tables of later months depend on what was just run."""
    from lakehouse_assets.orchestration.backfill import months_after

    later = months_after(settings, domain, last)
    if later is not None:
        say(
            "Gold tables of later months are computed from these. The sensor build_downstream "
            f"rebuilds them; without sensors, run: lakehouse backfill {domain} {later}",
        )


def end(summary: RunSummary) -> None:
    """Print the errors, and exit with code 1 if there are any."""
    for line in summary.errors:
        errors.print(f"Error: {line}", style="red")
    if summary.errors:
        raise typer.Exit(1)


def land(
    dataset: Annotated[
        str, typer.Argument(help="Dataset the file belongs to, as <domain>/<dataset>.")
    ],
    file: Annotated[Path, typer.Argument(help="File to copy; the original stays in place.")],
    day: Annotated[str, typer.Option("--date", help="Date of the delivery, YYYY-MM-DD.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a delivered file of the same name.")
    ] = False,
) -> None:
    """Copy a file into the landing zone as a delivery, completely or not at all."""
    from lakehouse_assets.catalog.datasets import dataset_named
    from lakehouse_assets.domains import DATASETS
    from lakehouse_assets.ingest.landing import LandingZone
    from lakehouse_assets.orchestration.planning import no_partition
    from lakehouse_assets.project import project_folder

    settings = load_settings()
    found, delivered_on = dataset_named(DATASETS, dataset), _date(day)
    if problem := no_partition(settings, found, delivered_on):
        raise LakehouseError(problem)
    target, is_new = LandingZone(settings.landing, settings.zone_identity).land(
        found, file, delivered_on, replace=replace
    )
    say(f"{'Landed' if is_new else 'Already landed'}: {target}")
    in_clone = (project_folder() / "pyproject.toml").exists()
    is_default = "landing" not in settings.model_fields_set
    if in_clone and is_default and find_spec(f"lakehouse_assets.sample.{found.domain}"):
        errors.print(
            f"{settings.landing} is the sample's landing zone, and git ignores files that you add "
            "to it. Set LAKEHOUSE_LANDING to use a landing zone of your own.",
        )


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
        if day.isoformat() != text:
            raise ValueError(text)
    except ValueError:
        raise LakehouseError(
            f"{text!r} is not a date; write --date as YYYY-MM-DD, such as 2024-01-31."
        ) from None
    return day
