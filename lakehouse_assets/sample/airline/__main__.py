"""The command line of the generator: python -m lakehouse_assets.sample.airline --out data."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.command import command


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line."""
    command(
        "lakehouse_assets.sample.airline",
        GeneratorConfig,
        lambda out, config: json.dumps(generate(out, config), indent=2),
        arguments,
    )


if __name__ == "__main__":
    main()
