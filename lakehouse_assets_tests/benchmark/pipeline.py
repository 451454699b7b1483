"""Contestant A: the project's own pipeline, planned and executed through Dagster.

Belongs here: running `plan` and `execute` on a landing zone with a fresh lake, Dagster home and
MLflow store, and timing months and steps. Run as `python -m` in a process of its own.
"""

from __future__ import annotations

import argparse
import cProfile
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from lakehouse_assets_tests.benchmark.measure import Timings


def run(landing: Path, folder: Path) -> Timings:
    """Run every partition of the landing zone.

    Args:
        landing: Landing zone to read.
        folder: Empty folder for lake, Dagster home and MLflow store.

    Returns:
        Seconds by month (its daily and its monthly run together) and by step.

    Raises:
        RuntimeError: a step or a blocking check failed, so the times mean nothing.
    """
    began = time.perf_counter()
    from lakehouse_assets.run import PlannedRun, execute, plan
    from lakehouse_assets.settings import Settings

    settings = Settings(
        landing=landing,
        root=folder / "lake",
        dagster_home=folder / "dagster",
        mlflow_uri=f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
    )
    marks: list[tuple[str, float]] = []

    def started(planned: PlannedRun) -> None:
        marks.append(((planned.first or "")[:7], time.perf_counter()))

    outcome = execute(settings, plan(settings), on_start=started)
    ended = time.perf_counter()
    if outcome.errors:
        raise RuntimeError("; ".join(outcome.errors[:5]))
    timings = Timings(steps=dict(outcome.seconds))
    times = [at for _, at in marks]
    for (month, at), until in zip(marks, [*times[1:], ended], strict=True):
        if month:
            timings.months[month] = timings.months.get(month, 0.0) + until - at
    timings.start = ended - began - sum(timings.months.values())
    return timings


def main() -> None:
    """Run the pipeline as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--timings", type=Path, required=True)
    parser.add_argument("--profile", type=Path)
    given = parser.parse_args()
    profile = cProfile.Profile() if given.profile else None
    with profile or nullcontext():
        timings = run(given.landing, given.folder)
    if profile is not None:
        profile.dump_stats(given.profile)
    timings.save(given.timings)


if __name__ == "__main__":
    sys.exit(main())
