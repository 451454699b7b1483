"""The schedules: what the sensors may have missed, once a day, and the quality log, once an hour.

The sensors ask once for each delivery, even if the run then fails for good, and not at all while
they are off. Once a day the refresh holds the files against what Dagster says was loaded, and asks
for what is behind, or was to be cleaned by a run that failed.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.ingest.landing import LandedFile, content_of
from lakehouse_assets.ingest.reader import by_partition, partition_value
from lakehouse_assets.orchestration.deliveries import SETTLED_AFTER, Loaded, Span, consecutive
from lakehouse_assets.orchestration.failed import failed_partitions
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.orchestration.landing_resource import LandingResource
from lakehouse_assets.orchestration.loads import loaded_from
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.sensors import keys_of, request

CRON = "0 6 * * *"
_HOURLY = "15 * * * *"


def behind(
    dataset: Dataset,
    files: Sequence[LandedFile],
    loaded: Loaded,
    now: datetime,
) -> list[date]:
    """Find the partitions that were not loaded from the files that are there.

    Args:
        dataset: What was delivered.
        files: Every delivered file.
        loaded: Says which files partitions were loaded from.
        now: Partitions with a file younger than a delivery takes are left to the sensors.
    """
    whole = {
        partition: content_of(members)
        for partition, members in by_partition(dataset, files).items()
        if all(now - (file.modified_at or now) >= SETTLED_AFTER for file in members)
    }
    before = loaded(whole.keys())
    return sorted(day for day, content in whole.items() if before.get(day) != content)


def refresh_schedules(
    datasets: Iterable[Dataset], calendar: Calendar, *, running: bool
) -> list[dg.ScheduleDefinition]:
    """Make the schedules that ask every day at 06:00 UTC for whatever is behind its files.

    Args:
        datasets: The landing datasets; days and months cannot share a schedule.
        calendar: Partitions of the lakehouse.
        running: Whether they run from the start; otherwise people switch them on in the UI.
    """
    return [_refresh(dataset, calendar, running=running) for dataset in datasets]


def _refresh(dataset: Dataset, calendar: Calendar, *, running: bool) -> dg.ScheduleDefinition:
    keys = keys_of(dataset, dataset.loaded_tables)
    partitions = calendar.of_grain(dataset.grain)

    @dg.schedule(
        name=f"{dataset.domain}_{dataset.name}_daily_refresh",
        cron_schedule=CRON,
        execution_timezone="UTC",
        target=dg.AssetSelection.assets(*keys),
        description=f"Loads partitions of {dataset.path} that are behind their files or failed.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )
    def refresh(
        context: dg.ScheduleEvaluationContext, landing: LandingResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        now = context.scheduled_execution_time
        files = [
            file
            for file in landing.open().files(dataset, calendar.first)
            if partitions.has_partition_key(partition_value(dataset, file.delivered_on).isoformat())
        ]
        late = behind(
            dataset, files, lambda days: loaded_from(context.instance, dataset, days), now
        )
        failed = failed_partitions(context.instance).get(keys[2], {})
        late = sorted({*late, *(date.fromisoformat(day) for day in failed if day)})
        requests = [
            request(dataset, Span(days[0], days[-1], f"refresh:{now:%Y-%m-%d}:{days[0]}"), keys)
            for days in consecutive(late, dataset.grain)
        ]
        return requests or dg.SkipReason("Every partition is as new as its files.")

    return refresh


def quality_schedule(*, running: bool) -> dg.ScheduleDefinition:
    """Make the schedule that brings the quality log up to date every hour.

    Args:
        running: Whether it runs from the start; otherwise people switch it on in the UI.
    """
    return dg.ScheduleDefinition(
        name="quality_log",
        cron_schedule=_HOURLY,
        execution_timezone="UTC",
        job_name=QUALITY,
        description="Adds what the runs of the last hour found to the quality log.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )
