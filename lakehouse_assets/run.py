"""Running every partition that the landing zone holds, in process, with progress.

Belongs here: planning runs from deliveries, and executing them one after the other through Dagster.
Not here: what came of them (`outcome.py`), domains beside each other (`lanes.py`), printing
(`report.py`) and the command line (`cli.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from lakehouse_assets.assembly import build_defs
from lakehouse_assets.automation.recovery import (
    active_runs,
    end_dead_runs,
    end_interrupted_runs,
)
from lakehouse_assets.automation.sensors import RANGE_END, RANGE_START, days_to_run_again
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.datasets import Dataset
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.instance import dagster_instance
from lakehouse_assets.interrupts import noticing_interrupts
from lakehouse_assets.jobs import DAILY, MONTHLY, QUALITY, UNPARTITIONED, domain_of, job_name
from lakehouse_assets.lake.store import files_at
from lakehouse_assets.ml import worker
from lakehouse_assets.ml.segmentation import Store, end_abandoned, open_store
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.outcome import Outcome, note_checks, note_failures
from lakehouse_assets.process import PROCESS_TAG, Process
from lakehouse_assets.settings import Settings
from lakehouse_assets.tables import DATASETS, REGISTRY

# Fewer, larger runs share the cost of planning and bookkeeping; three months bound the memory.
MONTHS_PER_RUN = 3


@dataclass(frozen=True)
class PlannedRun:
    """One Dagster run: a job and the partitions it covers, both ends included.

    Attributes:
        job: Name of the job.
        first: First partition key, None for an unpartitioned job.
        last: Last partition key.
        tables: Names of the tables to make; all of the job if there are none.
    """

    job: str
    first: str | None = None
    last: str | None = None
    tables: tuple[str, ...] = ()

    @property
    def domain(self) -> str | None:
        """The domain that it is of; None for tables of all domains."""
        return domain_of(self.job)

    @property
    def label(self) -> str:
        """Say what the run does, for people."""
        if self.first is None:
            return self.job
        return (
            f"{self.job} {self.first if self.first == self.last else f'{self.first}..{self.last}'}"
        )


def plan(
    settings: Settings,
    datasets: tuple[Dataset, ...] = DATASETS,
    months_per_run: int = MONTHS_PER_RUN,
) -> list[PlannedRun]:
    """Plan the runs for every partition that the landing zone holds, by domain, oldest first.

    Args:
        settings: Settings of the lakehouse.
        datasets: Datasets that the zone may hold.
        months_per_run: Consecutive months that one run may cover.

    Raises:
        LakehouseError: the zone is missing or empty, holds what nobody reads, or holds deliveries
            for which there is no partition.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    zone.check_folders(datasets)
    found: dict[str, dict[str, set[date]]] = {}
    for dataset in datasets:
        days = found.setdefault(dataset.domain, {"day": set(), "month": set()})
        for file in zone.files(dataset):
            check_date(settings, dataset, file.delivered_on)
            days[dataset.grain].add(file.delivered_on)
    runs = [run for domain in found for run in of_domain(domain, found[domain], months_per_run)]
    if not runs:
        raise LakehouseError(
            f"The landing zone {settings.landing} holds no deliveries; land a file with `lakehouse "
            f"land {datasets[0].path} FILE --date YYYY-MM-DD`, or set LAKEHOUSE_LANDING."
        )
    return [PlannedRun(UNPARTITIONED), *runs, PlannedRun(QUALITY)]


def of_domain(domain: str, days: Mapping[str, set[date]], months_per_run: int) -> list[PlannedRun]:
    """Plan a domain's runs from its days of delivery by grain: days before their months."""
    runs = []
    months = sorted({day.replace(day=1) for found in days.values() for day in found})
    for chunk in _consecutive(months, months_per_run):
        within = sorted(day for day in days["day"] if day.replace(day=1) in chunk)
        if within:
            daily = job_name(domain, DAILY)
            runs.append(PlannedRun(daily, within[0].isoformat(), within[-1].isoformat()))
        monthly = job_name(domain, MONTHLY)
        runs.append(PlannedRun(monthly, chunk[0].isoformat(), chunk[-1].isoformat()))
    return runs


