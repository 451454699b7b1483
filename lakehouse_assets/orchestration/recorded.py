"""Reads what Dagster recorded: materialisations, failed partitions, and the loads of datasets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, bronze_table
from lakehouse_assets.clock import following
from lakehouse_assets.ingest.landing import LandedFile, content_of
from lakehouse_assets.orchestration.arrivals import Failures, Load, Span

# Metadata of a materialisation: id of the newest event in Dagster's log when its step first read.
READ_AS_OF = "lakehouse/read_as_of_event"
# Metadata of an observation that puts a day out of date: the table's last version in which every
# day agreed with the others, and id of the newest event at that time.
_AGREED, _AGREED_AS_OF = "version_before", "newest_event_before"
# Metadata of a bronze partition: its files, as `content_of` returns them.
LOADED_FROM = "loaded_from"
# Tags of runs that load deliveries.
DATASET_TAG = "lakehouse/dataset"
_FILES_TAG = "lakehouse/files"
_RANGE_START, _PARTITION = "dagster/asset_partition_range_start", "dagster/partition"
# Tag of failed runs that need no further look: their tables were rebuilt, or failed again in a
# later run.
_MADE_AGAIN = "lakehouse/made_again"
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# Without NOT_STARTED: a run that a killed daemon never started may keep that status forever.
WAITING_OR_RUNNING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_PLANS_AND_ENDS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.STEP_SUCCESS,
}  # fmt: skip
_EVENTS_AT_ONCE = 1_000
_RUNS_AT_ONCE = 200
# Metadata by the instance's folder, the storage id and the name. Events never change, and fetching
# them is most of the work of a tick.
_values: dict[tuple[str, int, str], Any] = {}

# Id of the failed run, by asset and partition (None for an unpartitioned table).
Failed = Mapping[dg.AssetKey, Mapping[str | None, str]]


def recorded(
    instance: dg.DagsterInstance, key: dg.AssetKey, events: Collection[int], name: str
) -> dict[int, Any]:
    """Return a metadata value of materialisations, by storage id; None where it is not recorded.

    It is fetched once for the life of the process.

    Args:
        instance: The instance that holds the events.
        key: The asset.
        events: Storage ids of its materialisations; those that were deleted are left out.
        name: Name of the metadata.
    """
    home = instance.root_directory
    unknown = [event for event in events if (home, event, name) not in _values]
    for start in range(0, len(unknown), _EVENTS_AT_ONCE):
        chunk = unknown[start : start + _EVENTS_AT_ONCE]
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, storage_ids=chunk), limit=_EVENTS_AT_ONCE
        )
        for record in page.records:
            made = record.asset_materialization
            found = made.metadata.get(name) if made else None
            _values[home, record.storage_id, name] = None if found is None else found.value
    return {e: _values[home, e, name] for e in events if (home, e, name) in _values}


def outdated_days(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, int]:
    """Return the days of a table that other days have put out of date, each with the event."""
    made, said = (
        instance.get_latest_storage_id_by_partition(key, kind)
        for kind in (
            dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION,
        )
    )  # fmt: skip
    return {day: event for day, event in said.items() if day and event > made.get(day, 0)}


def last_agreed(
    instance: dg.DagsterInstance, key: dg.AssetKey, events: Collection[int]
) -> tuple[int, int] | None:
    """Return the version before days of a table were put out of date, and the newest event then.

    Args:
        instance: The instance that holds the events.
        key: The asset of the table.
        events: The events that `outdated_days` returns for these days; for none, the result is
            None.
    """
    if not events:
        return None
    found = instance.fetch_observations(
        dg.AssetRecordsFilter(key, storage_ids=[*events]), limit=len(events)
    )
    metadata: list[Mapping[str, Any]] = [
        record.asset_observation.metadata for record in found.records if record.asset_observation
    ]
    return min(
        ((m[_AGREED].value, m[_AGREED_AS_OF].value) for m in metadata if _AGREED in m), default=None
    )


def record_outdated(
    context: dg.AssetExecutionContext, key: dg.AssetKey, days: Collection[date], version: int
) -> None:
    """Record that a run is about to put other days of a table out of date.

    While some are, the version before the first of them is the last one in which all days agree.

    Args:
        context: The run's step, which has not yet written the table.
        key: The asset of the table.
        days: The days.
        version: The table's current version.
    """
    if not days:
        return
    instance = context.instance
    newest = instance.event_log_storage.get_maximum_record_id() or 0
    earlier = outdated_days(instance, key).values()
    version, newest = last_agreed(instance, key, earlier) or (version, newest)
    for day in days:
        context.log_event(
            dg.AssetObservation(
                key,
                description="Another day's delivery has put this day out of date.",
                partition=day.isoformat(),
                metadata={_AGREED: version, _AGREED_AS_OF: newest},
            )
        )


def materialisations_after(
    instance: dg.DagsterInstance, key: dg.AssetKey, after: int | None
) -> Iterator[dg.EventLogRecord]:
    """Return the materialisations of an asset after a storage id (None: all), oldest first."""
    more = True
    while more:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(key, after_storage_id=after), _EVENTS_AT_ONCE, ascending=True
        )
        yield from page.records
        more = page.has_more
        after = page.records[-1].storage_id if page.records else after


def failed_partitions(instance: dg.DagsterInstance) -> Failed:
    """Find the partitions that failed runs should have built and no later run has.

    A step that wrote its table and then failed a blocking check counts as failed.
    """
    found: dict[dg.AssetKey, dict[str | None, str]] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=FAILED)):
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
    for entry in instance.all_logs(run_id, of_type=_PLANS_AND_ENDS):
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


def is_load(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Say whether a run loads deliveries for a sensor or schedule, which repeats it if it fails."""
    run = instance.get_run_by_id(run_id)
    return run is not None and DATASET_TAG in run.tags


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
        dg.RunsFilter(statuses=FAILED, tags={DATASET_TAG: dataset.path}), limit=_RUNS_AT_ONCE
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
