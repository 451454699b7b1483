"""Plans runs: which partitions of which jobs, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.streams import minutes
from lakehouse_assets.clock import following
from lakehouse_assets.domains import DATASETS, REGISTRY, STREAMS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandedFile, LandingZone
from lakehouse_assets.ingest.reader import partition_value
from lakehouse_assets.lake.log import files_of, open_table
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.orchestration.arrivals import consecutive
from lakehouse_assets.orchestration.jobs import (
    DAILY,
    LIVE,
    MONTHLY,
    QUALITY,
    UNPARTITIONED,
    domain_of,
    job_name,
    live_keys,
)
from lakehouse_assets.orchestration.jobs import STREAMS as STREAMS_FAMILY
from lakehouse_assets.orchestration.partitions import LONGEST_SPAN, Calendar
from lakehouse_assets.orchestration.stream_reader import open_source
from lakehouse_assets.settings import Settings

MONTHS_PER_RUN = LONGEST_SPAN["month"]
# Delta's writer keeps the open files of all partitions of a run in memory.
BYTES_PER_RUN = 512 << 20


@dataclass(frozen=True)
class PlannedRun:
    """One Dagster run: a job and the partitions it covers, both ends included.

    Attributes:
        job: Name of the job.
        first: First partition key, None for an unpartitioned job.
        last: Last partition key.
        tables: Names of the tables to build; empty for all tables of the job.
    """

    job: str
    first: str | None = None
    last: str | None = None
    tables: tuple[str, ...] = ()

    @classmethod
    def over(cls, job: str, days: Sequence[date], tables: Iterable[str] = ()) -> PlannedRun:
        """Plan a run over consecutive days, or months by their first days."""
        return cls(job, days[0].isoformat(), days[-1].isoformat(), tuple(tables))

    @property
    def domain(self) -> str | None:
        """The domain of the job; None for a job of all domains."""
        return domain_of(self.job)

    @property
    def label(self) -> str:
        """The run's name for people: its job and partitions."""
        if self.first is None:
            return self.job
        return f"{self.job} {self.first}" + f"..{self.last}" * (self.first != self.last)


@dataclass(frozen=True)
class Plan:
    """The runs for a landing zone.

    Attributes:
        runs: The runs, in order.
        refused: Deliveries without a partition and files of no dataset, one sentence each; the runs
            skip them.
    """

    runs: list[PlannedRun]
    refused: list[str]


def plan(settings: Settings, months_per_run: int = MONTHS_PER_RUN) -> Plan:
    """Plan the runs for every partition that the landing zone holds, by domain, oldest first.

    Args:
        settings: Settings of the lakehouse.
        months_per_run: Most consecutive months in one run.

    Raises:
        LakehouseError: the zone is missing, or holds no delivery that has a partition.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    files, problems = delivered(settings, DATASETS)
    refused = [*zone.strays(DATASETS), *problems]
    domains = dict.fromkeys(dataset.domain for dataset in DATASETS)
    runs = [run for domain in domains for run in of_domain(domain, files, months_per_run)]
    if not runs and refused:
        raise LakehouseError(" ".join(refused))
    if not runs:
        raise LakehouseError(
            f"The landing zone {settings.landing} holds no deliveries; land a file with `lakehouse "
            f"land {DATASETS[0].path} FILE --date YYYY-MM-DD`, or set LAKEHOUSE_LANDING."
        )
    streams = [PlannedRun(job) for job in dict.fromkeys(_jobs_of_streams(settings))]
    return Plan([PlannedRun(UNPARTITIONED), *runs, *streams, PlannedRun(QUALITY)], refused)


def _jobs_of_streams(settings: Settings) -> Iterator[str]:
    """Name the jobs that read streams which have an address or a folder."""
    for stream in STREAMS:
        source = open_source(stream.source, settings.landing, settings.identity)
        if source is not None:
            source.close()
            yield job_name(stream.domain, STREAMS_FAMILY)


def live_runs(settings: Settings, job: str) -> list[PlannedRun]:
    """Plan the runs that build all days of the streams which a job has read."""
    domain = domain_of(job)
    live = {key.path[0] for key in live_keys()}
    if domain not in live or job != job_name(domain, STREAMS_FAMILY):
        return []
    root = LakeRoot(settings.root, settings.identity)
    first, today = Calendar.of(domain, settings.first_partition).first, clock.today()
    days: set[date] = set()
    for stream in STREAMS:
        found = open_table(root.table(minutes(stream))) if stream.domain == domain else None
        days |= {file.partition for file in files_of(found) if file.rows} if found else set()
    return [
        PlannedRun.over(job_name(domain, LIVE), chunk)
        # Other days come from devices with wrong clocks.
        for chunk in consecutive({day for day in days if first <= day <= today}, "day")
    ]


def delivered(
    settings: Settings, datasets: Iterable[Dataset], *span: date
) -> tuple[list[tuple[Dataset, LandedFile]], list[str]]:
    """List delivered files, and a sentence for each delivery day without a partition.

    Args:
        settings: Settings of the lakehouse.
        datasets: The datasets.
        span: First delivery day, and the first one after the span; all days by default.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    files = []
    refused: dict[tuple[str, date], str] = {}
    for dataset in datasets:
        for file in zone.files(dataset, *span):
            problem = no_partition(settings, dataset, file.delivered_on)
            if problem is None:
                files.append((dataset, file))
            else:
                refused[dataset.path, file.delivered_on] = problem
    return files, [*refused.values()]


