"""The sensors: files that arrive, and days that a late one puts out of date."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.orchestration.deliveries import Changes, Cursor, Span, changes, consecutive
from lakehouse_assets.orchestration.landing_resource import LandingResource
from lakehouse_assets.orchestration.loads import loaded_from
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.silver_assets import RUN_AGAIN
from lakehouse_assets.text import visible

_LISTING_SECONDS = 30
_LATE_SECONDS = 60
_EVENTS_AT_ONCE = 1_000
_NAMED = 20
_DATASET_TAG = "lakehouse/dataset"
# Not those that were never started, as by a daemon that was killed: they may stay for ever.
_WAITING_OR_RUNNING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def delivery_sensors(
    datasets: Iterable[Dataset], calendar: Calendar, *, running: bool
) -> list[dg.SensorDefinition]:
    """Make the sensors of every landing dataset.

    Args:
        datasets: The landing datasets.
        calendar: Partitions of the lakehouse.
        running: Whether they run from the start; otherwise people switch them on in the UI.
    """
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    sensors = []
    for dataset in datasets:
        sensors.append(delivery_sensor(dataset, calendar, status))
        if dataset.grain == "day":
            sensors.append(late_sensor(dataset, status))
    return sensors


def delivery_sensor(
    dataset: Dataset, calendar: Calendar, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Make the sensor that loads what is delivered of a dataset into bronze and silver."""
    keys = keys_of(dataset, dataset.loaded_tables)
    partitions = calendar.of_grain(dataset.grain)

    @dg.sensor(
        name=f"{dataset.domain}_{dataset.name}_deliveries",
        target=dg.AssetSelection.assets(*keys),
        description=(
            f"Files of {dataset.path}: new, corrected and late ones run the partitions that they "
            "belong to, once they are whole. Deleted files are reported and change nothing."
        ),
        minimum_interval_seconds=_LISTING_SECONDS,
        default_status=status,
    )
    def deliveries(
        context: dg.SensorEvaluationContext, landing: LandingResource
    ) -> dg.SensorResult:
        if _is_loading(context.instance, dataset):
            # Its tables have one writer at a time. What arrives meanwhile goes into one run after
            # it, so that a daemon which falls behind never queues a run for each file.
            return dg.SensorResult(
                skip_reason=f"A run loads {dataset.path}; what has arrived since is next.",
                cursor=context.cursor,
            )
        now = clock.now()
        window = partitions.get_last_partition_window()
        end = window.end.date() if window else calendar.first
        zone = landing.open()
        found = changes(
            dataset,
            zone.files(dataset),
            Cursor.decode(context.cursor),
            now,
            calendar.first,
            end - timedelta(days=1),
            lambda partitions: loaded_from(context.instance, dataset, partitions),
        )
        told = [*_sentences(dataset, calendar, found), *zone.strays_of(dataset)]
        for line in told:
            context.log.warning(visible(line))
        if found.there:
            told.append(_there(found.there))
            context.log.info(told[-1])
        return dg.SensorResult(
            run_requests=[request(dataset, span, keys) for span in found.spans],
            skip_reason=None if found.spans else " ".join(told) or "Nothing new was delivered.",
            cursor=found.cursor.encode(),
            asset_events=[
                dg.AssetObservation(
                    asset_key=keys[0],
                    description="Delivered files were deleted from the landing zone.",
                    metadata={"deleted_files": list(found.deleted)},
                )
            ]
            if found.deleted
            else [],
        )

    return deliveries


def late_sensor(dataset: Dataset, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that runs days again which a late or corrected one put out of date."""
    silver, aside = keys_of(dataset, dataset.loaded_tables[2:])

    @dg.sensor(
        name=f"{dataset.domain}_{dataset.name}_late_deliveries",
        target=dg.AssetSelection.assets(silver, aside),
        description=(
            f"Days of {dataset.path} that share ids with a day which was loaded after them run "
            "again, so that the earliest day keeps an id, whatever the order of arrival."
        ),
        minimum_interval_seconds=_LATE_SECONDS,
        default_status=status,
    )
    def late_deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        found = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=silver,
                after_storage_id=int(context.cursor) if context.cursor else None,
            ),
            limit=_EVENTS_AT_ONCE,
            ascending=True,
        )
        requested = [
            request(dataset, Span(days[0], days[-1], f"late:{run_id}:{days[0]}"), [silver, aside])
            for run_id, again in _outdated(found.records).items()
            for days in consecutive(again, dataset.grain)
        ]
        newest = str(found.records[-1].storage_id) if found.records else context.cursor
        return dg.SensorResult(
            run_requests=requested,
            skip_reason=None if requested else "No later day is out of date.",
            cursor=newest,
        )

    return late_deliveries


def days_to_run_again(metadata: Mapping[str, Any]) -> set[date]:
    """Read, from the metadata of a silver table, the days that its run put out of date."""
    value = metadata.get(RUN_AGAIN)
    return {date.fromisoformat(day) for day in value.value} if value is not None else set()


def _outdated(records: Iterable[dg.EventLogRecord]) -> dict[str, set[date]]:
    """Collect outdated days by the run that found them; a range says the same on each partition."""
    found: dict[str, set[date]] = {}
    for record in records:
        materialization = record.asset_materialization
        days = days_to_run_again(materialization.metadata) if materialization else set()
        if days:
            found.setdefault(record.run_id, set()).update(days)
    return found


def _is_loading(instance: dg.DagsterInstance, dataset: Dataset) -> bool:
    """Say whether a run that was asked for by a sensor or schedule loads a dataset, or will."""
    tags = {_DATASET_TAG: dataset.path}
    return bool(instance.get_runs(dg.RunsFilter(statuses=_WAITING_OR_RUNNING, tags=tags), limit=1))


def keys_of(dataset: Dataset, names: Sequence[str]) -> list[dg.AssetKey]:
    """Return the assets of some of a dataset's tables."""
    return [dg.AssetKey([dataset.domain, name]) for name in names]


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over a range of partitions: for Dagster, and for its list of runs.

    The list shows a run's own tags and not Dagster's.
    """
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
        "partitions": first if first == last else f"{first}...{last}",
    }


def request(dataset: Dataset, span: Span, keys: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """Ask for a run over partitions that follow each other."""
    first, last = span.first.isoformat(), span.last.isoformat()
    tags = {_DATASET_TAG: dataset.path}
    if first == last:
        return dg.RunRequest(span.run_key, partition_key=first, tags=tags, asset_selection=[*keys])
    tags |= range_tags(first, last)
    return dg.RunRequest(span.run_key, tags=tags, asset_selection=[*keys])


def _sentences(dataset: Dataset, calendar: Calendar, found: Changes) -> Iterator[str]:
    if found.waiting:
        yield f"Waiting for files of {dataset.path} to be whole: {_some(found.waiting)}."
    if found.deleted:
        yield (
            f"Deleted from the landing zone, tables are unchanged: {_some(found.deleted)}; "
            "materialise their partitions to drop the rows too."
        )
    if found.outside:
        yield (
            f"Delivered on days without a partition: {_some(found.outside)}; rename the folders, "
            f"or set LAKEHOUSE_FIRST_PARTITION (now {calendar.first})."
        )


def _there(partitions: Sequence[date]) -> str:
    days = _some([day.isoformat() for day in partitions])
    return f"Loaded already from the files that are there, by hand or by a backfill: {days}."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
