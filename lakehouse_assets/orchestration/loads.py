"""Loads as recorded in Dagster: the files each partition was loaded from, and the failed runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, bronze_table
from lakehouse_assets.clock import following
from lakehouse_assets.ingest.landing import LandedFile, content_of
from lakehouse_assets.orchestration.arrivals import Failures, Load, Span
from lakehouse_assets.orchestration.failed import Failed
from lakehouse_assets.orchestration.recorded import recorded

# Metadata of a bronze partition: its files, as `content_of` returns them.
LOADED_FROM = "loaded_from"
# Tags of runs that load deliveries.
DATASET_TAG = "lakehouse/dataset"
_FILES_TAG = "lakehouse/files"
_RANGE_START, _PARTITION = "dagster/asset_partition_range_start", "dagster/partition"
_FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# Without NOT_STARTED: a run that a killed daemon never started may keep that status forever.
WAITING_OR_RUNNING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_RUNS_AT_ONCE = 200


def record(
    context: dg.AssetExecutionContext,
    dataset: Dataset,
    listed: Mapping[date, Sequence[LandedFile]],
) -> None:
    """Record the files that each partition is loaded from."""
    key = dg.AssetKey(bronze_table(dataset).key)
    for partition, files in listed.items():
        context.add_asset_metadata(
            {LOADED_FROM: content_of(files)}, asset_key=key, partition_key=partition.isoformat()
        )


def last_loads(instance: dg.DagsterInstance, dataset: Dataset, failed: Failed) -> dict[date, Load]:
    """Return the last load of every partition of a dataset.

    A load is complete once each of the dataset's tables was built after the one before it: bronze,
    rejects, silver, quarantine. A run that ended in between, or that failed a blocking check, has
    loaded nothing that downstream tables could use.

    Args:
        instance: The instance that records the runs.
        dataset: The dataset.
        failed: Result of `failed_partitions`.
    """
    keys = [dg.AssetKey([dataset.domain, name]) for name in dataset.loaded_tables]
    made = [
        instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        for key in keys
    ]
    broken = {partition for key in keys for partition in failed.get(key, {})}
    contents = recorded(instance, keys[0], made[0].values(), LOADED_FROM)
    found = {}
    for partition, loaded in made[0].items():
        events = [events.get(partition, 0) for events in made]
        found[date.fromisoformat(partition)] = Load(
            content=contents.get(loaded) or "",
            is_complete=partition not in broken and all(a < b for a, b in pairwise(events)),
            event=max(events),
        )
    return found


def tags_of(dataset: Dataset, span: Span) -> dict[str, str]:
    """Return the tags by which `loading` and `failed_loads` recognise a run."""
    return {DATASET_TAG: dataset.path} | ({_FILES_TAG: span.contents} if span.contents else {})


def loading(instance: dg.DagsterInstance) -> set[str]:
    """Return the paths of datasets that a sensor's or schedule's run is loading or will load."""
    runs = instance.get_runs(dg.RunsFilter(statuses=WAITING_OR_RUNNING))
    return {run.tags[DATASET_TAG] for run in runs if DATASET_TAG in run.tags}


def failed_loads(
    instance: dg.DagsterInstance, dataset: Dataset
) -> dict[tuple[date, str], Failures]:
    """Return the newest failed runs, by partition and `word_of` its content."""
    found: dict[tuple[date, str], Failures] = {}
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_FAILED, tags={DATASET_TAG: dataset.path}), limit=_RUNS_AT_ONCE
    )
    for failed in records:
        tags = failed.dagster_run.tags
        first = tags.get(_RANGE_START) or tags.get(_PARTITION)
        if first is None:
            continue
        ended = failed.end_time or failed.create_timestamp.timestamp()
        partition = date.fromisoformat(first)
        for word in tags.get(_FILES_TAG, "").split():
            runs = found[partition, word].runs if (partition, word) in found else 0
            last = found[partition, word].last if runs else datetime.fromtimestamp(ended, UTC)
            found[partition, word] = Failures(runs + 1, last)
            partition = following(partition, dataset.grain)
    return found
