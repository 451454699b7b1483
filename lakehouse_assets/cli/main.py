"""The command line: `lakehouse run`, `land`, `sql`, `tables` and what scripts need."""

from __future__ import annotations

import gc
import io
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import islice
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
from rich.table import Table as Grid
from rich.text import Text

from lakehouse_assets.cli.extract import extract
from lakehouse_assets.cli.terminal import console, errors
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.signals import (
    ending_on_signals,
    exit_code,
    keep_temporary_files_together,
    raise_on_signals,
    stop_reason,
    stop_requested,
)

if TYPE_CHECKING:
    from lakehouse_assets.cli.formats import Format
    from lakehouse_assets.orchestration.planning import PlannedRun
    from lakehouse_assets.orchestration.run import RunSummary
    from lakehouse_assets.settings import Settings

app = typer.Typer(
    help="A whole lakehouse on Delta Lake, run by Dagster. Settings are LAKEHOUSE_* variables or "
    ".env; see `lakehouse run --help`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; a known error is one sentence and exit code 1."""
    # Plans are large and short-lived: looking for cycles after 700 objects is a tenth of a run.
    gc.set_threshold(500_000, 20, 50)
    with ending_on_signals():
        raise_on_signals()
        keep_temporary_files_together()
        try:
            _main()
        except (KeyboardInterrupt, SystemExit):
            if not stop_requested():
                raise
            errors.print(stop_reason(), style="red")
            sys.exit(exit_code())


def _main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the output's encoding lacks is shown as ?, and stops nothing.
            stream.reconfigure(errors="replace")
    try:
        app()
    except LakehouseError as error:
        errors.print(f"Error: {error}", style="red")
        sys.exit(1)


@app.command()
def run() -> None:
    """Materialise every partition that the landing zone holds, then show the lake.

    Reads LAKEHOUSE_LANDING (default ./data), writes LAKEHOUSE_ROOT (default ./.lakehouse/lake) and
    tracks models in LAKEHOUSE_MLFLOW_URI. Running again gives the same tables.
    """
    started = time.monotonic()
    from lakehouse_assets.cli.report import open_lake, print_lake, print_segments, print_warnings
    from lakehouse_assets.orchestration.planning import plan
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    planned = plan(settings)
    summary = _watched(settings, planned.runs)
    summary.errors += planned.refused
    lake = open_lake(settings)
    try:
        print_lake(console, lake, summary.seconds)
        print_segments(console, lake)
    except LakehouseError as error:
        # A table that cannot be shown must not hide what went wrong before.
        summary.errors.append(str(error))
    print_warnings(console, summary.warnings)
    for line in summary.errors:
        errors.print(f"Error: {line}", style="red")
    console.print(
        f"{len(planned.runs)} runs in {time.monotonic() - started:.1f} s. Next: "
        "`make ui` opens the Dagster UI, `make mlflow` the models, `lakehouse sql` asks questions.",
        soft_wrap=True,
    )
    if summary.errors:
        raise typer.Exit(1)


def _watched(
    settings: Settings,
    runs: list[PlannedRun],
    note: Callable[[PlannedRun], None] = lambda _run: None,
) -> RunSummary:
    """Execute runs behind a progress bar that shows what is left, by runs and by time."""
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
            # Days that a late one put out of date are runs that nobody planned.
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

        summary = execute(settings, runs, on_start, on_step, on_done)
        if not summary.errors:
            progress.update(bar, completed=count, total=count, description="done")
    return summary


@app.command()
def backfill(
    domain: Annotated[str, typer.Argument(help="The domain, such as airline.")],
    months: Annotated[str, typer.Argument(help="A range such as 2024-01..2024-12, or a month.")],
    chunk: Annotated[int, typer.Option(min=1, help="Months in one run; bounds its memory.")] = 3,
    restart: Annotated[
        bool, typer.Option("--restart", help="Do again what an interrupted backfill has done.")
    ] = False,
) -> None:
    """Run a range of delivered partitions, in chunks; interrupted, it goes on where it was.

    The tables are the same as if each partition had been run by itself, oldest first.
    """
    from lakehouse_assets.cli.report import print_warnings
    from lakehouse_assets.orchestration.backfill import Months, plan_backfill
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    wanted = Months.parse(months)
    planned = plan_backfill(settings, domain, wanted, chunk, restart=restart)
    if planned.done:
        console.print(f"{planned.done} runs were done before; --restart does them again.")
    summary = _watched(settings, planned.runs, planned.note)
    summary.errors += planned.refused
    print_warnings(console, summary.warnings)
    _end(summary)
    planned.progress.forget()
    _tell_of_later_months(settings, domain, wanted.last)


@app.command()
def replay(
    dataset: Annotated[str, typer.Argument(help="<domain>/<dataset>, such as airline/flights.")],
    days: Annotated[
        list[str] | None,
        typer.Option(
            "--date",
            help="A day of delivery that is loaded; may be repeated. Default: all with "
            "quarantined rows.",
        ),
    ] = None,
) -> None:
    """Clean stored deliveries again, after a rule was corrected: quarantined rows are judged again.

    The delivered rows are in bronze, so nothing is delivered again. What builds on them follows.
    """
    from lakehouse_assets.catalog.datasets import dataset_named, quarantine_table
    from lakehouse_assets.cli.report import open_lake, print_warnings, rows_aside
    from lakehouse_assets.domains.registry import DATASETS
    from lakehouse_assets.orchestration.backfill import loaded_partitions, plan_replay
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    found = dataset_named(DATASETS, dataset)
    lake = open_lake(settings)
    if days:
        chosen = sorted({_date(day) for day in days})
    else:
        counts = lake.rows_by_partition(quarantine_table(found))
        chosen = sorted(partition for partition, rows in counts.items() if rows)
    if not chosen:
        console.print(f"No rows of {dataset} are quarantined; there is nothing to replay.")
        return
    partitions = loaded_partitions(lake, found, chosen)
    before = rows_aside(lake, found, chosen)
    summary = _watched(settings, plan_replay(found, partitions))
    print_warnings(console, summary.warnings)
    after = rows_aside(lake, found, chosen)
    where = f"{chosen[0]}..{chosen[-1]}" if len(chosen) > 1 else str(chosen[0])
    console.print(
        f"{before:,} rows of {dataset} ({where}) were quarantined, {after:,} still are.",
        soft_wrap=True,
    )
    _end(summary)
    _tell_of_later_months(settings, found.domain, partitions[-1].replace(day=1))


def _tell_of_later_months(settings: Settings, domain: str, last: date) -> None:
    """Say that gold tables of later months add up what was just run."""
    from lakehouse_assets.orchestration.backfill import months_after

    later = months_after(settings, domain, last)
    if later is not None:
        console.print(
            "Gold tables of later months add these up. The sensor follow_sources renews them; "
            f"without it: lakehouse backfill {domain} {later}",
            soft_wrap=True,
        )


def _end(summary: RunSummary) -> None:
    """Print what went wrong, and end with exit code 1 if anything did."""
    for line in summary.errors:
        errors.print(f"Error: {line}", style="red")
    if summary.errors:
        raise typer.Exit(1)


@app.command()
def land(
    dataset: Annotated[str, typer.Argument(help="<domain>/<dataset>, such as airline/flights.")],
    file: Annotated[Path, typer.Argument(help="The delivered file; it stays where it is.")],
    day: Annotated[str, typer.Option("--date", help="Day of delivery, YYYY-MM-DD.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Correct a delivery of the same file name.")
    ] = False,
) -> None:
    """Put a delivered file into the landing zone, whole or not at all."""
    from lakehouse_assets.catalog.datasets import dataset_named
    from lakehouse_assets.domains.registry import DATASETS
    from lakehouse_assets.ingest.landing import LandingZone
    from lakehouse_assets.orchestration.planning import check_date
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    found, delivered_on = dataset_named(DATASETS, dataset), _date(day)
    check_date(settings, found, delivered_on)
    target, news = LandingZone(settings.landing, settings.zone_identity).land(
        found, file, delivered_on, replace=replace
    )
    console.print(f"{'Landed' if news else 'Already landed'}: {target}", soft_wrap=True)


app.command()(extract)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SQL statement, or - to read it from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the statement from a file.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="table, csv, json or markdown; csv and json are exact.")
    ] = "table",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Rows at most; 50 for a table or Markdown, no limit for others."),
    ] = None,
    safe: Annotated[
        bool, typer.Option("--safe", help="Only SELECT, and only from the lake's files.")
    ] = False,
    safe_formulas: Annotated[
        bool,
        typer.Option(
            "--safe-formulas",
            help="In CSV for a spreadsheet, put ' before texts that it would take for formulas.",
        ),
    ] = False,
) -> None:
    """Ask the lake a question, e.g. lakehouse sql "select * from gold_segment_summary".

    Every table is there by name, by alias (dim_time) and as <domain>.<table>. A table that has a
    state for each month shows the latest; <table>_history has all. "show tables" and "describe
    <table>" say what there is. It is the owner's tool: without --safe, a statement can read and
    write files of this machine.
    """
    from lakehouse_assets.cli.formats import lines_of, rows_of, without_formulas
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.cli.sql import ask
    from lakehouse_assets.settings import load_settings

    forms: dict[str, Format] = {
        "table": "table", "csv": "csv", "json": "json", "markdown": "markdown",
    }  # fmt: skip
    if form not in forms:
        raise LakehouseError(f"--format {form} is not known; use one of {', '.join(forms)}.")
    if safe_formulas and form != "csv":
        raise LakehouseError("--safe-formulas is for spreadsheets; add --format csv.")
    answer = ask(open_lake(load_settings()), _statement(query, file), confined=safe)
    exact = form in {"csv", "json"}
    most = limit or (None if exact or answer.of_catalog else 50)
    names, rows = answer.rows.schema.names, rows_of(answer.rows)
    if safe_formulas:
        names, rows = without_formulas(names), map(without_formulas, rows)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if isinstance(sys.stdout, io.TextIOWrapper):
        if exact and width is None:
            sys.stdout.reconfigure(encoding="utf-8")
        else:
            sys.stdout.reconfigure(errors="backslashreplace")
    for line in lines_of(forms[form], names, islice(rows, most), width):
        print(line)  # noqa: T201 - as it is, without Rich
    if most is not None and next(rows, None) is not None:
        errors.print(f"Only the first {most} rows are shown; --limit shows more.")


