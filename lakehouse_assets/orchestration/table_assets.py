"""Assets of declared tables: what the registry says, said to Dagster once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.registry import PartitionColumn, Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.errors import LakehouseError, SourceNotReadyError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.schema import dagster_schema
from lakehouse_assets.orchestration.io_manager import windows_of
from lakehouse_assets.orchestration.partitions import WITHIN
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.quality.declared import declared_check_results, declared_check_specs
from lakehouse_assets.quality.rules import rule_check_result, rule_check_spec
from lakehouse_assets.quality.totals import totals_check_result, totals_check_spec


@dataclass(frozen=True)
class BuildContext:
    """The month that a table is built for, and what it is built with.

    Attributes:
        month: The month, as its first day.
        loaded_at: When the run began.
        lake: The lake, for what the log of a table tells.
    """

    month: date
    loaded_at: datetime
    lake: Lake


MakeAsset: TypeAlias = Callable[[Callable[..., Any]], dg.AssetsDefinition]
Totals: TypeAlias = Callable[[BuildContext, Mapping[str, DataFrame]], Sequence[DataFrame]]
Build: TypeAlias = Callable[[BuildContext, Mapping[str, DataFrame]], DataFrame]


@dataclass(frozen=True)
class MonthlyRule:
    """Something that must hold of a month's stored rows beside the table's inputs.

    Attributes:
        name: Name of the check.
        description: What must hold.
        broken: Gives the rows that break it, of the month, its stored rows and the frames of the
            inputs, by table name.
        amount: Column of those rows whose total is reported beside their number.
        blocking: Whether rows that break it stop what is downstream; otherwise they are a warning.
    """

    name: str
    description: str
    broken: Callable[[BuildContext, DataFrame, Mapping[str, DataFrame]], DataFrame]
    amount: str | None = None
    blocking: bool = True


def asset_attributes(table: Table) -> dict[str, Any]:
    """Return the attributes that an asset or an asset output takes from its declaration."""
    return {
        "key": table.asset_key,
        "description": table.full_description,
        "group_name": table.group,
        "owners": [table.owner],
        "kinds": {"deltalake", "gold" if table.layer == "segments" else table.layer},
        "tags": {"pii": ""} if any(column.pii for column in table.columns) else {},
        "metadata": {
            "dagster/column_schema": dagster_schema(table),
            "dagster/table_name": f"{table.domain}.{table.name}",
        },
    }


def latest_snapshot(ctx: BuildContext, table: Table, frames: Mapping[str, DataFrame]) -> DataFrame:
    """Return the latest snapshot that was delivered by the month, in the version that is read.

    Args:
        ctx: The month.
        table: A silver table of monthly snapshots.
        frames: The frames of the inputs, by table name.

    Raises:
        SourceNotReadyError: no row of that delivery is in the table; an earlier snapshot does not
            take its place.
    """
    column = _partition_column(table).column
    stored = {
        month for month, rows in ctx.lake.rows_read(table, frames[table.name]).items() if rows
    }
    # Looked at before the table's newest version: a step writes what it sets aside after its rows.
    aside = {month for name in _set_aside(table) for month in _months_with_rows(ctx.lake, name)}
    lost = aside - stored - _months_with_rows(ctx.lake, table.name)
    snapshot = max((m for m in stored | lost if m <= ctx.month), default=ctx.month)
    if snapshot in lost:
        raise SourceNotReadyError(
            f"Every row of the snapshot of {snapshot:%Y-%m} was rejected or quarantined "
            f"({', '.join(_set_aside(table))} have the reasons), so nothing is built from "
            f"{table.name} for {ctx.month:%Y-%m}; correct the delivery and run that month again."
        )
    return frames[table.name].filter(F.col(column) == F.lit(snapshot))


def _set_aside(silver: Table) -> tuple[str, str]:
    """Name the tables that hold the delivered rows which a silver table does not."""
    return f"{silver.name}_quarantine", f"bronze_{silver.name.removeprefix('silver_')}_rejects"


def _months_with_rows(lake: Lake, name: str) -> set[date]:
    return {month for month, rows in lake.rows_by_partition(lake.registry[name]).items() if rows}


def _partition_column(table: Table) -> PartitionColumn:
    if table.partition is None:
        raise LakehouseError(f"Table {table.name} is not partitioned; declare its month column.")
    return table.partition


def of_month(frame: DataFrame, ctx: BuildContext) -> DataFrame:
    """Return a monthly table's rows of the month."""
    return frame.filter(F.col("as_of_month") == F.lit(ctx.month))


def delivered_so_far(frame: DataFrame, ctx: BuildContext) -> DataFrame:
    """Return the rows delivered by the end of the month."""
    following = (ctx.month + timedelta(days=32)).replace(day=1)
    return frame.filter(F.col("delivered_on") < F.lit(following))


def delivered_in_month(frame: DataFrame, ctx: BuildContext) -> DataFrame:
    """Return the rows delivered in the month."""
    return delivered_so_far(frame, ctx).filter(F.col("delivered_on") >= F.lit(ctx.month))


