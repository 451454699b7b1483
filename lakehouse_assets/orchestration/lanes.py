"""Strands beside each other: every lane makes one after the other in a process of its own.

Strands share nothing but the tables that are made before them, and planning a run keeps a Python
interpreter busy, so that strands gain from a core each. Whoever is done takes the next one, the
longest first. What trains models stays in this process, and so do the runs before and after.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.assembly import every_asset
from lakehouse_assets.orchestration.garbage import collect_rarely, leave_rest
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.outcome import Outcome
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.orchestration.process import end_dead_runs
from lakehouse_assets.orchestration.processes import beginning
from lakehouse_assets.orchestration.run import Runner, Watcher, execute
from lakehouse_assets.orchestration.strands import Divided, Work, divide, strands_of
from lakehouse_assets.settings import Settings
from lakehouse_assets.storage.store import files_at

# How long an interrupted lane may take to end its run.
_SECONDS_TO_END = 10
_SIZE = re.compile(r"\s*([0-9.]+)\s*([A-Za-z]+|%)\s*")


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def beside_each_other(
    settings: Settings, runs: Sequence[PlannedRun], most: int | None = None
) -> Iterator[Callable[[Watcher], Outcome]]:
    """Start the processes of the lanes, which load what they need; give what executes the runs.

    With one strand, one core or another engine than the embedded one everything stays here.

    Args:
        settings: Settings of the lakehouse; its bounds of memory and threads are those of all lanes
            together.
        runs: What `planning.plan` returned.
        most: Lanes at most; as many as cores by default.

    Raises:
        KeyboardInterrupt: somebody interrupted a run; every lane has ended.
    """
    most = most or cores()
    divided = Divided()
    if most > 1 and settings.engine == "duckdb":
        assets = every_asset(Calendar(settings.first_partition), settings)
        # One more than lanes, so that whoever is done first finds something to do.
        divided = divide(runs, strands_of(assets, most + 1))
    count = min(most, len(divided.beside))
    if count < 2:
        yield lambda watcher: execute(
            settings, runs, watcher.on_start, watcher.on_step, watcher.on_done
        )
        return
    own = shared_out(settings, count)
    # Or delta-rs has as many threads in every process as there are cores.
    os.environ.setdefault("TOKIO_WORKER_THREADS", str(own.threads))
    _load_shared()
    others = [_Lane(own) for _ in range(count - 1)]
    try:
        yield lambda watcher: _execute(own, divided, others, watcher)
    finally:
        for lane in others:
            lane.end()


def _execute(
    settings: Settings, divided: Divided, others: Sequence[_Lane], watcher: Watcher
) -> Outcome:
    """Execute work here while the others' processes execute theirs."""
    watcher = _one_at_a_time(_told_once(divided.beside, watcher))
    waiting = _Waiting(divided.beside)
    files_at(settings.root, settings.identity).check_writable()
    runner = Runner(settings)
    with dagster_instance(settings) as instance:
        # The home is there: two processes would make it at the same time.
        for lane in others:
            lane.tell("home")
        try:
            end_dead_runs(instance)
            outcome = runner.execute(instance, divided.before, watcher)
            if not outcome.stopped:
                for lane in others:
                    lane.begin(waiting, watcher)
                while (work := waiting.next(trains=True)) is not None:
                    came = runner.execute(instance, work.runs, watcher, work.strand.runs)
                    waiting.end_if(came.stopped)
                    outcome.add(came)
                for lane in others:
                    outcome.add(lane.outcome())
            if not outcome.stopped:
                outcome.add(runner.execute(instance, divided.after, watcher))
        finally:
            for lane in others:
                lane.end()
            # A lane that was killed could not end its run.
            end_dead_runs(instance)
    return outcome


class _Waiting:
    """Work that no lane has taken yet; several threads ask for it."""

    def __init__(self, work: Sequence[Work]) -> None:
        self._work = list(work)
        self._turn = threading.Lock()

    def next(self, *, trains: bool) -> Work | None:
        """Take the next piece; work that trains models only where that can be done."""
        with self._turn:
            for place, work in enumerate(self._work):
                if trains or not work.strand.trains:
                    return self._work.pop(place)
        return None

    def end_if(self, stopped: bool) -> None:
        """Give no more work if something broke; what has begun goes on."""
        if stopped:
            with self._turn:
                self._work.clear()


def _told_once(beside: Sequence[Work], watcher: Watcher) -> Watcher:
    """Tell of a planned run when its first part begins, and that it is done when all parts are."""
    left = Counter(run.part_of for work in beside for run in work.runs if run.part_of)
    begun: set[PlannedRun] = set()

    def on_start(run: PlannedRun) -> None:
        whole = run.part_of or run
        if whole not in begun:
            begun.add(whole)
            watcher.on_start(whole)

    def on_done(run: PlannedRun) -> None:
        whole = run.part_of or run
        left[whole] -= 1
        # Nobody planned what a late day puts out of date: each part of it is told.
        if left[whole] <= 0:
            watcher.on_done(whole)

    return Watcher(on_start, watcher.on_step, on_done)


