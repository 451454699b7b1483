"""The assets of a stream: one that reads it, and the tables that it fills."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from lakehouse_assets.catalog.datasets import Limits, with_limits
from lakehouse_assets.catalog.streams import Stream, bronze_events, stream_tables
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.jobs import STREAM
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.resources import LakeResource, LandingResource
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.stream_reader import (
    StreamTakenError,
    open_source,
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


def stream_assets(
    stream: Stream, calendar: Calendar, limits: Limits = ()
) -> list[dg.AssetsDefinition]:
    """Make the asset that reads a stream, and those of its tables.

    The tables cannot be materialised by themselves, because a reader fills all of them for events
    of any day. A run of the stream's asset reads the waiting messages and reports the days that
    changed; `lakehouse stream` does the same while it runs. The loss limits of the settings,
    `limits`, override those of streams.
    """
    stream = with_limits(stream, limits)
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
