"""Dagster's SQLite event log with connections that stay open.

Dagster's own class opens and closes a database for every event, which doubles a run's CPU time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """SQLite event log that keeps an SQLAlchemy engine for each recently used database."""

    def __init__(self, base_dir: str | None = None, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir or f"{os.environ['DAGSTER_HOME']}/history", inst_data)

    @classmethod
    def config_type(cls) -> Any:
        """Return the config fields in `dagster.yaml`; the folder defaults to the home's."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PooledSqliteEventLogStorage:
        """Build the storage from its entry in `dagster.yaml`."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.pop(shard, None) or self._open(shard)
            self._engines[shard] = engine
            if len(self._engines) > 4:
                self._engines.pop(next(iter(self._engines))).dispose()
            with engine.connect() as connection, connection.begin():
                yield connection

    def _open(self, shard: str) -> Engine:
        options = {"timeout": 60, "check_same_thread": False}
        engine = create_engine(self.conn_string_for_shard(shard), connect_args=options)
        # Commits are ordered by the write-ahead log; a power cut may lose the newest events.
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=NORMAL"))
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def has_table(self, table_name: str) -> bool:
        """Say whether the index has a table; a table that was found is not looked up again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close every connection."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()
