"""`lakehouse status`: the state of every table and stream, from logs only, in under two seconds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import Stream, bronze_events, minutes
from lakehouse_assets.clock import following
from lakehouse_assets.domains import DATASETS, DOMAINS, REGISTRY, STREAMS
from lakehouse_assets.errors import DamagedTableError, LakehouseError, one_line
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.reader import partition_value
from lakehouse_assets.lake import log
from lakehouse_assets.lake.format import check_format
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.orchestration.freshness import windows_of
from lakehouse_assets.orchestration.stream_reader import (
    open_source,
    positions_of,
    simulated_folder,
)
from lakehouse_assets.quality.tables import QUALITY_RULES
from lakehouse_assets.settings import Settings
from lakehouse_assets.sources.folder_stream import FolderSource

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakehouse_assets.sources.messages import MessageSource

Freshness = Literal["fresh", "aging", "late", "no deadline", "never", "damaged"]
# Dataset of each bronze and silver table.
_LOADED = {
    REGISTRY[f"{d.domain}.{name}"]: d
    for d in DATASETS
    for name in (d.loaded_tables[0], d.loaded_tables[2])
}
# Sources of each monthly table: it should have every month in which one of them has rows. Tables
# that may have months without rows (`latest_with`) are left out.
_FED_BY = {
    gold.table: [read.table for read in gold.frames.values() if read.table.partition]
    for domain in DOMAINS
    for gold in domain.gold
    if gold.table.partition and gold.table.partition.grain == "month" and not gold.table.latest_with
} | {model.table: [model.read.table] for domain in DOMAINS for model in domain.models}
_FAILING = (
    "SELECT table_name, count(DISTINCT rule) AS rules, count(DISTINCT partition) AS partitions "
    "FROM rules WHERE passed = false GROUP BY table_name"
)


@dataclass(frozen=True)
class TableStatus:
    """The status of a table.

    Attributes:
        table: Name, as <domain>.<table>.
        layer: Layer.
        rows: Rows; None if the table does not exist, or its log has no row counts.
        partitions: Number of partitions with rows.
        missing: Partitions that were delivered, or whose sources have rows, but that were not
            built; None where nothing is expected.
        version: Delta version.
        updated_at: When a run last wrote the table.
        run_id: That run.
        freshness: `fresh`; `aging`, due for a delivery; `late`; `no deadline`, for tables without
            partitions; `never` written; or `damaged`, see `lakehouse doctor`.
        failing_rules: Number of rules whose latest verdict on a partition is a failure; None
            without a quality log.
        failing_partitions: Number of partitions in which one of them fails.
    """

    table: str
    layer: str
    rows: int | None = None
    partitions: int = 0
    missing: tuple[str, ...] | None = None
    version: int | None = None
    updated_at: datetime | None = None
    run_id: str | None = None
    freshness: Freshness = "never"
    failing_rules: int | None = None
    failing_partitions: int | None = None


def status(settings: Settings, now: datetime | None = None) -> list[TableStatus]:
    """Return the status of every table of the registry.

    Args:
        settings: Settings of the lakehouse.
        now: The time at which ages are measured; the current time by default.

    Raises:
        LakehouseError: the lake or the landing zone cannot be read, or the lake has another format.
    """
    check_format(settings.root, settings.identity, REGISTRY)
    now = now or clock.now()
    root = LakeRoot(settings.root, settings.identity)
    delivered = _delivered(settings)
    failing = _failing_rules(root)
    return log.of_each(lambda table: _of(table, root, delivered, failing, now), REGISTRY)


def unread(settings: Settings) -> list[str]:
    """Say, in sentences, what in the landing zone is not loaded.

    Raises:
        LakehouseError: the landing zone cannot be read.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    refused = [file.problem for dataset in DATASETS for file in zone.files(dataset)]
    return [*zone.strays(DATASETS), *filter(None, refused)]


