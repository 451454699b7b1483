"""From a listing of the landing zone to the partitions that have to run. Pure functions.

A file is known by name, size and version (an object's ETag, a local file's time). A partition is
asked for when a version of one of its files was never asked for, and once all of its files are
whole: a run reads every file of a partition, so it would also read one half written. What was
loaded from just these files already, by hand or by a backfill, is not loaded again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeAlias

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.clock import following
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandedFile, content_of
from lakehouse_assets.ingest.reader import by_partition

# A file that nobody touched for so long is whole; a younger one has to be seen twice.
SETTLED_AFTER = timedelta(seconds=30)
# A run over a range shares the cost of starting; its length bounds the memory and what a failure
# takes down with it.
LONGEST_SPAN = {"day": 31, "month": 3}
_FORMAT = 1
# So many files are remembered by name, those of the partitions that changed last. Of the others
# a partition's content is, so that the memory does not grow with every file.
_MOST_FILES = 1_000
# Which files, as `content_of` names them, some partitions were loaded from last.
Loaded: TypeAlias = Callable[[Collection[date]], Mapping[date, str]]


@dataclass(frozen=True)
class Memory:
    """What is remembered of a file.

    Attributes:
        seen: Fingerprint of the version last listed.
        taken: Fingerprint of the version for which a run was asked; empty if there was none.
    """

    seen: str
    taken: str = ""


@dataclass(frozen=True)
class Settled:
    """What is remembered of a partition that has not changed for long.

    Attributes:
        content: Its files, as `content_of` names them.
        files: How many they are.
        newest: When the last of them was written, in seconds since 1970.
    """

    content: str
    files: int
    newest: float

    @classmethod
    def of(cls, members: Sequence[LandedFile]) -> Settled:
        """Sum up the files of a partition."""
        return cls(content_of(members), len(members), _newest(members))


@dataclass(frozen=True)
class Cursor:
    """What is remembered between two listings of a dataset.

    Attributes:
        files: The files of the partitions that changed last, by name.
        settled: The other partitions.
        asked: Runs asked for so far, which tells apart two requests for the same files.
    """

    files: Mapping[str, Memory] = field(default_factory=dict)
    asked: int = 0
    settled: Mapping[date, Settled] = field(default_factory=dict)

    def encode(self) -> str:
        """Write the cursor as short text: Dagster stores a copy with every tick."""
        files = {name: [memory.seen, memory.taken] for name, memory in self.files.items()}
        settled = {
            day.isoformat(): [rest.content, rest.files, rest.newest]
            for day, rest in self.settled.items()
        }
        found = {"format": _FORMAT, "asked": self.asked, "files": files, "settled": settled}
        text = json.dumps(found)
        return base64.b85encode(zlib.compress(text.encode(), 9)).decode()

    @classmethod
    def decode(cls, text: str | None) -> Cursor:
        """Read what `encode` wrote; nothing is a first listing.

        Raises:
            LakehouseError: the text is something else.
        """
        if not text:
            return cls()
        try:
            found = json.loads(zlib.decompress(base64.b85decode(text)))
            if found["format"] != _FORMAT:
                raise ValueError(found["format"])
            files = {str(name): Memory(*pair) for name, pair in found["files"].items()}
            settled = {
                date.fromisoformat(day): Settled(*rest)
                for day, rest in found.get("settled", {}).items()
            }
            return cls(files, int(found["asked"]), settled)
        except (ValueError, zlib.error, KeyError, TypeError, AttributeError):
            raise LakehouseError(
                "The sensor's cursor cannot be read, it was written by another version; reset it "
                "in the Dagster UI (the sensor's page, Set cursor, empty): partitions that were "
                "not loaded from the files that are there now then run."
            ) from None


@dataclass(frozen=True)
class Span:
    """Partitions that follow each other, in one run.

    Attributes:
        first: First partition: a day, or the first day of a month.
        last: Last partition.
        run_key: What makes the request unique, so that Dagster never starts it twice.
    """

    first: date
    last: date
    run_key: str


@dataclass(frozen=True)
class Changes:
    """What a listing means.

    Attributes:
        spans: Runs to ask for, oldest first.
        waiting: Files whose partitions wait until they are whole.
        deleted: Files that were there before, or how many of a partition that had not changed for
            long; nothing runs because of them.
        outside: Files delivered on days for which there is no partition.
        there: Partitions with news that were loaded already, without having been asked for.
        cursor: What to remember.
    """

    spans: tuple[Span, ...]
    waiting: tuple[str, ...]
    deleted: tuple[str, ...]
    outside: tuple[str, ...]
    there: tuple[date, ...]
    cursor: Cursor


def changes(
    dataset: Dataset,
    listing: Sequence[LandedFile],
    cursor: Cursor,
    now: datetime,
    first: date,
    last: date,
    loaded: Loaded,
) -> Changes:
    """Compare a complete listing with what is remembered.

    In a partition that had not changed for long, fewer files of which none is newer are taken for
    deletions alone.

    Args:
        dataset: What was listed.
        listing: Every delivered file; a failed listing must not come here as an empty one.
        cursor: What the comparison before this one said to remember.
        now: When the listing was made.
        first: First day that has a partition.
        last: Last day that has a partition.
        loaded: Says what was loaded; asked about partitions with news only.
    """
    within = [file for file in listing if first <= file.delivered_on <= last]
    files: dict[str, Memory] = {}
    due: dict[date, str] = {}
    waiting: list[str] = []
    partitions = by_partition(dataset, within)
    for partition, members in partitions.items():
        marks = {file.name: file.fingerprint for file in members}
        known = {name: cursor.files.get(name, Memory("")) for name in marks}
        if partition in cursor.settled and _is_settled(members, cursor.settled[partition]):
            known = {name: Memory(mark, mark) for name, mark in marks.items()}
        torn = [f.name for f in members if not _is_whole(f, marks[f.name], known[f.name], now)]
        news = any(known[name].taken != mark for name, mark in marks.items())
        taking = news and not torn
        if taking:
            due[partition] = content_of(members)
        elif news:
            waiting += torn
        for name, mark in marks.items():
            files[name] = Memory(mark, mark if taking else known[name].taken)
    before = loaded(due.keys()) if due else {}
    there = tuple(sorted(day for day, content in due.items() if before.get(day) == content))
    for partition in there:
        del due[partition]
    spans = _spans(dataset, due, cursor.asked)
    here = by_partition(dataset, listing)
    fewer = [
        f"{rest.files - left} of {rest.files} files of {partition}"
        for partition, rest in cursor.settled.items()
        if (left := len(here.get(partition, ()))) < rest.files
    ]
    gone = cursor.files.keys() - {file.name for file in listing}
    outside = tuple(sorted({f.name for f in listing} - files.keys()))
    settled = _forget_files(partitions, files)
    return Changes(
        spans=spans,
        waiting=tuple(sorted(waiting)),
        deleted=tuple(sorted([*gone, *fewer])),
        outside=outside,
        there=there,
        cursor=Cursor(files, cursor.asked + len(spans), settled),
    )


def _is_settled(members: Sequence[LandedFile], rest: Settled) -> bool:
    """Say whether a partition holds nothing but what it held, or some of it."""
    now = Settled.of(members)
    return now.content == rest.content or (now.files < rest.files and now.newest <= rest.newest)


def _forget_files(
    partitions: Mapping[date, Sequence[LandedFile]], files: dict[str, Memory]
) -> dict[date, Settled]:
    """Take the files of all but the partitions that changed last out of what is remembered.

    Returns:
        What is remembered of those partitions instead.
    """
    settled = {}
    room = _MOST_FILES
    for partition in sorted(partitions, key=lambda day: (-_newest(partitions[day]), day)):
        members = partitions[partition]
        room -= len(members)
        # Files that wait, or are still being written, are seen twice by their names.
        if room < 0 and all(files[f.name] == Memory(f.fingerprint, f.fingerprint) for f in members):
            settled[partition] = Settled.of(members)
            for file in members:
                del files[file.name]
    return settled


def _newest(members: Sequence[LandedFile]) -> float:
    return max(f.modified_at.timestamp() if f.modified_at else 0.0 for f in members)


def consecutive(partitions: Iterable[date], grain: str) -> list[list[date]]:
    """Group partitions that follow each other, at most so many as one run takes."""
    groups: list[list[date]] = []
    for partition in sorted(partitions):
        group = groups[-1] if groups else []
        if group and len(group) < LONGEST_SPAN[grain] and following(group[-1], grain) == partition:
            group.append(partition)
        else:
            groups.append([partition])
    return groups


def _is_whole(file: LandedFile, mark: str, known: Memory, now: datetime) -> bool:
    """Say whether nobody writes a file any more: it is old enough, or was the same last time."""
    age = now - file.modified_at if file.modified_at else timedelta(0)
    return known.seen == mark or age >= SETTLED_AFTER


def _spans(dataset: Dataset, due: Mapping[date, str], asked: int) -> tuple[Span, ...]:
    spans = []
    for number, group in enumerate(consecutive(due, dataset.grain), start=asked + 1):
        content = "".join(due[partition] for partition in group)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        key = f"{dataset.path}:{group[0]}..{group[-1]}:{number}:{digest}"
        spans.append(Span(group[0], group[-1], key))
    return tuple(spans)
