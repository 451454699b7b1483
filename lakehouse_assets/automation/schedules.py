"""The schedules: what the sensors may have missed, once a day, and the quality log, once an hour.

Belongs here: the schedules, and how the daily refresh finds partitions that are behind their files.
Not here: what is new since the last look (`deliveries.py`).

The sensors ask once for each delivery, even if the run then fails for good, and not at all while
they are off. Once a day the refresh holds the files against what Dagster says was loaded, and asks
for what is behind.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from lakehouse_assets.automation.deliveries import SETTLED_AFTER, Span, consecutive
from lakehouse_assets.automation.sensors import keys_of, request
from lakehouse_assets.ingest.datasets import Dataset
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.reader import partition_value
from lakehouse_assets.ingest.resource import LandingResource
from lakehouse_assets.jobs import QUALITY
from lakehouse_assets.partitions import Calendar

CRON = "0 6 * * *"
_HOURLY = "15 * * * *"
# Older files were loaded or corrected long ago; only that they were loaded at all is looked up.
_LOOK_BACK = timedelta(days=35)
_EVENTS_AT_ONCE = 5_000


def behind(
    dataset: Dataset,
    files: Sequence[LandedFile],
    loaded: Iterable[date],
    loaded_at: Mapping[date, datetime],
    now: datetime,
) -> list[date]:
    """Find the partitions that were never loaded, or whose files are younger than their loading.

    Args:
        dataset: What was delivered.
        files: Every delivered file.
        loaded: Partitions that were loaded at some time.
        loaded_at: When partitions with young files were loaded last.
        now: Files younger than a delivery takes are left to the sensors.
    """
    known = set(loaded)
    found = set()
    for file in files:
        partition = partition_value(dataset, file.delivered_on)
        written = file.modified_at or now
        if now - written < SETTLED_AFTER:
            continue
        last = loaded_at.get(partition)
        if partition not in known or (last is not None and last < written):
            found.add(partition)
    return sorted(found)


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
        description=f"Loads partitions of {dataset.path} that are behind their files.",
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
        young = {
            partition_value(dataset, file.delivered_on)
            for file in files
            if file.modified_at is None or now - file.modified_at < _LOOK_BACK
        }
        late = behind(
            dataset,
            files,
            _loaded(context.instance, keys[0]),
            _loaded_at(context.instance, keys[0], young),
            now,
        )
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


def _loaded(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[date]:
    return {date.fromisoformat(text) for text in instance.get_materialized_partitions(key)}


def _loaded_at(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Iterable[date]
) -> dict[date, datetime]:
    """Return when partitions were loaded last: when the run began, which then read the files."""
    wanted = [partition.isoformat() for partition in sorted(partitions)]
    if not wanted:
        return {}
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=wanted), limit=_EVENTS_AT_ONCE
    ).records
    found: dict[date, datetime] = {}
    for record in records:
        if record.partition_key is not None:
            run = instance.get_run_record_by_id(record.run_id)
            if run is not None:
                found.setdefault(date.fromisoformat(record.partition_key), run.create_timestamp)
    return found