def _one_at_a_time(watcher: Watcher) -> Watcher:
    """Tell of what lanes do at the same time one after the other."""
    turn = threading.Lock()

    def in_turn(tell: Callable[..., None]) -> Callable[..., None]:
        def told(*what: Any) -> None:
            with turn:
                tell(*what)

        return told

    return Watcher(in_turn(watcher.on_start), in_turn(watcher.on_step), in_turn(watcher.on_done))


def shared_out(settings: Settings, lanes: int) -> Settings:
    """Give each lane its part of the memory and the threads."""
    threads = max(1, (settings.threads or cores()) // lanes)
    size = _SIZE.fullmatch(settings.memory_limit)
    memory = f"{float(size[1]) / lanes:g}{size[2]}" if size else settings.memory_limit
    return settings.model_copy(update={"threads": threads, "memory_limit": memory})


class _Lane:
    """A lane in a process of its own, seen from the process that started it."""

    def __init__(self, settings: Settings) -> None:
        self._doing = "nothing yet"
        context = beginning()
        self._line, line = context.Pipe()
        self._process = context.Process(
            target=_work, args=(settings, line), name="lakehouse-lane", daemon=True
        )
        self._process.start()
        line.close()
        self._outcome = Outcome()
        self._listener: threading.Thread | None = None

    def tell(self, word: str | None) -> None:
        """Let the lane do its next step, or end if there is none.

        Whether it is still there shows when it is listened to.
        """
        with suppress(OSError):
            self._line.send(word)

    def begin(self, waiting: _Waiting, watcher: Watcher) -> None:
        """Let the lane do what waits, and pass on what it tells."""
        self._listener = threading.Thread(
            target=self._give_and_listen, args=(waiting, watcher), daemon=True
        )
        self._listener.start()

    def _give_and_listen(self, waiting: _Waiting, watcher: Watcher) -> None:
        try:
            while (work := waiting.next(trains=False)) is not None:
                self._doing = f"{work.runs[0].domain} ({work.runs[0].tables[0]} and others)"
                self._line.send(work)
                waiting.end_if(self._listen(watcher).stopped)
            self.tell(None)
        except (EOFError, OSError):
            self._outcome.stopped = True
            waiting.end_if(self._outcome.stopped)
            self._outcome.errors.append(
                f"The process that ran {self._doing} was ended from outside, most likely for "
                "want of memory; free some, or lower LAKEHOUSE_MEMORY_LIMIT, and run again."
            )

    def _listen(self, watcher: Watcher) -> Outcome:
        tell: dict[str, Callable[..., None]] = {
            "start": watcher.on_start,
            "step": watcher.on_step,
            "done": watcher.on_done,
            "outcome": self._outcome.add,
        }
        last = ""
        while last != "outcome":
            last, *what = self._line.recv()
            tell[last](*what)
        return self._outcome

    def outcome(self) -> Outcome:
        """Wait for the lane and return what came of its runs."""
        if self._listener is not None:
            self._listener.join()
        return self._outcome

    def end(self) -> None:
        """End the process, and a run that it is in the middle of."""
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()


def _work(settings: Settings, line: Connection) -> None:
    """Execute what the other side gives, piece by piece."""
    # A group of its own: whoever interrupts `lakehouse run` ends the lanes by its hand.
    os.setpgrp()
    # Whoever started it may have interrupts ignored, as `nohup` and `&` do: not this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        collect_rarely()
        _load(settings)
        leave_rest()
        runner = Runner(settings)
        line.recv()
        with dagster_instance(settings) as instance:
            watcher = Watcher(
                lambda run: line.send(("start", run)),
                lambda step, seconds: line.send(("step", step, seconds)),
                lambda run: line.send(("done", run)),
            )
            while (work := line.recv()) is not None:
                came = runner.execute(instance, work.runs, watcher, work.strand.runs)
                line.send(("outcome", came))
    except LakehouseError as error:
        line.send(("outcome", Outcome(errors=[str(error)], stopped=True)))
    except (KeyboardInterrupt, EOFError):
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the other side has to hear of it
        traceback.print_exc()
        line.send(("outcome", Outcome(errors=[f"{type(error).__name__}: {error}"], stopped=True)))


def _load_shared() -> None:
    """Import what every process of a run needs and starts no threads, before there are several."""
    import dagster._core.storage.runs.sqlite.sqlite_run_storage  # noqa: F401
    import sqlframe.duckdb  # noqa: F401

    import lakehouse_assets.orchestration.event_log  # noqa: F401

    leave_rest()


def _load(settings: Settings) -> None:
    """Import what every run needs and start the engine, while others work."""
    import deltalake  # noqa: F401
    import pyarrow as pa

    from lakehouse_assets.orchestration.lake_resource import LakeResource

    # To make an array of Python's values, Arrow imports pandas.
    pa.array([""])
    LakeResource.of(settings).open()


def _end_with_parent() -> None:
    """Leave no lane behind whose parent was killed and could not end it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
