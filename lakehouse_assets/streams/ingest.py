"""Reads a stream into its tables, each event exactly once.

A cycle commits rejects, bronze, quarantine, silver and minutes, one after the other. Each commit
records, with its rows, up to which offset the table has got in each partition of the topic, and a
process that continues starts from there. What a killed process left behind between two commits is
finished first, from the same events, so that all tables come out as if it had not been killed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import (
    EVENT_DATE,
    Stream,
    bronze_events,
    minutes,
    quarantined_events,
    rejected_events,
    silver_events,
)
from lakehouse_assets.clock import now
from lakehouse_assets.code_version import code_version
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Times, Windows
from lakehouse_assets.lake.writer import Advance
from lakehouse_assets.quality.classify import ACCEPTED, DUPLICATE, QUARANTINED
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets.sources.messages import MessageSource
from lakehouse_assets.streams.events import (
    accepted_events,
    classify_events,
    event_minutes,
    event_time,
    newest_event,
    other_events,
)
from lakehouse_assets.streams.messages import MessageReader, Parsed
from lakehouse_assets.streams.minutes import minute_rows

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 50_000
"""Messages of a cycle, unless the caller says otherwise."""
WATERMARK = timedelta(minutes=2)
"""How much older than the newest event a minute must be to be closed."""
# More windows of time than this make a slower filter than the rows between them.
_MOST_SPANS = 16
# How long a cycle of `drain` waits for messages, in seconds.
_PATIENCE = 1.0
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Cycle:
    """What one cycle read and wrote.

    Attributes:
        messages: Messages that were read.
        events: Events that were written to bronze.
        rejects: Messages and events that could not be read.
        accepted: Events that were written to silver.
        quarantined: Events that silver quarantines.
        duplicates: Events that repeat one that silver has.
        late: Accepted events of minutes that the watermark had closed.
        undeclared: Events by attribute that the stream does not declare.
        missing: Events by declared attribute that they lack.
        days: Days of the events, in UTC.
        minutes_changed: Rows of minutes that were written.
        last_event: Time of the newest accepted event; None if there was none.
        progress: The next offset by topic and partition.
        lag: Offsets that are left to read, by topic and partition.
    """

    messages: int = 0
    events: int = 0
    rejects: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    late: int = 0
    undeclared: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    days: frozenset[date] = frozenset()
    minutes_changed: int = 0
    last_event: datetime | None = None
    progress: Mapping[tuple[str, int], int] = field(default_factory=dict)
    lag: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Cleaned:
    """What became of the events of a cycle."""

    counts: Counter[str] = field(default_factory=Counter)
    minutes: frozenset[tuple[datetime, date]] = frozenset()
    newest: datetime | None = None


class Ingest:
    """A stream that is being read.

    Opening it finishes what a killed process left, and assigns all partitions of the topic from
    where bronze has got.

    Args:
        stream: The stream.
        source: Source of its messages, which nothing else reads from.
        lake: Where its tables are stored.
        run_id: The run that its commits name.
        watermark: How much older than the newest event a minute must be to be closed.
        limits: Limits on a message.

    Raises:
        FencedError: another process writes the same messages.
        LakehouseError: the source or the lake does not answer, or messages are gone.
    """

    def __init__(
        self,
        stream: Stream,
        source: MessageSource,
        lake: Lake,
        run_id: str,
        *,
        watermark: timedelta = WATERMARK,
        limits: FileLimits | None = None,
    ) -> None:
        self.stream, self._source, self._lake = stream, source, lake
        self._run_id, self._delay = run_id, watermark
        self._reader = MessageReader(stream, source.app_id, limits)
        self._bronze, self._rejects = bronze_events(stream), rejected_events(stream)
        self._silver, self._quarantine = silver_events(stream), quarantined_events(stream)
        self._minutes = minutes(stream)
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
            most: Maximum number of messages.

        Raises:
            FencedError: another process writes the same messages.
            LakehouseError: the source or the lake does not answer, or messages are gone.
        """
        stream, source = self.stream, self._source
        found = {source.app_id(stream.topic, p): p for p in source.partitions(stream.topic)}
        self._assign({name: p for name, p in found.items() if name not in self._assigned})
        messages = source.poll(most, seconds)
        parsed = self._reader.read(messages, now())
        cleaned, changed = _Cleaned(), 0
        if messages:
            positions = source.positions()
            ends = {name: positions[stream.topic, p] for name, p in self._assigned.items()}
            with self._lake.engine.scope():
                bronze = self._write_bronze(parsed, ends)
                if parsed.events.num_rows:
                    cleaned = self._clean(bronze, parsed.events.num_rows, ends)
                    changed = self._write_minutes(cleaned, ends)
        positions, newest = source.positions(), source.ends()
        return Cycle(
            messages=len(messages),
            events=parsed.events.num_rows,
            rejects=parsed.rejects.num_rows,
            accepted=cleaned.counts[ACCEPTED],
            quarantined=cleaned.counts[QUARANTINED],
            duplicates=cleaned.counts[DUPLICATE],
            late=cleaned.counts["late"],
            undeclared=parsed.undeclared,
            missing=parsed.missing,
            days=_days_of(parsed.events),
            minutes_changed=changed,
            last_event=cleaned.newest,
            progress=positions,
            lag={at: max(newest.get(at, 0) - offset, 0) for at, offset in positions.items()},
        )

    def _find_progress(self, names: Iterable[str]) -> None:
        """Read from the tables how far each has got."""
        names = [*names]
        for table in (self._rejects, self._bronze, self._quarantine, self._silver, self._minutes):
            self._reached.setdefault(table.name, {}).update(self._lake.progress(table, names))

    def _assign(self, partitions: Mapping[str, int]) -> None:
        """Read partitions from where bronze has got."""
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
        with self._lake.engine.scope():
            if ends := self._behind(self._silver, self._bronze):
                rows = self._rows_since(self._bronze, self._silver, ends)
                number = self._lake.engine.rows(rows.agg(F.count(F.lit(1)).alias("n")))[0]["n"]
                if number:
                    self._write_minutes(self._clean(rows, number, ends), ends)
        with self._lake.engine.scope():
            if ends := self._behind(self._minutes, self._silver):
                rows = self._rows_since(self._silver, self._minutes, ends)
                self._write_minutes(self._described(rows), ends)

    def _behind(self, table: Table, other: Table) -> dict[str, int]:
        """Return how far another table has got in the sources in which a table is behind it."""
        mine, theirs = self._reached[table.name], self._reached[other.name]
        return {name: end for name, end in theirs.items() if mine.get(name) != end}

    def _rows_since(self, table: Table, behind: Table, ends: Mapping[str, int]) -> DataFrame:
        """Read the rows of a table that another one, which is behind it, does not have yet."""
        reached = self._reached[behind.name]
        return self._lake.read(table).filter(
            _any(
                _read_up_to(name, end) & (F.col("_offset") >= F.lit(reached.get(name, 0)))
                for name, end in ends.items()
            )
        )

    def _write_bronze(self, parsed: Parsed, ends: Mapping[str, int]) -> DataFrame:
        """Write the rejects, then the events; return the events."""
        engine, days = self._lake.engine, _days_of(parsed.events)
        # A killed process may have written rejects, but not the events of the same messages.
        reached = self._reached[self._rejects.name]
        rejects = [
            row
            for row in parsed.rejects.to_pylist()
            if row["_offset"] >= reached.get(row["_source"], 0)
        ]
        if rejects:
            table = type(parsed.rejects).from_pylist(rejects, parsed.rejects.schema)
            self._commit(self._rejects, engine.from_arrow(table), days, ends)
        events = engine.from_arrow(parsed.events)
        self._commit(self._bronze, events, days, ends)
        return events

    def _clean(self, bronze: DataFrame, number: int, ends: Mapping[str, int]) -> _Cleaned:
        """Write events of bronze to silver and its quarantine.

        Args:
            bronze: The events.
            number: Their number.
            ends: How far they take the tables in each source.

        Raises:
            LakehouseError: the events do not add up.
        """
        stream, lake, engine = self.stream, self._lake, self._lake.engine
        sent = _minutes_of(engine.rows(event_minutes(bronze, event_time(stream))))
        known = lake.read(self._silver, _selection(stream.event_time, sent))
        classified = engine.checkpoint(classify_events(stream, engine, bronze, known))
        counts = self._counts(classified, number)
        # An event that counts instead of one that silver has will be accepted.
        kept = (F.col("disposition") == F.lit(ACCEPTED)) | F.col("displaces")
        cleaned = self._described(classified.filter(kept), counts)
        days = frozenset(day for _, day in sent)
        whole = None
        if counts["displacing"]:
            whole = Windows(EVENT_DATE, tuple((day, day + _DAY) for day in sorted(days)))
            nothing = lake.read(self._silver).filter(F.lit(False))
            again = classify_events(stream, engine, lake.read(self._bronze, whole), nothing)
            classified = engine.checkpoint(again)
        if whole or counts[QUARANTINED] + counts[DUPLICATE]:
            others = other_events(stream, classified)
            if whole is None and (ahead := self._behind(self._silver, self._quarantine)):
                # A killed process wrote the quarantine, but not silver, of the same events.
                others = others.filter(~_any(_read_up_to(n, end) for n, end in ahead.items()))
            self._commit(self._quarantine, others, days, ends, whole)
        self._commit(self._silver, accepted_events(stream, classified), days, ends, whole)
        return cleaned

    def _counts(self, classified: DataFrame, number: int) -> Counter[str]:
        """Count classified events by disposition, and check that there are `number` of them.

        Raises:
            LakehouseError: there are more or fewer.
        """
        groups = classified.groupBy("disposition", "displaces").agg(F.count(F.lit(1)).alias("n"))
        counts = Counter[str]()
        for row in self._lake.engine.rows(groups):
            counts[ACCEPTED if row["displaces"] else row["disposition"]] += row["n"]
            counts["displacing"] += row["n"] if row["displaces"] else 0
        if (found := counts.total() - counts["displacing"]) != number:
            raise LakehouseError(
                f"The events of {self.stream.path} do not add up: bronze has {number:,}, and "
                f"{found:,} were classified, because {self._silver.name} has an event twice. "
                "Nothing was written to it; restore an earlier version of the table."
            )
        return counts

    def _described(self, rows: DataFrame, counts: Counter[str] | None = None) -> _Cleaned:
        """Describe typed rows: their minutes, and the time of the newest."""
        engine, moment = self._lake.engine, F.col(self.stream.event_time)
        late = F.lit(False) if self._closed is None else moment < F.lit(self._closed)
        found = rows.agg(
            newest_event(self.stream).alias("newest"),
            F.count(F.when(late, F.lit(1))).alias("late"),
        )
        figures = engine.rows(found)[0]
        return _Cleaned(
            (counts or Counter[str]()) + Counter({"late": figures["late"]}),
            _minutes_of(engine.rows(event_minutes(rows, moment))),
            figures["newest"],
        )

    def _write_minutes(self, cleaned: _Cleaned, ends: Mapping[str, int]) -> int:
        """Recompute the minutes of events from silver and replace them; return their rows."""
        if not cleaned.minutes or cleaned.newest is None:
            return 0
        stream, lake = self.stream, self._lake
        selection = _selection("minute", cleaned.minutes)
        events = lake.read(self._silver, _selection(stream.event_time, cleaned.minutes))
        stored = lake.read(self._minutes, selection)
        rows = lake.engine.checkpoint(minute_rows(stream, events, stored, self._closed))
        changed = lake.engine.rows(rows.agg(F.count(F.lit(1)).alias("n")))[0]["n"]
        newest = (cleaned.newest.astimezone(UTC) - self._delay).replace(second=0, microsecond=0)
        closed = max(newest, self._closed or newest)
        days = frozenset(day for _, day in cleaned.minutes)
        state = json.dumps({"closed_before": closed.isoformat()})
        self._commit(self._minutes, rows, days, ends, selection, state)
        self._closed = closed
        return int(changed)

    def _commit(
        self,
        table: Table,
        rows: DataFrame,
        days: frozenset[date],
        ends: Mapping[str, int],
        selection: Windows | None = None,
        state: str = "",
    ) -> None:
        """Append rows, or replace the selected ones, and record how far they take the table."""
        commit = Commit(
            self._run_id,
            f"{table.domain}/stream_{self.stream.name}",
            ",".join(day.isoformat() for day in sorted(days)),
            code_version(),
            state,
        )
        reached = self._reached[table.name]
        progress = {name: Advance(reached.get(name), end) for name, end in ends.items()}
        if selection is None:
            self._lake.append(table, rows, commit, progress)
        else:
            self._lake.write(table, rows, selection, commit, progress)
        reached.update(ends)


