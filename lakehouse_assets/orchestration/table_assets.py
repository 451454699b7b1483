"""Assets of gold tables, made from their declarations."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.gold import (
    STORED,
    BuildContext,
    GoldTable,
    Read,
    apply_rule,
    rows_of_table,
)
from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.lake.spans import rows_of, rows_of_days
from lakehouse_assets.ml.lifecycle import score_with_champion, with_digest
from lakehouse_assets.ml.spec import ModelSpec
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.io_manager import ALERT_ROWS, dagster_schema, windows_of
from lakehouse_assets.orchestration.partitions import WITHIN, Calendar, accepting_beta, last_days
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.declared import check_declared, declared_checks
from lakehouse_assets.quality.gold import TOTALS_ARE_KEPT, check_rule, check_totals, rule_check

SCORED = Check("model_has_champion", "The model that scores the rows has a champion.")
MakeAsset: TypeAlias = Callable[[Callable[..., Any]], dg.AssetsDefinition]
Results: TypeAlias = Iterator[dg.Output[Any] | dg.AssetCheckResult]


@dataclass(frozen=True)
class BuildOptions:
    """Settings that change how gold tables are built.

    Attributes:
        week_starts_on: First day of a week in tables by week.
        training_rows: Most rows that are fetched to fit a model.
    """

    week_starts_on: Weekday
    training_rows: int


def asset_attributes(table: Table) -> dict[str, Any]:
    """Return the attributes that an asset or an asset output takes from its declaration."""
    return {
        "key": dg.AssetKey(table.key),
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


def partitions_of(context: dg.AssetExecutionContext) -> list[date]:
    """Return the months of a run, each as its first day, or its days."""
    return [date.fromisoformat(key) for key in context.partition_keys]


def table_asset(
    table: Table, compute: Callable[..., Results], checks: Iterable[Check] = (), **attributes: Any
) -> dg.AssetsDefinition:
    """Make the asset of a table without partitions, with its declared and other checks.

    `compute` takes the context, the lake and the inputs, and yields the rows and the results of the
    other checks.
    """
    make: MakeAsset = dg.asset(
        **{
            **asset_attributes(table),
            "check_specs": check_specs(table, [*declared_checks(table), *checks]),
            "required_resource_keys": {"lake"},
            "pool": table.step,
            **attributes,
        }
    )

    @retries_transient
    def build(context: dg.AssetExecutionContext, **inputs: DataFrame) -> Results:
        lake: Lake = context.resources.lake.open()
        with lake.engine.scope():
            yield from compute(context, lake, **inputs)
            yield from check_results(table, check_declared(table, lake, Everything(), Everything()))

    return make(build)


def frame_of(lake: Lake, table: Table, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """Return rows of a table as a frame."""
    import pyarrow as pa

    return lake.engine.from_arrow(pa.Table.from_pylist(rows, arrow_schema(table)))


@accepting_beta()
def gold_asset(
    gold: GoldTable, registry: Registry, calendar: Calendar, options: BuildOptions
) -> dg.AssetsDefinition:
    """Make the asset of a gold table.

    It depends on the tables that it reads and on those that it references, so that they exist when
    its references are checked. It replaces the run's partitions; a monthly table is built month by
    month, a daily table whose rule takes `day` day by day, any other table at once.
    """
    table = gold.table
    partition = table.partition
    monthly = partition is not None and partition.grain == "month"
    inputs = _inputs(gold, registry, calendar)
    attributes = calendar.attributes_of(partition.grain) if partition else {}
    make: MakeAsset = dg.asset(
        **asset_attributes(table),
        ins={
            read.identifier: dg.AssetIn(dg.AssetKey(read.key), partition_mapping=mapping)
            for read, mapping in inputs.items()
        },
        deps=[trigger_of(table) for table in gold.triggered_by],
        **attributes,
        check_specs=check_specs(
            table,
            [
                *declared_checks(table),
                *([SCORED] if gold.scored_by else []),
                *([TOTALS_ARE_KEPT] if gold.totals else []),
                *(rule_check(check) for check in gold.checks),
            ],
        ),
        required_resource_keys={"lake"} | ({"mlflow"} if gold.scored_by else set()),
        pool=table.step,
    )

    @retries_transient
    def build(context: dg.AssetExecutionContext, **loaded: DataFrame) -> Results:
        lake: Lake = context.resources.lake.open()
        loaded_at = clock.now()
        with lake.engine.scope():
            data = {name: lake.engine.from_arrow(source()) for name, source in gold.data.items()}
            contexts = [
                BuildContext(
                    part if monthly else None, None if monthly else part, loaded_at, lake.engine,
                    options.week_starts_on, options.training_rows,
                )
                for part in (partitions_of(context) if monthly or gold.by_day else [None])
            ]  # fmt: skip
            frames = {
                ctx.partition: {**data, **_frames(gold, loaded, ctx, lake)} for ctx in contexts
            }
            made = lake.engine.union(
                [rows_of_table(gold, frames[ctx.partition], ctx) for ctx in contexts]
            )
            if gold.scored_by is not None:
                made, found = _scored(
                    gold.scored_by, table, made, context, lake, attributes.get("partitions_def")
                )
            if gold.alert is not None and gold.alert.but is not None:
                made = lake.engine.checkpoint(made)
                _count_for_alert(gold.alert.but, table, made, context, lake)
            yield dg.Output(made)
            if gold.scored_by is not None:
                yield from check_results(table, [found])
            yield from check_results(
                table,
                _findings(gold, lake, attributes.get("partitions_def"), context, contexts, frames),
            )

    return make(build)


def _scored(
    spec: ModelSpec,
    table: Table,
    rows: DataFrame,
    context: dg.AssetExecutionContext,
    lake: Lake,
    partitions: dg.TimeWindowPartitionsDefinition | None,
) -> tuple[DataFrame, Finding]:
    """Add the champion's predictions; rows that are stored keep those of the same version."""
    keys = context.partition_keys if partitions else []
    selection = windows_of(partitions, keys, table) if partitions else None
    rows = lake.engine.checkpoint(with_digest(spec, rows))
    scored, version, count = score_with_champion(
        spec, lake.engine, rows, context.resources.mlflow.open(), lake.read(table, selection)
    )
    context.add_asset_metadata({"scored_by_version": version, "inputs_scored": count})
    text = f"Version {version} of the model {spec.name} scored {count} new inputs."
    if version is None:
        text = (
            f"The model {spec.name} has no champion yet, so {', '.join(spec.scored)} are null. "
            "Deliver rows that it can be fitted on and run its asset, then run this one again."
        )
    return scored, Finding(SCORED, text, {} if version else dict.fromkeys(keys or ["all"], 1))


