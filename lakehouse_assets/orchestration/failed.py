"""Partitions whose last run failed, so that nothing is built on them."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_EVENTS = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.STEP_SUCCESS}
_EVENTS_AT_ONCE = 1_000
# Tag of failed runs that need no further look: their tables were rebuilt, or failed again in a
# later run.
_MADE_AGAIN = "lakehouse/made_again"

# Id of the failed run, by asset and partition (None for an unpartitioned table).
Failed = Mapping[dg.AssetKey, Mapping[str | None, str]]


def failed_partitions(instance: dg.DagsterInstance) -> Failed:
    """Find the partitions that failed runs should have built and no later run has.

    A step that wrote its table and then failed a blocking check counts as failed.
    """
    found: dict[dg.AssetKey, dict[str | None, str]] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=_FAILED)):
        if _MADE_AGAIN in run.tags:
            continue
        left = {
            key: partitions.keys() - _made_since(instance, run.run_id, key, partitions)
            for key, partitions in _not_made_by(instance, run.run_id).items()
        }
        # Runs come newest first: what a later run also failed to build is recorded for that run.
        if all(parts <= found.get(key, {}).keys() for key, parts in left.items()):
            instance.add_run_tags(run.run_id, {_MADE_AGAIN: "true"})
        for key, partitions in left.items():
            for partition in partitions:
                found.setdefault(key, {}).setdefault(partition, run.run_id)
    return found


def _not_made_by(
    instance: dg.DagsterInstance, run_id: str
) -> dict[dg.AssetKey, dict[str | None, float]]:
    """List the assets and partitions whose step did not succeed, and when they were planned."""
    planned: dict[dg.AssetKey, dict[str | None, float]] = {}
    steps: dict[dg.AssetKey, str | None] = {}
    done: set[str | None] = set()
    for entry in instance.all_logs(run_id, of_type=_EVENTS):
        event = entry.get_dagster_event()
        if event.is_step_success:
            done.add(event.step_key)
        elif event.asset_key is not None:
            planned.setdefault(event.asset_key, {})[event.partition] = entry.timestamp
            steps[event.asset_key] = event.step_key
    return {key: parts for key, parts in planned.items() if steps[key] not in done}


def _made_since(
    instance: dg.DagsterInstance,
    run_id: str,
    key: dg.AssetKey,
    planned: Mapping[str | None, float],
) -> set[str | None]:
    """Return which of an asset's partitions other runs have made since they were planned."""
    made: set[str | None] = set()
    cursor: str | None = None
    while planned.keys() - made:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, after_timestamp=min(planned.values())),
            limit=_EVENTS_AT_ONCE,
            cursor=cursor,
        )
        made |= {event.partition_key for event in page.records if event.run_id != run_id}
        if not page.has_more:
            break
        cursor = page.cursor
    return made
