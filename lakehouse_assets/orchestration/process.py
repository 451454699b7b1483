"""Tracks which process executes a run, and ends runs whose process is gone.

Tables need no repair: a commit exists completely or not at all, and re-running the partition
replaces it.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import parent_process
from pathlib import Path

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.orchestration.recorded import FAILED
from lakehouse_assets.orchestration.resources import MlflowResource
from lakehouse_assets.orchestration.signals import (
    ending_on_signals,
    keep_temporary_files_together,
    last_call,
    stop,
    stop_reason,
)

# The UI does not show tags with this prefix.
OWNER_TAG = ".dagster/lakehouse_process"
ALIVE_TAG = ".dagster/lakehouse_alive"
# A run on another host counts as killed after this long without a sign of life.
LEASE = timedelta(minutes=10)
# Dagster itself writes an event every five minutes while a step waits for its pool.
_HEARTBEAT = timedelta(minutes=1)
WAS_KILLED = "The process of this run was killed."
_LOOK_SECONDS = 60
_INTERRUPTED = "DagsterExecutionInterruptedError"
_LOG = logging.getLogger(__name__)
# NOT_STARTED too: `lakehouse run` tags a run with its process before the run starts.
_ACTIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Owner:
    """The process that executes a run; once it has ended, an unfinished run was killed.

    Attributes:
        run_id: The run, needed because a retry inherits the tags of the run that it repeats.
        host: The machine or the container, see `_host`.
        number: Process id.
        started: Start time in ticks since boot, which distinguishes it from a later process with
            the same id; 0 where the system does not provide it.
    """

    run_id: str
    host: str
    number: int
    started: int

    @classmethod
    def here(cls, run_id: str) -> Owner:
        """Return this process as the owner of a run."""
        return cls(run_id, _host(), os.getpid(), _started(os.getpid()))

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Owner | None:
        """Return the owner of a run; None if it has none yet."""
        run_id, _, rest = run.tags.get(OWNER_TAG, "").partition(" ")
        if run_id != run.run_id:
            return None
        host, process, *_ = rest.split(" ")
        number, _, started = process.partition(":")
        return cls(run_id, host, int(number), int(started or 0))

    def __str__(self) -> str:
        """Format the owner as a run's tag."""
        return f"{self.run_id} {self.host} {self.number}:{self.started}"

    @property
    def is_on_this_host(self) -> bool:
        """Whether its process can be looked up."""
        return self.host == _host()

    @property
    def has_ended(self) -> bool:
        """Whether its process, which must be on this host, no longer exists."""
        return not _exists(self.number, self.started)


class Heartbeat:
    """Marks a run as alive every minute, and ends it on signals and at its time limit.

    It also ends killed runs, because this run may be waiting for their pool slots.

    Args:
        instance: The instance that records the run.
        run_id: The run, which this process executes.
        time_limit: How long the run may take; None for no limit.
    """

    def __init__(
        self, instance: dg.DagsterInstance, run_id: str, time_limit: timedelta | None = None
    ) -> None:
        self._instance = instance
        self._run_id = run_id
        self._time_limit = time_limit
        self._until = time.monotonic() + (time_limit.total_seconds() if time_limit else math.inf)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._watching = ExitStack()

    def begin(self) -> None:
        """Set the run's owner unless it has one, and start to watch the run."""
        self._watching.enter_context(ending_on_signals())
        self._watching.enter_context(last_call(self._run_id, self._record_end))
        if parent_process() is not None:
            # Dagster's run worker, which executes nothing else.
            keep_temporary_files_together()
        run = self._instance.get_run_by_id(self._run_id)
        tags = {ALIVE_TAG: clock.now().isoformat()}
        if run is not None and Owner.of(run) is None:
            tags[OWNER_TAG] = str(Owner.here(self._run_id))
        self._instance.add_run_tags(self._run_id, tags)
        self._thread.start()

    def end(self) -> None:
        """Stop watching the run, and allow a retry if it was interrupted in a step.

        Dagster takes the interruption for a failure of the step, after which it does not retry.
        """
        self._ended.set()
        self._thread.join()
        self._watching.close()
        failures = self._instance.get_records_for_run(
            self._run_id, of_type=dg.DagsterEventType.STEP_FAILURE
        ).records
        errors = [record.event_log_entry.get_dagster_event() for record in failures]
        if any(_INTERRUPTED in str(error.step_failure_data.error) for error in errors):
            self._instance.add_run_tags(
                self._run_id, {"dagster/retry_on_asset_or_op_failure": "true"}
            )

    def _record_end(self) -> None:
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and not run.is_finished:
            _end(self._instance, run, stop_reason())

    def _beat(self) -> None:
        every = _HEARTBEAT.total_seconds()
        while not self._ended.wait(min(every, max(0.0, self._until - time.monotonic()))):
            if time.monotonic() >= self._until:
                # A retry would take just as long.
                self._instance.add_run_tags(self._run_id, {"dagster/max_retries": "0"})
                stop(
                    f"Run {self._run_id} has taken longer than LAKEHOUSE_RUN_TIME_LIMIT "
                    f"({self._time_limit}); find the slow step in its log, or raise the limit."
                )
                return
            try:
                self._instance.add_run_tags(self._run_id, {ALIVE_TAG: clock.now().isoformat()})
                end_dead_runs(self._instance)
            except Exception:  # noqa: BLE001 - the next one may succeed
                _LOG.warning("The heartbeat of run %s failed.", self._run_id, exc_info=True)


