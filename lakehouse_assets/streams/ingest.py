"""Reads a stream into its tables, each event exactly once.

A cycle commits rejects, bronze, quarantine, silver and minutes, one after the other. Each commit
records, with its rows, the offset that the table has reached in each partition of the topic, where
the next process continues. If a process was killed between two commits, the next one first finishes
the cycle from the same events, so all tables are as if it had not been killed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial, reduce
from heapq import nlargest
from itertools import pairwise
from operator import or_
from typing import Any

from lakehouse_assets.catalog.datasets import quarantine_table, silver_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import (
    EVENT_DATE,
    Stream,
    bronze_events,
    minutes,
    rejected_events,
)
from lakehouse_assets.clock import now
from lakehouse_assets.code_version import code_version
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Times, Windows, to_filter
from lakehouse_assets.lake.writer import Advance
from lakehouse_assets.quality.classify import ACCEPTED, QUARANTINED
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets.sources.messages import MessageSource
from lakehouse_assets.streams.events import (
    accepted_events,
    classify_events,
    minute_rows,
    other_events,
    summary_of,
)
from lakehouse_assets.streams.messages import MessageReader, Minute, Parsed

MOST = 50_000
"""Messages of a cycle, unless the caller says otherwise."""
WATERMARK = timedelta(minutes=2)
"""A minute is closed once it is this much older than the newest event."""
# More windows of time than this make a slower filter than the rows between them.
_MOST_SPANS = 16
# Messages that are fetched at a time, each of which may hold many events, and the number of events
# from which a cycle fetches no more.
_FETCHED = 100
_MOST_EVENTS = 100_000
# How long a cycle of `drain` waits for messages, in seconds.
_PATIENCE = 1.0
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Cycle:
    """What one cycle, or several added up, read and wrote.

    Attributes:
        messages: Messages that were read.
        events: Events that were written to bronze.
        rejected: Messages and events that could not be read.
        quarantined: Events that silver quarantines, without duplicates.
        late: Accepted events of minutes that the watermark had closed.
        undeclared: Events by attribute that the stream does not declare.
        last_event: Time of the newest accepted event; None if there was none.
        progress: The next offset by topic and partition.
        lag: Offsets that are left to read, by topic and partition.
    """

    messages: int = 0
    events: int = 0
    rejected: int = 0
    quarantined: int = 0
    late: int = 0
    undeclared: Counter[str] = field(default_factory=Counter)
    last_event: datetime | None = None
    progress: Mapping[tuple[str, int], int] = field(default_factory=dict)
    lag: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def __add__(self, later: Cycle) -> Cycle:
        """Add what was read later, whose offsets count."""
        return Cycle(
            self.messages + later.messages,
            self.events + later.events,
            self.rejected + later.rejected,
            self.quarantined + later.quarantined,
            self.late + later.late,
            self.undeclared + later.undeclared,
            max(filter(None, (self.last_event, later.last_event)), default=None),
            later.progress,
            later.lag,
        )

    @property
    def left(self) -> int:
        """Number of messages that are left to read."""
        return sum(self.lag.values())


class Ingest:
    """A stream that is being read.

    Opening it finishes the cycle of a killed process, and assigns all partitions of the topic from
    the offsets that bronze has reached.

    Args:
        stream: The stream.
        source: Source of its messages, which nothing else reads from.
        lake: Where its tables are stored.
        run_id: The run that its commits name.

    Raises:
        FencedError: another process writes the same messages.
        LakehouseError: the source or the lake does not answer, or messages are gone.
    """

    def __init__(self, stream: Stream, source: MessageSource, lake: Lake, run_id: str) -> None:
        self.stream, self._source, self._lake, self._run_id = stream, source, lake, run_id
        self._reader = MessageReader(stream, source.app_id)
        self._bronze, self._rejects = bronze_events(stream), rejected_events(stream)
        self._silver, self._quarantine = silver_table(stream), quarantine_table(stream)
        self._minutes = minutes(stream)
        engine = lake.engine
        self._classify = engine.prepared(partial(classify_events, stream, engine))
        self._divide = engine.prepared(partial(_divide, stream))
        self._add_up = engine.prepared(partial(_add_up, stream, engine))
        self._reached: dict[str, dict[str, int]] = {}
        self._assigned: dict[str, int] = {}
        partitions = {
            source.app_id(stream.topic, number): number
            for number in source.partitions(stream.topic)
        }
        self._find_progress(partitions)
        self._closed = self._last_closed()
        self._finish()
        self._assign(partitions)

    def cycle(self, seconds: float, most: int = MOST) -> Cycle:
        """Read messages once and write their rows; without messages nothing is committed.

        Args:
            seconds: How long to wait for messages.
            most: Do not read on once there are so many events.

        Raises:
            FencedError: another process writes the same messages.
            LakehouseError: the source or the lake does not answer, or messages are gone.
        """
        stream, source, engine = self.stream, self._source, self._lake.engine
        found = {source.app_id(stream.topic, p): p for p in source.partitions(stream.topic)}
        self._assign({name: p for name, p in found.items() if name not in self._assigned})
        messages, parsed = self._read(seconds, most)
        positions, written = source.positions(), Cycle()
        if messages:
            ends = {name: positions[stream.topic, p] for name, p in self._assigned.items()}
            with engine.scope():
                events, rejects = map(engine.from_arrow, (parsed.events, parsed.rejects))
                written = self._store(
                    events, parsed.minutes, rejects, parsed.rejects.num_rows, ends
                )
        written = replace(written, messages=messages, undeclared=parsed.undeclared)
        return self._with_offsets(written, positions)

    def _with_offsets(self, written: Cycle, positions: Mapping[tuple[str, int], int]) -> Cycle:
        """Add the offsets that were reached, and how many are left, to what was written."""
        ends = self._source.ends()
        lag = {place: max(ends.get(place, 0) - offset, 0) for place, offset in positions.items()}
        return replace(written, progress=positions, lag=lag)

    def _store(
        self,
        events: DataFrame,
        minutes: Mapping[Minute, int],
        rejects: DataFrame,
        rejected: int,
        ends: Mapping[str, int],
    ) -> Cycle:
        """Write the events of messages to all tables.

        Args:
            events: Rows of bronze.
            minutes: Their number, by minute.
            rejects: Rows of the rejects.
            rejected: Their number.
            ends: The next offset of each source after these messages.

        Raises:
            FencedError: another process writes the same messages.
            LakehouseError: the lake cannot be written, or events do not add up.
        """
        days = frozenset(minute.day for minute in minutes)
        if rejected:
            if reached := self._reached[self._rejects.name]:
                # A killed process wrote these rejects, but not the events of the same messages.
                rejects = rejects.filter(~_any(_read_up_to(*of) for of in reached.items()))
            self._commit(self._rejects, rejects, days, ends)
        self._commit(self._bronze, events, days, ends)
        written = self._derive(events, minutes, ends) if minutes else Cycle()
        return replace(written, events=sum(minutes.values()), rejected=rejected)

    def _read(self, seconds: float, most: int) -> tuple[int, Parsed]:
        """Read messages until there are enough or time is over; return their number too."""
        end, ingested_at = time.monotonic() + seconds, now()
        messages, parsed = 0, self._reader.read([], ingested_at)
        while messages < most and parsed.events.num_rows < _MOST_EVENTS:
            wanted = min(_FETCHED, most - messages)
            found = self._source.poll(wanted, max(end - time.monotonic(), 0))
            if found:
                messages += len(found)
                parsed = parsed.with_more(self._reader.read(found, ingested_at))
            if len(found) < wanted:
                break
        return messages, parsed

    def _find_progress(self, names: Iterable[str]) -> None:
        """Read the offsets that each table has reached."""
        names = [*names]
        for table in (self._rejects, self._bronze, self._quarantine, self._silver, self._minutes):
            self._reached.setdefault(table.name, {}).update(self._lake.progress(table, names))

    def _assign(self, partitions: Mapping[str, int]) -> None:
        """Read partitions from the offsets that bronze has reached."""
        if not partitions:
            return
        if new := partitions.keys() - self._reached[self._bronze.name].keys():
            self._find_progress(new)
        reached = self._reached[self._bronze.name]
        self._source.assign(
            self.stream.topic, {number: reached.get(name) for name, number in partitions.items()}
        )
        self._assigned.update(partitions)

    def _last_closed(self) -> datetime | None:
        """Return the time up to which minutes are closed, according to their last commit."""
        commits = [version.commit for version in self._lake.history(self._minutes, 1)]
        state = commits[0].state if commits and commits[0] else ""
        return datetime.fromisoformat(json.loads(state)["closed_before"]) if state else None

    def _finish(self) -> None:
        """Finish what a killed process left between bronze and minutes."""
        engine, moment = self._lake.engine, F.col(self.stream.event_time)
        with engine.scope():
            if ends := self._behind(self._silver, self._bronze):
                rows = engine.checkpoint(self._rows_since(self._bronze, self._silver, ends))
                if found := minutes_of(engine, rows, sent_time(self.stream)):
                    self._derive(rows, found, ends)
        with engine.scope():
            if ends := self._behind(self._minutes, self._silver):
                rows = self._rows_since(self._silver, self._minutes, ends)
                touched = minutes_of(engine, rows, moment)
                newest = engine.rows(rows.agg(F.max(moment).alias("newest")))[0]["newest"]
                if touched:
                    silver = self._lake.read(self._silver)
                    known = silver.filter(to_filter(_selection(self.stream.event_time, touched)))
                    self._write_minutes(known, silver.filter(F.lit(False)), touched, newest, ends)

    def _behind(self, table: Table, other: Table) -> dict[str, int]:
        """Return the offsets of another table in the sources in which a table is behind it."""
        mine, theirs = self._reached[table.name], self._reached[other.name]
        return {name: end for name, end in theirs.items() if mine.get(name, 0) < end}

    def _rows_since(self, table: Table, behind: Table, ends: Mapping[str, int]) -> DataFrame:
        """Read the rows of a table that another one, which is behind it, does not have yet."""
        reached = self._reached[behind.name]
        return self._lake.read(table).filter(
            _any(
                _read_up_to(name, end) & (F.col("_offset") >= F.lit(reached.get(name, 0)))
                for name, end in ends.items()
            )
        )

    def _derive(
        self, bronze: DataFrame, sent: Mapping[Minute, int], ends: Mapping[str, int]
    ) -> Cycle:
        """Write events of bronze to silver, its quarantine and the minutes.

        Args:
            bronze: The events.
            sent: Their number, by minute.
            ends: The offsets that the tables reach with them, by source.

        Raises:
            LakehouseError: the events do not add up.
        """
        lake, engine = self._lake, self._lake.engine
        days = frozenset(minute.day for minute in sent)
        known = lake.fetch(self._silver, _selection(self.stream.event_time, sent))
        classified = engine.checkpoint(self._classify(bronze=bronze, known=known))
        summary, accepted, others = self._divide(classified=classified)
        written, aside, displacing = self._added_up(engine.rows(summary), sum(sent.values()))
        if displacing:
            # These days are rebuilt: the event that silver has becomes a duplicate.
            whole = Windows(EVENT_DATE, tuple((day, day + _DAY) for day in sorted(days)))
            nothing = known.filter(F.lit(False))
            rows = self._classify(bronze=lake.read(self._bronze, whole), known=nothing)
            _, accepted, others = self._divide(classified=engine.checkpoint(rows))
            self._commit(self._quarantine, others, days, ends, whole)
            self._commit(self._silver, accepted, days, ends, whole)
            known = lake.fetch(self._silver, _selection(self.stream.event_time, sent))
            accepted = nothing
        else:
            if aside:
                for name, end in self._behind(self._silver, self._quarantine).items():
                    # A killed process wrote the quarantine, but not silver, of the same events.
                    others = others.filter(~_read_up_to(name, end))
                self._commit(self._quarantine, others, days, ends)
            self._commit(self._silver, accepted, days, ends)
        if written.last_event is not None:
            self._write_minutes(known, accepted, sent, written.last_event, ends)
        return written

    def _added_up(
        self, summary: Iterable[Mapping[str, Any]], number: int
    ) -> tuple[Cycle, bool, bool]:
        """Add up the summary of classified events, and check that there are `number` of them.

        Returns:
            The counts; whether events are quarantined or duplicates; whether an event is accepted
            instead of one that silver has.

        Raises:
            LakehouseError: there are more or fewer.
        """
        counts, late, displacing = Counter[str](), 0, False
        newest: datetime | None = None
        for row in summary:
            # An event that counts instead of one that silver has will be accepted.
            accepted = row["displaces"] or row["disposition"] == ACCEPTED
            counts[ACCEPTED if accepted else row["disposition"]] += row["events"]
            displacing |= bool(row["displaces"])
            if accepted:
                newest = max(filter(None, (newest, row["newest"].astimezone(UTC))))
                if self._closed is not None and row["minute"].astimezone(UTC) < self._closed:
                    late += row["events"]
        if counts.total() != number:
            raise LakehouseError(
                f"The events of {self.stream.path} do not add up: bronze has {number:,}, but "
                f"{counts.total():,} were classified, because {self._silver.name} has an event "
                "twice. Nothing was written to it. Restore an earlier version of the table."
            )
        cycle = Cycle(quarantined=counts[QUARANTINED], late=late, last_event=newest)
        return cycle, counts[ACCEPTED] < number, displacing

    def _write_minutes(
        self,
        known: DataFrame,
        added: DataFrame,
        sent: Collection[Minute],
        newest: datetime,
        ends: Mapping[str, int],
    ) -> None:
        """Recompute minutes from all of their events in silver, and replace them.

        Args:
            known: The events that silver had in these minutes.
            added: The new ones.
            sent: The minutes.
            newest: Time of the newest event.
            ends: The offsets that the table reaches with the events, by source.
        """
        import pyarrow as pa

        engine, selection = self._lake.engine, _selection("minute", sent)
        closed = pa.array([self._closed], pa.timestamp("us", "UTC"))
        rows = self._add_up(
            known=known,
            added=added,
            stored=self._lake.fetch(self._minutes, selection),
            closed=engine.from_arrow(pa.table({"closed_before": closed})),
        )
        end = (newest.astimezone(UTC) - WATERMARK).replace(second=0, microsecond=0)
        end = max(end, self._closed or end)
        days = frozenset(minute.day for minute in sent)
        state = json.dumps({"closed_before": end.isoformat()})
        self._commit(self._minutes, rows, days, ends, selection, state)
        self._closed = end

    def _commit(
        self,
        table: Table,
        rows: DataFrame,
        days: frozenset[date],
        ends: Mapping[str, int],
        selection: Windows | None = None,
        state: str = "",
    ) -> None:
        """Append rows, or replace the selected ones, and record the offsets that are reached."""
        commit = Commit(
            self._run_id,
            f"{table.domain}/stream_{self.stream.name}",
            ",".join(day.isoformat() for day in sorted(days)),
            code_version(),
            state,
        )
        reached = self._reached[table.name]
        # A killed process may have written more to this table than the messages of this commit.
        ends = {name: max(end, reached.get(name, 0)) for name, end in ends.items()}
        progress = {name: Advance(reached.get(name), end) for name, end in ends.items()}
        self._lake.advance(table, rows, commit, progress, selection)
        reached.update(ends)


def drain(ingest: Ingest, seconds: float | None = None, most: int = MOST) -> Iterator[Cycle]:
    """Read a stream up to its end, cycle by cycle.

    Args:
        ingest: The stream.
        seconds: Stop after the cycle in which this time is over; None to go on to the end.
        most: Events after which a cycle does not read on.

    Yields:
        Each cycle; after the last one, every partition is read up to its end, or time is over.
    """
    begin = time.monotonic()
    while True:
        cycle = ingest.cycle(_PATIENCE, most)
        yield cycle
        late = seconds is not None and time.monotonic() - begin >= seconds
        if late or not cycle.left:
            return


def balance(stream: Stream, lake: Lake, days: Iterable[date]) -> Balance:
    """Balance the stored events of some days: bronze = silver + quarantine."""
    return Balance(
        source="bronze",
        incoming=lake.rows_by_partition(bronze_events(stream)),
        parts={
            "silver": lake.rows_by_partition(silver_table(stream)),
            "quarantine": lake.rows_by_partition(quarantine_table(stream)),
        },
        partitions=sorted(days),
    )


def _divide(stream: Stream, classified: DataFrame) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Return the summary of classified events, the accepted ones and the others."""
    return (
        summary_of(stream, classified),
        accepted_events(stream, classified),
        other_events(stream, classified),
    )


