"""Sessions that ask the lake in SQL, many at once, on the embedded engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import WeakSet

from lakehouse_assets.errors import LakehouseError, QueryError, did_you_mean
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.snapshot import Snapshot, snapshot_of
from lakehouse_assets.lake.views import views
from lakehouse_assets.query.catalog_answers import catalog_rows
from lakehouse_assets.query.statements import Statement, read_statement

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.engine.duckdb import DuckDBEngine
    from lakehouse_assets.engine.duckdb_query import Query

Parameters = Sequence[Any] | Mapping[str, Any]
_CANCELLED = QueryError("The statement was cancelled.", sqlstate="57014")
_CLOSED = QueryError("The session was closed.", sqlstate="57014")


class Answer(NamedTuple):
    """The rows of a statement.

    Attributes:
        rows: The rows as a stream; column names may repeat.
        of_catalog: Whether they list tables, versions or columns, which are always shown in full.
    """

    rows: pa.RecordBatchReader
    of_catalog: bool = False


class Sessions:
    """Sessions on one lake, which share the embedded engine's memory and threads.

    Each statement reads the tables that it names at their newest versions, one version of each, as
    long as it runs. Only the logs of those tables are opened.

    Args:
        lake: The lake, on the embedded engine.
        timeout: Seconds that a statement may take, unless its session says otherwise.

    Raises:
        LakehouseError: the lake is on another engine.
    """

    def __init__(self, lake: Lake, timeout: float | None = None) -> None:
        if lake.engine.name != "duckdb":
            raise LakehouseError(
                "Sessions in SQL run on the embedded engine; set LAKEHOUSE_ENGINE=duckdb for them."
            )
        self.lake = lake
        self._engine = cast("DuckDBEngine", lake.engine)
        self._timeout = timeout
        self._sessions: WeakSet[Session] = WeakSet()
        # The engine prepares one statement at a time; they run at the same time.
        self._lock = Lock()

    def open(self, timeout: float | None = None) -> Session:
        """Open a session.

        Args:
            timeout: Seconds that a statement may take.
        """
        session = Session(self, self._timeout if timeout is None else timeout)
        self._sessions.add(session)
        return session

    def close(self) -> None:
        """Stop every statement."""
        for session in list(self._sessions):
            session.close()

    def prepare(self, statement: Statement) -> Query:
        """Prepare a statement at the newest versions of its tables.

        Raises:
            LakehouseError: a table cannot be read.
        """
        with self._lock:
            return prepare(self.lake, self._engine, statement)


class Session:
    """Statements of one user, of which several may run at once."""

    def __init__(self, sessions: Sessions, timeout: float | None) -> None:
        self._sessions = sessions
        self._timeout = timeout
        self._running: WeakSet[Query] = WeakSet()
        self._closed = False

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
                fails, is cancelled or takes too long. The last three may be raised while rows are
                read.
        """
        if self._closed:
            raise _CLOSED
        lake = self._sessions.lake
        statement = read_statement(text, lake.registry)
        if statement.kind != "rows":
            return Answer(catalog_rows(lake, statement), of_catalog=True)
        query = self._sessions.prepare(statement)
        self._running.add(query)
        try:
            return Answer(query.run(statement.text, parameters, self._timeout, batch_rows))
        except QueryError as error:
            raise _explained(error, lake, statement) from None

    def describe(self, text: str, parameters: Parameters | None = None) -> pa.Schema:
        """Return the columns of a statement's rows without computing them.

        Args:
            text: The statement.
            parameters: Values of its parameters; None if they are not known.

        Raises:
            LakehouseError: as for `run`.
        """
        lake = self._sessions.lake
        statement = read_statement(text, lake.registry)
        if statement.kind != "rows":
            return catalog_rows(lake, statement).schema
        query = self._sessions.prepare(statement)
        try:
            return query.describe(statement.text, parameters)
        except QueryError as error:
            raise _explained(error, lake, statement) from None

    def cancel(self) -> None:
        """Stop the statements that run now, from another thread."""
        for query in list(self._running):
            query.stop(_CANCELLED)

    def close(self) -> None:
        """Stop the statements that run, and refuse others."""
        self._closed = True
        for query in list(self._running):
            query.stop(_CLOSED)


def ask(lake: Lake, text: str, *, confined: bool = False) -> Answer:
    """Run one statement once, on the lake's own engine.

    This is for the lake's owner: unless it is confined, a statement may read and write this
    machine's files.

    Args:
        lake: The lake.
        text: The statement, in the dialect of the lake's engine.
        confined: Whether it may only read, and only from the lake. This applies to the process's
            engine from then on.

    Raises:
        LakehouseError: there is no lake, the text is not exactly one statement, or the statement
            fails. The last may be raised while rows are read.
    """
    engine = lake.engine
    statement = read_statement(text, lake.registry, engine.name)
    if isinstance(lake.location, Path) and not lake.location.is_dir():
        raise LakehouseError(
            f"There is no lake at {lake.root}; `lakehouse run` builds it, and LAKEHOUSE_ROOT says "
            "where it is."
        )
    if statement.kind != "rows":
        return Answer(catalog_rows(lake, statement), of_catalog=True)
    try:
        if engine.name == "duckdb":
            query = prepare(lake, cast("DuckDBEngine", engine), statement, confined=confined)
            return Answer(query.run(statement.text))
        if confined:
            engine.confine(lake.root)
        with snapshot_of(lake) as snapshot:
            return Answer(engine.query(statement.text, _frames(snapshot, statement)))
    except QueryError as error:
        raise _explained(error, lake, statement) from None


def prepare(
    lake: Lake, engine: DuckDBEngine, statement: Statement, *, confined: bool = False
) -> Query:
    """Prepare a statement that sees the tables that it names, at their newest versions."""
    with snapshot_of(lake) as snapshot:
        key = tuple(
            (name, named, snapshot.versions(*named)) for name, named in statement.names.items()
        )
        query = engine.prepare((lake.root, key), lambda: _frames(snapshot, statement))
    if confined:
        engine.confine(lake.root)
    return query


def _frames(snapshot: Snapshot, statement: Statement) -> dict[str, Any]:
    return {name: snapshot.frame(*named) for name, named in statement.names.items()}


def _explained(error: QueryError, lake: Lake, statement: Statement) -> LakehouseError:
    """Return an error that suggests names of the lake close to the unknown one."""
    if error.table is not None:
        dotted = "." in error.table
        known = (name for name in views(lake.registry) if ("." in name) == dotted)
        close = did_you_mean(error.table, known) or "."
        return QueryError(
            f'No table is called {error.table}{close} "show tables" lists what there is.',
            table=error.table,
            sqlstate="42P01",
        )
    if error.column is not None and statement.names:
        named = [named.view for named in statement.names.values()]
        columns = {name for view in named for name in view.columns}
        tables = ", ".join(sorted({view.name for view in named}))
        close = did_you_mean(error.column, columns) or "."
        first = min(view.name for view in named)
        return QueryError(
            f'No column is called {error.column} in {tables}{close} "describe {first}" lists '
            "what there is.",
            column=error.column,
            sqlstate="42703",
        )
    return error
