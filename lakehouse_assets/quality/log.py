"""The quality log: what Dagster's checks found, as rows.

Belongs here: turning a run's check evaluations into rows of `quality_events`, and the latest
verdict out of them. Not here: the checks themselves, and drift (`drift.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from lakehouse_assets.engine import DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.tables import DOMAIN, QUALITY_RULES

# A check's metadata by which it tells its counts apart: partition to counts.
BY_PARTITION = "by_partition"
_FAILING = ("failing_rows", "repeated_keys", "rows_without_parent")
_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def finished_runs(instance: dg.DagsterInstance, since: datetime | None) -> Iterator[dg.DagsterRun]:
    """Find the runs that have ended since a moment, or ever; the running ones are for next time."""
    yield from instance.get_runs(dg.RunsFilter(statuses=_FINISHED, updated_after=since))


def events_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dict[str, Any]]:
    """Return a run's rows of `quality_events`; what it judged twice, on a retry, counts as last."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is None:
            continue
        evaluation = entry.dagster_event.asset_check_evaluation_data
        if evaluation.asset_key.path[0] == DOMAIN:
            continue
        at = datetime.fromtimestamp(entry.timestamp, UTC)
        for row in rows_of(evaluation, run.run_id, partition_of(run), at):
            found[row["table_name"], row["partition"], row["rule"]] = row
    yield from found.values()


def partition_of(run: dg.DagsterRun) -> str:
    """Name the partition or the range that a run covers."""
    first, last = (run.tags.get(name, "") for name in _RANGE)
    key = run.tags.get("dagster/partition", "")
    return key or (first if first == last else f"{first}...{last}")


def rows_of(
    evaluation: dg.AssetCheckEvaluation, run_id: str, partition: str, at: datetime
) -> Iterator[dict[str, Any]]:
    """Turn one evaluation into rows: one per partition where it tells them apart."""
    metadata: dict[str, Any] = {name: m.value for name, m in evaluation.metadata.items()}
    shared = {
        "run_id": run_id,
        "table_name": ".".join(evaluation.asset_key.path),
        "recorded_at": at,
    }
    action = metadata.get("action")
    parts: Mapping[str, Any] = metadata.get(BY_PARTITION) or {}
    if action is not None and parts:
        for key, counts in parts.items():
            yield {
                **shared, "partition": key, "rule": evaluation.check_name, "kind": "expectation",
                "action": action, "passed": counts["failing"] == 0,
                "failing_rows": counts["failing"], "rows": counts["rows"],
            }  # fmt: skip
        return
    failing = [metadata[name] for name in _FAILING if name in metadata]
    yield {
        **shared, "partition": partition, "rule": evaluation.check_name,
        "kind": "check" if action is None else "expectation", "action": action,
        "passed": evaluation.passed, "failing_rows": failing[0] if failing else None,
        "rows": metadata.get("rows"),
    }  # fmt: skip
    for key, counts in parts.items():
        for name, number in counts.items():
            yield {
                **shared, "partition": key, "rule": f"{evaluation.check_name}: {name}",
                "kind": "figure", "action": None, "passed": None, "failing_rows": None,
                "rows": number,
            }  # fmt: skip


def latest_verdicts(events: DataFrame) -> DataFrame:
    """Reduce events to the latest verdict of each rule on each partition.

    Args:
        events: Rows of `quality_events`.

    Returns:
        Rows of `quality_rules`.
    """
    identity = ("table_name", "partition", "rule")
    order = W.partitionBy(*identity).orderBy(
        F.col("recorded_at").desc_nulls_last(), F.col("run_id").desc_nulls_last()
    )
    judged = events.filter(F.col("kind") != F.lit("figure"))
    ranked = judged.select(*events.columns, F.row_number().over(order).alias("place"))
    counted = judged.groupBy(*identity).agg(F.count(F.lit(1)).alias("runs"))
    counted = counted.select(
        *[F.col(name).alias(f"counted_{name}") for name in identity], F.col("runs")
    )
    same = F.lit(True)
    for name in identity:
        same = same & (F.col(name) == F.col(f"counted_{name}"))
    rate = v.ratio(F.col("rows") - F.col("failing_rows"), F.col("rows"))
    latest = ranked.filter(F.col("place") == F.lit(1)).join(counted, same, "inner")
    return latest.withColumn("pass_rate", rate).select(*QUALITY_RULES.column_names)
