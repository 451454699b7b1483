"""What the benchmark found, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import mean, median

from lakehouse_assets_tests.benchmark.measure import Timings, Usage

MOST_WALL = 1.25
MOST_MEMORY = 4.0
MOST_GROWTH = 1.3
_GB = 1e9


def growth(timings: Timings) -> float | None:
    """Compare late months with early ones.

    Returns:
        Mean of the last three months over mean of the three after the first run's, whose cold
        start would flatter the result; None if there are not as many.
    """
    seconds = list(timings.months.values())[timings.cold :]
    return mean(seconds[-3:]) / mean(seconds[:3]) if len(seconds) >= 6 else None


def report(ours: Sequence[Usage], theirs: Sequence[Usage], wrong: Sequence[str]) -> Iterator[str]:
    """Say line by line what was measured; medians over the rounds."""
    yield "| | pipeline | SQL + delta-rs | ratio | aim | |"
    yield "|---|---:|---:|---:|---|---|"

    def line(name: str, value: Callable[[Usage], float], unit: str) -> tuple[str, float, float]:
        a, b = median(map(value, ours)), median(map(value, theirs))
        return f"| {name} | {a:,.1f} {unit} | {b:,.1f} {unit} | {a / b:.2f} |", a, a / b

    text, _, ratio = line("wall", lambda usage: usage.wall, "s")
    yield f"{text} at most {MOST_WALL:g} times | {_verdict(ratio <= MOST_WALL)} |"
    text, _, _ = line("CPU", lambda usage: usage.cpu, "s")
    yield f"{text} | |"
    text, memory, _ = line("peak memory", lambda usage: usage.peak / _GB, "GB")
    yield f"{text} at most {MOST_MEMORY:g} GB | {_verdict(memory <= MOST_MEMORY)} |"
    grown = [growth(usage.timings) for usage in ours]
    if None not in grown:
        a = median(value for value in grown if value is not None)
        b = median(growth(usage.timings) or 0.0 for usage in theirs)
        yield (
            f"| last ÷ first months | {a:.2f} | {b:.2f} | {a / b:.2f} | at most {MOST_GROWTH:g} | "
            f"{_verdict(a <= MOST_GROWTH)} |"
        )
    yield f"| same tables | | | | equal rows and values | {_verdict(not wrong)} |"
    yield ""
    yield (
        "Wall, CPU (user and system) and peak resident memory are those of the whole process, "
        f"medians of {len(ours)} rounds. Last ÷ first months: mean of the last three months over "
        f"mean of the three after the first run's (pipeline: {ours[-1].timings.cold} months, SQL: "
        f"{theirs[-1].timings.cold}), whose cold start pays for imports and for creating tables "
        "and stores. A run over several months counts evenly for each."
    )
    yield f"Ratio of wall times by round: {', '.join(_ratios(ours, theirs))}."
    yield from (f"- differs: {text}" for text in wrong[:20])
    yield ""
    yield from _months(ours[-1], theirs[-1])
    yield ""
    yield from _steps(ours[-1], theirs[-1])


def _ratios(ours: Sequence[Usage], theirs: Sequence[Usage]) -> list[str]:
    return [f"{a.wall / b.wall:.2f}" for a, b in zip(ours, theirs, strict=True)]


def _verdict(good: bool) -> str:
    return "met" if good else "MISSED"


def _months(ours: Usage, theirs: Usage) -> Iterator[str]:
    yield "| month (last round) | pipeline s | SQL s |"
    yield "|---|---:|---:|"
    yield f"| before the first | {ours.timings.start:.2f} | {theirs.timings.start:.2f} |"
    for month, seconds in ours.timings.months.items():
        yield f"| {month} | {seconds:.2f} | {theirs.timings.months.get(month, 0.0):.2f} |"


def _steps(ours: Usage, theirs: Usage) -> Iterator[str]:
    yield "| step (last round) | pipeline s | share of wall |"
    yield "|---|---:|---:|"
    steps = sorted(ours.timings.steps.items(), key=lambda step: -step[1])
    rest = ours.wall - sum(seconds for _, seconds in steps)
    for name, seconds in [*steps, ("between steps: start, Dagster", rest)]:
        yield f"| {name} | {seconds:.1f} | {seconds / ours.wall:.0%} |"
    yield ""
    yield "| step (last round) | SQL s | share of wall |"
    yield "|---|---:|---:|"
    for name, seconds in sorted(theirs.timings.steps.items(), key=lambda step: -step[1]):
        yield f"| {name} | {seconds:.1f} | {seconds / theirs.wall:.0%} |"
