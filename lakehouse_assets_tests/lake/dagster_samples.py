"""Sample assets and a lake resource of their tables, for tests that run Dagster."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.registry import Column, PartitionColumn, Registry, Table
from lakehouse_assets.engine import F, current
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets_tests.lake.samples import DAILY, WHOLE, frame, table

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-03-01")
WEEKS = dg.WeeklyPartitionsDefinition("2023-12-31", end_date="2024-02-25")
MONTHS = dg.MonthlyPartitionsDefinition("2024-01-01", end_date="2024-03-01")

_N = Column("n", "bigint", "Count.", nullable=False)
MONTHLY = table(
    "monthly", Column("month", "date", "Month."), _N, partition=PartitionColumn("month", "month")
)
RUNNING = table(
    "running", Column("day", "date", "Day."), _N, partition=PartitionColumn("day", "day")
)
TOTAL = table("total", _N, Column("email", "string", "Last address.", pii="contact"))
TABLES = (DAILY, WHOLE, MONTHLY, RUNNING, TOTAL)


class SampleLake(LakeResource):
    """A lake of the sample tables, on a small engine."""

    memory_limit: str = "1GB"
    threads: int = 2

    def registry(self) -> Registry:
        """Return the sample tables."""
        return Registry(TABLES)


def sample_lake(root: Path) -> SampleLake:
    """Configure the sample lake for the test's engine."""
    return SampleLake(root=str(root), engine=current.active().name)


def lake_at(root: Path) -> Lake:
    """Open the sample lake."""
    return sample_lake(root).open()


def run(
    root: Path, asset: Any, key: str | None = None, last: str | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """Materialise an asset for no partition, one key or a range of keys in a single run."""
    tags = {}
    if last is not None:
        tags = {
            "dagster/asset_partition_range_start": str(key),
            "dagster/asset_partition_range_end": last,
        }
    upstream = options.pop("upstream", [])
    manager = DeltaIOManager(lake=sample_lake(root))
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [asset, *upstream],
            selection=[asset],
            instance=instance,
            partition_key=key if last is None else None,
            tags=tags,
            resources={"io_manager": manager, **options.pop("resources", {})},
            **options,
        )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Return what the run's one materialisation shows, as plain values."""
    (event,) = result.get_asset_materialization_events()
    found = event.materialization.metadata
    return {name: getattr(value, "value", value) for name, value in found.items()}


def rows_asset(
    root: Path,
    declared: Table,
    partitions: dg.PartitionsDefinition[Any] | None,
    rows: Callable[[Sequence[str]], list[tuple[Any, ...]]],
    **options: Any,
) -> dg.AssetsDefinition:
    """Make an asset whose rows are computed from the run's partition keys."""

    @dg.asset(key=dg.AssetKey(declared.key), partitions_def=partitions, **options)
    def made(context: dg.AssetExecutionContext) -> Any:
        keys = context.partition_keys if partitions else ()
        return frame(lake_at(root), declared, rows(keys))

    return made


def daily_rows(keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Two rows per day; numbers tell the days apart."""
    days = [date.fromisoformat(key) for key in keys]
    return [(d, d.toordinal() * 2 + i, f"{d}@x") for d in days for i in (0, 1)]


def daily_asset(root: Path, **options: Any) -> dg.AssetsDefinition:
    """Make the daily asset."""
    return rows_asset(root, DAILY, DAYS, daily_rows, **options)


def counting_asset(
    declared: Table,
    partitions: dg.PartitionsDefinition[Any] | None,
    upstream: Table = DAILY,
    **options: Any,
) -> dg.AssetsDefinition:
    """Make an asset that counts the upstream rows that its partition is given."""

    @dg.asset(
        key=dg.AssetKey(declared.key),
        partitions_def=partitions,
        ins={"daily": dg.AssetIn(key=dg.AssetKey(upstream.key), **options)},
    )
    def counted(context: dg.AssetExecutionContext, daily: Any) -> Any:
        count = F.count(F.lit(1)).alias("n")
        if partitions is None:
            return daily.agg(count, F.max("email").alias("email"))
        name = declared.columns[0].name
        first = F.lit(date.fromisoformat(context.partition_key))
        return daily.agg(count).select(first.alias(name), "n")

    return counted


def days_from(first: str, count: int) -> list[str]:
    """Return the keys of so many days."""
    start = date.fromisoformat(first)
    return [(start + timedelta(days=i)).isoformat() for i in range(count)]
