"""Concurrent SQL sessions on the lake, on the embedded engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import WeakSet

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine.duckdb_query import Query
from lakehouse_assets.errors import LakehouseError, QueryError, did_you_mean
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.snapshot import Snapshot
from lakehouse_assets.lake.views import View, views
from lakehouse_assets.query import policy
from lakehouse_assets.query.audit import Asked, Reader
from lakehouse_assets.query.catalog_answers import catalog_rows
from lakehouse_assets.query.deliveries import Deliveries
from lakehouse_assets.query.guard import guard
from lakehouse_assets.query.locked import locked_connection
from lakehouse_assets.query.statements import Named, Statement, creates, read_statement
from lakehouse_assets.query.user_views import UserViews, read_views
from lakehouse_assets.query.watch import Watch

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.engine.duckdb import DuckDBEngine

Parameters = Sequence[Any] | Mapping[str, Any]
_CANCELLED = "The statement was cancelled."
_CLOSED = "The session was closed."


class Answer(NamedTuple):
    """The rows of a statement.

    Attributes:
        rows: The rows as a stream; column names may repeat.
        of_catalog: Whether they list tables, versions or columns; such lists are shown in full.
    """

    rows: pa.RecordBatchReader
    of_catalog: bool = False


class Sessions:
    """Sessions on one lake, which share the embedded engine's memory and threads.

    A statement reads each of its tables at one version: the newest when it starts. Only the logs of
    these tables are opened.

    Args:
        lake: The lake, on the embedded engine.
        timeout: Most seconds for a statement.
        key: Key for the hashes of masked values; None for a random one.
        audit: Records statements.
        views: Users' views; None reads those in the lake at each statement.
        deliveries: Delivered files, which only the owner may read.

    Raises:
        LakehouseError: the lake is on another engine.
    """

    def __init__(
        self,
        lake: Lake,
        timeout: float | None = None,
        key: str | None = None,
        audit: Callable[[Asked], None] | None = None,
        views: UserViews | None = None,
        deliveries: Deliveries | None = None,
    ) -> None:
        if lake.engine.name != "duckdb":
            raise LakehouseError(
                "SQL sessions need the embedded engine; set LAKEHOUSE_ENGINE=duckdb."
            )
        self.lake = lake
        self.engine = cast("DuckDBEngine", lake.engine)
        self.timeout = timeout
        self.key = policy.hash_key(key)
        self.audit = audit
        self._views = views
        self._deliveries = deliveries
        policy.prepare(self.engine.cursor(), self.key)
        self._sessions: WeakSet[Session] = WeakSet()
        # The engine prepares one statement at a time; they run at the same time.
        self._lock = Lock()

    def open(
        self,
        access: Access | None = None,
        *,
        guarded: bool = False,
        confined: bool = False,
        reader: Reader | None = None,
    ) -> Session:
        """Open a session.

        Args:
            access: The role; None for the owner, who may read everything.
            guarded: Whether the owner is also limited to SELECT on the lake. Otherwise, the owner's
                statements can do all that DuckDB can.
            confined: Whether the owner's statements may only read, and only from the lake. This
                also applies to all later statements on the engine.
            reader: The user, for the audit log; by default the user of this process.
        """
        guarded = guarded or access is not None
        session = Session(self, access, guarded, confined, reader or Reader.here())
        self._sessions.add(session)
        return session

    def close(self) -> None:
        """Stop every statement."""
        for session in list(self._sessions):
            session.close()

    def views(self) -> UserViews:
        """Return the views of users."""
        return self._views or UserViews(read_views(self.lake), self.lake.registry)

    def catalog_of(self, statement: Statement) -> str:
        """Return a catalog with the tables that a statement names, at their newest versions.

        Raises:
            LakehouseError: a table cannot be read.
        """
        files = {}
        for name, (dataset, day) in statement.files.items():
            if self._deliveries is None:
                raise LakehouseError(
                    "Delivered files can be queried only by `lakehouse sql` and Python."
                )
            files[name] = self._deliveries.query(dataset, day)
        others = {**files, **statement.views}
        snapshot = Snapshot(self.lake)
        with self._lock:
            key = tuple(
                (name, named, snapshot.versions(*named)) for name, named in statement.names.items()
            )
            return self.engine.catalog_of(
                (self.lake.root, key, tuple(others.items())),
                lambda: _frames(snapshot, statement),
                others,
            )


@dataclass(eq=False)
class Session:
    """Runs the statements of one user, several at a time; see `Sessions.open`."""

    _sessions: Sessions
    _access: Access | None
    _guarded: bool
    _confined: bool
    _reader: Reader
    _running: WeakSet[Query] = field(default_factory=WeakSet)
    _closed: bool = False

    def run(self, text: str, parameters: Parameters = (), batch_rows: int = 10_000) -> Answer:
        """Run one statement.

        `show tables`, `describe <table>` and `describe history <table>` cover only the lake's
        tables.

        Args:
            text: The statement, in DuckDB's dialect.
            parameters: Values of `?` and `$1`, or of `$name`.
            batch_rows: Rows of a batch.

        Raises:
            LakehouseError: the text is not exactly one statement, or the statement is refused,
                fails, is cancelled or times out. The last three errors may occur while rows are
                read.
        """
        with Watch(self._reader, self._access, self._sessions.audit) as watch:
            statement = self._read(text, watch)
            if statement.kind != "rows":
                return Answer(watch.rows_of(self._of_catalog(statement)), True)
            with _suggestions(self._sessions.lake, statement, self._sees):
                rows = self._prepare(statement).run(
                    statement.text,
                    parameters,
                    self._sessions.timeout,
                    batch_rows,
                    select_only=self._confined,
                )
            return Answer(watch.rows_of(rows))

    def describe(self, text: str, parameters: Parameters | None = None) -> pa.Schema:
        """Return the columns of a statement's rows without computing them.

        Args:
            text: The statement.
            parameters: Values of its parameters; None if they are not known.

        Raises:
            LakehouseError: as for `run`.
        """
        statement = self._read(text, Watch(self._reader, self._access, None))
        if statement.kind != "rows":
            return self._of_catalog(statement).schema
        with _suggestions(self._sessions.lake, statement, self._sees):
            return self._prepare(statement).describe(statement.text, parameters)

    def cancel(self) -> None:
        """Stop the running statements, from another thread."""
        self._stop(_CANCELLED)

    def close(self) -> None:
        """Stop the running statements, and refuse further ones."""
        self._closed = True
        self._stop(_CLOSED)

    def _stop(self, reason: str) -> None:
        for query in list(self._running):
            query.stop(QueryError(reason, sqlstate="57014"))

    def _of_catalog(self, statement: Statement) -> pa.RecordBatchReader:
        return catalog_rows(self._sessions.lake, statement, self._sessions.views(), self._sees)

    def _sees(self, table: Table) -> bool:
        """Whether the role may see a table."""
        return self._access is None or table in self._access.tables

    def _read(self, text: str, watch: Watch) -> Statement:
        """Parse and check a statement; for a role, rewrite its tables."""
        if self._closed:
            raise QueryError(_CLOSED, sqlstate="57014")
        known, users = views(self._sessions.lake.registry), self._sessions.views()
        statement = watch.of(read_statement(text, self._sessions.lake.registry, users=users))
        if statement.kind == "history" and self._access is not None:
            raise QueryError("Only the lake's owner may read a table's history.", sqlstate="42501")
        if not self._guarded:
            _require_lake(self._sessions.lake)
            if not self._confined and creates(statement.text):
                raise QueryError(
                    "Nothing that a statement creates is kept, because each has a database of its "
                    "own; use `lakehouse views create`, or COPY (SELECT ...) TO a file."
                )
        if statement.kind != "rows" or not self._guarded:
            return statement
        earlier = {name: named.view for name, named in statement.names.items()}
        # None is what only the owner may read.
        files = dict.fromkeys(statement.files)
        possible = {**known, **earlier, **statement.views, **files}
        guarded = guard(statement.text, self._access, possible)
        return watch.of(
            replace(
                statement,
                text=guarded.sql,
                names={
                    name: statement.names.get(name) or Named(known[name])
                    for name in guarded.names
                    if name not in files
                },
                columns=guarded.columns,
                views={},
            )
        )

    def _prepare(self, statement: Statement) -> Query:
        """Prepare a statement; a role's runs on a connection with only the role's data."""
        engine, catalog = self._sessions.engine, self._sessions.catalog_of(statement)
        if self._access is None:
            query = engine.query_on(catalog)
            if self._confined:
                engine.confine(self._sessions.lake.root)
        else:

            def read(sql: str) -> pa.RecordBatchReader:
                source = engine.query_on(catalog)
                self._running.add(source)
                return source.run(sql, timeout=self._sessions.timeout)

            names = {name: named.view for name, named in statement.names.items()}
            cursor = locked_connection(
                self._access, names, statement.columns, read, self._sessions.key
            )
            query = Query(cursor, nullcontext)
        self._running.add(query)
        return query


def ask(
    lake: Lake,
    text: str,
    *,
    confined: bool = False,
    audit: Callable[[Asked], None] | None = None,
    deliveries: Deliveries | None = None,
) -> Answer:
    """Run one statement of the lake's owner on the lake's own engine.

    Unless it is confined, the statement may read and write this machine's files.

    Args:
        lake: The lake.
        text: The statement, in the dialect of the lake's engine.
        confined: Whether it may only read, and only from the lake. This also applies to all later
            statements on the engine.
        audit: Records the statement.
        deliveries: Delivered files that it may read.

    Raises:
        LakehouseError: there is no lake, the text is not exactly one statement, or the statement
            fails. The last may be raised while rows are read.
    """
    engine = lake.engine
    if engine.name == "duckdb":
        sessions = Sessions(lake, audit=audit, deliveries=deliveries)
        return sessions.open(confined=confined).run(text)
    with Watch(Reader.here(), None, audit) as watch:
        users = UserViews(read_views(lake), lake.registry)
        statement = watch.of(read_statement(text, lake.registry, engine.name, users))
        _require_lake(lake)
        if statement.kind != "rows":
            return Answer(watch.rows_of(catalog_rows(lake, statement, users)), of_catalog=True)
        if statement.views or statement.files:
            raise LakehouseError(
                "Only the embedded engine reads users' views and delivered files; set "
                "LAKEHOUSE_ENGINE=duckdb."
            )
        if confined:
            # Queries can read everything that Spark's driver can.
            raise LakehouseError(
                "Spark cannot be confined to the lake; use the embedded engine for it "
                "(LAKEHOUSE_ENGINE=duckdb)."
            )
        with _suggestions(lake, statement):
            rows = engine.query(statement.text, _frames(Snapshot(lake), statement))
            return Answer(watch.rows_of(rows))


def _require_lake(lake: Lake) -> None:
    if isinstance(lake.location, Path) and not lake.location.is_dir():
        raise LakehouseError(
            f"There is no lake at {lake.root}; build it with `lakehouse run`, or correct "
            "LAKEHOUSE_ROOT."
        )


def _frames(snapshot: Snapshot, statement: Statement) -> dict[str, Any]:
    return {name: snapshot.frame(*named) for name, named in statement.names.items()}


@contextmanager
def _suggestions(
    lake: Lake, statement: Statement, sees: Callable[[Table], bool] = lambda _: True
) -> Iterator[None]:
    """Suggest similar names of the lake in errors about a name."""
    try:
        yield
    except QueryError as error:
        raise _explained(error, lake, statement, sees) from None


def _explained(
    error: QueryError, lake: Lake, statement: Statement, sees: Callable[[Table], bool]
) -> QueryError:
    if error.table is not None:
        dotted = "." in error.table
        known = (
            name
            for name, view in views(lake.registry).items()
            if ("." in name) == dotted and sees(view.table)
        )
        close = did_you_mean(error.table, known) or "."
        return QueryError(
            f'No table is called {error.table}{close} "show tables" lists all tables.',
            table=error.table,
            sqlstate="42P01",
        )
    if error.column is not None and statement.names:
        named = [named.view for named in statement.names.values()]
        columns = {name for view in named for name in view.columns}
        tables = ", ".join(sorted({view.name for view in named}))
        close = _delivered_as(error.column, named, lake) or did_you_mean(error.column, columns)
        first = min(view.name for view in named)
        return QueryError(
            f'No column is called {error.column} in {tables}{close or "."} "describe {first}" '
            "lists its columns.",
            column=error.column,
            sqlstate="42703",
        )
    return error


def _delivered_as(name: str, named: Sequence[View], lake: Lake) -> str:
    """Return the delivered name of a silver column if a quarantine table is asked for it."""
    for view in named:
        silver, suffix, _ = view.table.full_name.rpartition("_quarantine")
        typed = views(lake.registry).get(silver) if suffix else None
        column = typed.columns.get(name.lower()) if typed else None
        source = typed.table.column(column).source if typed and column else None
        if source in view.columns:
            return f"; quarantined rows have the delivered names, so write {source}."
    return ""
