"""Sends what ended runs read and wrote to a receiver of OpenLineage events.

Events are made from Dagster's records, so a receiver that does not answer delays them but never a
run. The instance stores how far they were sent; in doubt they are sent again, with the same ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg
from dagster import DagsterEventType as Type

from lakehouse_assets.catalog.datasets import dataset_tables
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.catalog.streams import stream_tables
from lakehouse_assets.domains import DATASETS, REGISTRY, STREAMS
from lakehouse_assets.governance.openlineage import (
    Data,
    Events,
    Step,
    Verdict,
    append_events,
    post_events,
)
from lakehouse_assets.orchestration.recorded import recorded
from lakehouse_assets.storage.location import Location

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings

# Delivers events, in order; after an error, some of them may have been delivered.
Receiver: TypeAlias = Callable[[Iterable[dict[str, Any]]], None]
_LOOK_SECONDS = 60
_CURSOR = "lakehouse/openlineage"
_RUNS_AT_ONCE = 100
_POINTER = "dagster/input_event_pointer/"
_ENDS = {
    dg.DagsterRunStatus.SUCCESS: "COMPLETE",
    dg.DagsterRunStatus.FAILURE: "FAIL",
    dg.DagsterRunStatus.CANCELED: "ABORT",
}
_TYPES = {
    Type.STEP_START,
    Type.STEP_SUCCESS,
    Type.STEP_FAILURE,
    Type.ASSET_MATERIALIZATION,
    Type.ASSET_MATERIALIZATION_PLANNED,
    Type.ASSET_CHECK_EVALUATION,
}


# Paths of deliveries by the full names of the bronze tables that they fill.
_TABLES = {dataset.path: dataset_tables(dataset) for dataset in DATASETS} | {
    stream.path: stream_tables(stream) for stream in STREAMS
}
_DELIVERIES = {
    table.full_name: path
    for path, tables in _TABLES.items()
    for table in tables
    if table.layer == "bronze"
}


def receiver_of(settings: Settings) -> Receiver:
    """Return the receiver that the settings name."""
    address, token = settings.openlineage_url, settings.openlineage_token
    if address is None:
        return partial(append_events, settings.openlineage_file)
    secret = token.get_secret_value() if token else None
    return partial(post_events, address.get_secret_value(), secret)


def openlineage_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that sends lineage events of runs."""

    @dg.sensor(
        name="openlineage",
        description="Sends OpenLineage events for runs that have ended; events that are not "
        "accepted are sent again later.",
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def openlineage(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from lakehouse_assets.settings import load_settings

        settings = load_settings()
        sent = send_new(context.instance, REGISTRY, settings.root, receiver_of(settings))
        return dg.SkipReason(f"Sent the events of {sent} runs.")

    return openlineage


def send_new(
    instance: dg.DagsterInstance, registry: Registry, root: Location, receiver: Receiver
) -> int:
    """Send the events of the runs that ended since the last call; return the number of runs.

    Args:
        instance: The instance that records the runs.
        registry: All tables.
        root: Root of the lake.
        receiver: Where the events go.

    Raises:
        LakehouseError: the receiver did not accept an event; the next call sends the run's events
            again.
    """
    events = Events(registry, root)
    tables = {table.full_name for table in registry}
    sent = 0
    after, known = _cursor(instance)
    while records := _ended(instance, after, known):
        for record in records:
            run = record.dagster_run
            steps = steps_of(instance, run, tables)
            receiver([event for step in steps for event in events.of(step)])
            moment = record.update_timestamp
            known = [*known, run.run_id] if moment == after else [run.run_id]
            after = moment
            cursor = json.dumps({"after": moment.isoformat(), "runs": known})
            instance.daemon_cursor_storage.set_cursor_values({_CURSOR: cursor})
            sent += 1
    return sent


def _cursor(instance: dg.DagsterInstance) -> tuple[datetime | None, list[str]]:
    """Return the time up to which runs were sent, and the runs that ended at that time."""
    cursor = instance.daemon_cursor_storage.get_cursor_values({_CURSOR}).get(_CURSOR)
    if not cursor:
        return None, []
    found = json.loads(cursor)
    return datetime.fromisoformat(found["after"]), found["runs"]


def _ended(
    instance: dg.DagsterInstance, after: datetime | None, known: Collection[str]
) -> list[dg.RunRecord]:
    """Return the next runs that have ended, oldest first."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[*_ENDS], updated_after=after),
        limit=_RUNS_AT_ONCE + len(known),
        order_by="update_timestamp",
        ascending=True,
    )
    return [record for record in records if record.dagster_run.run_id not in known]


def steps_of(
    instance: dg.DagsterInstance, run: dg.DagsterRun, tables: Collection[str]
) -> Iterator[Step]:
    """Yield the steps of a run that read or wrote tables."""
    steps: dict[str, dict[Type, list[dg.DagsterEvent]]] = {}
    times: dict[str, list[float]] = {}
    for entry in instance.all_logs(run.run_id, of_type=_TYPES):
        if entry.step_key:
            event = entry.get_dagster_event()
            kinds = steps.setdefault(entry.step_key, {kind: [] for kind in _TYPES})
            kinds[event.event_type].append(event)
            times.setdefault(entry.step_key, []).append(entry.timestamp)
    for name, events in steps.items():
        if not events[Type.STEP_START]:
            continue
        state = _ENDS[run.status]
        if events[Type.STEP_SUCCESS]:
            state = "COMPLETE"
        elif events[Type.STEP_FAILURE]:
            state = "FAIL"
        made = [
            event.event_specific_data.materialization  # type: ignore[union-attr]
            for event in events[Type.ASSET_MATERIALIZATION]
        ]
        planned = (_name(e.asset_key) for e in events[Type.ASSET_MATERIALIZATION_PLANNED])
        written = {table: Data(table) for table in planned} | _written(made)
        writes = tuple(one for table, one in written.items() if table in tables)
        models, reads = _models(made), dict(_reads(instance, made))
        scored = {m.name: Data(m.name, m.version) for m in models}
        checked = (e.asset_check_evaluation_data for e in events[Type.ASSET_CHECK_EVALUATION])
        verdicts = tuple(
            Verdict(_name(found.asset_key), found.check_name, found.passed)
            for found in checked
            if _name(found.asset_key) in tables
        )
        if writes or verdicts:
            yield Step(
                run_id=run.run_id,
                run=run.job_name,
                name=name,
                state=state,
                started=datetime.fromtimestamp(min(times[name]), UTC),
                ended=datetime.fromtimestamp(max(times[name]), UTC),
                dagster=dg.__version__,
                reads=tuple({**reads, **scored}.values()),
                writes=(*writes, *models),
                verdicts=verdicts,
            )


def _name(key: dg.AssetKey | None) -> str:
    return ".".join(key.path) if key else ""


def _number(made: dg.AssetMaterialization, name: str) -> int | None:
    value = made.metadata.get(name)
    return None if value is None else int(str(value.value))


def _written(made: Iterable[dg.AssetMaterialization]) -> dict[str, Data]:
    """Return what was written to each table; one event of a range has its rows and lineage."""
    found: dict[str, Data] = {}
    for one in made:
        name = _name(one.asset_key)
        before = found.get(name, Data(name))
        rows = _number(one, "dagster/partition_row_count")
        lineage = one.metadata.get("dagster/column_lineage")
        found[name] = Data(
            name,
            _number(one, "delta_version"),
            before.rows if rows is None else (before.rows or 0) + rows,
            _number(one, "bytes") or before.size,
            _columns(lineage.value) if lineage else before.lineage,
        )
    return found


def _columns(lineage: Any) -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        column: tuple((_name(dep.asset_key), dep.column_name) for dep in deps)
        for column, deps in lineage.deps_by_column.items()
    }


def _models(made: Iterable[dg.AssetMaterialization]) -> list[Data]:
    """Return the models that were fitted, from their addresses `models:/<name>/<version>`."""
    found: dict[str, Data] = {}
    for one in made:
        address = one.metadata.get("mlflow_model")
        if address is not None:
            name, _, version = str(address.value).removeprefix("models:/").partition("/")
            found[name] = Data(name, int(version))
    return [*found.values()]


def _reads(
    instance: dg.DagsterInstance, made: Iterable[dg.AssetMaterialization]
) -> Iterator[tuple[str, Data]]:
    for one in made:
        name = _name(one.asset_key)
        if name in _DELIVERIES:
            yield _DELIVERIES[name], Data(_DELIVERIES[name])
        for tag, event in (one.tags or {}).items():
            if tag.startswith(_POINTER) and event.isdecimal():
                key, number = dg.AssetKey(tag.removeprefix(_POINTER).split("/")), int(event)
                of = _name(key)
                version = recorded(instance, key, [number], "delta_version").get(number)
                yield of, Data(of, None if version is None else int(version))
