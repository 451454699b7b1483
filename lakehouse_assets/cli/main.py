"""The command line: commands, exit codes and signals."""

from __future__ import annotations

import errno
import gc
import io
import os
import re
import sys
from inspect import unwrap
from typing import Any, get_type_hints

import typer

from lakehouse_assets.cli import admin, inspect, run
from lakehouse_assets.cli.access import access
from lakehouse_assets.cli.extract import extract
from lakehouse_assets.cli.forget import forget
from lakehouse_assets.cli.govern import catalog, classify, lineage, openlineage
from lakehouse_assets.cli.models import models
from lakehouse_assets.cli.new import new
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
    help="Build, query and govern a lakehouse on Delta Lake, run by Dagster. `lakehouse run` "
    "builds it from the deliveries in ./data. Settings are LAKEHOUSE_* variables in the "
    "environment or in .env.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order of a first hour.
_COMMANDS: dict[str, dict[str, Any]] = {
    "Load": {
        "run": run.run, "land": run.land, "extract": extract, "stream": stream,
        "backfill": run.backfill, "replay": run.replay,
    },
    "Explore": {
        "status": inspect.status, "tables": inspect.tables, "sql": inspect.sql, "pages": pages,
        "views": views, "powerbi": powerbi, "serve": serve,
    },
    "Extend": {"new": new},
    "Models": {"models": models, "export-model": admin.export_model},
    "Govern": {
        "catalog": catalog, "lineage": lineage, "access": access, "classify": classify,
        "forget": forget, "openlineage": openlineage,
    },
    "Operate": {"doctor": admin.doctor, "restore": restore, "migrate": admin.migrate},
    "For scripts and make": {
        "selection": admin.selection, "home": admin.home, "mlflow-uri": admin.mlflow_uri,
    },
}  # fmt: skip
for panel, commands in _COMMANDS.items():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=panel)
        else:
            app.command(name, rich_help_panel=panel)(command)


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
    # Query plans are large, cyclic and short-lived. Few objects fit the processor's cache, where
    # collecting them is cheap; older ones are collected rarely.
    gc.set_threshold(5_000, 100, 50)
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
        try:
            _commands()()
        finally:
            sys.stdout.flush()
    except LakehouseError as error:
        errors.print(f"Error: {error}", style="red")
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # What is left to write would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        place = f" for {error.filename}" if error.filename else ""
        said = f"Error: The disk has no space left{place}; free some, and run the command again."
        errors.print(said, style="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