def _of(
    table: Table,
    root: LakeRoot,
    delivered: Mapping[Table, set[date]],
    failing: Mapping[str, tuple[int, int]] | None,
    now: datetime,
) -> TableStatus:
    name = table.full_name
    try:
        found = log.open_table(root.table(table))
    except DamagedTableError:
        return TableStatus(name, table.layer, freshness="damaged")
    expected = delivered.get(table)
    if expected is None and table in _FED_BY:
        sources = [_filled(root, source) for source in _FED_BY[table]]
        expected = {day.replace(day=1) for days in sources for day in days}
    if found is None:
        return TableStatus(name, table.layer, missing=_listed(expected) if expected else None)
    files = log.files_of(found)
    present = {file.partition for file in files if file.rows != 0}
    missing = None if expected is None else expected - present
    if missing and table in _LOADED:
        missing -= _lost(table, root)
    elif missing:
        missing -= _written(found)
    written = log.last_write(found)
    rules, in_partitions = (None, None) if failing is None else failing.get(name, (0, 0))
    return TableStatus(
        table=name,
        layer=table.layer,
        rows=log.sum_rows(files),
        partitions=len(present) if table.partition else 0,
        missing=None if missing is None else _listed(missing),
        version=found.version(),
        updated_at=written.written_at if written else None,
        run_id=written.commit.run_id if written and written.commit else None,
        freshness=_freshness(table, written.written_at if written else None, now),
        failing_rules=rules,
        failing_partitions=in_partitions,
    )


def _listed(days: set[date]) -> tuple[str, ...]:
    return tuple(sorted(day.isoformat() for day in days))


def _lost(table: Table, root: LakeRoot) -> set[date]:
    """Return the partitions of a bronze or silver table whose rows may all be lost.

    That is, rejected or quarantined. Rejected records never reach silver, so they explain a gap in
    silver only where bronze has no rows.
    """
    bronze, rejects, _, quarantine = (
        _filled(root, REGISTRY.meant_by(table, name)) for name in _LOADED[table].loaded_tables
    )
    return rejects if table.layer == "bronze" else quarantine | (rejects - bronze)


def _written(found: DeltaTable) -> set[date]:
    """Return the partitions that were written according to the kept log, even without rows."""
    spans = [version.commit.partition for version in log.history(found) if version.commit]
    written: set[date] = set()
    for first, _, last in (span.partition("...") for span in spans if span):
        month, end = date.fromisoformat(first), date.fromisoformat(last or first)
        while month <= end:
            written.add(month)
            month = following(month, "month")
    return written


def _filled(root: LakeRoot, table: Table) -> set[date]:
    """Return the partitions of a table that have rows."""
    try:
        found = log.open_table(root.table(table))
    except DamagedTableError:
        # The status of that table reports the damage.
        return set()
    return {file.partition for file in log.files_of(found) if file.rows != 0} if found else set()


def _freshness(table: Table, at: datetime | None, now: datetime) -> Freshness:
    windows = windows_of(table)
    if at is None:
        return "never"
    if windows is None:
        return "no deadline"
    warn, fail = windows
    age = now - at
    return "late" if age > fail else "aging" if age > warn else "fresh"


def _delivered(settings: Settings) -> dict[Table, set[date]]:
    """Return the delivered partitions, in which tables should have rows.

    Rejects and quarantine are left out, as they may be empty.
    """
    zone = LandingZone(settings.landing, settings.zone_identity)
    found: dict[Table, set[date]] = {}
    months: dict[str, set[date]] = {}
    for dataset in DATASETS:
        days = {file.delivered_on for file in zone.files(dataset)}
        bronze, _, silver, _ = dataset.loaded_tables
        for name in (bronze, silver):
            found[REGISTRY[f"{dataset.domain}.{name}"]] = {
                partition_value(dataset, day) for day in days
            }
        months.setdefault(dataset.domain, set()).update(day.replace(day=1) for day in days)
    for domain in DOMAINS:
        for gold in domain.gold:
            if gold.rows_each_month:
                found[gold.table] = months.get(domain.name, set())
    return found


