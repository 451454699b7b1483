"""Copying a source table into the landing zone, whole and once, whatever happens on the way.

A copy writes down what it is about to take, then its files, and after each file where it is; at the
end the value of the cursor from which the next one begins. Killed between two of these steps, it
takes up the last one again: the same rows under the same file name, in place of what lies there.
Rows that change meanwhile are later than the value that was looked up before, so the next copy
brings them once more. A table without a key has no order to go on in, and is one file.

A copy begins with rows that the last one took, too. If they are all there is, and are as they were
before the last copy began, nothing is delivered.

A dataset of months holds states, so that a month's first copy is a full one; later in the month
come changes, and silver keeps the newest of each key.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.lookup import LookUp, Moment, Window, look_up
from lakehouse_assets.sources.memory import Memory, Open, delivered, recall, remember
from lakehouse_assets.sources.streams import rows_of, state_of

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What somebody asks for.

    Attributes:
        full: Copy everything, whatever was copied before.
        since: Value of the cursor from which to copy, as text.
        accepted: Copy although a column has another type than at the last copy.
        chunk_rows: Rows of a file, roughly.
    """

    full: bool = False
    since: str | None = None
    accepted: bool = False
    chunk_rows: int = CHUNK_ROWS


@dataclass(frozen=True)
class Copied:
    """What a copy did.

    Attributes:
        look_up: What waited.
        rows: Rows that were delivered, those of an interrupted copy that it went on with included.
        files: Files that were delivered.
        full: Whether it took everything.
        resumed: Whether it went on with an interrupted one.
        day: Day of delivery.
        skipped: What `since` left out, as a sentence; empty if nothing.
    """

    look_up: LookUp
    rows: int
    files: int
    full: bool
    resumed: bool
    day: date
    skipped: str = ""

    @property
    def findings(self) -> list[str]:
        """What somebody should know after the copy, a sentence each."""
        told = [self.skipped] if self.skipped else []
        if self.rows == self.look_up.waiting:
            return told
        return [
            *told,
            f"{self.look_up.waiting:,} rows waited and {self.rows:,} were copied; if nobody wrote "
            "to the table meanwhile, copy it again with --full.",
        ]


def ask(
    zone: LandingZone, source: Source, declared: SourceTable, wanted: Wanted, today: date
) -> LookUp:
    """Look up what a copy would take, and take nothing.

    Raises:
        LakehouseError: the source does not answer, or what is wanted does not fit what was copied.
    """
    return _asked(zone, source, declared, wanted, today)[0]


def _asked(
    zone: LandingZone, source: Source, declared: SourceTable, wanted: Wanted, today: date
) -> tuple[LookUp, Memory, Open]:
    """Look up what a copy would take.

    Returns:
        What was found, what is remembered, and the copy that begins or goes on.
    """
    memory = recall(zone, declared.dataset)
    begun = memory.open
    new_month = declared.dataset.grain == "month" and (
        memory.full_on is None or memory.full_on.replace(day=1) != today.replace(day=1)
    )
    full, window = _window(source, declared, memory, wanted, new_month)
    with source.connected() as connection:
        found = look_up(connection, source, declared, memory.types, window)
        if begun is not None and begun.full == full:
            return found, memory, begun
        state = ""
        if found.waiting:
            again, cursor = found.window, declared.cursor
            if cursor is not None and again.high is not None:
                again = Window(_earlier(again.high, declared), again.high)
            with closing(
                rows_of(connection, source, found.columns, again, cursor, (), ())
            ) as batches:
                state = state_of(batches, found.columns)
    if state == memory.state and not (wanted.full or wanted.since or new_month):
        found = replace(found, waiting=0)
    return found, memory, Open("", today, full, found.window, state=state)


def extract(
    zone: LandingZone,
    source: Source,
    declared: SourceTable,
    wanted: Wanted,
    now: datetime,
    on_rows: Callable[[int], None] = lambda _rows: None,
    on_look_up: Callable[[LookUp], None] = lambda _found: None,
) -> Copied:
    """Copy what is new in a source table into the landing zone.

    Args:
        zone: Where it is delivered.
        source: The database.
        declared: The table.
        wanted: What is asked for.
        now: Decides the day of delivery and the names of files.
        on_rows: Is told of rows as they come.
        on_look_up: Is told what was found, before anything is copied.

    Raises:
        LakehouseError: the source does not answer, its schema has changed, or what is wanted does
            not fit what was copied.
    """
    dataset, today = declared.dataset, now.astimezone(UTC).date()
    found, memory, begun = _asked(zone, source, declared, wanted, today)
    on_look_up(found)
    if found.retyped and not wanted.accepted:
        raise LakehouseError(
            f"{' '.join(found.retyped)} Nothing of {dataset.path} was copied; if its rules fit the "
            "new type, run the copy once with --accept-types."
        )
    resumed = bool(begun.name)
    if resumed:
        on_rows(begun.rows)
    elif not found.waiting:
        remember(zone, dataset, replace(memory, types=found.types, open=None))
        return Copied(found, 0, 0, begun.full, False, today)
    else:
        begun = replace(begun, name=f"{declared.table}-{now.astimezone(UTC):%Y%m%dT%H%M%S%f}")
        memory = replace(memory, open=begun)
        remember(zone, dataset, memory)
    with source.connected() as connection, closing(
        rows_of(
            connection, source, found.columns, begun.window,
            declared.cursor, declared.key, begun.after,
        )
    ) as batches, closing(
        _written(zone, declared, begun, batches, wanted.chunk_rows, on_rows, resumed)
    ) as files:  # fmt: skip
        for rows, last in files:
            begun = delivered(begun, rows, last)
            memory = replace(memory, open=begun)
            remember(zone, dataset, memory)
    ended = replace(
        memory, types=found.types, open=None, full_on=begun.day if begun.full else memory.full_on
    )
    low, skipped = begun.window.low, ""
    if begun.window.high is not None and (begun.full or _reaches(low, memory.cursor)):
        ended = replace(ended, cursor=begun.window.high, state=begun.state)
        if memory.cursor is None and not begun.full:
            skipped = f"Rows before {low} were not copied; --full takes them."
    elif begun.full:
        ended = replace(ended, state=begun.state)
    else:
        # What lies between would never come if the next copy began behind it.
        skipped = f"The next copy begins at {memory.cursor} again, since this one began at {low}."
    remember(zone, dataset, ended)
    return Copied(found, begun.rows, begun.chunks, begun.full, resumed, begun.day, skipped)


