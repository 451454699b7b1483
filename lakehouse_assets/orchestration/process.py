"""Which processes execute a run, whether they are still there, and ending runs that lost them.

Tables need no healing: a commit is there or it is not, and running the partition again replaces it.
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
# A run on another host is taken for killed after this long without a sign of life.
LEASE = timedelta(minutes=10)
# Dagster itself writes an event every five minutes while a step waits for its pool.
_HEARTBEAT = timedelta(minutes=1)
WAS_KILLED = "The process of this run was killed."
_INTERRUPTED = "DagsterExecutionInterruptedError"
_LOG = logging.getLogger(__name__)
# A run of `lakehouse run` belongs to its process before it has started.
_ACTIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Owner:
    """The processes that execute a run; it is killed when all of them have ended.

    Attributes:
        run_id: The run, because a retry inherits the tags of the run that it repeats.
        host: The machine or the container, see `_host`.
        processes: Process ids, each with the process's start in ticks since the machine's, which
            tells it from a later process of the same number; 0 where the system does not say.
    """

    run_id: str
    host: str
    processes: tuple[tuple[int, int], ...]

    @classmethod
    def here(cls, run_id: str, *others: int) -> Owner:
        """Return this process, and others of this machine, as the owner of a run."""
        numbers = (os.getpid(), *others)
        return cls(run_id, _host(), tuple((n, _started(n)) for n in numbers))

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Owner | None:
        """Return the owner of a run; None if it has none yet."""
        run_id, _, rest = run.tags.get(OWNER_TAG, "").partition(" ")
        if run_id != run.run_id:
            return None
        host, *processes = rest.split(" ")
        found = [process.partition(":") for process in processes]
        return cls(run_id, host, tuple((int(number), int(start)) for number, _, start in found))

    def __str__(self) -> str:
        """Write the owner as a run's tag."""
        return " ".join([self.run_id, self.host, *(f"{n}:{s}" for n, s in self.processes)])

    @property
    def is_on_this_host(self) -> bool:
        """Whether its processes can be looked for."""
        return self.host == _host()

    @property
    def has_ended(self) -> bool:
        """Whether none of its processes, which are of this host, exists any more."""
        return not any(_exists(*process) for process in self.processes)


class Heartbeat:
    """Says of a run every minute that it is alive, and ends it on signals and at its time limit.

    It ends runs that were killed too: this one may be waiting for their places in pools.

    Args:
        instance: Where the run is recorded.
        run_id: The run, which this process executes.
        time_limit: How long the run may take; any time if it is None.
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
        """Give the run an owner unless it has one, and begin to watch it."""
        self._watching.enter_context(ending_on_signals())
        self._watching.enter_context(last_call(self._run_id, self._record_end))
        if parent_process() is not None:
            # Dagster's run worker, which executes nothing else.
            keep_temporary_files_together()
        run = self._instance.get_run_by_id(self._run_id)
        tags = {ALIVE_TAG: clock.now().isoformat()}
        if run is not None and Owner.of(run) is None:
            # A multiprocess executor starts a process for each step: the one that starts them, or
            # Dagster's code server, belongs to the run as well.
            parent = parent_process()
            others = [parent.pid] if parent is not None and parent.pid is not None else []
            tags[OWNER_TAG] = str(Owner.here(self._run_id, *others))
        self._instance.add_run_tags(self._run_id, tags)
        self._thread.start()

    def end(self) -> None:
        """Watch the run no longer; let one that was interrupted in a step be started again.

        Dagster takes that for a mistake of the step's, which it would make again.
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
                # Once more, it would take as long.
                self._instance.add_run_tags(self._run_id, {"dagster/max_retries": "0"})
                stop(
                    f"Run {self._run_id} has taken longer than LAKEHOUSE_RUN_TIME_LIMIT "
                    f"({self._time_limit}); look in its log for what takes so long, or allow more."
                )
                return
            try:
                self._instance.add_run_tags(self._run_id, {ALIVE_TAG: clock.now().isoformat()})
                end_dead_runs(self._instance)
            except Exception:  # noqa: BLE001 - the next one may succeed
                _LOG.warning("Run %s could not say that it is alive.", self._run_id, exc_info=True)


def was_killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether the processes of a run that has not ended are gone.

    On this host they are looked for. On another one a run counts as killed after `LEASE` without a
    heartbeat or an event. A run without an owner has not begun; Dagster's run monitoring limits how
    long that may take.
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
    """End the runs of dead processes and free their places in pools.

    Returns:
        The ids of the runs that were ended.
    """
    dead = [
        r for r in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)) if was_killed(instance, r)
    ]
    for run in dead:
        _end(instance, run, WAS_KILLED)
    return [run.run_id for run in dead]


def end_interrupted_runs(instance: dg.DagsterInstance) -> None:
    """End the runs of this process, which is asked to stop before they have ended by themselves."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)):
        if Owner.of(run) == Owner.here(run.run_id):
            _end(instance, run, stop_reason())


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    text = (
        f"{reason} Its tables are as they were before or after each step, never in between; run "
        "the partitions again."
    )
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, text)
    else:
        instance.report_run_failed(run, text)


def active_runs(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of the runs that are being executed."""
    return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))]


def _host() -> str:
    """Return the machine's name and the space of its process ids, which each container has alone.

    Containers may share a name, as those in their host's network do.
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
    """Return when a process started; 0 where /proc does not tell."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    # The command, in brackets, may hold blanks and brackets; the start is the 20th field after it.
    return int(text.rpartition(")")[2].split()[19])