def _statement(query: str | None, file: Path | None) -> str:
    """Return the statement of the arguments."""
    if (query is None) == (file is None):
        raise LakehouseError('Say what to ask: lakehouse sql "select ...", or -f <file>, or -.')
    try:
        if file is not None:
            return file.read_text(encoding="utf-8-sig")
        return sys.stdin.read() if query == "-" else str(query)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise LakehouseError(
            f"The statement cannot be read from {file or 'stdin'} ({reason}); give a file of UTF-8 "
            "text."
        ) from None


@app.command()
def tables(
    name: Annotated[str | None, typer.Argument(help="A table, to see its columns.")] = None,
) -> None:
    """List the declared tables, or describe one: columns, types, units, keys, references."""
    from lakehouse_assets.domains.registry import REGISTRY
    from lakehouse_assets.lake.schema import comment

    if name is None:
        grid = Grid(header_style="bold")
        grid.add_column("table", overflow="fold")
        grid.add_column("kind", no_wrap=True)
        grid.add_column("what a row is")
        for table in REGISTRY:
            grid.add_row(f"{table.domain}.{table.name}", table.kind, table.full_description)
        console.print(grid)
        return
    table = REGISTRY[name]
    console.print(f"{table.domain}.{table.name}: {table.full_description}")
    part = f", by {table.partition.column} ({table.partition.grain})" if table.partition else ""
    console.print(f"Kind: {table.kind}{part}. Other names: {', '.join(table.aliases) or 'none'}.")
    grid = Grid(header_style="bold")
    grid.add_column("column", no_wrap=True)
    for heading in ("type", "null", "PII", "meaning"):
        grid.add_column(heading)
    for column in table.columns:
        grid.add_row(
            column.name,
            column.type,
            "yes" if column.nullable else "",
            "yes" if column.pii else "",
            comment(column),
        )
    console.print(grid)
    console.print(f"Key: {', '.join(table.keys)}")
    for reference in table.references:
        console.print(f"Reference: {', '.join(reference.columns)} → {reference.to_table}")


