"""Contestant A: the project's own pipeline, planned and executed through Dagster.

Run as `python -m` in a process of its own.
"""

from __future__ import annotations

import argparse
import cProfile
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from lakehouse_assets_tests.benchmark.measure import Timings


def run(landing: Path, folder: Path, months_per_run: int | None) -> Timings:
    """Run every partition of the landing zone.

    Args:
        landing: Landing zone to read.
        folder: Empty folder for lake, Dagster home and MLflow store.
        months_per_run: Months that one run may cover; None for the project's own choice.

    Returns:
        Seconds by month (daily and monthly runs together, spread evenly over the months that a
        run covers) and by step.

    Raises:
        RuntimeError: a step or a blocking check failed, so the times mean nothing.
    """
    began = time.perf_counter()
    from lakehouse_assets.orchestration.planning import MONTHS_PER_RUN, PlannedRun, plan
    from lakehouse_assets.orchestration.run import execute
    from lakehouse_assets.settings import Settings

    settings = Settings(
        landing=landing,
        root=folder / "lake",
        dagster_home=folder / "dagster",
        mlflow_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
    )
    marks: list[tuple[PlannedRun, float]] = []
    outcome = execute(
        settings,
        plan(settings, months_per_run=months_per_run or MONTHS_PER_RUN).runs,
        on_start=lambda planned: marks.append((planned, time.perf_counter())),
    )
    ended = time.perf_counter()
    if outcome.errors:
        raise RuntimeError("; ".join(outcome.errors[:5]))
    timings = Timings(steps=dict(outcome.seconds))
    for (planned, at), until in zip(marks, [*(at for _, at in marks[1:]), ended], strict=True):
        months = _months(planned.first, planned.last)
        for month in months:
            timings.months[month] = timings.months.get(month, 0.0) + (until - at) / len(months)
        timings.cold = timings.cold or len(months)
    timings.start = ended - began - sum(timings.months.values())
    return timings


def _months(first: str | None, last: str | None) -> list[str]:
    """List the months that a run covers, as yyyy-MM."""
    if first is None or last is None:
        return []
    start, end = (int(key[:4]) * 12 + int(key[5:7]) - 1 for key in (first, last))
    return [f"{number // 12}-{number % 12 + 1:02}" for number in range(start, end + 1)]


def main() -> None:
    """Run the pipeline as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--timings", type=Path, required=True)
    parser.add_argument("--months-per-run", type=int)
    parser.add_argument("--profile", type=Path)
    given = parser.parse_args()
    profile = cProfile.Profile() if given.profile else None
    with profile or nullcontext():
        timings = run(given.landing, given.folder, given.months_per_run)
    if profile is not None:
        profile.dump_stats(given.profile)
    timings.save(given.timings)


if __name__ == "__main__":
    sys.exit(main())
