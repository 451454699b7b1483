"""Reports a restored table to Dagster, so that automation rebuilds the downstream tables."""

from __future__ import annotations

import dagster as dg

from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.restore import Restoration
from lakehouse_assets.orchestration.io_manager import PARTITION_ROWS


def report_restored(
    instance: dg.DagsterInstance, lake: Lake, restoration: Restoration, version: int
) -> None:
    """Report a materialisation of each partition that a restoration has changed.

    Args:
        instance: Dagster's instance.
        lake: The lake.
        restoration: What was restored.
        version: The version that the restoration made.
    """
    table = restoration.table
    for part, (_, rows) in restoration.rows.items():
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                dg.AssetKey(table.key),
                description=f"Version {restoration.version} was restored.",
                partition=None if part is None else str(part),
                metadata={
                    "delta_version": version,
                    "restored_version": restoration.version,
                    "dagster/uri": lake.uri(table),
                    PARTITION_ROWS: rows,
                },
            )
        )
