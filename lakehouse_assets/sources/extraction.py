"""Copy a source table into the landing zone, completely and once, even if it is interrupted.

A copy first records the rows that it is going to take. Then it writes its files, recording its
position after each one, and at the end the cursor value from which the next copy starts. A copy
that was killed repeats its last step: it writes the same rows under the same file name, replacing
any file there. Rows that change during a copy have a later cursor value than the one it looked up
at the start, so the next copy takes them again. Without a key, rows have no order in which a copy
could resume, so the table becomes one file.

Copies overlap: each starts with rows that the last one also took. If there are no other rows, and
these are as they were before the last copy started, nothing is delivered.

Deliveries of a monthly dataset are snapshots, so the first copy of a month is a full one. Later
copies in the month take changes, and silver keeps the newest row of each key.
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
from lakehouse_assets.sources.copy_state import CopyState, OpenCopy, recall, remember
from lakehouse_assets.sources.lookup import CursorValue, LookUp, Window, look_up
from lakehouse_assets.sources.streams import rows_of, state_of
from lakehouse_assets.text import counted

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 1_000_000


@dataclass(frozen=True)
class CopyRequest:
    """Options of a copy.

    Attributes:
        full: Copy everything, regardless of earlier copies.
        since: Cursor value from which to copy, as text.
        accepted: Copy although a column's type has changed since the last copy.
        chunk_rows: Approximate number of rows per file.
    """

    full: bool = False
    since: str | None = None
    accepted: bool = False
    chunk_rows: int = CHUNK_ROWS


@dataclass(frozen=True)
class CopyResult:
    """Result of a copy.

    Attributes:
        look_up: Result of the look-up before it.
        rows: Rows that were delivered, including those before an interruption.
        files: Files that were delivered, including those before an interruption.
        full: Whether it took everything.
        resumed: Whether it resumed an interrupted copy.
        day: Day of delivery.
        skipped: Sentence on the rows that `since` left out; empty if none.
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
        """Sentences that the user should read after the copy."""
        sentences = [self.skipped] if self.skipped else []
        if self.rows == self.look_up.waiting:
            return sentences
        return [
            *sentences,
            f"Expected to copy {counted(self.look_up.waiting, 'row')}, but copied {self.rows:,}. "
            "If nobody wrote to the table in the meantime, copy it again with --full.",
        ]


def ask(
    zone: LandingZone, source: Source, declared: SourceTable, wanted: CopyRequest, today: date
) -> LookUp:
    """Look up what a copy would take, without copying anything.

    Raises:
        LakehouseError: the source does not answer, or `wanted` conflicts with earlier copies.
    """
    return _asked(zone, source, declared, wanted, today)[0]


def _asked(
    zone: LandingZone, source: Source, declared: SourceTable, wanted: CopyRequest, today: date
) -> tuple[LookUp, CopyState, OpenCopy]:
    """Look up what a copy would take.

    Returns:
        The look-up, the stored state, and the copy to start or to resume.
    """
    before = recall(zone, declared.dataset)
    copy = before.open
    new_month = declared.dataset.grain == "month" and (
        before.full_on is None or before.full_on.replace(day=1) != today.replace(day=1)
    )
    full, window = _window(source, declared, before, wanted, new_month)
    with source.connected() as connection:
        found = look_up(connection, source, declared, before.types, window)
        if copy is not None and copy.full == full:
            return found, before, copy
        state, again = "", found.window
        if again.high is not None:
            again = Window(_earlier(again.high, declared), again.high)
        if found.waiting:
            with closing(
                rows_of(connection, source, found.columns, again, declared.cursor)
            ) as batches:
                state = state_of(batches, found.columns)
    if state == before.state and not (wanted.full or wanted.since or new_month):
        found = replace(found, waiting=0)
    return found, before, OpenCopy("", today, full, found.window, state=state)