def of_domain(
    domain: str, files: Iterable[tuple[Dataset, LandedFile]], months_per_run: int
) -> list[PlannedRun]:
    """Plan a domain's runs from the delivered files; days run before their months.

    A run covers at most `months_per_run` months, and fewer if their files are large. A domain
    without monthly tables has no job for months.
    """
    grains = {t.partition.grain for t in REGISTRY if t.domain == domain and t.partition}
    sizes: dict[str, dict[date, int]] = {"day": {}, "month": {}}
    for dataset, file in files:
        if dataset.domain == domain:
            held = sizes[dataset.grain]
            held[file.delivered_on] = held.get(file.delivered_on, 0) + file.content_size
    months: dict[date, int] = {}
    for day, size in (item for found in sizes.values() for item in found.items()):
        months[day.replace(day=1)] = months.get(day.replace(day=1), 0) + size
    runs: list[PlannedRun] = []
    for span in consecutive(months, "month", months_per_run):
        for chunk in _parts(span, months):
            within = sorted(day for day in sizes["day"] if day.replace(day=1) in chunk)
            daily = job_name(domain, DAILY)
            runs += (PlannedRun.over(daily, part) for part in _parts(within, sizes["day"]))
            if "month" in grains:
                runs.append(PlannedRun.over(job_name(domain, MONTHLY), chunk))
    return runs


def _parts(partitions: Iterable[date], sizes: Mapping[date, int]) -> list[list[date]]:
    """Split partitions so that the files of each part are not too large for one run's memory."""
    parts: list[list[date]] = []
    size = 0
    for partition in partitions:
        size += sizes[partition]
        if not parts or size > BYTES_PER_RUN:
            parts.append([])
            size = sizes[partition]
        parts[-1].append(partition)
    return parts


def halves(run: PlannedRun) -> list[PlannedRun]:
    """Split a run over a range of partitions in two; return none if it covers only one."""
    if run.first is None or run.last is None or run.first == run.last:
        return []
    first, last = date.fromisoformat(run.first), date.fromisoformat(run.last)
    end = first + (last - first) // 2
    begin = end + timedelta(days=1)
    if run.job == job_name(str(run.domain), MONTHLY):
        end = end.replace(day=1)
        begin = following(end, "month")
    return [PlannedRun.over(run.job, half, run.tables) for half in ((first, end), (begin, last))]


def no_partition(settings: Settings, dataset: Dataset, day: date) -> str | None:
    """Say why the lake has no partition for a delivery day, and the remedy; None if it has one.

    Partitions are days and months in UTC, from the domain's first one to the current one.
    """
    first = Calendar.of(dataset.domain, settings.first_partition).first
    if day < first:
        return (
            f"{dataset.path}/{day} cannot be loaded, because the partitions of {dataset.domain} "
            f"start on {first}; set LAKEHOUSE_FIRST_PARTITION to {day.replace(day=1)} or earlier."
        )
    today = clock.today()
    if partition_value(dataset, day) > today:
        return (
            f"{dataset.path}/{day} cannot be loaded yet, because today is {today} in UTC; deliver "
            f"it under {today} or an earlier day."
        )
    return None


def with_follow_ups(
    waiting: list[PlannedRun], outdated: Mapping[str, set[date]], done: PlannedRun
) -> list[PlannedRun]:
    """Add runs for the days that a finished run put out of date, and for their months.

    Earlier months than the finished run's go first, because later months include them.

    Args:
        waiting: Runs still to come.
        outdated: Days to run again, by domain; days that a waiting run covers are not added.
        done: The finished run.
    """
    since = date.fromisoformat(done.first or date.max.isoformat()).replace(day=1)
    before: list[PlannedRun] = []
    after: list[PlannedRun] = []
    for domain, found in outdated.items():
        daily, monthly = job_name(domain, DAILY), job_name(domain, MONTHLY)
        days = sorted(day for day in found if not _covered(waiting, daily, day))
        months = {day.replace(day=1) for day in days}
        month = min(months, default=since)
        while month < since and done.first is not None:
            months.add(month)
            month = following(month, "month")
        before += [PlannedRun.over(daily, [day]) for day in days]
        for month in sorted(months):
            if not _covered(waiting, monthly, month):
                (before if month < since else after).append(PlannedRun.over(monthly, [month]))
    return [*before, *waiting, *after]


def _covered(runs: list[PlannedRun], job: str, partition: date) -> bool:
    key = partition.isoformat()
    return any(
        run.job == job and run.first is not None and run.last is not None
        and run.first <= key <= run.last
        for run in runs
    )  # fmt: skip
