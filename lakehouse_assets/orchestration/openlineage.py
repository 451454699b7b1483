"""Sends what ended runs read and wrote to a receiver of OpenLineage events.

Events are made from Dagster's records, so a receiver that does not answer delays them but never a
run. The instance stores how far they were sent; in doubt they are sent again, with the same ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, dataset_tables
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.governance.openlineage import (
    Data,
    Events,
    Step,
    Verdict,
    append_events,
    post_events,
)
from lakehouse_assets.storage.location import Location

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings

# Delivers events, in order; after an error, some of them may have been delivered.
Receiver: TypeAlias = Callable[[Iterable[dict[str, Any]]], None]
_CURSOR = "lakehouse/openlineage"
_RUNS_AT_ONCE = 100
_POINTER = "dagster/input_event_pointer/"
_ENDS = {
    dg.DagsterRunStatus.SUCCESS: "COMPLETE",
    dg.DagsterRunStatus.FAILURE: "FAIL",
    dg.DagsterRunStatus.CANCELED: "ABORT",
}
_TYPES = {
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


def receiver_of(settings: Settings) -> Receiver:
    """Return the receiver that the settings name."""
    address, token = settings.openlineage_url, settings.openlineage_token
    if address is None:
        return partial(append_events, settings.openlineage_file)
    secret = token.get_secret_value() if token else None
    return partial(post_events, address.get_secret_value(), secret)


def deliveries_of(feeds: Iterable[Dataset | Stream]) -> dict[str, str]:
    """Return the paths of deliveries by the full names of the bronze tables that they fill."""
    return {
        table.full_name: feed.path
        for feed in feeds
        for table in (stream_tables(feed) if isinstance(feed, Stream) else dataset_tables(feed))
        if table.layer == "bronze"
    }


def send_new(
    instance: dg.DagsterInstance,
    registry: Registry,
    feeds: Iterable[Dataset | Stream],
    root: Location,
    receiver: Receiver,
) -> int:
    """Send the events of the runs that ended since the last call; return the number of runs.

    Args:
        instance: The instance that records the runs.
        registry: All tables.
        feeds: The datasets and streams that bronze tables are loaded from.
        root: Root of the lake.
        receiver: Where the events go.

    Raises:
        LakehouseError: the receiver did not accept an event; the next call sends the run's events
            again.
    """
    events = Events(registry, root)
    tables, deliveries = {table.full_name for table in registry}, deliveries_of(feeds)
    sent = 0
    after, known = _cursor(instance)
    while records := _ended(instance, after, known):
        for record in records:
            run = record.dagster_run
            steps = steps_of(instance, run, tables, deliveries)
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
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    tables: Collection[str],
    deliveries: Mapping[str, str],
) -> Iterator[Step]:
    """Yield the steps of a run that read or wrote tables."""
    by_step: dict[str, list[dg.EventLogEntry]] = {}
    for entry in instance.all_logs(run.run_id, of_type=_TYPES):
        if entry.step_key:
            by_step.setdefault(entry.step_key, []).append(entry)
    versions = _Versions(instance)
    for name, entries in by_step.items():
        types = {entry.get_dagster_event().event_type for entry in entries}
        if dg.DagsterEventType.STEP_START not in types:
            continue
        state = _ENDS[run.status]
        if dg.DagsterEventType.STEP_SUCCESS in types:
            state = "COMPLETE"
        elif dg.DagsterEventType.STEP_FAILURE in types:
            state = "FAIL"
        made = [
            event.event_specific_data.materialization  # type: ignore[union-attr]
            for entry in entries
            if (event := entry.get_dagster_event()).event_type
            == dg.DagsterEventType.ASSET_MATERIALIZATION
        ]
        planned = {
            ".".join(event.asset_key.path): Data(".".join(event.asset_key.path))
            for entry in entries
            if (event := entry.get_dagster_event()).event_type
            == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key
        }  # fmt: skip
        written = {**planned, **_written(made)}
        writes = tuple(one for name_of, one in written.items() if name_of in tables)
        models, reads = _models(made), dict(_reads(made, versions, deliveries))
        scored = {m.name: Data(m.name, m.version) for m in models}
        verdicts = tuple(_verdicts(entries, tables))
        if writes or verdicts:
            times = sorted(entry.timestamp for entry in entries)
            yield Step(
                run_id=run.run_id,
                run=run.job_name,
                name=name,
                state=state,
                started=datetime.fromtimestamp(times[0], UTC),
                ended=datetime.fromtimestamp(times[-1], UTC),
                dagster=dg.__version__,
                reads=tuple({**reads, **scored}.values()),
                writes=(*writes, *models),
                verdicts=verdicts,
            )


class _Versions:
    """Finds the Delta version that a materialisation recorded, each once."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._found: dict[int, int | None] = {}

    def of(self, asset: dg.AssetKey, event: int) -> int | None:
        """Return the version of an asset's event; None if it is not recorded."""
        if event not in self._found:
            page = self._instance.fetch_materializations(
                dg.AssetRecordsFilter(asset, storage_ids=[event]), limit=1
            )
            made = page.records[0].asset_materialization if page.records else None
            self._found[event] = _number(made, "delta_version") if made else None
        return self._found[event]


def _number(made: dg.AssetMaterialization, name: str) -> int | None:
    value = made.metadata.get(name)
    return None if value is None else int(str(value.value))


def _written(made: Iterable[dg.AssetMaterialization]) -> dict[str, Data]:
    """Return what was written to each table; one event of a range has its rows and lineage."""
    found: dict[str, Data] = {}
    for one in made:
        name = ".".join(one.asset_key.path)
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
        column: tuple((".".join(dep.asset_key.path), dep.column_name) for dep in deps)
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
    made: Iterable[dg.AssetMaterialization], versions: _Versions, deliveries: Mapping[str, str]
) -> Iterator[tuple[str, Data]]:
    for one in made:
        name = ".".join(one.asset_key.path)
        if name in deliveries:
            yield deliveries[name], Data(deliveries[name])
        for tag, event in (one.tags or {}).items():
            if tag.startswith(_POINTER) and event.isdecimal():
                key = dg.AssetKey(tag.removeprefix(_POINTER).split("/"))
                of = ".".join(key.path)
                yield of, Data(of, versions.of(key, int(event)))


def _verdicts(entries: Iterable[dg.EventLogEntry], tables: Collection[str]) -> Iterator[Verdict]:
    for entry in entries:
        event = entry.get_dagster_event()
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            table = ".".join(found.asset_key.path)
            if table in tables:
                yield Verdict(table, found.check_name, found.passed)
