"""Reads the events of messages: JSON objects, or arrays of them, as rows of bronze."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lakehouse_assets.catalog.expectations import CALENDAR
from lakehouse_assets.catalog.streams import Stream, bronze_events, rejected_events
from lakehouse_assets.engine.vocabulary import MOMENT, WHITE_SPACE
from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.json_records import json_records, no_constant, value_text
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ingest.records import Malformed
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.sources.messages import Message

if TYPE_CHECKING:
    import pyarrow as pa

# Objects become tuples of pairs, so that a nested one is not taken for an array and an attribute
# that occurs twice is seen. Numbers keep the text that was sent.
_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple, parse_float=str, parse_int=str, parse_constant=no_constant
)
_MOST_LAYOUTS = 1_000
_LONGEST_TIME = 100
_PLAIN = frozenset({str, bool, type(None)})
# Half of a surrogate pair is not a character; messages with such escapes are read one by one.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_READABLE = re.compile(MOMENT.replace(r"\z", r"\Z"))
_UNREADABLE_TIME = "its time {field} is not a UTC timestamp from 1900 to 2099"


class Minute(NamedTuple):
    """A minute in which there are events: its start, and its day, both in UTC."""

    start: datetime
    day: date


class _Event(NamedTuple):
    """A readable event: its values, its time, and names of undeclared attributes."""

    values: tuple[str | None, ...]
    minute: Minute
    undeclared: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """How objects with the same attributes in the same order become rows.

    Attributes:
        places: Position of each declared attribute in the object; None if it is missing.
        undeclared: Names of the other attributes.
    """

    places: tuple[int | None, ...]
    undeclared: tuple[str, ...]


@dataclass(frozen=True)
class Parsed:
    """The events of some messages.

    Attributes:
        events: Rows of bronze.
        rejects: Rows of its rejects.
        minutes: Number of events by minute.
        undeclared: Number of events by undeclared attribute.
    """

    events: pa.Table
    rejects: pa.Table
    minutes: Counter[Minute]
    undeclared: Counter[str]

    def with_more(self, other: Parsed) -> Parsed:
        """Add the events of further messages."""
        import pyarrow as pa

        return Parsed(
            pa.concat_tables([self.events, other.events]),
            pa.concat_tables([self.rejects, other.rejects]),
            self.minutes + other.minutes,
            self.undeclared + other.undeclared,
        )


class MessageLimits(FileLimits):
    """Limits on a message, which no setting changes."""

    def exceeded(self, name: str, setting: str, what: str) -> FileRefusedError:
        """Return the error that makes a message a reject."""
        return FileRefusedError(f"{name} {what}, and the limit is {getattr(self, setting):,}.")


class MessageReader:
    """Reads messages of a stream; it remembers the layouts of events that it has seen.

    Args:
        stream: The stream.
        app_id: Returns the name of the source of a topic's partition, see `MessageSource.app_id`.
        limits: Limits on a message; one that exceeds them is a reject.
    """

    def __init__(
        self,
        stream: Stream,
        app_id: Callable[[str, int], str],
        limits: MessageLimits | None = None,
    ) -> None:
        self._limits = limits or MessageLimits()
        self._names = [str(column.source) for column in stream.fields]
        self._bronze = arrow_schema(bronze_events(stream))
        self._rejects = arrow_schema(rejected_events(stream))
        self._time = [column.name for column in stream.fields].index(stream.time_field)
        self._reason = _UNREADABLE_TIME.format(field=self._names[self._time])
        self._app_id = app_id
        self._layouts: dict[tuple[str, ...], _Layout | None] = {}

    def read(self, messages: Iterable[Message], ingested_at: datetime) -> Parsed:
        """Read messages; whatever cannot be read is a reject, and the rest is not affected.

        Args:
            messages: The messages.
            ingested_at: When they are written to bronze.
        """
        rows: list[tuple[str | None, ...]] = []
        minutes: list[Minute] = []
        places: list[tuple[Any, ...]] = []
        rejects: list[tuple[Any, ...]] = []
        undeclared = Counter[str]()
        for message in messages:
            source = self._app_id(message.topic, message.partition)
            place = (source, message.topic, message.partition, message.offset)
            quick = self._quick(message.value)
            found = self._careful(message.value) if quick is None else quick
            for index, event in enumerate(found):
                at = (*place, index, message.enqueued_at)
                if isinstance(event, Malformed):
                    rejects.append((*at, event.text, event.reason, ingested_at))
                else:
                    rows.append(event.values)
                    minutes.append(event.minute)
                    places.append(at)
                if event.undeclared:
                    undeclared.update(event.undeclared)
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True), *zip(*places, strict=True)]
        columns += [[ingested_at] * len(rows), [minute.day for minute in minutes]]
        return Parsed(
            _table(columns if rows else (), self._bronze),
            _table([*zip(*rejects, strict=True)], self._rejects),
            Counter(minutes),
            undeclared,
        )

    def _quick(self, value: bytes) -> list[_Event | Malformed] | None:
        """Read a message without any error; None if there is one."""
        if len(value) > self._limits.of_text:
            return None
        try:
            text = value.decode()
            content = None if _SURROGATE.search(text) else _DECODER.decode(text)
        except (ValueError, RecursionError):
            return None
        found: list[_Event | Malformed] = []
        for event in content if type(content) is list else [content]:
            if type(event) is not tuple or not event:
                return None
            names, values = zip(*event, strict=True)
            layout = self._layout(names)
            if layout is None:
                return None
            if layout.places:
                values = tuple(None if at is None else values[at] for at in layout.places)
            kinds = {*map(type, values)}
            if not kinds <= _PLAIN:
                return None
            if bool in kinds:
                values = tuple(map(value_text, values))
            minute = minute_of(values[self._time])
            if minute is None:
                return None
            found.append(_Event(values, minute, layout.undeclared))
        return found

    def _layout(self, names: tuple[str, ...]) -> _Layout | None:
        """Return the layout of objects with these attributes; None if they cannot be an event."""
        if names not in self._layouts:
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            self._layouts[names] = self._new_layout(names)
        return self._layouts[names]

    def _new_layout(self, names: tuple[str, ...]) -> _Layout | None:
        if len({*names}) < len(names) or len(names) > self._limits.columns:
            return None
        if [*names] == self._names:
            return _Layout((), ())
        return _Layout(
            tuple(names.index(name) if name in names else None for name in self._names),
            tuple(sorted({*names} - {*self._names})),
        )

    def _careful(self, value: bytes) -> Iterator[_Event | Malformed]:
        """Read a message event by event, so that broken ones do not affect the others."""
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raw = value.decode(errors="backslashreplace")
            yield Malformed(1, raw, f"it is not UTF-8 text (byte {error.start + 1})")
            return
        try:
            found = json_records(
                [value], "The message", self._limits, self._names, True, self._wrong_time
            )
            records = [*found]
        except FileRefusedError as error:
            yield Malformed(1, text, str(error))
            return
        if not records and "[" not in text:
            yield Malformed(1, text, "the message is empty")
        for record in records:
            if isinstance(record, Malformed):
                yield record
            else:
                minute = minute_of(record.values[self._time])
                assert minute is not None, "`_wrong_time` rejects such events"  # noqa: S101
                yield _Event(record.values, minute, record.undeclared)

    def _wrong_time(self, values: Sequence[str | None]) -> str | None:
        return self._reason if minute_of(values[self._time]) is None else None


def _table(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return a table of columns; no columns mean no rows."""
    import pyarrow as pa

    if not columns:
        return schema.empty_table()
    arrays = [pa.array(v, kind.type) for v, kind in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def minute_of(moment: str | None) -> Minute | None:
    """Return the minute of a moment as text; None if silver could not read it."""
    return None if moment is None or len(moment) > _LONGEST_TIME else _minute_of(moment)


# The events of a message often have the same time.
@lru_cache(maxsize=1 << 12)
def _minute_of(moment: str) -> Minute | None:
    text = moment.strip(WHITE_SPACE)
    if not _READABLE.match(text):
        return None
    try:
        start = datetime.fromisoformat(f"{text[:10]}T{text[11:16]}:00+00:00")
    except ValueError:
        return None
    day = start.date()
    return Minute(start, day) if CALENDAR[0] <= day <= CALENDAR[1] else None
