"""The command line: its commands, exit codes and signals."""

from __future__ import annotations

import gc
import io
import re
import sys
from inspect import unwrap
from typing import Any, get_type_hints

import typer

from lakehouse_assets.cli import admin, inspect, run
from lakehouse_assets.cli.access import access
from lakehouse_assets.cli.extract import extract
from lakehouse_assets.cli.forget import forget
from lakehouse_assets.cli.govern import catalog, classify, lineage
from lakehouse_assets.cli.models import models
from lakehouse_assets.cli.new import new
from lakehouse_assets.cli.openlineage import openlineage
from lakehouse_assets.cli.pages import pages
from lakehouse_assets.cli.powerbi import powerbi
from lakehouse_assets.cli.restore import restore
from lakehouse_assets.cli.serve import serve
from lakehouse_assets.cli.stream import stream
from lakehouse_assets.cli.terminal import errors
from lakehouse_assets.cli.views import views
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.signals import (
    ending_on_signals,
    exit_code,
    keep_temporary_files_together,
    raise_on_signals,
    stop_reason,
    stop_requested,
)

app = typer.Typer(
    help="A whole lakehouse on Delta Lake, run by Dagster. Settings are LAKEHOUSE_* variables or "
    ".env; see `lakehouse run --help`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run.run, run.backfill, run.replay, run.land, extract, inspect.sql, inspect.tables,
    inspect.status, admin.doctor, admin.migrate, admin.selection, admin.home, admin.mlflow_uri,
    admin.export_model, new, pages, powerbi, restore, stream, lineage,
    catalog, classify, forget, openlineage,
):  # fmt: skip
    app.command()(command)
app.add_typer(models, name="models")
app.add_typer(serve, name="serve")
app.add_typer(views, name="views")
app.add_typer(access, name="access")


def _commands() -> Any:
    """Build the commands; their help is wrapped to the terminal.

    Also restores the help of arguments, which Typer loses with Click 8.5.
    """
    group: Any = typer.main.get_command(app)
    _mend_help(group)
    return group


def _mend_help(group: Any) -> None:
    for built in group.commands.values():
        # Rich would keep the line breaks of docstrings.
        built.help = re.sub(r"(?<!\n)\n(?!\n)", " ", built.help)
        if hasattr(built, "commands"):
            _mend_help(built)
        if built.callback is None:
            continue
        hints = get_type_hints(unwrap(built.callback), include_extras=True)
        for parameter in built.params:
            if parameter.param_type_name == "argument":
                (declared,) = hints[parameter.name].__metadata__
                parameter.help = declared.help


def main() -> None:
    """Run the command line; a known error is one sentence and exit code 1."""
    # Plans are large and short-lived: looking for cycles every 700 objects takes a tenth of a run.
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
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            # Characters that the output's encoding lacks are shown as ? and raise no error.
            output.reconfigure(errors="replace")
    try:
        _commands()()
    except LakehouseError as error:
        errors.print(f"Error: {error}", style="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
