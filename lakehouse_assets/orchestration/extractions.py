"""Copies databases on a schedule: a job and a daily schedule for each source table."""

from collections.abc import Iterable

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.orchestration.retries import retry_transient
from lakehouse_assets.text import visible

# An hour before the daily refresh.
CRON = "0 5 * * *"


def extraction_schedules(
    sources: Iterable[SourceTable], *, running: bool
) -> list[dg.ScheduleDefinition]:
    """Make the schedules that copy each source table every day at 05:00 UTC, with their jobs.

    Args:
        sources: The source tables.
        running: Whether schedules whose source has an address start switched on; the others are
            switched on in the UI.
    """
    return [_schedule(declared, running=running) for declared in sources]


def _schedule(declared: SourceTable, *, running: bool) -> dg.ScheduleDefinition:
    name = f"extract_{declared.dataset.domain}_{declared.dataset.name}"
    status = dg.DefaultScheduleStatus.STOPPED
    if running:
        from lakehouse_assets.sources.connection import is_configured

        if is_configured(declared.source):
            status = dg.DefaultScheduleStatus.RUNNING
    return dg.ScheduleDefinition(
        name=f"{name}_daily",
        cron_schedule=CRON,
        execution_timezone="UTC",
        job=_job(declared, name),
        description=f"Copies new rows of the source of {declared.dataset.path} every day.",
        default_status=status,
    )


def _job(declared: SourceTable, name: str) -> dg.JobDefinition:
    dataset = declared.dataset

    @dg.op(
        name=f"copy_{dataset.domain}_{dataset.name}",
        description=f"Copies {declared.full_name} of the source {declared.source} into the "
        f"landing zone, as a delivery of {dataset.path}.",
        required_resource_keys={"landing"},
        out=dg.Out(dg.Nothing),
        pool=name,
        tags={"lakehouse/dataset": dataset.path},
    )
    def copy(context: dg.OpExecutionContext) -> None:
        from lakehouse_assets.sources.connection import Source
        from lakehouse_assets.sources.extraction import CopyRequest, extract

        zone: LandingZone = context.resources.landing.open()
        with retry_transient(context.retry_number):
            source = Source.named(declared.source)
            copied = extract(zone, source, declared, CopyRequest(), clock.now())
        for finding in (*copied.look_up.findings, *copied.findings):
            context.log.warning(visible(finding))
        context.add_output_metadata(
            {
                "source": copied.look_up.database,
                "rows": copied.rows,
                "files": copied.files,
                "full": copied.full,
                "delivered_on": copied.day.isoformat(),
            }
        )

    @dg.job(name=name, description=f"Copies the source of {dataset.path} into the landing zone.")
    def extraction() -> None:
        copy()

    return extraction
