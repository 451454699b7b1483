"""The assets of a stream, and the sensor that reads streams while no other process does."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import dagster as dg

from lakehouse_assets.catalog.streams import Stream, bronze_events, stream_tables
from lakehouse_assets.domains import STREAMS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.jobs import STREAM, Jobs, job_name
from lakehouse_assets.orchestration.jobs import STREAMS as FAMILY
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.recorded import WAITING_OR_RUNNING
from lakehouse_assets.orchestration.resources import LakeResource, LandingResource
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.stream_reader import (
    StreamTakenError,
    open_source,
    positions_of,
    reading,
)
from lakehouse_assets.orchestration.stream_report import (
    CONSERVED,
    MOST_LAG,
    STREAM_CHECKS,
    findings_of,
    stored_events,
    stream_key,
    summary_of,
    table_events,
)
from lakehouse_assets.orchestration.table_assets import asset_attributes
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import landing_root
from lakehouse_assets.text import visible

if TYPE_CHECKING:
    from lakehouse_assets.sources.messages import MessageSource

_CONFIG = {
    "seconds": dg.Field(
        float,
        default_value=50.0,
        description="Maximum seconds to read. The run ends earlier when no message is left; "
        "remaining messages wait for the next run.",
    ),
    "most_lag": dg.Field(
        int,
        default_value=MOST_LAG,
        description="Maximum number of messages left for the check lag_is_small to pass.",
    ),
}


def stream_assets(stream: Stream, calendar: Calendar) -> list[dg.AssetsDefinition]:
    """Make the asset that reads a stream, and those of its tables.

    The tables cannot be materialised by themselves, because a reader fills all of them for events
    of any day. A run of the stream's asset reads the waiting messages and reports the days that
    changed; `lakehouse stream` does the same while it runs.
    """
    reader = stream_key(stream)
    tables = stream_tables(stream)
    bronze, _, silver, _, _ = (dg.AssetKey(table.key) for table in tables)
    upstream = (reader, reader, bronze, bronze, silver)
    specs = [
        dg.AssetSpec(
            **asset_attributes(table),
            deps=[dep],
            partitions_def=calendar.daily if table.partition else None,
        )
        for table, dep in zip(tables, upstream, strict=True)
    ]
    return [dg.AssetsDefinition(specs=specs), _reader(stream)]


def source_of(
    stream: Stream, landing: LandingResource, lake: LakeResource
) -> "MessageSource | None":
    """Open a stream's source; None if it has no address and no folder in the landing zone."""
    identity = Identity.model_validate(lake.identity)
    return open_source(stream.source, landing_root(landing.root), identity)


def _reader(stream: Stream) -> dg.AssetsDefinition:
    key, bronze = stream_key(stream), bronze_events(stream)

    @dg.multi_asset(
        name=stream.reader,
        pool=stream.reader,
        specs=[
            dg.AssetSpec(
                key,
                description=(
                    f"Reads the messages of the topic {stream.topic} into bronze, silver and the "
                    "table by minute, each exactly once, until none is left or the time is up. "
                    "Does nothing if the stream has no address."
                ),
                group_name=bronze.group,
                owners=[stream.owner],
                kinds={STREAM},
                skippable=True,
            )
        ],
        check_specs=check_specs(key, STREAM_CHECKS),
        # A subset may be empty: a stream without an address reports nothing.
        can_subset=True,
        config_schema=_CONFIG,
        # The IO manager watches over the run.
        required_resource_keys={"lake", "landing", "io_manager"},
    )
    @retries_transient
    def read(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        from lakehouse_assets.streams.ingest import Cycle, drain

        config = context.op_execution_context.op_config
        source = source_of(stream, context.resources.landing, context.resources.lake)
        if source is None:
            context.log.info(
                f"The stream {stream.path} has no address (LAKEHOUSE_STREAM_"
                f"{stream.source.upper()}) and no folder in the landing zone; nothing is read."
            )
            return
        lake: Lake = context.resources.lake.open()
        run_id = context.run.run_id
        try:
            with reading(stream, source, lake, run_id, f"run {run_id[:8]}") as new:
                stored = stored_events(stream, lake)
                found = sum(drain(new, config["seconds"]), Cycle())
                findings = [*findings_of(stream, lake, found, stored, config["most_lag"])]
        except StreamTakenError as error:
            context.log.info(str(error))
            return
        if findings[0].check is CONSERVED and findings[0].passed:
            for event in table_events(context.instance, stream, lake, found):
                context.log_event(event)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=summary_of(found),
            check_results=[*check_results(key, findings)],
        )

    return read


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
