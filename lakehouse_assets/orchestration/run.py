"""Executing planned runs in this process, recorded in the persistent Dagster instance."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from uuid import uuid4

import dagster as dg

from lakehouse_assets.domains.registry import REGISTRY
from lakehouse_assets.orchestration.assembly import build_defs
from lakehouse_assets.orchestration.instance import dagster_instance, show_in_code_location
from lakehouse_assets.orchestration.interrupts import noticing_interrupts
from lakehouse_assets.orchestration.outcome import Outcome, note_checks, note_failures
from lakehouse_assets.orchestration.planning import PlannedRun, halves, with_follow_ups
from lakehouse_assets.orchestration.process import (
    OWNER_TAG,
    Owner,
    end_dead_runs,
    end_interrupted_runs,
)
from lakehouse_assets.orchestration.sensors import days_to_run_again, range_tags
from lakehouse_assets.settings import Settings
from lakehouse_assets.storage.store import files_at

# A run over a range that fails is divided so often at most, however many partitions fail.
_MOST_DIVISIONS = 30


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

    A failed check is noted and the next run starts; an error in a step stops. A range of which
    something failed is run in parts, so that every partition that can be made is made.

    Args:
        settings: Settings of the lakehouse.
        runs: What `planning.plan` returned.
        on_start: Called before each run.
        on_step: Called after each step with its name and seconds.
        on_done: Called after each run in which everything went well.

    Raises:
        KeyboardInterrupt: somebody interrupted a run; it stands as failed.
    """
    files_at(settings.root, settings.identity).check_writable()
    runner = Runner(settings)
    with dagster_instance(settings) as instance:
        end_dead_runs(instance)
        return runner.execute(instance, runs, Watcher(on_start, on_step, on_done))


class Runner:
    """Executes runs in this process; definitions take their time, so they are built once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began: Callable[[], None] = lambda: None
        self._finished: Callable[[str, float], None] = Watcher.on_step
        logger = _step_logger(
            lambda: self._began(), lambda step, seconds: self._finished(step, seconds)
        )
        self._definitions = dg.Definitions.merge(
            build_defs(settings), dg.Definitions(loggers={"steps": logger})
        )

    def execute(
        self,
        instance: dg.DagsterInstance,
        runs: Sequence[PlannedRun],
        watcher: Watcher,
        narrowed: Callable[[list[PlannedRun]], list[PlannedRun]] = list,
    ) -> Outcome:
        """Execute runs in order, as `execute` does, on an open instance.

        Args:
            instance: Where the runs are recorded.
            runs: Planned runs.
            watcher: What is told of them.
            narrowed: Leaves of runs that follow on them what is to be made here.
        """
        outcome = Outcome()
        waiting, divisions = list(runs), _MOST_DIVISIONS
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
                    run_id = str(uuid4())
                    self._began = partial(show_in_code_location, instance, run_id)
                    result = _execute_run(instance, self._definitions, planned, run_id)
                    if interrupted():
                        raise KeyboardInterrupt
                    came = Outcome()
                    note_checks(planned.label, result, came)
                    note_failures(planned.label, result, came)
                    whole = result.success or came.stopped or came.indivisible
                    parts = [] if whole else halves(planned)
                    if parts and divisions:
                        # What fails is found, so that the other partitions are made.
                        divisions -= 1
                        waiting = [*parts, *waiting]
                    else:
                        outcome.add(came)
                    if result.success:
                        watcher.on_done(planned)
                    waiting = narrowed(with_follow_ups(waiting, _outdated(result), planned))
            except KeyboardInterrupt:
                end_interrupted_runs(instance)
                raise
        return outcome


def _execute_run(
    instance: dg.DagsterInstance, definitions: dg.Definitions, planned: PlannedRun, run_id: str
) -> dg.ExecuteInProcessResult:
    # Whoever gave the command decides whether it is given again.
    tags = {OWNER_TAG: str(Owner.here(run_id)), "dagster/max_retries": "0"}
    if planned.first is not None and planned.last is not None:
        tags |= range_tags(planned.first, planned.last)
    return definitions.resolve_job_def(planned.job).execute_in_process(
        instance=instance,
        run_id=run_id,
        tags=tags,
        asset_selection=[REGISTRY[name].asset_key for name in planned.tables] or None,
        raise_on_error=False,
        run_config={"loggers": {"steps": {}}},
    )


def _outdated(result: dg.ExecuteInProcessResult) -> dict[str, set[date]]:
    """Collect, by domain, the days that the run put out of date."""
    found: dict[str, set[date]] = {}
    for event in result.filter_events(lambda e: e.is_step_materialization):
        materialization = event.step_materialization_data.materialization
        days = found.setdefault(materialization.asset_key.path[0], set())
        days |= days_to_run_again(materialization.metadata)
    return found


def _step_logger(
    began: Callable[[], None], finished: Callable[[str, float], None]
) -> dg.LoggerDefinition:
    """Make a Dagster logger that prints nothing and reports runs that begin and finished steps."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_event", None)
            if not isinstance(event, dg.DagsterEvent):
                return
            if event.event_type is dg.DagsterEventType.RUN_START:
                began()
            elif event.is_step_success:
                milliseconds = event.step_success_data.duration_ms
                finished(str(event.step_key), milliseconds / 1000)

    @dg.logger
    def steps(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("lakehouse.steps", level=logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return steps