def drain(ingest: Ingest, seconds: float | None = None, most: int = MOST) -> Iterator[Cycle]:
    """Read a stream up to its end, cycle by cycle.

    Args:
        ingest: The stream.
        seconds: Stop after the cycle in which this time is over; None to go on to the end.
        most: Maximum number of messages of a cycle.

    Yields:
        Each cycle; after the last one, every partition is read up to its end, or time is over.
    """
    begin = time.monotonic()
    while True:
        cycle = ingest.cycle(_PATIENCE, most)
        yield cycle
        late = seconds is not None and time.monotonic() - begin >= seconds
        if late or not any(cycle.lag.values()):
            return


def balance(stream: Stream, lake: Lake, days: Iterable[date]) -> Balance:
    """Balance the stored events of some days: bronze = silver + quarantine."""
    return Balance(
        source="bronze",
        incoming=lake.rows_by_partition(bronze_events(stream)),
        parts={
            "silver": lake.rows_by_partition(silver_events(stream)),
            "quarantine": lake.rows_by_partition(quarantined_events(stream)),
        },
        partitions=sorted(days),
    )


def _days_of(events: pa.Table) -> frozenset[date]:
    return frozenset(events["event_date"].unique().to_pylist())


def _minutes_of(rows: Iterable[Mapping[str, Any]]) -> frozenset[tuple[datetime, date]]:
    return frozenset((row["minute"].astimezone(UTC), row["event_date"]) for row in rows)


def _read_up_to(name: str, end: int) -> Col:
    return (F.col("_source") == F.lit(name)) & (F.col("_offset") < F.lit(end))


def _any(conditions: Iterable[Col]) -> Col:
    return reduce(or_, conditions)


def _selection(column: str, minutes: frozenset[tuple[datetime, date]]) -> Windows:
    """Select the rows of minutes, and of others between them where there would be many windows."""
    spans: list[tuple[datetime, datetime]] = []
    for minute in sorted({minute for minute, _ in minutes}):
        if spans and spans[-1][1] == minute:
            spans[-1] = (spans[-1][0], minute + _MINUTE)
        else:
            spans.append((minute, minute + _MINUTE))
    while len(spans) > _MOST_SPANS:
        nearest = min(range(1, len(spans)), key=lambda i: spans[i][0] - spans[i - 1][1])
        spans[nearest - 1 : nearest + 1] = [(spans[nearest - 1][0], spans[nearest][1])]
    days = sorted({day for _, day in minutes})
    return Windows(EVENT_DATE, tuple((d, d + _DAY) for d in days), Times(column, tuple(spans)))