def extract(
    zone: LandingZone,
    source: Source,
    declared: SourceTable,
    wanted: CopyRequest,
    now: datetime,
    on_rows: Callable[[int], None] = lambda _rows: None,
    on_look_up: Callable[[LookUp], None] = lambda _found: None,
) -> CopyResult:
    """Copy new rows of a source table into the landing zone.

    Args:
        zone: The landing zone.
        source: The database.
        declared: The table.
        wanted: Options of the copy.
        now: Decides the day of delivery and the file names.
        on_rows: Called with the number of rows as they are copied.
        on_look_up: Called with the look-up, before anything is copied.

    Raises:
        LakehouseError: the source does not answer, its schema has changed, or `wanted` conflicts
            with earlier copies.
    """
    dataset, today = declared.dataset, now.astimezone(UTC).date()
    found, before, copy = _asked(zone, source, declared, wanted, today)
    on_look_up(found)
    if found.retyped and not wanted.accepted:
        raise LakehouseError(
            f"{' '.join(found.retyped)} Nothing of {dataset.path} was copied. If the dataset's "
            "columns fit the new type, run the copy once with --accept-types."
        )
    resumed = bool(copy.name)
    if resumed:
        on_rows(copy.rows)
    elif not found.waiting:
        remember(zone, dataset, replace(before, types=found.types, open=None))
        return CopyResult(found, 0, 0, copy.full, False, today)
    else:
        copy = replace(copy, name=f"{declared.table}-{now.astimezone(UTC):%Y%m%dT%H%M%S%f}")
        before = replace(before, open=copy)
        remember(zone, dataset, before)
    with source.connected() as connection, closing(
        rows_of(
            connection, source, found.columns, copy.window,
            declared.cursor, declared.key, copy.after,
        )
    ) as batches, closing(
        _written(zone, declared, copy, batches, wanted.chunk_rows, on_rows, resumed)
    ) as files:  # fmt: skip
        for rows, last in files:
            copy = replace(copy, chunks=copy.chunks + 1, rows=copy.rows + rows, after=last)
            before = replace(before, open=copy)
            remember(zone, dataset, before)
    ended = replace(
        before, types=found.types, open=None, full_on=copy.day if copy.full else before.full_on
    )
    low, skipped = copy.window.low, ""
    if copy.window.high is not None and (copy.full or _reaches(low, before.cursor)):
        ended = replace(ended, cursor=copy.window.high, state=copy.state)
        if before.cursor is None and not copy.full:
            skipped = f"Rows before {low} were not copied; copy them with --full."
    elif copy.full:
        ended = replace(ended, state=copy.state)
    else:
        # Otherwise the rows between the last copy's end and `low` would never be copied.
        skipped = f"This copy began at {low}, so the next one begins at {before.cursor} again."
    remember(zone, dataset, ended)
    return CopyResult(found, copy.rows, copy.chunks, copy.full, resumed, copy.day, skipped)


def _reaches(low: CursorValue | None, cursor: CursorValue | None) -> bool:
    """Return whether a copy that starts at `low` leaves no gap after the last copy's end."""
    if low is None or cursor is None:
        return True
    try:
        return bool(low <= cursor)  # type: ignore[operator]
    except TypeError:
        # For example a date and a timestamp, or timestamps with and without a time zone.
        return False


def _window(
    source: Source, declared: SourceTable, before: CopyState, wanted: CopyRequest, new_month: bool
) -> tuple[bool, Window]:
    """Return whether a copy takes everything, and its window."""
    copy = before.open
    if wanted.since is not None:
        if declared.cursor is None:
            raise LakehouseError(
                f"The source of {declared.dataset.path} declares no cursor, so --since cannot be "
                "used; leave it out to copy everything."
            )
        low = _moment(wanted.since, typed=source.dialect.typed)
        if copy is None:
            return False, Window(low)
        if copy.window.low != low:
            raise LakehouseError(
                f"A copy of {declared.dataset.path} was interrupted. Finish it first with the same "
                "command without --since, or copy everything with --full."
            )
    if copy is not None and copy.full == (wanted.full or copy.full):
        return copy.full, copy.window
    if wanted.full or declared.cursor is None or before.cursor is None or new_month:
        return True, Window()
    return False, Window(_earlier(before.cursor, declared))


def _earlier(cursor: CursorValue, declared: SourceTable) -> CursorValue:
    """Subtract the overlap from a cursor value: rows may be committed after their timestamp."""
    if isinstance(cursor, datetime):
        return cursor - declared.overlap
    if isinstance(cursor, date):
        return date.fromordinal(cursor.toordinal() - declared.overlap.days)
    return cursor


def _moment(text: str, *, typed: bool) -> CursorValue:
    """Parse a cursor value given as text; without typed columns, dates stay text."""
    days = (date.fromisoformat, datetime.fromisoformat) if typed else ()
    for read in (int, *days):
        try:
            value: CursorValue = read(text)
        except ValueError:
            continue
        return value
    return text


def _written(
    zone: LandingZone,
    declared: SourceTable,
    copy: OpenCopy,
    batches: Iterable[pa.RecordBatch],
    chunk_rows: int,
    on_rows: Callable[[int], None],
    replace: bool,
) -> Generator[tuple[int, tuple[str, ...]], None, None]:
    """Deliver batches as files; yield each file's rows and last key once it has landed.

    Only the first file of a resumed copy may already be there, and is replaced.
    """
    import pyarrow.parquet as pq

    number = copy.chunks
    with tempfile.TemporaryDirectory(prefix="lakehouse-copy-") as folder:
        for chunk in _chunks(batches, declared.key, chunk_rows):
            number += 1
            path = Path(folder) / f"{copy.name}-{number:04}.parquet"
            writer, rows = None, 0
            last: tuple[str, ...] = ()
            try:
                for batch in chunk:
                    # No dictionaries: for mostly distinct values they cost time and save nothing.
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
            first = number == copy.chunks + 1
            zone.land(declared.dataset, path, copy.day, replace=replace and first)
            path.unlink()
            yield rows, last


def _chunks(
    batches: Iterable[pa.RecordBatch], key: Sequence[str], chunk_rows: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Split batches into chunks that end between two keys; without a key there is one chunk."""
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
            f"A key ({', '.join(key)}) is null in the source, so its rows cannot be ordered; "
            "declare other columns as the key, or none."
        )
    return tuple(values)
