"""The command line of a generator: every field of its configuration is an option."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_type_hints


def command(
    package: str,
    config: type[Any],
    generate: Callable[[Path, Any], str],
    arguments: Sequence[str] | None = None,
) -> None:
    """Generate a landing zone from the command line, and print the result.

    Args:
        package: The package to run with `python -m`.
        config: Dataclass of the configuration, whose docstring describes the options.
        generate: Writes the landing zone into a folder, and returns what to print.
        arguments: Arguments of the command; None for those of the process.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=f"Write a synthetic landing zone; equal options give equal bytes.\n\n"
        f"{config.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="root of the landing zone")
    add_options(parser, config)
    values = vars(parser.parse_args(arguments))
    try:
        said = generate(values.pop("out"), config(**values))
    except (ValueError, FileExistsError) as problem:
        parser.error(str(problem))
    sys.stdout.write(f"{said}\n")


def add_options(parser: argparse.ArgumentParser, config: type[Any]) -> None:
    """Add an option for each field of a configuration."""
    hints = get_type_hints(config)
    for field in fields(config):
        parser.add_argument(
            f"--{field.name.removeprefix('transaction_').replace('_', '-')}",
            **_option(field, hints[field.name]),
        )


def _option(field: Field[Any], kind: Any) -> dict[str, Any]:
    given = {"dest": field.name, "default": field.default, "help": f"default: {field.default}"}
    if kind is bool:
        return given | {"action": argparse.BooleanOptionalAction}
    if choices := get_args(kind):
        return given | {"choices": choices}
    return given | {"type": date.fromisoformat if kind is date else kind}