_STATUS_COLUMNS = (
    "table", "rows", "partitions", "missing", "last written (UTC)", "run", "freshness",
    "failing rules",
)  # fmt: skip


@app.command()
def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tables as JSON, for scripts.")
    ] = False,
) -> None:
    """Show every table: rows, partitions, what is missing, the last run, freshness, quality.

    Reads logs only, so it is quick however large the tables are.
    """
    from lakehouse_assets.cli.report import no_lake
    from lakehouse_assets.cli.status import status as look
    from lakehouse_assets.cli.status import unread
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    found = look(settings)
    for sentence in unread(settings):
        errors.print(f"Not loaded: {sentence}", style="yellow")
    if as_json:
        print(json.dumps([table.as_json() for table in found], indent=2))  # noqa: T201
        return
    colours = {
        "damaged": "red",
        "fresh": "green",
        "aging": "yellow",
        "late": "red",
        "ageless": "dim",
        "never": "dim",
    }
    columns: dict[str, list[str | Text]] = {name: [] for name in _STATUS_COLUMNS}
    for table in found:
        missing = "" if table.missing is None else str(len(table.missing))
        cells = (
            table.table,
            "" if table.rows is None else f"{table.rows:,}",
            str(table.partitions or ""),
            Text(missing, "red") if table.missing else missing,
            f"{table.updated_at:%Y-%m-%d %H:%M}" if table.updated_at else "",
            (table.run_id or "")[:8],
            Text(table.freshness, colours[table.freshness]),
            "" if table.failing_rules is None else str(table.failing_rules or ""),
        )
        for name, cell in zip(columns, cells, strict=True):
            columns[name].append(cell)
    left_out = []
    for name in ("", "run", "last written (UTC)", "partitions", "failing rules"):
        if columns.pop(name, None) is not None:
            left_out.append(name)
        grid = Grid(header_style="bold")
        for shown in columns:
            number = shown in {"rows", "partitions", "missing"}
            grid.add_column(shown, justify="right" if number else "left", no_wrap=True)
        for row in zip(*columns.values(), strict=True):
            grid.add_row(*row)
        whole = console.measure(grid, options=console.options.update(width=1_000)).maximum
        if whole <= console.width:
            break
    console.print(grid)
    if left_out:
        console.print(f"A wider terminal, or --json, also shows: {', '.join(left_out)}.")
    if all(table.freshness == "never" for table in found):
        console.print(no_lake(settings), soft_wrap=True, highlight=False)


