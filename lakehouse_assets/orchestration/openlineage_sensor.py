"""The sensor that sends lineage events of runs."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.catalog.streams import Stream

_LOOK_SECONDS = 60


def openlineage_sensor(
    registry: Registry, feeds: Sequence[Dataset | Stream], status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Make the sensor that sends lineage events of runs."""

    @dg.sensor(
        name="openlineage",
        description="Sends OpenLineage events for runs that have ended; events that are not "
        "accepted are sent again later.",
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def openlineage(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from lakehouse_assets.orchestration.openlineage import receiver_of, send_new
        from lakehouse_assets.settings import load_settings

        settings = load_settings()
        receiver = receiver_of(settings)
        sent = send_new(context.instance, registry, feeds, settings.root, receiver)
        return dg.SkipReason(f"Sent the events of {sent} runs.")

    return openlineage