def was_killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether the process of an unfinished run is gone.

    On this host the process is looked up. On another host a run counts as killed after `LEASE`
    without a heartbeat or an event. A run without an owner has not started; Dagster's run
    monitoring limits how long that may take.
    """
    owner = Owner.of(run)
    if owner is None:
        return False
    if owner.is_on_this_host:
        return owner.has_ended
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    signs = [record.timestamp for record in newest]
    if ALIVE_TAG in run.tags:
        signs.append(datetime.fromisoformat(run.tags[ALIVE_TAG]).timestamp())
    return max(signs, default=0.0) < (clock.now() - LEASE).timestamp()


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the runs of dead processes, free their pool slots and return the runs' ids."""
    dead = [
        r for r in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)) if was_killed(instance, r)
    ]
    for run in dead:
        _end(instance, run, WAS_KILLED)
    return [run.run_id for run in dead]


def end_interrupted_runs(instance: dg.DagsterInstance) -> None:
    """End the unfinished runs of this process, which was asked to stop."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)):
        if Owner.of(run) == Owner.here(run.run_id):
            _end(instance, run, stop_reason())


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    text = f"{reason} No table is left half written; run the partitions again."
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, text)
    else:
        instance.report_run_failed(run, text)


def active_runs(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of the runs that are being executed."""
    return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))]


def healing_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that ends the runs of killed processes."""

    @dg.sensor(
        name="fail_orphaned_runs",
        description=(
            "Ends runs whose process was killed, frees their pool slots and ends their MLflow "
            "runs; Dagster then retries them (run_retries in dagster.yaml)."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def fail_orphaned_runs(
        context: dg.SensorEvaluationContext, mlflow: MlflowResource
    ) -> dg.SkipReason:
        now = clock.now()
        ended = end_dead_runs(context.instance)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        broken = dg.RunsFilter(statuses=FAILED, updated_after=since)
        # Opening MLflow takes seconds, so it is done only after a run failed.
        if context.instance.get_runs(broken, limit=1):
            mlflow.open().end_orphaned_runs(active_runs(context.instance), now)
        context.update_cursor(now.isoformat())
        return dg.SkipReason(
            f"Ended the runs {', '.join(ended)} of killed processes."
            if ended
            else "No process of a run was killed."
        )

    return fail_orphaned_runs


def _host() -> str:
    """Return the host name and the PID namespace, which differs between containers.

    Containers may share a host name, for example on their host's network.
    """
    space = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{space.stat().st_ino if space.exists() else 0}"


def _exists(number: int, started: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _started(number) == started


def _started(number: int) -> int:
    """Return a process's start in ticks since boot; 0 without a /proc entry, -1 for a zombie."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    # The command, in brackets, may contain spaces and brackets; the start is 20 fields after it.
    state, *fields = text.rpartition(")")[2].split()
    # A zombie has ended, but its parent has not collected its exit status yet.
    return -1 if state == "Z" else int(fields[18])
