"""The schedules of the daily refresh, the quality log and maintenance.

Sensors do nothing while they are switched off, pause after a failure and ignore deleted files. The
daily refresh requests the partitions that they left out.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.ingest.landing import content_of
from lakehouse_assets.ingest.reader import by_partition
from lakehouse_assets.orchestration.arrivals import LONGEST_PAUSE, arrivals, spans_of
from lakehouse_assets.orchestration.jobs import QUALITY, Job, Jobs, job_that_loads
from lakehouse_assets.orchestration.maintenance import JOB as MAINTENANCE
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.recorded import failed_loads, failed_partitions, last_loads
from lakehouse_assets.orchestration.resources import LandingResource
from lakehouse_assets.orchestration.sensors import days_of, keys_of, request

CRON = "0 6 * * *"
_SCHEDULES = (
    ("quality_log", "15 * * * *", QUALITY,
     "Adds the check results of the last hour to the quality log."),
    # Sundays at 03:00 UTC: between the last delivery of the week and the daily refresh.
    ("weekly_maintenance", "0 3 * * 0", MAINTENANCE,
     "Maintains every table on Sundays; writers of a table wait meanwhile."),
)  # fmt: skip


def refresh_schedules(
    calendars: Mapping[str, Calendar], jobs: Jobs, status: dg.DefaultScheduleStatus
) -> list[dg.ScheduleDefinition]:
    """Make the schedules that reload, every day at 06:00 UTC, partitions that differ from files.

    A partition whose files are all gone stays as it is: they may have been archived.

    Args:
        calendars: The partitions of each domain.
        jobs: All jobs; each one that loads datasets gets a schedule.
        status: Whether they start switched on.
    """
    loaded: dict[str, list[Dataset]] = {}
    for dataset in DATASETS:
        loaded.setdefault(job_that_loads(dataset), []).append(dataset)
    return [_refresh(found, calendars, jobs[job], status) for job, found in loaded.items()]


def _refresh(
    datasets: Sequence[Dataset],
    calendars: Mapping[str, Calendar],
    job: Job,
    status: dg.DefaultScheduleStatus,
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job.name}_refresh",
        cron_schedule=CRON,
        execution_timezone="UTC",
        job=job,
        description="Loads partitions whose files changed since their load, or whose run failed.",
        default_status=status,
    )
    def refresh(
        context: dg.ScheduleEvaluationContext, landing: LandingResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        now, zone = context.scheduled_execution_time, landing.open()
        failed = failed_partitions(context.instance)
        requests = []
        for dataset in datasets:
            listing = zone.files(dataset)
            loads = last_loads(context.instance, dataset, failed)
            days = days_of(dataset, calendars[dataset.domain])
            found = arrivals(dataset, listing, loads, "", now, *days)
            files = by_partition(dataset, listing)
            fewer = {day: content_of(files[day]) for day in found.deleted.keys() & files.keys()}
            failures = failed_loads(context.instance, dataset)
            spans, _ = spans_of(dataset, found.due | fewer, loads, failures, now + LONGEST_PAUSE)
            keys = keys_of(dataset, dataset.loaded_tables)
            requests += [request(dataset, span, keys) for span in spans]
        return requests or dg.SkipReason("Every partition matches its files.")

    return refresh


def job_schedules(status: dg.DefaultScheduleStatus) -> list[dg.ScheduleDefinition]:
    """Make the schedules of the quality log and of maintenance."""
    return [
        dg.ScheduleDefinition(
            name=name,
            cron_schedule=cron,
            execution_timezone="UTC",
            job_name=job,
            description=description,
            default_status=status,
        )
        for name, cron, job, description in _SCHEDULES
    ]
