"""Reads streams until it is stopped, maintains their tables and reports to Dagster."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.maintenance import maintain
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.signals import StopRequest
from lakehouse_assets.orchestration.stream_reader import reading
from lakehouse_assets.orchestration.stream_report import (
    findings_of,
    report_outside_runs,
    stored_events,
)
from lakehouse_assets.streams.ingest import Cycle, Ingest

if TYPE_CHECKING:
    import dagster as dg

    from lakehouse_assets.quality.checks import Finding
    from lakehouse_assets.settings import Settings
    from lakehouse_assets.sources.messages import MessageSource

REPORT_SECONDS = 60.0
UPKEEP_SECONDS = 3600.0
_RATE_SECONDS = 60.0
# How long a cycle waits to fill up while the stream is behind.
_BEHIND_SECONDS = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(eq=False)
class LiveStream:
    """A stream that is being read.

    Attributes:
        stream: The stream.
        connect: Opens the source of its messages.
        stored: Rows of bronze at the last report.
        total: What it has read since the process started.
        unreported: What it has read since the last report.
        problem: Why it cannot be read now; empty if it can.
    """

    stream: Stream
    connect: Callable[[], MessageSource]
    stored: int
    total: Cycle = field(default_factory=Cycle)
    unreported: Cycle = field(default_factory=Cycle)
    problem: str = ""
    _arrived: deque[tuple[float, int]] = field(default_factory=deque)
    _open: ExitStack = field(default_factory=ExitStack)
    _ingest: Ingest | None = None
    _read: int = 0
    _pause: float = _FIRST_PAUSE
    _again_at: float = 0.0

    @property
    def rate(self) -> float:
        """Events a second in the last minute."""
        now = time.monotonic()
        while self._arrived and self._arrived[0][0] < now - _RATE_SECONDS:
            self._arrived.popleft()
        if len(self._arrived) < 2:
            return 0.0
        # The first entry marks the start of the measured time.
        spent = self._arrived[-1][0] - self._arrived[0][0]
        return sum(events for _, events in list(self._arrived)[1:]) / spent if spent else 0.0

    @property
    def behind(self) -> bool:
        """Whether more messages are left than the last cycle read.

        A few always are, because they arrived during the commit. They wait for the next round.
        """
        return self.unfinished and self.total.left > self._read

    @property
    def unfinished(self) -> bool:
        """Whether messages are left that can be read."""
        return self._ingest is not None and self.total.left > 0

    @property
    def caught_up(self) -> bool:
        """Whether every message has been read."""
        return self._ingest is not None and bool(self._arrived) and not self.total.left

    def cycle(self, lake: Lake, run_id: str) -> None:
        """Read the waiting messages, unless it pauses after a transient error.

        Raises:
            LakehouseError: the error is not transient.
        """
        if self._ingest is None and time.monotonic() < self._again_at:
            return
        try:
            if self._ingest is None:
                opened = reading(self.stream, self.connect(), lake, run_id, "`lakehouse stream`")
                self._ingest = self._open.enter_context(opened)
            cycle = self._ingest.cycle(_BEHIND_SECONDS if self.behind else 0.0)
        except LakehouseError as error:
            self.close()
            if not error.transient:
                raise
            self.problem = str(error)
            self._again_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return
        self.problem, self._pause, self._read = "", _FIRST_PAUSE, cycle.messages
        self._arrived.append((time.monotonic(), cycle.events))
        self.total += cycle
        self.unreported += cycle

    def close(self) -> None:
        """Release the source and the claim on the tables."""
        self._ingest = None
        self._open.close()


class LiveStreams:
    """Reads several streams in turns, in this thread.

    Args:
        streams: The streams, with what opens their sources.
        settings: Settings of the lakehouse.
        lake: The lake.
        run_id: The id that commits carry.
        cadence: Maximum seconds until an event is in the tables by minute, if the machine keeps up.
        upkeep: Seconds between two rounds of compaction and vacuum.
    """

    def __init__(
        self,
        streams: Sequence[tuple[Stream, Callable[[], MessageSource]]],
        settings: Settings,
        lake: Lake,
        run_id: str,
        cadence: float,
        upkeep: float = UPKEEP_SECONDS,
    ) -> None:
        self.streams = [
            LiveStream(stream, connect, stored_events(stream, lake)) for stream, connect in streams
        ]
        self.findings: dict[Stream, list[Finding]] = {}
        self._settings, self._lake, self._run_id = settings, lake, run_id
        self._cadence, self._upkeep = cadence, upkeep
        self._reports = _Reports(settings, lake)

    @property
    def problem(self) -> str:
        """Why the last report did not reach Dagster; empty if it did."""
        return self._reports.problem

    def run(
        self,
        stop: StopRequest,
        show: Callable[[LiveStreams], None],
        seconds: float | None = None,
        *,
        until_caught_up: bool = False,
    ) -> None:
        """Read until `stop` is set, the time is over or nothing is left.

        Args:
            stop: Ends it after the current commit.
            show: Called after each round.
            seconds: How long to read; None for ever.
            until_caught_up: Whether to end when nothing is left.

        Raises:
            LakehouseError: a stream cannot be read, and the error is not transient.
        """
        end = time.monotonic() + (math.inf if seconds is None else seconds)
        report_at = time.monotonic() + REPORT_SECONDS
        upkeep_at = time.monotonic() + self._upkeep
        with closing(self._reports):
            try:
                while not stop.is_set():
                    began = time.monotonic()
                    for live in self.streams:
                        live.cycle(self._lake, self._run_id)
                        if stop.is_set():
                            break
                    if time.monotonic() >= upkeep_at:
                        self._maintain()
                        upkeep_at = time.monotonic() + self._upkeep
                    if time.monotonic() >= report_at and not self._reports.busy:
                        self._report()
                        report_at = time.monotonic() + REPORT_SECONDS
                    show(self)
                    done = until_caught_up and all(live.caught_up for live in self.streams)
                    if done or time.monotonic() >= end:
                        break
                    unfinished = until_caught_up and any(s.unfinished for s in self.streams)
                    if not unfinished and not any(live.behind for live in self.streams):
                        # What arrives from now on is committed by the end of the next round.
                        spent = time.monotonic() - began
                        pause = min(self._cadence - 2 * spent, end - time.monotonic())
                        stop.wait(max(pause, 0.0))
            finally:
                for live in self.streams:
                    live.close()
            self._reports.wait()
            self._report()

    def _report(self) -> None:
        """Check what was read, and report it to Dagster."""
        for live in self.streams:
            if not live.unreported.messages and live.stream in self.findings:
                continue
            findings = [*findings_of(live.stream, self._lake, live.unreported, live.stored)]
            self.findings[live.stream] = findings
            self._reports.submit(live.stream, live.unreported, findings)
            live.unreported, live.stored = Cycle(), stored_events(live.stream, self._lake)
            broken = [f for f in findings if f.check.blocking and not f.passed]
            if broken:
                raise LakehouseError(f"{live.stream.path}: {broken[0].description}")

    def _maintain(self) -> None:
        """Compact the tables between two commits, so that it meets no writer of this process."""
        for live in self.streams:
            for table in stream_tables(live.stream):
                try:
                    maintain(self._lake, table, ordered=False)
                except LakehouseError as error:
                    # Another process wrote at the same time; try again in an hour.
                    live.problem = str(error)


class _Reports:
    """Reports to Dagster in a separate thread, because its log takes seconds to write.

    Attributes:
        problem: Why the last report failed; the next one includes its content.
    """

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._settings, self._lake = settings, lake
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lakehouse-report")
        self._open = ExitStack()
        self._instance: dg.DagsterInstance | None = None
        self._waiting: list[Future[None]] = []
        self.problem = ""

    @property
    def busy(self) -> bool:
        """Whether a report is being made."""
        return not all(future.done() for future in self._waiting)

    def submit(self, stream: Stream, read: Cycle, findings: Sequence[Finding]) -> None:
        """Queue a report of a stream."""
        self._waiting = [future for future in self._waiting if not future.done()]
        self._waiting.append(self._thread.submit(self._make, stream, read, findings))

    def wait(self) -> None:
        """Wait until every report is made."""
        for future in self._waiting:
            future.result()

    def close(self) -> None:
        """Finish the reports, and close Dagster's instance in the thread that opened it."""
        self._thread.submit(self._open.close).result()
        self._thread.shutdown()

    def _make(self, stream: Stream, read: Cycle, findings: Sequence[Finding]) -> None:
        try:
            if self._instance is None:
                self._instance = self._open.enter_context(dagster_instance(self._settings))
            report_outside_runs(self._instance, stream, self._lake, read, findings)
            self.problem = ""
        except Exception as error:  # noqa: BLE001 - the stream goes on, the next report has it all
            self.problem = (
                f"The report to Dagster failed ({type(error).__name__}: {one_line(error)})."
            )
