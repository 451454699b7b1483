"""The sensor that starts the job that reads streams while no other process reads them."""

from contextlib import closing

import dagster as dg

from lakehouse_assets.domains import STREAMS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.jobs import STREAMS as FAMILY
from lakehouse_assets.orchestration.jobs import Jobs, job_name
from lakehouse_assets.orchestration.recorded import WAITING_OR_RUNNING
from lakehouse_assets.orchestration.resources import LakeResource, LandingResource
from lakehouse_assets.orchestration.stream_assets import source_of
from lakehouse_assets.orchestration.stream_reader import positions_of
from lakehouse_assets.orchestration.stream_report import stream_key
from lakehouse_assets.text import visible

_LOOK_SECONDS = 60


def streams_sensor(jobs: Jobs, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that reads streams with new messages.

    Args:
        jobs: All jobs; those that read streams are run.
        status: Whether it starts switched on.
    """
    names = {job_name(stream.domain, FAMILY) for stream in STREAMS}

    @dg.sensor(
        name="streams",
        jobs=[jobs[name] for name in sorted(names)],
        description=(
            "Reads each stream that has new messages, at most once a minute. Does nothing while "
            "`lakehouse stream` reads it."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def new_messages(
        context: dg.SensorEvaluationContext, lake: LakeResource, landing: LandingResource
    ) -> dg.SensorResult:
        active = dg.RunsFilter(statuses=WAITING_OR_RUNNING)
        running_jobs = {run.job_name for run in context.instance.get_runs(active)}
        new: dict[str, list[dg.AssetKey]] = {}
        notes, errors = [], []
        for stream in STREAMS:
            job = job_name(stream.domain, FAMILY)
            if job in running_jobs:
                notes.append(f"A run is reading {stream.path}.")
                continue
            try:
                source = source_of(stream, landing, lake)
                if source is None:
                    notes.append(f"{stream.path} has no address.")
                    continue
                with closing(source):
                    left = sum(p.lag for p in positions_of(stream, source, lake.logs()))
            except LakehouseError as error:
                # Other streams may still be read.
                errors.append(error)
                context.log.error(visible(f"{stream.path} is not read: {error}"))
                continue
            notes.append(f"{stream.path} has {left:,} new messages.")
            if left:
                new.setdefault(job, []).append(stream_key(stream))
        if errors and not new:
            raise errors[0]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(job_name=job, asset_selection=keys)
                          for job, keys in new.items()],
            skip_reason=None if new else " ".join(notes),
        )  # fmt: skip

    return new_messages
