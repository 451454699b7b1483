"""Domains beside each other: every lane of runs in a process of its own.

Belongs here: dividing planned runs into lanes, the processes of lanes, and what they tell. Not
here: executing runs (`run.py`).

Domains share nothing but the tables that are made before them, and planning a run keeps a Python
interpreter busy, so that domains gain from a core each. The lane that trains models stays in this
process, and so do the runs before and after the lanes.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

from lakehouse_assets.automation.recovery import end_dead_runs
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.garbage import collect_rarely, leave_rest
from lakehouse_assets.instance import dagster_instance
from lakehouse_assets.lake.store import files_at
from lakehouse_assets.ml import worker
from lakehouse_assets.outcome import Outcome
from lakehouse_assets.run import (
    PlannedRun,
    Runner,
    Watcher,
    end_what_was_killed,
    execute,
)
from lakehouse_assets.settings import Settings

# How long an interrupted lane may take to end its run.
_SECONDS_TO_END = 10
_SIZE = re.compile(r"\s*([0-9.]+)\s*([A-Za-z]+|%)\s*")


@dataclass(frozen=True)
class Lanes:
    """Planned runs, divided.

    Attributes:
        before: Runs that all others need.
        lanes: Runs of domains, in their order; nothing of one lane needs another.
        after: Runs that need all others.
    """

    before: tuple[PlannedRun, ...]
    lanes: tuple[tuple[PlannedRun, ...], ...]
    after: tuple[PlannedRun, ...]


def divide(runs: Sequence[PlannedRun], most: int) -> Lanes:
    """Divide runs into at most so many lanes, by domain, the domains with most runs first."""
    places = [place for place, run in enumerate(runs) if run.domain is not None]
    if not places:
        return Lanes(tuple(runs), (), ())
    first, end = places[0], places[-1] + 1
    by_domain: dict[str | None, list[PlannedRun]] = {}
    for run in runs[first:end]:
        by_domain.setdefault(run.domain, []).append(run)
    lanes: list[list[PlannedRun]] = [[] for _ in range(min(most, len(by_domain)))]
    if None in by_domain:
        # A run of all domains between theirs keeps them in order.
        lanes = [list(runs[first:end])]
    else:
        for found in sorted(by_domain.values(), key=len, reverse=True):
            min(lanes, key=len).extend(found)
    return Lanes(tuple(runs[:first]), tuple(map(tuple, lanes)), tuple(runs[end:]))


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

    With one domain, one core or another engine than the embedded one everything stays here.

    Args:
        settings: Settings of the lakehouse; its bounds of memory and threads are those of all lanes
            together.
        runs: What `run.plan` returned.
        most: Lanes at most; as many as cores by default.

    Raises:
        KeyboardInterrupt: somebody interrupted a run; every lane has ended.
    """
    divided = divide(runs, most or cores())
    if len(divided.lanes) < 2 or settings.engine != "duckdb":
        yield lambda watcher: execute(
            settings, runs, watcher.on_start, watcher.on_step, watcher.on_done
        )
        return
    own = shared_out(settings, len(divided.lanes))
    runner = Runner(own)
    training = [lane for lane in divided.lanes if runner.trains_models(lane)]
    here = (training or divided.lanes)[0]
    others = [_Lane(own, lane) for lane in divided.lanes if lane is not here]
    divided = replace(divided, lanes=(here,))
    try:
        yield lambda watcher: _execute(own, runner, divided, others, watcher)
    finally:
        for lane in others:
            lane.end()


def _execute(
    settings: Settings, runner: Runner, runs: Lanes, others: Sequence[_Lane], watcher: Watcher
) -> Outcome:
    """Execute one lane here while the others' processes execute theirs."""
    watcher = _one_at_a_time(watcher)
    (here,) = runs.lanes
    files_at(settings.root, settings.identity).check_writable()
    runner.prepare_models(here)
    with dagster_instance(settings) as instance:
        # The home is there: two processes would make it at the same time.
        for lane in others:
            lane.tell("home")
        try:
            end_what_was_killed(settings, instance)
            outcome = runner.execute(instance, runs.before, watcher)
            if not outcome.stopped:
                for lane in others:
                    lane.begin(watcher)
                outcome.add(runner.execute(instance, here, watcher))
                for lane in others:
                    outcome.add(lane.outcome())
            if not outcome.stopped:
                outcome.add(runner.execute(instance, runs.after, watcher))
        except KeyboardInterrupt:
            worker.abandon()
            raise
        finally:
            for lane in others:
                lane.end()
            # A lane that was killed could not end its run.
            end_dead_runs(instance)
    return outcome


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

    def __init__(self, settings: Settings, runs: Sequence[PlannedRun]) -> None:
        self._domains = " and ".join(dict.fromkeys(str(run.domain) for run in runs))
        # A fork would copy threads and locks in whatever state they are.
        context = get_context("spawn")
        self._line, line = context.Pipe()
        self._process = context.Process(
            target=_work,
            args=(settings, runs, line),
            name=f"lakehouse-{self._domains}",
            daemon=True,
        )
        self._process.start()
        line.close()
        self._outcome = Outcome()
        self._listener: threading.Thread | None = None

    def tell(self, word: str) -> None:
        """Let the lane do its next step; whether it is still there shows when it is listened to."""
        with suppress(OSError):
            self._line.send(word)

    def begin(self, watcher: Watcher) -> None:
        """Let the lane execute its runs and pass on what it tells."""
        self.tell("begin")
        self._listener = threading.Thread(target=self._listen, args=(watcher,), daemon=True)
        self._listener.start()

    def _listen(self, watcher: Watcher) -> None:
        tell: dict[str, Callable[..., None]] = {
            "start": watcher.on_start,
            "step": watcher.on_step,
            "done": watcher.on_done,
            "outcome": self._outcome.add,
        }
        last = ""
        try:
            while last != "outcome":
                last, *what = self._line.recv()
                tell[last](*what)
        except (EOFError, OSError):
            self._outcome.stopped = True
            self._outcome.errors.append(
                f"The process that ran {self._domains} was ended from outside, most likely for "
                "want of memory; free some, or lower LAKEHOUSE_MEMORY_LIMIT, and run again."
            )

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


def _work(settings: Settings, runs: Sequence[PlannedRun], line: Connection) -> None:
    """Execute a lane's runs as soon as the other side says so."""
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
            line.recv()
            watcher = Watcher(
                lambda run: line.send(("start", run)),
                lambda step, seconds: line.send(("step", step, seconds)),
                lambda run: line.send(("done", run)),
            )
            line.send(("outcome", runner.execute(instance, runs, watcher)))
    except LakehouseError as error:
        line.send(("outcome", Outcome(errors=[str(error)], stopped=True)))
    except (KeyboardInterrupt, EOFError):
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the other side has to hear of it
        traceback.print_exc()
        line.send(("outcome", Outcome(errors=[f"{type(error).__name__}: {error}"], stopped=True)))


def _load(settings: Settings) -> None:
    """Import what every run needs and start the engine, while others work."""
    import deltalake  # noqa: F401
    import pyarrow as pa

    from lakehouse_assets.lake.resource import LakeResource

    # To make an array of Python's values, Arrow imports pandas.
    pa.array([""])
    LakeResource.of(settings).open()


def _end_with_parent() -> None:
    """Leave no lane behind whose parent was killed and could not end it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
