"""Runs statements on the lake, or on the system tables of a role."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.catalog.access import OWNER
from lakehouse_assets.endpoint.relations import relations_of
from lakehouse_assets.endpoint.results import Rows
from lakehouse_assets.endpoint.settings import DEFAULTS
from lakehouse_assets.endpoint.system_queries import VECTORS, Facts, system_query
from lakehouse_assets.endpoint.system_tables import Relation, database_of, numbers_of_tables
from lakehouse_assets.engine.duckdb_query import Query
from lakehouse_assets.query.audit import Reader

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.catalog.access import Access
    from lakehouse_assets.query.session import Session, Sessions
    from lakehouse_assets.query.users import User, Users

# How long the system tables may lack a table that was just built or granted.
_FRESH_SECONDS: Final = 10.0
_BATCH: Final = 10_000
_INT2VECTOR: Final = 22
Stop = Callable[[], None]


@dataclass(frozen=True)
class System:
    """The system tables of a role.

    Attributes:
        database: The tables.
        relations: The tables and views that they list.
        checked: Time of the list.
    """

    database: Any
    relations: tuple[Relation, ...]
    checked: float

    @property
    def schemas(self) -> list[str]:
        """Names of the schemas with tables."""
        return sorted({relation.schema for relation in self.relations})

    def query(self) -> Query:
        """Begin a query on the tables, in DuckDB's SQL."""
        return Query(self.database.cursor(), nullcontext)


@dataclass(eq=False)
class Source:
    """Runs statements of users.

    Args:
        sessions: Sessions on the lake, which restrict statements to a role.
        users: All users.
        roles: The roles by name.
        access: Way of access, for the audit log.
    """

    _sessions: Sessions
    _users: Users
    _roles: Mapping[str, Access]
    _access: str
    _numbers: dict[str, int] = field(default_factory=numbers_of_tables)
    _systems: dict[tuple[str, str], System] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, text: str, user: User, facts: Facts, running: Callable[[Stop], None]) -> Rows:
        """Start a statement; its rows are computed as they are read.

        Args:
            text: The statement.
            user: The user who runs it.
            facts: Functions about the session.
            running: Receives the function that stops the statement, before it starts.

        Raises:
            LakehouseError: it is refused or fails.
        """
        of_system = system_query(text, self._numbers, facts)
        if of_system is not None:
            query = self.system(user).query()
            running(query.close)
            rows = query.run(of_system, batch_rows=_BATCH)
            return Rows(rows.schema, rows, query.close, dict.fromkeys(VECTORS, _INT2VECTOR))
        session = self.open(user)
        running(session.cancel)
        answer = session.run(text, batch_rows=_BATCH)
        return Rows(answer.rows.schema, answer.rows, session.cancel)

    def describe(self, text: str, user: User, facts: Facts) -> pa.Schema:
        """Return the columns of a statement without running it.

        Raises:
            LakehouseError: it is refused.
        """
        of_system = system_query(text, self._numbers, facts)
        if of_system is not None:
            return self.system(user).query().describe(of_system)
        return self.open(user).describe(text)

    def open(self, user: User) -> Session:
        """Open a read-only session with the user's role."""
        access = None if user.role == OWNER else self._roles[user.role]
        reader = Reader(user.name, self._access)
        return self._sessions.open(access, guarded=True, reader=reader)

    def system(self, user: User) -> System:
        """Return the system tables of a user."""
        owner = user.role == OWNER
        # The owner sees all users, others only themselves.
        key = (user.role, "" if owner else user.name)
        with self._lock:
            known = self._systems.get(key)
            if known and time.monotonic() - known.checked < _FRESH_SECONDS:
                return known
            lake = self._sessions.lake
            relations = tuple(relations_of(self.open(user), lake.registry))
            if known and known.relations == relations:
                database = known.database
            else:
                shown = {n: u.role == OWNER for n, u in self._users.items() if owner or u == user}
                database = database_of(relations, shown, DEFAULTS)
            self._systems[key] = System(database, relations, time.monotonic())
            return self._systems[key]