def _consecutive(months: list[date], most: int) -> list[list[date]]:
    """Group months that follow each other, at most so many to a group."""
    groups: list[list[date]] = []
    for month in months:
        last = groups[-1] if groups else []
        if last and len(last) < most and (last[-1] + timedelta(days=32)).replace(day=1) == month:
            last.append(month)
        else:
            groups.append([month])
    return groups


def check_date(settings: Settings, dataset: Dataset, day: date) -> None:
    """Make sure that a day of delivery has a partition.

    Raises:
        LakehouseError: it has none; the message says how to give it one.
    """
    if day < settings.first_partition:
        raise LakehouseError(
            f"{dataset.path} has a delivery of {day}, before the first partition "
            f"{settings.first_partition}; set LAKEHOUSE_FIRST_PARTITION to {day.replace(day=1)} or "
            "earlier."
        )
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise LakehouseError(
            f"{dataset.path} has a delivery of {day}, which is in the future; rename the folder to "
            "the day of delivery."
        )


@dataclass(frozen=True)
class Watcher:
    """What is told of runs while they go on.

    Attributes:
        on_start: Called before each run.
        on_step: Called after each step with its name and seconds.
        on_done: Called after each run in which everything went well.
    """

    on_start: Callable[[PlannedRun], None] = lambda _run: None
    on_step: Callable[[str, float], None] = lambda _step, _seconds: None
    on_done: Callable[[PlannedRun], None] = lambda _run: None


def execute(
    settings: Settings,
    runs: Sequence[PlannedRun],
    on_start: Callable[[PlannedRun], None] = Watcher.on_start,
    on_step: Callable[[str, float], None] = Watcher.on_step,
    on_done: Callable[[PlannedRun], None] = Watcher.on_done,
) -> Outcome:
    """Execute runs in order, in this process, recorded in the persistent Dagster instance.

    A failed check is noted and the next run starts; an error in a step stops.

    Args:
        settings: Settings of the lakehouse.
        runs: What `plan` returned.
        on_start: Called before each run.
        on_step: Called after each step with its name and seconds.
        on_done: Called after each run in which everything went well.

    Raises:
        KeyboardInterrupt: somebody interrupted a run; it stands as failed.
    """
    files_at(settings.root, settings.identity).check_writable()
    runner = Runner(settings)
    runner.prepare_models(runs)
    with dagster_instance(settings) as instance:
        end_what_was_killed(settings, instance)
        return runner.execute(instance, runs, Watcher(on_start, on_step, on_done))


def end_what_was_killed(settings: Settings, instance: dg.DagsterInstance) -> None:
    """End what a killed process left behind and would hold up the runs of this one."""
    now = datetime.now(UTC)
    end_dead_runs(instance)
    store = Store.of(MlflowTracking.of(settings))
    worker.submit(end_abandoned, store, active_runs(instance), now)


