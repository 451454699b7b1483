"""The command line of the generator: python -m lakehouse_assets.sample.airline --out data."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.command import command


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line."""

    def generated(out: Path, config: GeneratorConfig) -> str:
        return json.dumps(generate(out, config, _say), indent=2)

    command("lakehouse_assets.sample.airline", GeneratorConfig, generated, arguments)


def _say(line: str) -> None:
    """Print a line at once; a run at benchmark scale takes a minute or two."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
