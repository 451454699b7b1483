"""`lakehouse doctor` and `migrate`, and the commands for scripts and `make`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid
from rich.text import Text

from lakehouse_assets.cli.terminal import console, errors
from lakehouse_assets.errors import LakehouseError


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print findings as JSON, for scripts.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Bring dagster.yaml up to date; a copy of it is kept.")
    ] = False,
) -> None:
    """Check the installation, the stores and the tables, and show a remedy for each problem.

    Tests the lake, the landing zone and the model store step by step: for a cloud store the name,
    the token (its owner and expiry), listing, and writing, reading and removing a probe. The exit
    code is 1 if a problem prevents runs.
    """
    from lakehouse_assets.cli.doctor import examine, fix_home, is_well
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    if fix and (done := fix_home(settings)):
        errors.print(done)
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


def migrate() -> None:
    """Bring a lake that an earlier version built to this version's format; every row is kept."""
    from lakehouse_assets.lake.format import FORMAT
    from lakehouse_assets.lake.format import migrate as migrate_lake
    from lakehouse_assets.orchestration.lake_resource import LakeResource
    from lakehouse_assets.settings import load_settings

    lake = LakeResource.of(load_settings()).open(any_format=True)
    tables = migrate_lake(lake)
    console.print(
        f"{len(tables)} tables of {lake.root} are as declared; the lake has format {FORMAT} now."
        if tables
        else f"{lake.root} has format {FORMAT} already; there is nothing to migrate.",
        soft_wrap=True,
    )


def selection(
    families: Annotated[
        list[str], typer.Argument(help="reference_data, <domain>_daily or <domain>_monthly.")
    ],
) -> None:
    """Print the assets of families of partitions for `dagster asset materialize --select`.

    Prints one line per family. Dagster runs everything when a selection matches nothing, so an
    unknown family is an error.
    """
    from lakehouse_assets.orchestration.assembly import build_defs
    from lakehouse_assets.orchestration.maintenance import JOB as MAINTENANCE
    from lakehouse_assets.settings import load_settings

    definitions = build_defs(load_settings())
    # Maintenance has no assets, and an empty selection would select everything.
    names = {job.name for job in definitions.jobs or []} - {MAINTENANCE}
    for family in families:
        if family not in names:
            raise LakehouseError(
                f"There is no family {family!r}; use one of {', '.join(sorted(names))}."
            )
    for family in families:
        keys = definitions.resolve_job_def(family).asset_layer.executable_asset_keys
        print(",".join(sorted(key.to_user_string() for key in keys)))  # noqa: T201 - for scripts


def home() -> None:
    """Create the persistent stores of Dagster (telemetry off) and MLflow; print Dagster's home."""
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    with dagster_instance(settings):
        MlflowTracking.of(settings).experiment_id()
        print(settings.dagster_home)  # noqa: T201 - for scripts


def mlflow_uri(
    page: Annotated[
        str | None,
        typer.Option(
            "--page", help="Address of a server: print the page of its newest experiment instead."
        ),
    ] = None,
) -> None:
    """Print the address of the MLflow store, for `mlflow server`."""
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    tracking = MlflowTracking.of(settings)
    tracking.bring_home()
    if page is None:
        print(settings.mlflow_uri)  # noqa: T201 - for scripts
        return
    newest = tracking.newest_experiment()
    place = f"experiments/{newest}/runs" if newest else "experiments"
    print(f"{page}/#/{place}?workflowType=machine_learning")  # noqa: T201 - for scripts


def export_model(
    name: Annotated[str, typer.Argument(help="Registered model.")],
    folder: Annotated[Path, typer.Argument(help="New folder.")],
) -> None:
    """Check the champion's files and write a new folder that MLflow's servers serve."""
    from lakehouse_assets.cli.models import spec_of
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.serving.export import export
    from lakehouse_assets.settings import load_settings

    tracking = MlflowTracking.of(load_settings())
    exported = export(spec_of(name), tracking, folder)
    print(f"{exported.model_uri} -> {folder}")  # noqa: T201 - for scripts