class Runner:
    """Executes runs in this process; definitions take their time, so they are built once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._finished: Callable[[str, float], None] = Watcher.on_step
        logger = _step_logger(lambda step, seconds: self._finished(step, seconds))
        self._definitions = dg.Definitions.merge(
            build_defs(settings), dg.Definitions(loggers={"steps": logger})
        )

    def trains_models(self, runs: Sequence[PlannedRun]) -> bool:
        """Say whether a run trains and tracks models."""
        domains = {run.domain for run in runs}
        return any(
            asset.key.path[0] in domains
            for asset in self._definitions.assets or ()
            if isinstance(asset, dg.AssetsDefinition) and "mlflow" in asset.required_resource_keys
        )

    def prepare_models(self, runs: Sequence[PlannedRun]) -> None:
        """Let the worker import its libraries and open the store of models, if a run trains one.

        That takes seconds, so it begins with the first table; if it fails, the first model says so.
        """
        if self.trains_models(runs):
            worker.submit(open_store, Store.of(MlflowTracking.of(self._settings)))

    def execute(
        self, instance: dg.DagsterInstance, runs: Sequence[PlannedRun], watcher: Watcher
    ) -> Outcome:
        """Execute runs in order, as `execute` does, on an open instance."""
        outcome = Outcome()
        waiting = list(runs)
        with noticing_interrupts() as interrupted:

            def finished(step: str, seconds: float) -> None:
                outcome.seconds[step] = outcome.seconds.get(step, 0.0) + seconds
                watcher.on_step(step, seconds)
                if interrupted():
                    raise KeyboardInterrupt

            self._finished = finished
            try:
                while waiting and not outcome.stopped:
                    planned = waiting.pop(0)
                    watcher.on_start(planned)
                    result = _execute_run(instance, self._definitions, planned)
                    if interrupted():
                        raise KeyboardInterrupt
                    note_checks(planned.label, result, outcome)
                    if result.success:
                        watcher.on_done(planned)
                    note_failures(planned.label, result, outcome)
                    waiting = with_follow_ups(waiting, _outdated(result))
            except KeyboardInterrupt:
                worker.abandon()
                end_interrupted_runs(instance)
                raise
        return outcome


def _execute_run(
    instance: dg.DagsterInstance, definitions: dg.Definitions, planned: PlannedRun
) -> dg.ExecuteInProcessResult:
    tags = {PROCESS_TAG: str(Process.current())}
    if planned.first is not None and planned.last is not None:
        tags |= {RANGE_START: planned.first, RANGE_END: planned.last}
    return definitions.resolve_job_def(planned.job).execute_in_process(
        instance=instance,
        tags=tags,
        asset_selection=[REGISTRY[name].asset_key for name in planned.tables] or None,
        raise_on_error=False,
        run_config={"loggers": {"steps": {}}},
    )


def with_follow_ups(
    waiting: list[PlannedRun], outdated: Mapping[str, set[date]]
) -> list[PlannedRun]:
    """Add runs of the days that a late day put out of date, and of their months.

    Args:
        waiting: Runs still to come.
        outdated: Days to run again by domain; those that are still to come are not added.
    """
    before, after = [], []
    for domain, found in outdated.items():
        daily, monthly = job_name(domain, DAILY), job_name(domain, MONTHLY)
        days = sorted(day for day in found if not _covered(waiting, daily, day))
        months = sorted({day.replace(day=1) for day in days})
        before += [PlannedRun(daily, day.isoformat(), day.isoformat()) for day in days]
        after += [
            PlannedRun(monthly, month.isoformat(), month.isoformat())
            for month in months
            if not _covered(waiting, monthly, month)
        ]
    return [*before, *waiting, *after]


def _covered(runs: list[PlannedRun], job: str, partition: date) -> bool:
    key = partition.isoformat()
    return any(
        run.job == job and run.first is not None and run.last is not None
        and run.first <= key <= run.last
        for run in runs
    )  # fmt: skip


def _outdated(result: dg.ExecuteInProcessResult) -> dict[str, set[date]]:
    """Collect, by domain, the days that the run put out of date."""
    found: dict[str, set[date]] = {}
    for event in result.filter_events(lambda e: e.is_step_materialization):
        materialization = event.step_materialization_data.materialization
        days = found.setdefault(materialization.asset_key.path[0], set())
        days |= days_to_run_again(materialization.metadata)
    return found


def _step_logger(finished: Callable[[str, float], None]) -> dg.LoggerDefinition:
    """Make a Dagster logger that prints nothing and reports finished steps."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_event", None)
            if isinstance(event, dg.DagsterEvent) and event.is_step_success:
                milliseconds = event.step_success_data.duration_ms
                finished(str(event.step_key), milliseconds / 1000)

    @dg.logger
    def steps(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("lakehouse.steps", level=logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return steps
