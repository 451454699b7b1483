"""Plans backfills, which run a range of partitions in resumable chunks, and replays."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from lakehouse_assets.catalog.datasets import Dataset, bronze_table
from lakehouse_assets.clock import following
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandedFile, content_of
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.jobs import (
    MONTHLY,
    QUALITY,
    UNPARTITIONED,
    job_name,
    job_that_loads,
)
from lakehouse_assets.orchestration.planning import (
    MONTHS_PER_RUN,
    PlannedRun,
    delivered,
    of_domain,
)
from lakehouse_assets.settings import Settings

_MONTH = re.compile(r"(\d{4})-(\d{2})(?:-\d{2})?")
_FORMAT = 1


@dataclass(frozen=True)
class Months:
    """An inclusive range of months, each as its first day."""

    first: date
    last: date

    @classmethod
    def parse(cls, text: str) -> Months:
        """Read `2024-01..2024-12`, or one month.

        Raises:
            LakehouseError: the text is not a range of months.
        """
        first, dots, last = text.partition("..")
        try:
            months = cls(_month(first), _month(last) if dots else _month(first))
        except ValueError:
            raise LakehouseError(
                f"{text!r} is not a range of months; write it as 2024-01..2024-12, or 2024-01."
            ) from None
        if months.last < months.first:
            raise LakehouseError(f"The range {text} ends before it begins; swap the two months.")
        return months

    def __str__(self) -> str:
        """Format the range as `2024-01..2024-12`."""
        return f"{self.first:%Y-%m}..{self.last:%Y-%m}"


@dataclass
class Progress:
    """Progress of a backfill, in a file that outlives its process.

    Attributes:
        path: The file; it is deleted when the backfill is complete.
        done: Content of the successful runs, by run label.
    """

    path: Path
    done: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, name: str) -> Progress:
        """Open the progress of a backfill; an unreadable file counts as no progress."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        path = settings.dagster_home / "backfills" / f"{digest}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            done = found["done"] if found["format"] == _FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            done = {}
        return cls(path, dict(done))

    def note(self, label: str, content: str) -> None:
        """Record a successful run; the file is replaced atomically."""
        self.done[label] = content
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps({"format": _FORMAT, "done": self.done}), encoding="utf-8")
        part.replace(self.path)

    def forget(self) -> None:
        """Delete the progress, when the backfill is complete or starts over."""
        self.done.clear()
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Backfill:
    """A planned backfill.

    Attributes:
        runs: The remaining runs, in order; reference data first and the quality log last.
        content: Hash of the files that each run reads, by run label; a finished run is repeated
            when its hash has changed.
        done: Number of runs that an interrupted backfill already finished.
        progress: The progress file.
        refused: Deliveries without a partition, one sentence each; the runs skip them.
    """

    runs: list[PlannedRun]
    content: dict[str, str]
    done: int
    progress: Progress
    refused: list[str]

    def note(self, run: PlannedRun) -> None:
        """Record a successful run."""
        if run.label in self.content:
            self.progress.note(run.label, self.content[run.label])


def plan_backfill(
    settings: Settings,
    domain: str,
    months: Months,
    months_per_run: int = MONTHS_PER_RUN,
    *,
    restart: bool = False,
) -> Backfill:
    """Plan the runs for a domain's delivered partitions in a range of months.

    Args:
        settings: Settings of the lakehouse.
        domain: Name of the domain.
        months: The range.
        months_per_run: Most consecutive months in one run, which bounds its memory.
        restart: Whether to repeat what an interrupted backfill finished.

    Raises:
        LakehouseError: there is no such domain, or nothing was delivered in the range.
    """
    mine = [dataset for dataset in DATASETS if dataset.domain == domain]
    if not mine:
        known = sorted({dataset.domain for dataset in DATASETS})
        raise LakehouseError(f"There is no domain {domain!r}; use one of {', '.join(known)}.")
    files, refused = delivered(settings, mine, months.first, following(months.last, "month"))
    planned = of_domain(domain, files, months_per_run)
    if not planned:
        raise LakehouseError(
            " ".join(refused)
            or f"Nothing of {domain} was delivered in {months}; check the landing zone "
            f"{settings.landing}, or choose other months."
        )
    progress = Progress.of(settings, f"{settings.root} {domain} {months} {months_per_run}")
    if restart:
        progress.forget()
    content = {run.label: _content(run, files) for run in planned}
    left = [run for run in planned if progress.done.get(run.label) != content[run.label]]
    runs = [PlannedRun(UNPARTITIONED), *left, PlannedRun(QUALITY)]
    return Backfill(runs, content, len(planned) - len(left), progress, refused)


def plan_replay(dataset: Dataset, partitions: Iterable[date]) -> list[PlannedRun]:
    """Plan runs that clean stored bronze rows again after a rule changed, and their downstream.

    Args:
        dataset: The dataset.
        partitions: Loaded partitions of the dataset: days, or the first days of months.
    """
    silver = tuple(f"{dataset.domain}.{name}" for name in dataset.loaded_tables[2:])
    days = sorted(partitions)
    monthly = job_name(dataset.domain, MONTHLY)
    return [
        *(PlannedRun.over(job_that_loads(dataset), [day], silver) for day in days),
        *(PlannedRun.over(monthly, [month]) for month in sorted({d.replace(day=1) for d in days})),
        PlannedRun(QUALITY),
    ]


def loaded_partitions(lake: Lake, dataset: Dataset, days: Iterable[date]) -> list[date]:
    """Return the partitions that hold the rows of some delivery days.

    Args:
        lake: The lake.
        dataset: The dataset.
        days: Delivery days; for a monthly dataset also the first days of delivered months.

    Raises:
        LakehouseError: bronze has no rows that were delivered on one of the days.
    """
    bronze, column = bronze_table(dataset), dataset.partition.column
    rows = lake.read(bronze, columns=sorted({"delivered_on", column})).distinct()
    held = {row["delivered_on"]: row[column] for row in lake.engine.rows(rows)}
    partitions = held | {partition: partition for partition in held.values()}
    missing = sorted(day for day in days if day not in partitions)
    if missing:
        raise LakehouseError(
            f"Bronze has no rows of {dataset.path} that were delivered on "
            f"{', '.join(map(str, missing))}, so there is nothing to replay; "
            + (
                f"it has rows from {min(held)} to {max(held)}."
                if held
                else "deliver and load them first (`lakehouse land`, `lakehouse run`)."
            )
        )
    return sorted({partitions[day] for day in days})


def months_after(settings: Settings, domain: str, last: date) -> Months | None:
    """Return the delivered months after a month, given as its first day; None if there are none."""
    mine = [dataset for dataset in DATASETS if dataset.domain == domain]
    files, _ = delivered(settings, mine, following(last, "month"))
    found = {file.delivered_on.replace(day=1) for _, file in files}
    return Months(min(found), max(found)) if found else None


def _content(run: PlannedRun, files: Iterable[tuple[Dataset, LandedFile]]) -> str:
    """Hash the files of the months that a run touches."""
    first, last = (date.fromisoformat(str(key)).replace(day=1) for key in (run.first, run.last))
    found = content_of(
        file for _, file in files if first <= file.delivered_on.replace(day=1) <= last
    )
    return hashlib.sha256(found.encode()).hexdigest()[:16]


def _month(text: str) -> date:
    match = _MONTH.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return date(int(match[1]), int(match[2]), 1)
