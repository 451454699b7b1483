"""`lakehouse stream`: reads streams of events until it is stopped, and shows them live."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

from lakehouse_assets import clock
from lakehouse_assets.cli.opening import load_settings, open_lake
from lakehouse_assets.cli.terminal import console
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from datetime import datetime

    from lakehouse_assets.catalog.streams import LiveAlarm, Stream
    from lakehouse_assets.lake.delta import Lake
    from lakehouse_assets.orchestration.live_streams import LiveStream, LiveStreams
    from lakehouse_assets.settings import Settings
    from lakehouse_assets.sources.messages import MessageSource

# Seconds between the lines of a stream when there is no terminal.
_LINE_SECONDS = 60.0
_ALARMS_SHOWN = 3
# How far back a simulation that is faster than real time starts.
_SIMULATED_DAYS = 3
_LOOK_SECONDS = 0.5


def stream(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Streams to read, as <domain>/<stream>. Default: all streams."),
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate",
            help="Simulate devices that write messages to a folder, without a broker: to "
            "LAKEHOUSE_STREAM_DEVICES, or .lakehouse/streams/devices.",
        ),
    ] = False,
    speed: Annotated[
        float,
        typer.Option(
            min=1,
            max=3600,
            help="Speed of the simulation; 1 is real time. Above 1, it starts "
            f"{_SIMULATED_DAYS} days ago and continues in real time when it reaches the present.",
        ),
    ] = 1.0,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many seconds. Default: never.")
    ] = None,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop when every message has been read.")
    ] = False,
    cadence: Annotated[
        float,
        typer.Option(
            min=0.5,
            help="Seconds until an event is in the tables by minute, if the machine keeps up; "
            "fewer seconds make more and smaller commits.",
        ),
    ] = 10.0,
) -> None:
    """Read streams into bronze, silver and tables by minute, each event exactly once.

    Continues where the tables end, compacts them and deletes old files every hour, and reports
    changed days to Dagster at most once a minute. Ctrl-C or SIGTERM stops it after the current
    commit. A stream has one reader; a second one is refused.
    """
    from lakehouse_assets.orchestration.live_streams import LiveStreams
    from lakehouse_assets.orchestration.signals import StopRequest, setting_on_signals

    if speed != 1 and not simulate:
        raise LakehouseError("--speed applies only to the simulation; add --simulate.")
    settings, stop = load_settings(), StopRequest()
    chosen = _chosen(names)
    lake = open_lake(settings)
    with setting_on_signals(stop), _simulated(settings, speed, simulate=simulate) as folder:
        streams = [(found, _source_of(found, settings, folder)) for found in chosen]
        live = LiveStreams(streams, settings, lake, str(uuid4()), cadence)
        with _shown(live, lake) as show:
            live.run(stop, show, seconds, until_caught_up=until_caught_up)


def _chosen(names: list[str] | None) -> list[Stream]:
    """Return the named streams; all of them by default.

    Raises:
        LakehouseError: a name is not that of a stream.
    """
    from lakehouse_assets.domains import STREAMS

    known = {found.path: found for found in STREAMS}
    for name in names or ():
        if name not in known:
            raise LakehouseError(f"There is no stream {name!r}; choose from {', '.join(known)}.")
    return [known[name] for name in dict.fromkeys(names or known)]


@contextmanager
def _simulated(settings: Settings, speed: float, *, simulate: bool) -> Iterator[Path | None]:
    """Simulate devices in a thread; yields the folder of their messages, None without simulation.

    Raises:
        LakehouseError: the devices' messages come from a broker.
    """
    if not simulate:
        yield None
        return
    from lakehouse_assets.orchestration.stream_reader import simulated_folder
    from lakehouse_assets.sample.streams import SOURCE, TOPICS
    from lakehouse_assets.sources.messages import address_of, variable_of

    address = address_of(SOURCE)
    if address and "://" in address:
        raise LakehouseError(
            f"{variable_of(SOURCE)} names a broker, but --simulate writes to a folder; unset the "
            "variable, or set it to a folder."
        )
    folder = Path(address) if address else simulated_folder(settings, SOURCE)
    for topic in TOPICS:
        (folder / topic / "0").mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    thread = threading.Thread(target=_simulate, args=(folder, speed, stop), daemon=True)
    thread.start()
    try:
        yield folder
    finally:
        stop.set()
        thread.join()


def _simulate(folder: Path, speed: float, stop: threading.Event) -> None:
    """Simulate faster than real time until the clock is reached, and then in real time."""
    from lakehouse_assets.sample.streams import simulate, simulated_until

    if speed > 1:
        reached = threading.Event()
        begin = clock.now() - timedelta(days=_SIMULATED_DAYS)
        fast = threading.Thread(target=simulate, args=(folder, begin, speed, reached), daemon=True)
        fast.start()
        while not stop.wait(_LOOK_SECONDS):
            until = simulated_until(folder)
            if until is not None and until >= clock.now():
                break
        reached.set()
        fast.join()
    if not stop.is_set():
        simulate(folder, clock.now(), 1.0, stop)


def _source_of(
    found: Stream, settings: Settings, simulated: Path | None
) -> Callable[[], MessageSource]:
    """Return what opens a stream's source.

    Raises:
        LakehouseError: it has no address.
    """
    from lakehouse_assets.orchestration.stream_reader import open_source
    from lakehouse_assets.sources.folder_stream import FolderSource
    from lakehouse_assets.sources.messages import variable_of

    if simulated is not None:
        return partial(FolderSource, simulated)

    def connect() -> MessageSource:
        source = open_source(found.source, settings.landing, settings.identity)
        if source is None:
            raise LakehouseError(
                f"The stream {found.path} has no address; set {variable_of(found.source)}, or use "
                "--simulate to simulate devices."
            )
        return source

    return connect


@contextmanager
def _shown(live: LiveStreams, lake: Lake) -> Iterator[Callable[[LiveStreams], None]]:
    """Show the streams: as a live table in a terminal, as lines elsewhere."""
    began, alarms = time.monotonic(), Alarms(lake)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as screen:
            yield lambda _live: screen.update(_view(live, began, alarms), refresh=True)
        return
    printed: dict[LiveStream, tuple[float, str]] = {}

    def print_lines(_live: LiveStreams) -> None:
        for found in live.streams:
            at, problem = printed.get(found, (0.0, ""))
            if found.problem != problem or time.monotonic() >= at + _LINE_SECONDS:
                _print_line(found)
                printed[found] = time.monotonic(), found.problem

    try:
        yield print_lines
    finally:
        for found in live.streams:
            _print_line(found)


def _print_line(found: LiveStream) -> None:
    total = found.total
    text = (
        f"{clock.now():%H:%M:%S} {found.stream.path}: {total.events:,} events "
        f"({found.rate:,.1f}/s), lag {total.left:,}, last minute {_minute(found)}, "
        f"{total.late:,} late, {total.rejected:,} rejected, {total.quarantined:,} quarantined"
        f"{f'. {found.problem}' if found.problem else ''}"
    )
    console.print(text, soft_wrap=True, highlight=False)


def _minute(found: LiveStream) -> str:
    last = found.total.last_event
    if last is None:
        return "-"
    return f"{last:%H:%M}" if last.date() == clock.today() else f"{last:%m-%d %H:%M}"


def _view(live: LiveStreams, began: float, alarms: Alarms) -> Group:
    """Draw the streams in 80 columns."""
    headings = ("events/s", "lag", "last minute", "late", "rejected", "quarantined", "events")
    numbers = (Column(name, justify="right", no_wrap=True) for name in headings)
    grid = Grid(Column("stream", no_wrap=True), *numbers, box=None, header_style="bold")
    for found in live.streams:
        total = found.total
        grid.add_row(
            found.stream.name,
            f"{found.rate:,.1f}",
            Text(f"{total.left:,}", "yellow" if total.left else "green"),
            _minute(found),
            f"{total.late:,}",
            Text(f"{total.rejected:,}", "red" if total.rejected else ""),
            Text(f"{total.quarantined:,}", "red" if total.quarantined else ""),
            f"{total.events:,}",
        )
    since = timedelta(seconds=round(time.monotonic() - began))
    problems = [Text(f"{found.stream.name}: {found.problem}", "yellow")
                for found in live.streams if found.problem]  # fmt: skip
    if live.problem:
        problems.append(Text(live.problem, "yellow"))
    last = max((s.total.last_event for s in live.streams if s.total.last_event), default=None)
    return Group(
        Text(f"Running for {since}; Ctrl-C stops after the current commit.", "dim"),
        grid,
        alarms.text(last),
        *problems,
    )


class Alarms:
    """The alarms of the domains, computed once for each closed minute."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._seen: datetime | None = None
        self._text = Text("No minute is closed yet.", "dim")

    def text(self, last_event: datetime | None) -> Text:
        """Return a line for each alarm about the newest closed minute, given the last event."""
        from lakehouse_assets.domains import DOMAINS
        from lakehouse_assets.streams.ingest import WATERMARK

        if last_event is None:
            return self._text
        closed = (last_event.astimezone(UTC) - WATERMARK).replace(second=0, microsecond=0)
        if self._seen is None or closed > self._seen:
            self._seen = closed
            alarms = [alarm for domain in DOMAINS for alarm in domain.alarms]
            self._text = Text("\n").join(self._line(alarm, closed) for alarm in alarms)
        return self._text

    def _line(self, alarm: LiveAlarm, closed: datetime) -> Text:
        found = self._rows(alarm, closed)
        if not found:
            return Text(f"{alarm.nothing} at {closed:%H:%M}.", "green")
        shown = ", ".join(alarm.text(row) for row in found[:_ALARMS_SHOWN])
        more = f" and {len(found) - _ALARMS_SHOWN} more" if len(found) > _ALARMS_SHOWN else ""
        return Text(f"{alarm.title} at {closed:%H:%M}: {shown}{more}.", "red")

    def _rows(self, alarm: LiveAlarm, closed: datetime) -> list[dict[str, Any]]:
        """Return what the alarm's rule finds, the latest first."""
        from lakehouse_assets.catalog.streams import EVENT_DATE
        from lakehouse_assets.engine import F
        from lakehouse_assets.lake.predicate import between

        day, engine = closed.date(), self._lake.engine
        days = between(EVENT_DATE, day - timedelta(days=1), day + timedelta(days=1))
        with engine.scope():
            minutes = self._lake.fetch(alarm.minutes, days).filter(F.col("minute") <= F.lit(closed))
            data = {name: engine.from_arrow(read()) for name, read in alarm.reads.items()}
            found = alarm.rule(minutes=minutes, day=day, loaded_at=closed, **data)
            return sorted(engine.rows(found), key=lambda row: row["began_at"], reverse=True)
