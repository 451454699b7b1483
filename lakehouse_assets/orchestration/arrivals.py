"""Pure functions that derive the partitions to run from a listing of the landing zone.

A partition must run when the files it was loaded from are not exactly the listed ones. No other
state is needed, so a lost run, a killed daemon or a reset sensor loses no file.
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
from lakehouse_assets.orchestration.partitions import LONGEST_SPAN
from lakehouse_assets.text import counted

# A file unchanged for this long is complete; a younger one must be seen unchanged in two listings.
SETTLED_AFTER = timedelta(seconds=30)
# The pause after the first failed run of the same files, after the second, and so on.
LONGEST_PAUSE = timedelta(days=1)
_PAUSES = (
    timedelta(minutes=10), timedelta(minutes=40), timedelta(hours=3), timedelta(hours=10),
    LONGEST_PAUSE,
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """The recorded last load of a partition.

    Attributes:
        content: Its files, as `content_of` returns them; empty if unknown.
        is_complete: Whether all of the dataset's tables were built from it.
        event: Storage id of the newest event of these tables.
    """

    content: str = ""
    is_complete: bool = False
    event: int = 0


@dataclass(frozen=True)
class Failures:
    """Failed runs for one content of a partition.

    Attributes:
        runs: Number of failed runs.
        last: When the last one ended.
    """

    runs: int
    last: datetime

    @property
    def next_attempt(self) -> datetime:
        """When the partition is retried."""
        return self.last + _PAUSES[min(self.runs, len(_PAUSES)) - 1]


@dataclass(frozen=True)
class Span:
    """Consecutive partitions in one run.

    Attributes:
        first: First partition: a day, or the first day of a month.
        last: Last partition.
        run_key: Unique key of the request, so that Dagster never starts it twice.
        contents: Their contents, one `word_of` per partition, separated by spaces.
    """

    first: date
    last: date
    run_key: str
    contents: str = ""


@dataclass(frozen=True)
class Arrivals:
    """A listing compared with the recorded loads.

    Attributes:
        due: Partitions that must run, each with its files as `content_of` returns them.
        young: Files that may still be being written, as `content_of` returns them.
        waiting: Names of young files not seen before in this version; their partitions wait.
        deleted: How many files are gone, as text, for each partition that is otherwise as it was
            loaded; deletions start no run.
        outside: Names of files delivered on days without a partition.
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
        dataset: The dataset.
        listing: Every delivered file; a failed listing must not be passed as an empty one.
        loads: The last load of every partition that has one.
        seen: Files that were young in the previous listing, as `content_of` returns them.
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
            gone = f"{len(loaded - listed)} of {counted(len(loaded), 'file')} of {partition}"
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
    """Group due partitions into runs; those that failed before run alone, after a pause.

    Args:
        dataset: The dataset.
        due: Partitions that must run, and their content.
        loads: The last load of every partition that has one.
        failures: Failed runs, by partition and `word_of` its content.
        now: The current time.

    Returns:
        The runs, and the pausing partitions with the time of their next attempt.
    """
    words = {partition: word_of(content) for partition, content in due.items()}
    failed = {p: failures[p, word] for p, word in words.items() if (p, word) in failures}
    pausing = [(p, found.next_attempt) for p, found in failed.items() if now < found.next_attempt]
    groups = consecutive(due.keys() - failed.keys(), dataset.grain)
    groups += [[p] for p in sorted(failed.keys() - {p for p, _ in pausing})]
    spans = []
    for group in groups:
        contents = " ".join(words[partition] for partition in group)
        # A newer event or another failure changes the key, so that the same files can run again.
        since = max(loads.get(partition, Load()).event for partition in group)
        attempts = sum(failed[partition].runs for partition in group if partition in failed)
        digest = hashlib.sha256(f"{contents} {since} {attempts}".encode()).hexdigest()[:16]
        key = f"{dataset.path}:{group[0]}..{group[-1]}:{digest}"
        spans.append(Span(group[0], group[-1], key, contents))
    return spans, pausing


def word_of(content: str) -> str:
    """Return a short hash of a partition's content."""
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def consecutive(
    partitions: Iterable[date], grain: str, most: int | None = None
) -> list[list[date]]:
    """Group consecutive partitions, at most `most` (default: `LONGEST_SPAN`) to a group."""
    most = most or LONGEST_SPAN[grain]
    groups: list[list[date]] = []
    for partition in sorted(partitions):
        group = groups[-1] if groups else []
        if group and len(group) < most and following(group[-1], grain) == partition:
            group.append(partition)
        else:
            groups.append([partition])
    return groups


def _is_young(file: LandedFile, now: datetime) -> bool:
    """Say whether a file may still be being written: changed recently, or at an unknown time."""
    return file.modified_at is None or now - file.modified_at < SETTLED_AFTER
