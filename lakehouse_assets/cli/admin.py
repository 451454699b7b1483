"""`lakehouse doctor` and `migrate`, and the commands that scripts and `make` call."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid
from rich.text import Text

from lakehouse_assets.cli.opening import load_settings, open_lake, open_tracking
from lakehouse_assets.cli.terminal import AsJson, ModelName, console, errors, say
from lakehouse_assets.errors import LakehouseError


def doctor(
    as_json: AsJson = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Update dagster.yaml, and keep a copy of the old file.")
    ] = False,
) -> None:
    """Check the installation, the storage and the tables, and say how to fix each problem.

    Tests the lake, the landing zone and the model storage step by step. In cloud storage, the steps
    are the name, the token (its owner and expiry), listing, and writing, reading and deleting a
    probe file. The exit code is 1 if a problem prevents runs.
    """
    from lakehouse_assets.cli.doctor import examine, fix_home, is_well

    settings = load_settings()
    if fix and (done := fix_home(settings)):
        errors.print(done)
    findings = examine(settings)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))  # noqa: T201
    else:
        grid = Grid("area", "check", "state", "ms", "finding", header_style="bold")
        colours = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "dim"}
        for finding in findings:
            state = Text(finding.state, colours[finding.state])
            grid.add_row(
                finding.area, finding.check, state, str(finding.milliseconds), finding.text
            )
        console.print(grid)
    if not is_well(findings):
        raise typer.Exit(1)


def migrate() -> None:
    """Convert a lake that an earlier version built to the current format; every row is kept."""
    from lakehouse_assets.lake.format import FORMAT
    from lakehouse_assets.lake.format import migrate as migrate_lake

    lake = open_lake(load_settings(), any_format=True)
    tables = migrate_lake(lake)
    say(
        f"Migrated {lake.root} to format {FORMAT}; its {len(tables)} tables match their "
        "declarations."
        if tables
        else f"{lake.root} already has format {FORMAT}; there is nothing to migrate.",
    )


def selection(
    jobs: Annotated[
        list[str], typer.Argument(help="Jobs: reference_data, <domain>_daily or <domain>_monthly.")
    ],
) -> None:
    """Print the assets of jobs, one line per job, for `dagster asset materialize --select`.

    An unknown job is an error, because Dagster runs everything when a selection matches nothing.
    """
    from lakehouse_assets.orchestration.assembly import build_defs
    from lakehouse_assets.orchestration.maintenance import JOB as MAINTENANCE

    definitions = build_defs(load_settings())
    # Maintenance has no assets, and an empty selection would select everything.
    names = {job.name for job in definitions.jobs or []} - {MAINTENANCE}
    for name in jobs:
        if name not in names:
            raise LakehouseError(
                f"There is no job {name!r}; use one of {', '.join(sorted(names))}."
            )
    for name in jobs:
        keys = definitions.resolve_job_def(name).asset_layer.executable_asset_keys
        print(",".join(sorted(key.to_user_string() for key in keys)))  # noqa: T201 - for scripts


def home() -> None:
    """Create the storage of Dagster (telemetry off) and MLflow, and print Dagster's home."""
    from lakehouse_assets.orchestration.instance import dagster_instance

    settings = load_settings()
    with dagster_instance(settings):
        open_tracking(settings).experiment_id()
        print(settings.dagster_home)  # noqa: T201 - for scripts


def mlflow_uri(
    page: Annotated[
        str | None,
        typer.Option(
            "--page",
            help="Address of an MLflow server; prints its newest experiment's page instead.",
        ),
    ] = None,
) -> None:
    """Print the address of MLflow's database, for `mlflow server`."""
    settings = load_settings()
    tracking = open_tracking(settings)
    tracking.bring_home()
    if page is None:
        print(settings.mlflow_uri)  # noqa: T201 - for scripts
        return
    newest = tracking.newest_experiment()
    place = f"experiments/{newest}/runs" if newest else "experiments"
    print(f"{page}/#/{place}?workflowType=machine_learning")  # noqa: T201 - for scripts


def export_model(
    name: ModelName,
    folder: Annotated[Path, typer.Argument(help="Folder to create.")],
) -> None:
    """Check a model's champion and export it to a folder for MLflow's model servers."""
    from lakehouse_assets.cli.models import spec_of
    from lakehouse_assets.serving.export import export

    tracking = open_tracking()
    exported = export(spec_of(name), tracking, folder)
    print(f"{exported.model_uri} -> {folder}")  # noqa: T201 - for scripts
