"""The command line of the generator; see ``--help``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline.config import GeneratorConfig

_CHOICES = {"transaction_format": ("mixed", "csv"), "delivery_days": ("business", "all")}


def _say(line: str) -> None:
    """Print a line at once; a run at benchmark scale takes a minute or two."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line: every field of the configuration is an option."""
    parser = argparse.ArgumentParser(
        prog="python -m lakehouse_assets.sample.airline",
        description=f"Write a synthetic airline landing zone.\n\n{GeneratorConfig.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="root of the landing zone")
    for field in fields(GeneratorConfig):
        name = field.name.removeprefix("transaction_").replace("_", "-")
        given: dict[str, object] = {"default": field.default, "dest": field.name}
        if isinstance(field.default, bool):
            given["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, date):
            given["type"] = date.fromisoformat
        else:
            given |= {"type": type(field.default), "choices": _CHOICES.get(field.name)}
        parser.add_argument(f"--{name}", **given)  # type: ignore[arg-type]
    values = vars(parser.parse_args(arguments))
    try:
        counts = generate(values.pop("out"), GeneratorConfig(**values), _say)
    except (ValueError, FileExistsError) as problem:
        parser.error(str(problem))
    _say(json.dumps(counts, indent=2))


if __name__ == "__main__":
    main()