def _reaches(low: Moment | None, cursor: Moment | None) -> bool:
    """Say whether a copy that begins at a value leaves nothing out behind the last one's end."""
    if low is None or cursor is None:
        return True
    try:
        return bool(low <= cursor)  # type: ignore[operator]
    except TypeError:
        # A day and a moment, or a moment without a zone, cannot be compared.
        return False


def _window(
    source: Source, declared: SourceTable, memory: Memory, wanted: Wanted, new_month: bool
) -> tuple[bool, Window]:
    """Decide what a copy takes, and whether that is everything."""
    begun = memory.open
    if wanted.since is not None:
        if declared.cursor is None:
            raise LakehouseError(
                f"The source of {declared.dataset.path} declares no cursor, so there is no since; "
                "leave it out to copy everything."
            )
        low = _moment(wanted.since, typed=source.dialect.typed)
        if begun is None:
            return False, Window(low)
        if begun.window.low != low:
            raise LakehouseError(
                f"A copy of {declared.dataset.path} was interrupted; finish it first, by the same "
                "command without --since, or take everything with --full."
            )
    if begun is not None and begun.full == (wanted.full or begun.full):
        return begun.full, begun.window
    if wanted.full or declared.cursor is None or memory.cursor is None or new_month:
        return True, Window()
    return False, Window(_earlier(memory.cursor, declared))


def _earlier(cursor: Moment, declared: SourceTable) -> Moment:
    """Step back from a value of the cursor, for rows that were committed later than stamped."""
    if isinstance(cursor, datetime):
        return cursor - declared.overlap
    if isinstance(cursor, date):
        return date.fromordinal(cursor.toordinal() - declared.overlap.days)
    return cursor


def _moment(text: str, *, typed: bool) -> Moment:
    """Read a value of the cursor as people write it; where days are text, so is this."""
    days = (date.fromisoformat, datetime.fromisoformat) if typed else ()
    for read in (int, *days):
        try:
            value: Moment = read(text)
        except ValueError:
            continue
        return value
    return text


def _written(
    zone: LandingZone,
    declared: SourceTable,
    begun: Open,
    batches: Iterable[pa.RecordBatch],
    chunk_rows: int,
    on_rows: Callable[[int], None],
    replace: bool,
) -> Generator[tuple[int, tuple[str, ...]], None, None]:
    """Deliver batches as files; yield the rows of each, and its last key, once it lies there.

    Only a copy that was killed may find a file of its own there, its first one.
    """
    import pyarrow.parquet as pq

    number = begun.chunks
    with tempfile.TemporaryDirectory(prefix="lakehouse-copy-") as folder:
        for chunk in _chunks(batches, declared.key, chunk_rows):
            number += 1
            path = Path(folder) / f"{begun.name}-{number:04}.parquet"
            writer, rows = None, 0
            last: tuple[str, ...] = ()
            try:
                for batch in chunk:
                    # A dictionary of mostly different values costs time and gains nothing.
                    writer = writer or pq.ParquetWriter(
                        path, batch.schema, compression="zstd", use_dictionary=False
                    )
                    writer.write_batch(batch)
                    rows += batch.num_rows
                    on_rows(batch.num_rows)
                    last = _key(batch, declared.key, batch.num_rows - 1)
            finally:
                if writer is not None:
                    writer.close()
            first = number == begun.chunks + 1
            zone.land(declared.dataset, path, begun.day, replace=replace and first)
            path.unlink()
            yield rows, last


def _chunks(
    batches: Iterable[pa.RecordBatch], key: Sequence[str], chunk_rows: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Part batches into chunks that end between two keys; without a key there is one chunk."""
    source = iter(batch for batch in batches if batch.num_rows)
    following = next(source, None)

    def chunk() -> Iterator[pa.RecordBatch]:
        nonlocal following
        rows = 0
        while following is not None:
            batch, following = following, next(source, None)
            rows += batch.num_rows
            yield batch
            if following is None or (key and rows >= chunk_rows and _apart(batch, following, key)):
                return

    while following is not None:
        yield chunk()


def _apart(batch: pa.RecordBatch, following: pa.RecordBatch, key: Sequence[str]) -> bool:
    return _key(batch, key, batch.num_rows - 1) != _key(following, key, 0)


def _key(batch: pa.RecordBatch, key: Sequence[str], row: int) -> tuple[str, ...]:
    values = [batch.column(name)[row].as_py() for name in key]
    if None in values:
        raise LakehouseError(
            f"A key ({', '.join(key)}) is null in the source, so that its rows have no order; "
            "declare other columns as the key, or none."
        )
    return tuple(values)