def months_of(context: dg.AssetExecutionContext) -> list[date]:
    """Return the months of a run, each as its first day."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def monthly_asset(
    table: Table,
    build: Build,
    partitions: dg.TimeWindowPartitionsDefinition,
    inputs: Mapping[Table, dg.PartitionMapping | None],
    begun_by: Sequence[Table] = (),
    totals: Totals | None = None,
    rules: Sequence[MonthlyRule] = (),
) -> dg.AssetsDefinition:
    """Make the asset of a monthly table from a transformation.

    Args:
        table: The declared table.
        build: Builds one month's rows from the frames of the inputs, by table name.
        partitions: Monthly partitions.
        inputs: Tables it is built from and how their partitions map; None for the same month.
        begun_by: Tables of which any partition within a month means that the month is delivered;
            they are not read.
        totals: What the table's columns must add up to, as frames of one row each: a blocking
            check compares them with the stored rows of the month.
        rules: What must hold of the stored rows beside the inputs.

    Returns:
        An asset that replaces the run's months and checks keys and references.
    """
    make: MakeAsset = dg.asset(
        **asset_attributes(table),
        ins={
            upstream.name: dg.AssetIn(key=upstream.asset_key, partition_mapping=mapping)
            for upstream, mapping in inputs.items()
        },
        deps=[dg.AssetDep(table.asset_key, partition_mapping=WITHIN) for table in begun_by],
        partitions_def=partitions,
        check_specs=[
            *declared_check_specs(table),
            *(totals_check_spec(table) if totals else ()),
            *(
                rule_check_spec(table, rule.name, rule.description, blocking=rule.blocking)
                for rule in rules
            ),
        ],
        required_resource_keys={"lake"},
        pool=table.step,
    )

    @retries_transient
    def build_months(
        context: dg.AssetExecutionContext, **frames: Any
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        loaded_at = clock.now()
        with lake.engine.scope():
            contexts = [BuildContext(month, loaded_at, lake) for month in months_of(context)]
            yield dg.Output(lake.engine.union([build(ctx, frames) for ctx in contexts]))
            selection = windows_of(partitions, context.partition_keys, table)
            yield from declared_check_results(table, lake, selection, selection)
            if totals is not None:
                wanted = {ctx.month: totals(ctx, frames) for ctx in contexts}
                yield totals_check_result(table, lake, selection, wanted)
            for rule in rules:
                stored = lake.read(table, selection)
                broken = {
                    ctx.month: rule.broken(ctx, of_month(stored, ctx), frames) for ctx in contexts
                }
                yield rule_check_result(
                    table, lake, rule.name, broken, amount=rule.amount, blocking=rule.blocking
                )

    return make(build_months)


def reference_asset(
    table: Table,
    source: Callable[[], Any],
    build: Callable[[DataFrame, datetime], DataFrame],
    after: Sequence[Table] = (),
) -> dg.AssetsDefinition:
    """Make the asset of a table without partitions from reference data.

    Args:
        table: The declared table.
        source: Gives the reference data as an Arrow table.
        build: Builds the rows from its frame and the moment at which the run began.
        after: Tables without partitions that it refers to.
    """
    make: MakeAsset = dg.asset(
        **asset_attributes(table),
        deps=[parent.asset_key for parent in after],
        check_specs=declared_check_specs(table),
        required_resource_keys={"lake"},
        pool=table.step,
    )

    @retries_transient
    def build_table(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        with lake.engine.scope():
            yield dg.Output(build(lake.engine.from_arrow(source()), clock.now()))
            yield from declared_check_results(table, lake, Everything(), Everything())

    return make(build_table)


def daily_asset(
    table: Table,
    build: Callable[[Mapping[str, DataFrame]], DataFrame],
    partitions: dg.TimeWindowPartitionsDefinition,
    inputs: Mapping[Table, dg.PartitionMapping | None],
) -> dg.AssetsDefinition:
    """Make the asset of a daily table from a transformation that takes all days of a run at once.

    Args:
        table: The declared table.
        build: Builds the rows of the run's days, which say themselves which day they belong to.
        partitions: Daily partitions.
        inputs: Tables it is built from and how their partitions map; None for the same day.
    """
    make: MakeAsset = dg.asset(
        **asset_attributes(table),
        ins={
            upstream.name: dg.AssetIn(key=upstream.asset_key, partition_mapping=mapping)
            for upstream, mapping in inputs.items()
        },
        partitions_def=partitions,
        check_specs=declared_check_specs(table),
        required_resource_keys={"lake"},
        pool=table.step,
    )

    @retries_transient
    def build_days(
        context: dg.AssetExecutionContext, **frames: Any
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        with lake.engine.scope():
            yield dg.Output(build(frames))
            selection = windows_of(partitions, context.partition_keys, table)
            yield from declared_check_results(table, lake, selection, Everything())

    return make(build_days)