@app.command()
def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print findings as JSON, for scripts.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Bring dagster.yaml up to date; a copy of it is kept.")
    ] = False,
) -> None:
    """Look whether everything is as it should be, with a remedy for what is not.

    Tries the lake, the landing zone and the place of models step by step: for a store the name, the
    token (as whom, until when), listing, and writing, reading and removing a probe. Exit code 1 if
    something stops runs.
    """
    from lakehouse_assets.cli.doctor import examine, fix_home, is_well
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    for line in fix_home(settings) if fix else ():
        errors.print(line)
    findings = examine(settings)
    if as_json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))  # noqa: T201
    else:
        grid = Grid("what", "check", "", "ms", "found", header_style="bold")
        colours = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "dim"}
        for finding in findings:
            state = Text(finding.state, colours[finding.state])
            grid.add_row(
                finding.area, finding.check, state, str(finding.milliseconds), finding.text
            )
        console.print(grid)
    if not is_well(findings):
        raise typer.Exit(1)


@app.command()
def selection(
    families: Annotated[
        list[str], typer.Argument(help="calendar, or <domain>_daily, <domain>_monthly.")
    ],
) -> None:
    """Print the assets of families of partitions for `dagster asset materialize --select`.

    A line for each family. Dagster runs everything when a selection matches nothing, so an unknown
    family is an error.
    """
    from lakehouse_assets.orchestration.assembly import build_defs
    from lakehouse_assets.settings import load_settings

    definitions = build_defs(load_settings())
    names = {job.name for job in definitions.jobs or []}
    for family in families:
        if family not in names:
            raise LakehouseError(
                f"There is no family {family!r}; use one of {', '.join(sorted(names))}."
            )
    for family in families:
        keys = definitions.resolve_job_def(family).asset_layer.executable_asset_keys
        print(",".join(sorted(key.to_user_string() for key in keys)))  # noqa: T201 - for scripts


@app.command()
def home() -> None:
    """Create the persistent stores of Dagster (telemetry off) and MLflow; print Dagster's home."""
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    with dagster_instance(settings):
        MlflowTracking.of(settings).experiment_id()
        print(settings.dagster_home)  # noqa: T201 - for scripts


@app.command("mlflow-uri")
def mlflow_uri() -> None:
    """Print the address of the MLflow store, for `mlflow server`."""
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    MlflowTracking.of(settings).bring_home()
    print(settings.mlflow_uri)  # noqa: T201 - for scripts


@app.command("export-model")
def export_model(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    name: Annotated[str, typer.Option(help="Registered model.")] = "airline_customer_segments",
) -> None:
    """Check the champion's files and copy them to a new folder, for `mlflow models serve`."""
    from lakehouse_assets.ml.model_registry import export_champion
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.settings import load_settings

    exported = export_champion(MlflowTracking.of(load_settings()), folder, name)
    print(f"{exported.model_uri} -> {folder}")  # noqa: T201 - for scripts


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
        if day.isoformat() != text:
            raise ValueError(text)
    except ValueError:
        raise LakehouseError(
            f"{text!r} is no date; write --date as YYYY-MM-DD, such as 2024-01-31."
        ) from None
    return day


if __name__ == "__main__":
    main()
