"""The pipeline on the embedded engine against the same pipeline on Spark on this machine, by size.

`make bench-engines` runs it (`python -m lakehouse_assets_tests.benchmark.engines --help`).
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse_assets_tests.benchmark.__main__ import fingerprint_of, generate, say
from lakehouse_assets_tests.benchmark.fingerprint import differences
from lakehouse_assets_tests.benchmark.measure import Usage, measured_family

_PIPELINE = "lakehouse_assets_tests.benchmark.pipeline"
_PURCHASES_PER_MEMBER = 50
_ENGINES = ("duckdb", "spark")
_GB = 1e9


@dataclass(frozen=True)
class Size:
    """One size and what each engine used for it.

    Attributes:
        purchases: Distinct transactions.
        delivered: Bytes of the landing zone.
        usages: By engine.
        wrong: Where the lakes differ.
    """

    purchases: int
    delivered: int
    usages: dict[str, Usage]
    wrong: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if two lakes differ."""
    given = _parser().parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="lakehouse-engines-", dir=given.work))
    sizes: list[Size] = []
    try:
        for purchases in sorted(given.transactions):
            sizes.append(_run_size(given, work / str(purchases), purchases))
            if max(usage.wall for usage in sizes[-1].usages.values()) > given.patience:
                say(f"A run took more than {given.patience} s: no larger size is tried.")
                break
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for line in ("", *_report(sizes)):
        say(line)
    return 1 if any(size.wrong for size in sizes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lakehouse_assets_tests.benchmark.engines",
        description="Compare the embedded engine with Spark on this machine, size by size.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--transactions",
        type=int,
        nargs="+",
        default=[1_000_000, 10_000_000],
        help=f"sizes; one member for {_PURCHASES_PER_MEMBER} transactions",
    )
    parser.add_argument("--months", type=int, default=3, help="monthly snapshots")
    parser.add_argument("--engines", nargs="+", choices=_ENGINES, default=list(_ENGINES))
    parser.add_argument(
        "--patience", type=float, default=480, help="seconds after which no larger size is tried"
    )
    parser.add_argument("--work", type=Path, help="folder for landing zones and lakes")
    return parser


def _run_size(given: argparse.Namespace, folder: Path, purchases: int) -> Size:
    """Run the engines one after the other on one landing zone, which is removed after."""
    landing = folder / "landing"
    folder.mkdir()
    generate(landing, purchases // _PURCHASES_PER_MEMBER, given.months, purchases)
    delivered = sum(file.stat().st_size for file in landing.rglob("*") if file.is_file())
    usages: dict[str, Usage] = {}
    for engine in given.engines:
        place = folder / engine
        place.mkdir()
        timings = place / "timings.json"
        fixed = ["--landing", str(landing), "--folder", str(place), "--timings", str(timings)]
        usages[engine] = measured_family(_PIPELINE, fixed, timings, {"LAKEHOUSE_ENGINE": engine})
        used = usages[engine]
        say(
            f"{purchases:,} on {engine}: {used.wall:.0f} s, CPU {used.cpu:.0f} s, "
            f"{used.peak / _GB:.1f} GB (load {os.getloadavg()[0]:.1f})"
        )
    first, *others = (fingerprint_of(folder / engine) for engine in given.engines)
    wrong = [text for other in others for text in differences(other, first)]
    shutil.rmtree(folder)
    return Size(purchases, delivered, usages, wrong)


def _report(sizes: Sequence[Size]) -> Iterator[str]:
    """Say what was measured, as Markdown."""
    yield "| transactions | files | engine | wall | CPU | cores busy | peak memory | same tables |"
    yield "|---:|---:|---|---:|---:|---:|---:|---|"
    for size in sizes:
        for engine, used in size.usages.items():
            yield (
                f"| {size.purchases:,} | {size.delivered / _GB:.2f} GB | {engine} | "
                f"{used.wall:,.0f} s | {used.cpu:,.0f} s | {used.cpu / used.wall:.1f} | "
                f"{used.peak / _GB:.1f} GB | {'NO' if size.wrong else 'yes'} |"
            )
    yield ""
    yield "| from | to | engine | wall | CPU | memory | CPU of one million more |"
    yield "|---:|---:|---|---:|---:|---:|---:|"
    for small, large in itertools.pairwise(sizes):
        more = (large.purchases - small.purchases) / 1e6
        for engine in small.usages.keys() & large.usages.keys():
            a, b = small.usages[engine], large.usages[engine]
            yield (
                f"| {small.purchases:,} | {large.purchases:,} | {engine} | "
                f"{b.wall / a.wall:.1f} x | {b.cpu / a.cpu:.1f} x | {b.peak / a.peak:.1f} x | "
                f"{(b.cpu - a.cpu) / more:.1f} s |"
            )
    for size in sizes:
        yield from (f"- {size.purchases:,}: {text}" for text in size.wrong[:10])
        yield ""
        yield f"Steps at {size.purchases:,}, the longest ones:"
        yield ""
        yield from _steps(size)


def _steps(size: Size) -> Iterator[str]:
    names = {name for used in size.usages.values() for name in used.timings.steps}

    def seconds(engine: str, name: str) -> float:
        return size.usages[engine].timings.steps.get(name, math.nan)

    engines = list(size.usages)
    yield f"| step | {' | '.join(f'{engine} s' for engine in engines)} |"
    yield f"|---|{'---:|' * len(engines)}"
    for name in sorted(names, key=lambda name: -seconds(engines[-1], name)):
        yield f"| {name} | {' | '.join(f'{seconds(e, name):.1f}' for e in engines)} |"


if __name__ == "__main__":
    sys.exit(main())
