"""The command line of the generator; see ``--help``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from lakehouse_assets.sample.airline import generate
from lakehouse_assets.sample.airline.config import GeneratorConfig


def _say(line: str) -> None:
    """Show progress; a run at benchmark scale takes a minute or two."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate from the command line; see ``--help``."""
    default = GeneratorConfig()
    parser = argparse.ArgumentParser(
        prog="python -m lakehouse_assets.sample.airline",
        description="Write a synthetic airline landing zone (flight snapshots, transactions).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="root of the landing zone")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of all draws")
    parser.add_argument(
        "--first-month",
        type=date.fromisoformat,
        default=default.first_month,
        help="first day of the first month, YYYY-MM-DD",
    )
    parser.add_argument(
        "--months", type=int, default=default.months, help="number of monthly snapshots"
    )
    parser.add_argument(
        "--members", type=int, default=default.members, help="members in the opening base"
    )
    parser.add_argument(
        "--transactions", type=int, default=default.transactions, help="distinct transactions"
    )
    parser.add_argument(
        "--format",
        choices=("mixed", "csv"),
        default=default.transaction_format,
        help="transaction files: rotating formats or CSV only",
    )
    parser.add_argument(
        "--delivery-days",
        choices=("business", "all"),
        default=default.delivery_days,
        help="deliver transactions Monday to Friday or daily",
    )
    parser.add_argument(
        "--defects",
        action=argparse.BooleanOptionalAction,
        default=default.defects,
        help="inject records a pipeline has to reject or deduplicate",
    )
    given = parser.parse_args(arguments)
    try:
        counts = generate(
            given.out,
            GeneratorConfig(
                seed=given.seed,
                first_month=given.first_month,
                months=given.months,
                members=given.members,
                transactions=given.transactions,
                transaction_format=given.format,
                delivery_days=given.delivery_days,
                defects=given.defects,
            ),
            _say,
        )
    except (ValueError, FileExistsError) as problem:
        parser.error(str(problem))
    _say(json.dumps(asdict(counts), indent=2))


if __name__ == "__main__":
    main()
