"""Maintenance of every table, weekly, and never while one of its writers runs.

A step may be in one pool only, and a table's pool is that of the step that writes it; so there is
one maintenance asset for each such step, and it maintains all tables of the step.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.maintenance import Maintained, maintain
from lakehouse_assets.orchestration.retries import retry_transient
from lakehouse_assets.orchestration.table_assets import MakeAsset

PREFIX = "maintenance"
# Sundays at 03:00 UTC: between the last delivery of the week and the daily refresh.
CRON = "0 3 * * 0"


def maintenance_assets(tables: Iterable[Table]) -> list[dg.AssetsDefinition]:
    """Make the maintenance assets of tables, one for each step that writes them."""
    steps: dict[str, list[Table]] = {}
    for table in tables:
        steps.setdefault(table.step, []).append(table)
    return [_asset(step, found) for step, found in steps.items()]


def maintenance_job(assets: Sequence[dg.AssetsDefinition]) -> "dg.UnresolvedAssetJobDefinition":
    """Make the job of all maintenance."""
    keys = [key for asset in assets for key in asset.keys]
    return dg.define_asset_job(
        PREFIX,
        selection=dg.AssetSelection.assets(*keys),
        description="Compacts and orders tables, removes old files, writes checkpoints.",
    )


def maintenance_schedule(*, running: bool) -> dg.ScheduleDefinition:
    """Make the weekly schedule.

    Args:
        running: Whether it runs from the start; otherwise people switch it on in the UI.
    """
    return dg.ScheduleDefinition(
        name="weekly_maintenance",
        cron_schedule=CRON,
        execution_timezone="UTC",
        job_name=PREFIX,
        description="Maintains every table on Sundays, while nobody writes it.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )


def _asset(step: str, tables: Sequence[Table]) -> dg.AssetsDefinition:
    names = ", ".join(table.name for table in tables)
    make: MakeAsset = dg.asset(
        key=[PREFIX, step],
        deps=[table.asset_key for table in tables],
        description=f"Maintenance of {names}: files, bytes, a look-up's bytes, before and after.",
        group_name=PREFIX,
        owners=[tables[0].owner],
        kinds={"deltalake"},
        required_resource_keys={"lake"},
        pool=step,
    )

    def maintained(context: dg.AssetExecutionContext) -> Any:
        lake: Lake = context.resources.lake.open()
        metadata: dict[str, Any] = {}
        with retry_transient(context.retry_number):
            for table in tables:
                found = maintain(lake, table)
                if found is not None:
                    metadata |= _told(table, found)
        return dg.MaterializeResult(metadata=metadata)

    return make(maintained)


def _told(table: Table, found: Maintained) -> dict[str, int]:
    sides = {"before": found.before, "after": found.after}
    told = {
        f"{table.name}: {figure} {when}": value
        for when, side in sides.items()
        for figure, value in (
            ("files", side.files), ("bytes", side.bytes), ("look-up bytes", side.scanned),
        )
    }  # fmt: skip
    return {**told, f"{table.name}: old files removed": found.removed}
