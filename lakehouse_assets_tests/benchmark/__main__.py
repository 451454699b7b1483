"""Command line of the benchmark: generate, run both contestants in turn, compare, report."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lakehouse_assets.domains.airline.gold.movements import (
    GOLD_NEWLY_AT_RISK,
    GOLD_SEGMENT_MIGRATION,
)
from lakehouse_assets_tests.benchmark.fingerprint import Fingerprint, differences
from lakehouse_assets_tests.benchmark.measure import Usage, measured
from lakehouse_assets_tests.benchmark.report import report

_PACKAGE = "lakehouse_assets_tests.benchmark"
_GENERATOR = "lakehouse_assets.sample.airline"
# What the SQL leaves out: tables that follow members from one month's model to the next one's.
_OURS_ALONE = (GOLD_SEGMENT_MIGRATION, GOLD_NEWLY_AT_RISK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if the two lakes differ."""
    given = _parser().parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="lakehouse-bench-", dir=given.work))
    try:
        return _benchmark(given, work)
    finally:
        if given.keep:
            say(f"Kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {_PACKAGE}",
        description="Compare the pipeline through Dagster with hand-written DuckDB SQL + delta-rs.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--members", type=int, default=200_000, help="members in the first month")
    parser.add_argument("--months", type=int, default=24, help="monthly snapshots")
    parser.add_argument(
        "--transactions", type=int, default=10_000_000, help="distinct transactions over all months"
    )
    parser.add_argument(
        "--landing",
        type=Path,
        help="landing zone: used as it is if it exists, else generated there and kept",
    )
    parser.add_argument("--rounds", type=int, default=2, help="how often each contestant runs")
    parser.add_argument(
        "--months-per-run", type=int, help="months per Dagster run (default: the project's choice)"
    )
    parser.add_argument("--work", type=Path, help="folder for the lakes (default: temporary)")
    parser.add_argument("--keep", action="store_true", help="keep the last round's lakes")
    parser.add_argument(
        "--profile", type=Path, help="run the pipeline once more and write its cProfile here"
    )
    return parser


def _benchmark(given: argparse.Namespace, work: Path) -> int:
    landing = given.landing or work / "landing"
    if not landing.is_dir():
        generate(landing, given.members, given.months, given.transactions)
    chunks = ["--months-per-run", str(given.months_per_run)] if given.months_per_run else []
    ours: list[Usage] = []
    theirs: list[Usage] = []
    wrong: list[str] = []
    for number in range(1, given.rounds + 1):
        for name, usages in (("pipeline", ours), ("baseline", theirs)):
            usages.append(_run(name, landing, work / name, *(chunks if usages is ours else ())))
            load = os.getloadavg()[0]
            say(f"round {number}: {name} {usages[-1].wall:.1f} s (load {load:.1f})")
        both = fingerprint_of(work / "pipeline")
        for table in _OURS_ALONE:
            del both[table.name]
        wrong += differences(both, fingerprint_of(work / "baseline"))
    if given.profile:
        _run("pipeline", landing, work / "profiled", *chunks, "--profile", str(given.profile))
    for line in ("", *report(ours, theirs, wrong)):
        say(line)
    return 1 if wrong else 0


def generate(landing: Path, members: int, months: int, transactions: int) -> None:
    """Generate a landing zone of CSV files, purchases on every day."""
    say(f"Generating {members:,} members x {months} and {transactions:,} transactions")
    sizes = ["--members", members, "--months", months, "--transactions", transactions]
    command = [sys.executable, "-m", _GENERATOR, "--out", str(landing), *map(str, sizes)]
    subprocess.run(
        [*command, "--format", "csv", "--delivery-days", "all"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _run(name: str, landing: Path, folder: Path, *more: str) -> Usage:
    """Run a contestant on a fresh folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    timings = folder / "timings.json"
    module = "baseline" if name == "baseline" else "pipeline"
    fixed = ["--landing", str(landing), "--folder", str(folder), "--timings", str(timings)]
    return measured(f"{_PACKAGE}.{module}", [*fixed, *more], timings)


def fingerprint_of(folder: Path) -> Fingerprint:
    """Take the fingerprint of the lake that a contestant left in its folder."""
    target = folder / "fingerprint.json"
    command = [sys.executable, "-m", f"{_PACKAGE}.fingerprint", str(folder / "lake"), str(target)]
    subprocess.run(command, check=True)
    found: Fingerprint = json.loads(target.read_text(encoding="utf-8"))
    return found


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
