"""The quality log: its assets, and how Dagster's records of checks become its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.clock import following
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Values, between
from lakehouse_assets.ml.spec import ModelTable
from lakehouse_assets.orchestration.checks import check_results
from lakehouse_assets.orchestration.io_manager import NewRows
from lakehouse_assets.orchestration.retraining import ALARMS, MONTHLY_MODELS
from lakehouse_assets.orchestration.table_assets import Results, frame_of, table_asset
from lakehouse_assets.quality.checks import BY_PARTITION, FIGURES, Check, Finding
from lakehouse_assets.quality.drift import (
    FEWEST_ROWS,
    MOST_MODEL_PSI,
    MOST_PSI,
    Bucket,
    Drift,
    bucket_of,
    compared,
    distribution_drift,
    persists,
    volume_drift,
)
from lakehouse_assets.quality.log import latest_verdicts
from lakehouse_assets.quality.tables import DOMAIN, QUALITY_DRIFT, QUALITY_EVENTS, QUALITY_RULES

VOLUME = Check(
    "volume_is_usual",
    "The newest partition has 0.5 to 2 times as many rows as the trailing median.",
)
DISTRIBUTION = Check(
    "distributions_are_stable",
    "The stability index of every watched column is normal in the newest partition.",
)
INPUTS = Check(
    "models_see_what_they_know",
    "No input or score of a model drifts in the newest month and in one of the two before it.",
)
REALISED = Check(
    "models_are_as_good_as_promised",
    "Predictions pass their model's gates when measured against labels that arrived later.",
)
FOUND = (VOLUME, DISTRIBUTION, INPUTS, REALISED)
# Number of newest partitions in the drift table.
_SHOWN = {"day": 31, "month": 6}
# A run may end a little before its last event is stored.
_OVERLAP = timedelta(hours=1)


def quality_assets() -> list[dg.AssetsDefinition]:
    """Make the assets of the quality log: its events, the latest verdicts, and drift."""
    watched = [t for t in REGISTRY if t.layer == "silver" and not t.name.endswith("_quarantine")]
    # The newest partition is enough. With a dependency on all partitions, Dagster would list every
    # day since the first for every table.
    newest = dg.LastPartitionMapping()
    deps, scores = (
        [dg.AssetDep(dg.AssetKey(table.key), partition_mapping=newest) for table in tables]
        for tables in (watched, [model.table for model in MONTHLY_MODELS])
    )
    events = {"events": dg.AssetIn(key=dg.AssetKey(QUALITY_EVENTS.key))}
    drift = partial(_drift, watched)
    return [
        table_asset(QUALITY_EVENTS, _events, deps=deps),
        table_asset(QUALITY_RULES, _rules, ins=events),
        table_asset(QUALITY_DRIFT, drift, FOUND, deps=[*deps, *scores]),
    ]


def _events(context: dg.AssetExecutionContext, lake: Lake) -> Results:
    """Add the events of the runs that have ended since the last call."""
    stored = lake.read(QUALITY_EVENTS, columns=["run_id", "recorded_at"])
    newest = lake.engine.rows(stored.agg(F.max("recorded_at").alias("at")))[0]["at"]
    since = newest - _OVERLAP if newest else None
    known = {row["run_id"] for row in lake.engine.rows(stored.select("run_id").distinct())}
    tables = {dg.AssetKey(table.key): table for table in lake.registry}
    verdicts = lake.read(QUALITY_EVENTS, columns=["table_name", "partition", "kind"])
    verdicts = verdicts.filter(F.col("kind") != F.lit("figure"))
    pairs = lake.engine.rows(verdicts.select("table_name", "partition").distinct())
    evaluated = {(row["table_name"], row["partition"]) for row in pairs}
    rows: list[dict[str, Any]] = []
    runs = [context.run.run_id]
    # Oldest first, because later runs check partitions of earlier ones again.
    for run in reversed([*finished_runs(context.instance, since)]):
        if run.run_id in known:
            continue
        new = [*events_of(context.instance, run, tables, evaluated)]
        evaluated |= {
            (row["table_name"], row["partition"]) for row in new if row["kind"] != "figure"
        }
        rows += new
        runs.append(run.run_id)
    # Replacing the runs' rows keeps a concurrent run from recording them twice.
    added = NewRows(frame_of(lake, QUALITY_EVENTS, rows), Values("run_id", tuple(runs)))
    yield dg.Output(added, metadata={"new_events": len(rows)})


def _rules(_context: dg.AssetExecutionContext, lake: Lake, events: DataFrame) -> Results:
    """Keep the latest verdict of each rule on each partition."""
    verdicts = lake.engine.checkpoint(latest_verdicts(events))
    worst = verdicts.groupBy("table_name", "rule").agg(
        F.sum("failing_rows").alias("failing"), F.sum("rows").alias("checked")
    )
    found = [row for row in lake.engine.rows(worst) if row["failing"]]
    found.sort(key=lambda row: (-row["failing"], row["table_name"], row["rule"]))
    yield dg.Output(verdicts, metadata={"worst_rules": _listed(found[:10])})


def _drift(watched: Sequence[Table], _context: dg.AssetExecutionContext, lake: Lake) -> Results:
    """Compare the newest rows of tables and models with earlier ones, and scores with labels."""
    drifts = {table: drift_of(lake, table) for table in watched}
    newest = [
        (table, drift)
        for table, found in drifts.items()
        for drift in found
        if drift.partition == max(other.partition for other in found)
    ]
    inputs: list[tuple[Table, Drift]] = []
    results: list[tuple[Table, Drift]] = []
    alarms: dict[str, list[str]] = {}
    for model in MONTHLY_MODELS:
        seen, realised = drift_of(lake, model.table, MOST_MODEL_PSI), realised_of(lake, model)
        drifts[model.table] = [*seen, *realised]
        lasts, last = lasting(seen), latest(realised)
        inputs += ((model.table, drift) for drift in lasts)
        results += ((model.table, drift) for drift in last)
        alarms[model.spec.name] = [
            f"{drift.partition:%Y-%m} {drift.measure}"
            for drift in (*lasts, *last)
            if drift.usual is False
        ]
    rows = [
        asdict(drift) | {"table_name": table.full_name, "partition": drift.partition.isoformat()}
        for table, found in drifts.items()
        for drift in found
    ]
    yield dg.Output(frame_of(lake, QUALITY_DRIFT, rows), metadata={ALARMS: alarms})
    findings = [
        _finding(VOLUME, [pair for pair in newest if pair[1].measure == "rows"]),
        _finding(DISTRIBUTION, [pair for pair in newest if pair[1].measure != "rows"]),
        _finding(INPUTS, inputs),
        _finding(REALISED, results),
    ]
    yield from check_results(QUALITY_DRIFT, findings)


def drift_of(lake: Lake, table: Table, most: float = MOST_PSI) -> list[Drift]:
    """Compare the newest partitions of a table with those before them.

    Args:
        lake: The lake.
        table: The table, with its `watched` columns.
        most: The stability index up to which any number of rows is usual.
    """
    partition = table.partition
    if partition is None:
        return []
    grain = partition.grain
    rows = {day: n for day, n in lake.rows_by_partition(table).items() if n}
    shown = sorted(rows)[-_SHOWN[grain] :]
    if not shown:
        return []
    found = [volume_drift(rows, day, grain) for day in shown]
    first = min(day for part in compared(rows, shown[0], grain) for day in part)
    window = between(partition, first, following(shown[-1], grain))
    for name in table.watched:
        frame = lake.read(table, window, columns=[partition.column, name])
        counted = frame.groupBy(
            F.col(partition.column).alias("day"), bucket_of(table.column(name)).alias("bucket")
        ).agg(F.count(F.lit(1)).alias("n"))
        counts: dict[date, dict[Bucket, int]] = {}
        for row in lake.engine.rows(counted):
            counts.setdefault(row["day"], {})[row["bucket"]] = int(row["n"])
        found += [distribution_drift(counts, day, grain, name, most) for day in shown]
    return found


def lasting(found: Sequence[Drift]) -> list[Drift]:
    """Return the newest drift of each measure except rows; drift that does not persist is usual."""
    measures = dict.fromkeys(drift.measure for drift in found if drift.measure != "rows")
    newest = []
    for measure in measures:
        own = sorted((d for d in found if d.measure == measure), key=lambda d: d.partition)
        usual = None if own[-1].usual is None else not persists(own)
        newest.append(replace(own[-1], usual=usual))
    return newest


def latest(found: Sequence[Drift]) -> list[Drift]:
    """Return the measures of the newest partition that has a verdict."""
    checked = [drift for drift in found if drift.usual is not None]
    newest = max((drift.partition for drift in checked), default=None)
    return [drift for drift in checked if drift.partition == newest]


def realised_of(lake: Lake, model: ModelTable) -> list[Drift]:
    """Measure predictions of a model's newest months against labels that arrived later.

    Only rows without a label when they were scored count, because no fit of their month saw them.
    Their labels are those of the latest month.
    """
    spec, table, partition = model.spec, model.table, model.table.partition
    months = sorted(day for day, n in lake.rows_by_partition(table).items() if n)
    months = months[-_SHOWN["month"] - 1 :]
    if spec.realised is None or not spec.target or not spec.comparison or not partition:
        return []
    if len(months) < 2:
        return []
    score = spec.comparison.prediction
    window = between(partition, months[0], following(months[-1], "month"))
    names = [partition.column, spec.key, spec.target, score]
    rows = lake.read(table, window, columns=names)
    day, label = F.col(partition.column), F.col(spec.target)
    known = rows.filter((day == F.lit(months[-1])) & label.isNotNull()).select(
        F.col(spec.key).alias("known_key"), label.alias("outcome")
    )
    asked = rows.filter((day < F.lit(months[-1])) & label.isNull() & F.col(score).isNotNull())
    joined = asked.join(known, F.col(spec.key) == F.col("known_key"), "inner")
    from pyarrow import compute as pc

    chosen = joined.select(day.alias("day"), spec.key, score, "outcome")
    # In a fixed order, so that metrics are the same to the last digit.
    fetched = lake.engine.arrow_stream(chosen).read_all().sort_by(spec.key)
    gates = {gate.metric: gate for gate in spec.gates}
    found = []
    for month in months[:-1]:
        own = fetched.filter(pc.equal(fetched["day"], month)).combine_chunks()
        if own.num_rows < FEWEST_ROWS:
            continue
        labels = own["outcome"].combine_chunks()
        for metric, interval in spec.realised(labels, own[score].to_numpy()).items():
            gate = gates.get(metric)
            # A value passes if its interval reaches the gate.
            usual = (
                None
                if gate is None
                else gate.passes({metric: interval.low if gate.above is None else interval.high})
            )
            found.append(
                Drift(
                    month, f"realised {metric}", interval.value, own.num_rows, own.num_rows, usual
                )
            )
    return found


def _finding(check: Check, newest: Sequence[tuple[Table, Drift]]) -> Finding:
    unusual = [pair for pair in newest if pair[1].usual is False]
    compared_now = sum(drift.usual is not None for _, drift in newest)
    listed = "; ".join(
        f"{table.name} {drift.partition} {drift.measure}: {drift.value:.2f}"
        for table, drift in unusual
    )
    return Finding(
        check,
        listed or f"{compared_now} measures of the newest partitions are normal.",
        # The table has no partitions.
        {"": len(unusual)} if unusual else {},
        numbers={"compared": compared_now, "unusual": len(unusual)},
    )


def _listed(rows: Sequence[dict[str, Any]]) -> dg.MetadataValue[Any]:
    lines = ["| table | rule | failing rows | checked rows |", "|---|---|---|---|"]
    lines += [
        f"| {row['table_name']} | {row['rule']} | {row['failing']:,} | {row['checked'] or 0:,} |"
        for row in rows
    ]
    return dg.MetadataValue.md("\n".join(lines))


_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def finished_runs(instance: dg.DagsterInstance, since: datetime | None) -> Iterator[dg.DagsterRun]:
    """Return the runs that ended since a time, or all that ended."""
    yield from instance.get_runs(dg.RunsFilter(statuses=_FINISHED, updated_after=since))


def events_of(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    tables: Mapping[dg.AssetKey, Table],
    evaluated: Collection[tuple[str, str]],
) -> Iterator[dict[str, Any]]:
    """Return a run's rows of `quality_events`; of evaluations repeated on a retry the last counts.

    Args:
        instance: The instance that records the run.
        run: A run that has ended.
        tables: The declared tables; others are left out.
        evaluated: Table and partition pairs that earlier runs checked. A partition for which a
            table's checks report no figures is included only if it is one of them.
    """
    evaluations = [
        (entry.dagster_event.asset_check_evaluation_data, entry.timestamp)
        for entry in instance.all_logs(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        )
        if entry.dagster_event is not None
    ]
    filled: dict[dg.AssetKey, set[str]] = {}
    for evaluation, _ in evaluations:
        if FIGURES in evaluation.metadata:
            figures: Any = evaluation.metadata[FIGURES].value
            filled.setdefault(evaluation.asset_key, set()).update(figures)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for evaluation, timestamp in evaluations:
        table = tables.get(evaluation.asset_key)
        if table is None or table.domain == DOMAIN:
            continue
        name, partitions = f"{table.domain}.{table.name}", partitions_of(run, table)
        rows_in = filled.get(evaluation.asset_key)
        if rows_in is not None:
            partitions = [key for key in partitions if key in rows_in or (name, key) in evaluated]
        at = datetime.fromtimestamp(timestamp, UTC)
        for row in rows_of(evaluation, run.run_id, partitions, at):
            found[row["table_name"], row["partition"], row["rule"]] = row
    yield from found.values()


def partitions_of(run: dg.DagsterRun, table: Table) -> list[str]:
    """Return the partitions of a table that a run covers; an unpartitioned table has one, ""."""
    if table.partition is None:
        return [""]
    key = run.tags.get("dagster/partition", "")
    first, last = (date.fromisoformat(run.tags.get(name, key)) for name in _RANGE)
    found = []
    while first <= last:
        found.append(first.isoformat())
        first = following(first, table.partition.grain)
    return found


def rows_of(
    evaluation: dg.AssetCheckEvaluation, run_id: str, partitions: Sequence[str], at: datetime
) -> Iterator[dict[str, Any]]:
    """Convert an evaluation to one verdict per partition, so that a later run can replace it."""
    metadata: dict[str, Any] = {name: m.value for name, m in evaluation.metadata.items()}
    shared = {
        "run_id": run_id,
        "table_name": ".".join(evaluation.asset_key.path),
        "recorded_at": at,
    }
    action = metadata.get("action")
    parts: Mapping[str, Mapping[str, int]] | None = metadata.get(BY_PARTITION)
    # A partition that the check does not mention has no failing rows.
    for key in sorted({*partitions, *(parts or ())}):
        counts = None if parts is None else parts.get(key, {})
        failing = None if counts is None else counts.get("failing", 0)
        rows = metadata.get("rows") if counts is None else counts.get("rows")
        yield {
            **shared, "partition": key, "rule": evaluation.check_name,
            "kind": "check" if action is None else "expectation", "action": action,
            "passed": evaluation.passed if failing is None else failing == 0,
            "failing_rows": failing,
            "rows": 0 if rows is None and action is not None else rows,
        }  # fmt: skip
    figures: Mapping[str, Mapping[str, int]] = metadata.get(FIGURES) or {}
    for key, named in figures.items():
        for name, number in named.items():
            yield {
                **shared, "partition": key, "rule": f"{evaluation.check_name}: {name}",
                "kind": "figure", "action": None, "passed": None, "failing_rows": None,
                "rows": number,
            }  # fmt: skip
