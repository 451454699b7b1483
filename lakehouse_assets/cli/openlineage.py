"""`lakehouse openlineage`: sends what runs read and wrote to a lineage tool."""

from __future__ import annotations

from lakehouse_assets.cli.opening import load_settings
from lakehouse_assets.cli.terminal import console


def openlineage() -> None:
    """Send OpenLineage events for the runs that ended since the last call.

    Events are appended to LAKEHOUSE_OPENLINEAGE_FILE or posted to LAKEHOUSE_OPENLINEAGE_URL. The
    sensor `openlineage` does the same every minute.
    """
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.orchestration.openlineage import receiver_of, send_new

    settings = load_settings()
    with dagster_instance(settings) as instance:
        sent = send_new(instance, REGISTRY, settings.root, receiver_of(settings))
    place = settings.openlineage_file if settings.openlineage_url is None else "the receiver"
    console.print(f"Sent the events of {sent} runs to {place}.")
