"""Dagster's SQLite event log with connections that stay open.

Dagster's own class opens and closes a database connection for every event and waits for the disk at
every commit; a run of many partitions spends more time there than on its data. This one keeps the
connections of the shards in use and lets SQLite's write-ahead log order the commits: after a power
cut the newest events may be missing, never half written; the Delta tables do not need them. Events
of many partitions are stored together, a planned check's event is written out once and not once for
each of its partitions, statements are prepared once, what tables the databases have is looked up
once, and the database of a new run is a copy of an empty one.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster
from alembic.migration import MigrationContext
from dagster import EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    DagsterEventType,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine

_OPEN_SHARDS = 4
_BUSY_TIMEOUT_SECONDS = 60
_OF_ASSETS, _PLANNED_CHECKS, _OF_RUNS_ONLY, _OTHERS = range(4)
_INSERT = SqlEventLogStorageTable.insert()


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """SQLite event log that keeps the connections of the shards last used."""

    def __init__(self, base_dir: str | None = None, inst_data: Any = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        self._asset_columns: set[str] = set()
        # Dagster's home, wherever it was moved to.
        super().__init__(base_dir or str(Path(os.environ["DAGSTER_HOME"]) / "history"), inst_data)

    @classmethod
    def config_type(cls) -> Any:
        """Return the fields of the entry in `dagster.yaml`; without a folder it is the home's."""
        return {"base_dir": dagster.Field(dagster.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PooledSqliteEventLogStorage:
        """Build the storage from its entry in `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                connect_args={"timeout": _BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _order_commits_by_the_log)
            if shard not in self._initialized_dbs:
                if not (self._copy_empty_shard(shard) or _is_made(engine)):
                    self._initdb(engine)
                self._initialized_dbs.add(shard)
        self._engines[shard] = engine
        while len(self._engines) > _OPEN_SHARDS:
            self._engines.popitem(last=False)[1].dispose()
        return engine

    def _copy_empty_shard(self, shard: str) -> bool:
        """Begin a run's database as a copy of an empty one; False if that cannot be.

        To make its tables and note their version takes Dagster longer than many a step.
        """
        target = Path(self.path_for_shard(shard))
        if shard == INDEX_SHARD_NAME:
            return False
        # Dagster lists the runs' databases by their names' end.
        empty = Path(self._base_dir) / f"empty-{dagster.__version__}"
        if target.exists():
            return False
        try:
            with TemporaryDirectory(dir=self._base_dir) as folder:
                copy = Path(folder) / "copy"
                if not empty.exists():
                    engine = create_engine(f"sqlite:///{copy}")
                    self._initdb(engine)
                    engine.dispose()
                    copy.replace(empty)
                copy.write_bytes(empty.read_bytes())
                # Whole or not at all, and never in the place of another process's.
                os.link(copy, target)
        except OSError:
            return False
        return True

    def has_table(self, table_name: str) -> bool:
        """Say whether the index has a table; one that it has stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._asset_columns:
            if not super()._has_asset_key_col_on_connection(conn, column_name):
                return False
            self._asset_columns.add(column_name)
        return True

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event as Dagster does, by statements that are prepared once."""
        run_id, kind = _run_and_kind(event)
        if kind == _OF_ASSETS:
            self._store_asset_events(run_id, [event])
        elif kind == _OF_RUNS_ONLY:
            with self.run_connection(run_id) as connection:
                connection.execute(_INSERT, self._event_to_row(event))
        else:
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events of a range's partitions in one transaction per database.

        Dagster hands them over together if `DAGSTER_EVENT_BATCH_SIZE` says so.
        """
        for (run_id, kind), group in groupby(sorted(events, key=_run_and_kind), key=_run_and_kind):
            if kind == _OF_ASSETS:
                self._store_asset_events(run_id, list(group))
            elif kind == _PLANNED_CHECKS:
                self._store_planned_checks(run_id, list(group))
            else:
                for entry in group:
                    self.store_event(entry)

    def _store_planned_checks(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Store planned checks as `store_event` does: the events, and a row for each partition."""
        with self._storing(run_id, events) as (connection, rows, ids):
            planned = [
                {
                    "asset_key": data.asset_key.to_string(),
                    "check_name": data.check_name,
                    "partition": partition,
                    "run_id": run_id,
                    "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                    "evaluation_event": row["event"],
                    "evaluation_event_timestamp": row["timestamp"],
                    "evaluation_event_storage_id": number,
                }
                for entry, row, number in zip(events, rows, ids, strict=True)
                for data in [entry.get_dagster_event().asset_check_planned_data]
                for partition in _partitions(data)
            ]
            connection.execute(AssetCheckExecutionsTable.insert(), planned)

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Store asset events of one run as `store_event` does."""
        with self._storing(run_id, events) as (connection, _rows, ids):
            self._store_asset_event_tags(connection, events, ids)
            # An asset's entry shows its newest event only.
            newest = {
                entry.get_dagster_event().asset_key: (entry, number)
                for entry, number in zip(events, ids, strict=True)
            }
            for entry, number in newest.values():
                self._store_asset_event(connection, entry, number)

    @contextmanager
    def _storing(
        self, run_id: str, events: Sequence[EventLogEntry]
    ) -> Iterator[tuple[Connection, list[dict[str, Any]], list[int]]]:
        """Store events in the run's shard and the index.

        Gives the index's connection inside its transaction, the events' rows and their numbers.
        """
        rows = [self._event_to_row(entry) for entry in events]
        with self.run_connection(run_id) as connection:
            connection.execute(_INSERT, rows)
        with self.index_transaction() as connection:
            numbered = _INSERT.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
            yield connection, rows, [int(row[0]) for row in connection.execute(numbered, rows)]

    def wipe(self) -> None:
        """Delete every event."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close every connection."""
        self._close()
        super().dispose()

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _run_and_kind(entry: EventLogEntry) -> tuple[str, int]:
    """Return an event's run and how it is stored."""
    kind = entry.dagster_event_type if entry.is_dagster_event else None
    if kind in ASSET_EVENTS:
        return entry.run_id, _OF_ASSETS
    if kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return entry.run_id, _PLANNED_CHECKS
    told = kind in ASSET_CHECK_EVENTS or kind in EVENT_TYPE_TO_PIPELINE_RUN_STATUS
    return entry.run_id, _OTHERS if told else _OF_RUNS_ONLY


def _is_made(engine: Engine) -> bool:
    """Say whether a database has its tables; Dagster reads all its migrations to see that."""
    with engine.connect() as connection:
        return bool(MigrationContext.configure(connection).get_current_heads())


def _partitions(planned: AssetCheckEvaluationPlanned) -> Sequence[str | None]:
    """Return the partitions that a check is planned on."""
    subset = planned.partitions_subset
    return [*subset.get_partition_keys()] if subset else [None]


def _order_commits_by_the_log(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