def _add_up(
    stream: Stream,
    engine: Engine,
    known: DataFrame,
    added: DataFrame,
    stored: DataFrame,
    closed: DataFrame,
) -> DataFrame:
    """Return the rows of minutes from the events that silver had and the new ones."""
    return minute_rows(stream, engine.union([known, added]), stored, closed)


def sent_time(stream: Stream) -> Col:
    """Return the time of bronze events."""
    return v.parse_timestamp(v.text(F.col(stream.time_field)))


def minutes_of(engine: Engine, rows: DataFrame, moment: Col) -> dict[Minute, int]:
    """Return the minutes of events, each with its number of events."""
    timed = v.staged(rows.select(v.minute_start(moment).alias("minute"), "event_date"))
    counted = timed.groupBy("minute", "event_date").agg(F.count(F.lit(1)).alias("n"))
    return {
        Minute(row["minute"].astimezone(UTC), row["event_date"]): row["n"]
        for row in engine.rows(counted)
    }


def _read_up_to(name: str, end: int) -> Col:
    return (F.col("_source") == F.lit(name)) & (F.col("_offset") < F.lit(end))


def _any(conditions: Iterable[Col]) -> Col:
    return reduce(or_, conditions)


def _selection(column: str, sent: Collection[Minute]) -> Windows:
    """Select the rows of minutes, and of others between them where there would be many windows."""
    starts = sorted({minute.start for minute in sent})
    # The widest gaps between minutes separate the spans.
    gaps = [
        (after - before, after) for before, after in pairwise(starts) if after - before > _MINUTE
    ]
    first = {*starts[:1], *(after for _, after in nlargest(_MOST_SPANS - 1, gaps))}
    spans: list[tuple[datetime, datetime]] = []
    for start in starts:
        begun = start if start in first else spans.pop()[0]
        spans.append((begun, start + _MINUTE))
    days = sorted({minute.day for minute in sent})
    return Windows(EVENT_DATE, tuple((d, d + _DAY) for d in days), Times(column, tuple(spans)))