def _count_for_alert(
    but: str, table: Table, rows: DataFrame, context: dg.AssetExecutionContext, lake: Lake
) -> None:
    """Add to each partition's metadata how many of its rows the alert counts."""
    assert table.partition is not None  # noqa: S101 - only partitioned tables have alerts
    day = table.partition.column
    grouped = rows.filter(~F.col(but)).groupBy(day).agg(F.count(F.lit(1)).alias("rows"))
    counts = {row[day].isoformat(): int(row["rows"]) for row in lake.engine.rows(grouped)}
    for key in context.partition_keys:
        context.add_asset_metadata({ALERT_ROWS: counts.get(key, 0)}, partition_key=key)


def _findings(
    gold: GoldTable,
    lake: Lake,
    partitions: dg.TimeWindowPartitionsDefinition | None,
    context: dg.AssetExecutionContext,
    contexts: Sequence[BuildContext],
    frames: Mapping[date | None, Mapping[str, DataFrame]],
) -> Iterator[Finding]:
    """Check the stored rows of a run: keys and references, totals, and the table's own checks."""
    table = gold.table
    if partitions is None:
        yield from check_declared(table, lake, Everything(), Everything())
        return
    selection = windows_of(partitions, context.partition_keys, table)
    months = {ctx.month: ctx for ctx in contexts if ctx.month}
    yield from check_declared(table, lake, selection, selection if months else Everything())
    if gold.totals:
        wanted = {
            month: [apply_rule(rule, frames[month], ctx) for rule in gold.totals]
            for month, ctx in months.items()
        }
        yield check_totals(table, lake, selection, wanted)
    for check in gold.checks:
        rows = lake.read(table, selection)
        broken = {}
        for month, ctx in months.items():
            stored = rows_of(Read(table), rows, month, lake)
            broken[month] = apply_rule(check.broken, {**frames[month], STORED: stored}, ctx)
        yield check_rule(check, lake, broken)


def trigger_of(table: Table) -> dg.AssetDep:
    """Depend on the same month of a gold table, or on any delivery within the month."""
    return dg.AssetDep(
        dg.AssetKey(table.key), partition_mapping=WITHIN if table.layer == "silver" else None
    )


def _inputs(
    gold: GoldTable, registry: Registry, calendar: Calendar
) -> dict[Table, dg.PartitionMapping | None]:
    """Return the tables that an asset depends on, and how its partitions map to theirs."""
    # A table that is read for the same month has already waited for the tables it references.
    waited = {
        registry.meant_by(read.table, reference.to_table)
        for read in gold.frames.values()
        if read.span == "same"
        for reference in read.table.references
    }
    parents = [registry.meant_by(gold.table, ref.to_table) for ref in gold.table.references]
    found: dict[Table, dg.PartitionMapping | None] = {
        parent: None for parent in parents if parent.partition is None or parent not in waited
    }
    # Of several windows of days on one table the longest counts.
    for read in sorted(gold.frames.values(), key=lambda read: read.days):
        mapping = None
        if read.span == "last_days":
            mapping = last_days(read.days)
        elif read.span != "same":
            mapping = calendar.so_far
        elif read.table.partition and read.table.partition != gold.table.partition:
            mapping = WITHIN
        # Of several reads of a table the widest counts: the months so far, or the last days.
        if read.span != "same" or found.get(read.table) is None:
            found[read.table] = mapping
    return found


def _frames(
    gold: GoldTable, loaded: Mapping[str, DataFrame], ctx: BuildContext, lake: Lake
) -> dict[str, DataFrame]:
    """Return the frames that rules take, limited to the month or day if there is one."""
    frames = {name: loaded[read.table.identifier] for name, read in gold.frames.items()}
    for name, read in gold.frames.items():
        if ctx.month is not None:
            frames[name] = rows_of(read, frames[name], ctx.month, lake)
        elif ctx.day is not None:
            frames[name] = rows_of_days(read, frames[name], ctx.day)
    return frames
