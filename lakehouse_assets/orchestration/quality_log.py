"""Converts Dagster's records of checks to rows of the quality log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.clock import following
from lakehouse_assets.quality.checks import BY_PARTITION, FIGURES
from lakehouse_assets.quality.tables import DOMAIN

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
