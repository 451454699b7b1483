"""Executes planned runs one after the other in this process, recorded in Dagster's instance."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any
from uuid import uuid4

import dagster as dg

from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.errors import DamagedTableError
from lakehouse_assets.lake.format import check_format
from lakehouse_assets.orchestration.assembly import build_defs
from lakehouse_assets.orchestration.instance import dagster_instance, show_in_code_location
from lakehouse_assets.orchestration.planning import (
    PlannedRun,
    halves,
    live_runs,
    with_follow_ups,
)
from lakehouse_assets.orchestration.process import (
    OWNER_TAG,
    Owner,
    end_dead_runs,
    end_interrupted_runs,
)
from lakehouse_assets.orchestration.sensors import range_tags
from lakehouse_assets.orchestration.signals import stop_requested
from lakehouse_assets.settings import Settings
from lakehouse_assets.storage.store import files_at

# Most times that failed ranges are split, however many partitions fail.
_MOST_DIVISIONS = 30
# How Dagster marks this project's own errors.
_OWN_ERROR = re.compile(r"lakehouse_assets(\.\w+)+: ")


@dataclass(frozen=True)
class FailedCheck:
    """An asset check that did not pass.

    Attributes:
        table: Name of the table.
        check: Name of the check.
        run: Label of the run.
        description: What was found.
    """

    table: str
    check: str
    run: str
    description: str


@dataclass
class RunSummary:
    """The result of some runs.

    Attributes:
        runs: Number of runs that were started.
        seconds: Time spent, by step.
        warnings: Failed checks that stopped nothing.
        errors: Reasons why the result is incomplete, one sentence each.
    """

    runs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[FailedCheck] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass
class _Failures:
    """What failed in one run.

    Attributes:
        warnings: Failed checks that stopped nothing.
        errors: A sentence for each step and each blocking check that failed.
        divisible: Whether parts of the run may succeed.
        stops: Whether further runs would fail in the same way.
        reasons: The errors without the run's label, to compare them with those of other runs.
    """

    warnings: list[FailedCheck] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    divisible: bool = True
    stops: bool = False
    reasons: frozenset[str] = frozenset()


def execute(
    settings: Settings,
    runs: Sequence[PlannedRun],
    on_start: Callable[[PlannedRun], None] = lambda _run: None,
    on_step: Callable[[str], None] = lambda _step: None,
    on_done: Callable[[PlannedRun], None] = lambda _run: None,
    *,
    command: str = "lakehouse run",
) -> RunSummary:
    """Execute runs in order, in this process, recorded in the persistent Dagster instance.

    A failure stops only what is built on it: a failed range is run again in halves, so that every
    partition that can be built is built. Once two parts in a row have failed for the same reasons,
    ranges that fail for these reasons are not divided any more. When an error persists through all
    retries of a step, as when the store is unavailable, the domain's remaining runs are skipped.

    Args:
        settings: Settings of the lakehouse.
        runs: The planned runs.
        on_start: Called before each run.
        on_step: Called with its name after each successful step.
        on_done: Called after each successful run.
        command: The command that requests the runs, as Dagster's run list shows it.

    Raises:
        LakehouseError: the lake cannot be written, or has another format.
        KeyboardInterrupt: this process was asked to stop; its run is recorded as failed.
    """
    files_at(settings.root, settings.identity).check_writable()
    check_format(settings.root, settings.identity, REGISTRY)
    summary = RunSummary()
    waiting, divisions = list(runs), _MOST_DIVISIONS
    last_reasons: frozenset[str] = frozenset()
    repeated: set[frozenset[str]] = set()
    with dagster_instance(settings) as instance:
        end_dead_runs(instance)
        logger = _step_logger(partial(show_in_code_location, instance), on_step)
        definitions = dg.Definitions.merge(
            build_defs(settings), dg.Definitions(loggers={"steps": logger})
        )
        try:
            while waiting:
                planned = waiting.pop(0)
                on_start(planned)
                summary.runs += 1
                result = _execute_run(instance, definitions, planned, command)
                # Dagster ignores a signal that arrives after the last step.
                if stop_requested():
                    raise KeyboardInterrupt
                for event in result.filter_events(lambda e: e.is_step_success):
                    spent = event.step_success_data.duration_ms / 1000
                    step = str(event.step_key)
                    summary.seconds[step] = summary.seconds.get(step, 0.0) + spent
                failures = _failures(planned.label, result)
                divisible = failures.divisible and failures.reasons not in repeated
                parts = [] if result.success or not divisible else halves(planned)
                if parts and divisions:
                    divisions -= 1
                    waiting = [*parts, *waiting]
                else:
                    if failures.reasons == last_reasons:
                        repeated.add(last_reasons)
                    last_reasons = failures.reasons
                    summary.warnings += failures.warnings
                    summary.errors += failures.errors
                if failures.stops:
                    waiting = _others(planned, waiting, summary)
                if result.success:
                    on_done(planned)
                    waiting = [*live_runs(settings, planned.job), *waiting]
                waiting = with_follow_ups(waiting, _outdated(result), planned)
        except KeyboardInterrupt:
            end_interrupted_runs(instance)
            raise
    return summary


def _execute_run(
    instance: dg.DagsterInstance, definitions: dg.Definitions, planned: PlannedRun, command: str
) -> dg.ExecuteInProcessResult:
    run_id = str(uuid4())
    tags = {
        OWNER_TAG: str(Owner.here(run_id)),
        # The user decides whether to repeat the command.
        "dagster/max_retries": "0",
        # Shown in the run list; for sensors and schedules Dagster adds its own tags.
        "user": command,
    }
    if planned.first is not None and planned.last is not None:
        tags |= range_tags(planned.first, planned.last)
    return definitions.resolve_job_def(planned.job).execute_in_process(
        instance=instance,
        run_id=run_id,
        tags=tags,
        asset_selection=[dg.AssetKey(REGISTRY[name].key) for name in planned.tables] or None,
        raise_on_error=False,
        run_config={"loggers": {"steps": {}}},
    )


def _others(
    failed: PlannedRun, waiting: Iterable[PlannedRun], summary: RunSummary
) -> list[PlannedRun]:
    """Return the runs that may still succeed after `failed`; report the others as skipped."""
    waiting = list(waiting)
    others = [run for run in waiting if failed.domain not in {None, run.domain}]
    left_out = len(waiting) - len(others)
    if left_out:
        what = f" of {failed.domain}" if failed.domain else ""
        summary.errors.append(
            f"{left_out} further run{'s' * (left_out > 1)}{what} did not start after "
            f"{failed.label}; fix what failed and run again."
        )
    return others


def _outdated(result: dg.ExecuteInProcessResult) -> dict[str, set[date]]:
    """Collect, by domain, the days that the run put out of date."""
    found: dict[str, set[date]] = {}
    written = {e.asset_key for e in result.filter_events(lambda e: e.is_step_materialization)}
    observed = dg.DagsterEventType.ASSET_OBSERVATION
    for event in result.filter_events(lambda e: e.event_type is observed):
        observation = event.asset_observation_data.asset_observation
        if observation.asset_key in written and observation.partition is not None:
            days = found.setdefault(observation.asset_key.path[0], set())
            days.add(date.fromisoformat(observation.partition))
    return found


def _failures(label: str, result: dg.ExecuteInProcessResult) -> _Failures:
    """Collect what failed in a run."""
    found = _Failures()
    for check in result.get_asset_check_evaluations():
        table, text = check.asset_key.path[-1], str(check.description)
        if check.passed:
            continue
        if check.severity == dg.AssetCheckSeverity.ERROR:
            found.errors.append(f"{table} ({label}): {check.check_name} failed. {text}")
        else:
            found.warnings.append(FailedCheck(table, check.check_name, label, text))
    if result.success:
        return found
    restarted = {
        event.step_key
        for event in result.filter_events(
            lambda e: e.event_type is dg.DagsterEventType.STEP_RESTARTED
        )
    }
    failed = result.filter_events(lambda e: e.is_step_failure)
    for event in failed:
        error = _root_cause(event.step_failure_data.error)
        if error is None or error.cls_name == "DagsterAssetCheckFailedError":
            continue
        found.divisible &= error.cls_name != DamagedTableError.__name__
        found.stops |= event.step_key in restarted
        found.errors.append(f"{event.step_key} ({label}): {_plain(error.message)}")
    if not failed:
        # The run ended before its first step: a resource did not open.
        found.stops = True
        for event in result.filter_events(lambda e: e.is_run_failure):
            error = _root_cause(event.job_failure_data.error)
            if error is not None:
                found.errors.append(f"{label}: {_plain(error.message)}")
    if not found.errors:
        found.errors.append(f"{label} failed; open the Dagster UI (make ui) for its log.")
    found.divisible &= not found.stops
    found.reasons = frozenset(line.replace(label, "", 1) for line in found.errors)
    return found


def _root_cause(error: Any) -> Any:
    """Return the first of our own errors in a chain of causes, or else the root cause."""
    while error is not None and error.cause is not None:
        if _OWN_ERROR.match(error.message):
            return error
        error = error.cause
    return error


def _plain(message: str) -> str:
    """Return an error's message as one line, without the name of our own error class."""
    return _OWN_ERROR.sub("", " ".join(message.split()), count=1)


def _step_logger(
    on_begin: Callable[[str], None], on_step: Callable[[str], None]
) -> dg.LoggerDefinition:
    """Make a Dagster logger that prints nothing, and reports the run's start and finished steps."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "dagster_event", None)
            if not isinstance(event, dg.DagsterEvent):
                return
            if event.event_type is dg.DagsterEventType.RUN_START:
                on_begin(record.dagster_meta["run_id"])  # type: ignore[attr-defined]
            elif event.is_step_success:
                on_step(str(event.step_key))

    @dg.logger
    def steps(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("lakehouse.steps", level=logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return steps