def _failing_rules(root: LakeRoot) -> dict[str, tuple[int, int]] | None:
    """Count the failing rules of each table and the partitions in which they fail.

    Returns None if there is no quality log.
    """
    try:
        found = log.open_table(root.table(QUALITY_RULES))
    except DamagedTableError:
        return None
    if found is None:
        return None
    import pyarrow as pa
    from deltalake import QueryBuilder

    try:
        rows = QueryBuilder().register("rules", found).execute(_FAILING)
        table = pa.table(rows)
    except OSError as error:
        raise LakehouseError(
            f"The quality log cannot be read ({one_line(error)}); run the job `quality` again."
        ) from error
    return {row["table_name"]: (row["rules"], row["partitions"]) for row in table.to_pylist()}


# A broker that does not answer must not delay the others.
_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class StreamStatus:
    """How far a partition of a stream's topic has been read.

    Attributes:
        stream: The stream, as <domain>/<name>.
        table: Its bronze table, as <domain>.<table>.
        simulated: Whether the messages are those of `lakehouse stream --simulate`.
        partition: Number of the partition; None if the source did not answer.
        offset: Offset of the next message.
        lag: Messages not read yet.
        last_event: Time of the newest event in silver.
        closed_minute: Newest minute that is closed.
        problem: Why the source did not answer.
    """

    stream: str
    table: str
    simulated: bool = False
    partition: int | None = None
    offset: int | None = None
    lag: int | None = None
    last_event: datetime | None = None
    closed_minute: datetime | None = None
    problem: str = ""


def stream_status(settings: Settings) -> list[StreamStatus]:
    """Return the status of each partition of the streams that have an address, or were read."""
    found: list[StreamStatus] = []
    root = LakeRoot(settings.root, settings.identity)
    for stream in STREAMS:
        moments = _moments(stream, root)
        folder = simulated_folder(settings, stream.source)
        given = partial(open_source, stream.source, settings.landing, settings.identity)
        opened: list[Callable[[], MessageSource | None]] = [given]
        if folder.is_dir():
            opened.append(partial(FolderSource, folder))
        for connect in opened:
            known = moments | {"simulated": connect is not given}
            found += _partitions(stream, connect, root, known)
    return found


def _partitions(
    stream: Stream,
    connect: Callable[[], MessageSource | None],
    root: LakeRoot,
    known: dict[str, Any],
) -> Iterator[StreamStatus]:
    bronze = bronze_events(stream)
    named = {"stream": stream.path, "table": bronze.full_name, **known}
    result: list[StreamStatus] = []
    problems = [f"The source did not answer within {_PATIENCE_SECONDS:.0f} seconds."]

    def ask() -> None:
        try:
            source = connect()
            if source is not None:
                with closing(source):
                    result.extend(
                        StreamStatus(**named, partition=p.partition, offset=p.offset, lag=p.lag)
                        for p in positions_of(stream, source, root)
                    )
            problems.clear()
        except LakehouseError as error:
            problems[:] = [str(error)]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    yield from [StreamStatus(**named, problem=problems[0])] if problems else result


def _moments(stream: Stream, root: LakeRoot) -> dict[str, datetime | None]:
    """Return the time of the newest event and the newest closed minute, from the logs."""
    last_event = closed = None
    try:
        silver, by_minute = (
            log.open_table(root.table(table)) for table in (silver_table(stream), minutes(stream))
        )
    except DamagedTableError:
        # The status of that table reports the damage.
        return {}
    if silver is not None:
        actions = silver.get_add_actions(flatten=True)
        name = f"max.{stream.event_time}"
        moments = actions[name].to_pylist() if name in actions.schema.names else []
        last_event = max((m.astimezone(UTC) for m in moments if m), default=None)
    written = by_minute and log.last_write(by_minute)
    if written and written.commit and written.commit.state:
        before = datetime.fromisoformat(json.loads(written.commit.state)["closed_before"])
        closed = before - timedelta(minutes=1)
    return {"last_event": last_event, "closed_minute": closed}
