"""From a listing of the landing zone to the partitions that have to run. Pure functions.

A partition has to run when it was not loaded from just the files that are listed. Nothing else has
to be remembered, so that a lost run, a killed daemon or a reset sensor loses no file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.clock import following
from lakehouse_assets.ingest.landing import LandedFile, content_of, files_in
from lakehouse_assets.ingest.reader import by_partition

# A file that nobody touched for so long is whole; a younger one has to be seen twice.
SETTLED_AFTER = timedelta(seconds=30)
# A run over a range shares the cost of starting; its length bounds the memory and what a failure
# takes down with it.
LONGEST_SPAN = {"day": 31, "month": 3}
# After the first failed run of the same files, after the second, and so on.
LONGEST_PAUSE = timedelta(days=1)
_PAUSES = (
    timedelta(minutes=10), timedelta(minutes=40), timedelta(hours=3), timedelta(hours=10),
    LONGEST_PAUSE,
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """What is recorded of the last load of a partition.

    Attributes:
        content: Its files, as `content_of` names them; empty if that is not known.
        is_complete: Whether all of the dataset's tables were made from it.
        event: The newest event of these tables.
    """

    content: str = ""
    is_complete: bool = False
    event: int = 0


@dataclass(frozen=True)
class Failures:
    """Runs that failed for one content of a partition.

    Attributes:
        runs: How many they are.
        last: When the last of them ended.
    """

    runs: int
    last: datetime

    @property
    def next_attempt(self) -> datetime:
        """When the partition is tried again."""
        return self.last + _PAUSES[min(self.runs, len(_PAUSES)) - 1]


@dataclass(frozen=True)
class Span:
    """Partitions that follow each other, in one run.

    Attributes:
        first: First partition: a day, or the first day of a month.
        last: Last partition.
        run_key: What makes the request unique, so that Dagster never starts it twice.
        contents: Their files, a word for each partition.
    """

    first: date
    last: date
    run_key: str
    contents: str = ""


@dataclass(frozen=True)
class Arrivals:
    """What a listing means.

    Attributes:
        due: Partitions that have to run, and from which files, as `content_of` names them.
        young: Files that may still be written, as `content_of` names them.
        waiting: Those of them that were not seen before as they are; their partitions wait.
        deleted: How many files are gone of partitions that are otherwise as they were loaded, in
            words; nothing runs because of them.
        outside: Files delivered on days for which there is no partition.
    """

    due: dict[date, str]
    young: str
    waiting: tuple[str, ...]
    deleted: dict[date, str]
    outside: tuple[str, ...]


def arrivals(
    dataset: Dataset,
    listing: Sequence[LandedFile],
    loads: Mapping[date, Load],
    seen: str,
    now: datetime,
    first: date,
    last: date,
) -> Arrivals:
    """Compare a complete listing with what was loaded.

    Args:
        dataset: What was listed.
        listing: Every delivered file; a failed listing must not come here as an empty one.
        loads: The last load of every partition that has one.
        seen: Files that were young at the last look, as `content_of` names them.
        now: When the listing was made.
        first: First day that has a partition.
        last: Last day that has a partition.
    """
    within = [file for file in listing if first <= file.delivered_on <= last]
    partitions = by_partition(dataset, within)
    before = files_in(seen)
    due: dict[date, str] = {}
    young: list[LandedFile] = []
    waiting: list[str] = []
    deleted: dict[date, str] = {}
    for partition in sorted({*partitions, *(day for day in loads if first <= day <= last)}):
        members, load = partitions.get(partition, []), loads.get(partition, Load())
        content = content_of(members)
        if load.is_complete and content == load.content:
            continue
        listed, loaded = files_in(content), files_in(load.content)
        if (load.is_complete or not members) and listed < loaded:
            gone = f"{len(loaded - listed)} of {len(loaded)} files of {partition}"
            deleted[partition] = gone
            continue
        fresh = [file for file in members if _is_young(file, now)]
        torn = [file.name for file in fresh if content_of([file]) not in before]
        young += fresh
        waiting += torn
        if members and not torn:
            due[partition] = content
    return Arrivals(
        due=due,
        young=content_of(young),
        waiting=tuple(sorted(waiting)),
        deleted=deleted,
        outside=tuple(sorted({f.name for f in listing} - {f.name for f in within})),
    )


def spans_of(
    dataset: Dataset,
    due: Mapping[date, str],
    loads: Mapping[date, Load],
    failures: Mapping[tuple[date, str], Failures],
    now: datetime,
) -> tuple[list[Span], list[tuple[date, datetime]]]:
    """Put the partitions that are due into runs; those that failed before run alone, after a pause.

    Args:
        dataset: What was delivered.
        due: Partitions that have to run, and their content.
        loads: The last load of every partition that has one.
        failures: Runs that failed, by partition and `word_of` its content.
        now: When it is asked.

    Returns:
        The runs, and the partitions that pause with the moment until which they do.
    """
    words = {partition: word_of(content) for partition, content in due.items()}
    failed = {p: failures[p, word] for p, word in words.items() if (p, word) in failures}
    pausing = [(p, found.next_attempt) for p, found in failed.items() if now < found.next_attempt]
    groups = consecutive(due.keys() - failed.keys(), dataset.grain)
    groups += [[p] for p in sorted(failed.keys() - {p for p, _ in pausing})]
    spans = []
    for group in groups:
        contents = " ".join(words[partition] for partition in group)
        # The same files are asked for again under another key once something has happened.
        since = max(loads.get(partition, Load()).event for partition in group)
        attempts = sum(failed[partition].runs for partition in group if partition in failed)
        digest = hashlib.sha256(f"{contents} {since} {attempts}".encode()).hexdigest()[:16]
        key = f"{dataset.path}:{group[0]}..{group[-1]}:{digest}"
        spans.append(Span(group[0], group[-1], key, contents))
    return spans, pausing


def word_of(content: str) -> str:
    """Name what a partition was delivered in a short word."""
    return hashlib.sha256(content.encode()).hexdigest()[:8]


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


def _is_young(file: LandedFile, now: datetime) -> bool:
    """Say whether somebody may still be writing a file, as when it was written a moment ago."""
    return file.modified_at is None or now - file.modified_at < SETTLED_AFTER
