"""The embedded engine: the PySpark DataFrame API on DuckDB through SQLFrame.

It needs no JVM and downloads nothing at run time: DuckDB's Delta reader comes from a wheel.
"""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from multiprocessing.util import Finalize
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, finalize

from lakehouse_assets.engine.base import BATCH_ROWS, SourceColumn
from lakehouse_assets.engine.batches import adding_columns, not_computed
from lakehouse_assets.engine.current import DataFrame
from lakehouse_assets.engine.duckdb_dialect import MACROS, DuckDBDialect
from lakehouse_assets.engine.duckdb_query import Query, one_sentence
from lakehouse_assets.engine.duckdb_readers import UNCHECKED, load_delta
from lakehouse_assets.engine.duckdb_sql import first_line, identifier, literal, new_name, run
from lakehouse_assets.engine.duckdb_store import DuckDBStores
from lakehouse_assets.engine.duckdb_unions import Unions
from lakehouse_assets.engine.lineage import Relation, columns_of_query
from lakehouse_assets.engine.scoped_resources import ScopedResources
from lakehouse_assets.engine.sqlframe_patches import apply_patches, frame_of
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse_assets.catalog.registry import Column

_Results = TypeVar("_Results")
# Table versions that stay attached; more than one run reads.
_MOST_SNAPSHOTS = 64
# Views of table versions; more than all frames that are in use at a time read.
_MOST_SCANS = 1_000
# Catalogs of names that stay; more than statements are prepared at one moment.
_MOST_CATALOGS = 256


class DuckDBEngine:
    """One DuckDB session for the process.

    Args:
        memory_limit: Memory that DuckDB may use before it spills to disk, e.g. `4GB`.
        threads: Worker threads; 0 means every core.
    """

    name = "duckdb"

    def __init__(self, memory_limit: str = "4GB", threads: int = 0) -> None:
        import duckdb
        from sqlframe.duckdb import DuckDBSession, Window, functions

        self._spill = tempfile.TemporaryDirectory(prefix="lakehouse-duckdb-")
        # The engine lives as long as its process, so nothing closes it. Forked processes, such as
        # Dagster's run workers, do not run `atexit` functions when they end.
        Finalize(None, self._spill.cleanup, exitpriority=0)
        try:
            self._connection = duckdb.connect(
                config={
                    "memory_limit": memory_limit,
                    "threads": threads or os.cpu_count() or 1,
                    "temp_directory": self._spill.name,
                    "preserve_insertion_order": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                    **UNCHECKED,
                }
            )
        except duckdb.Error as error:
            raise LakehouseError(
                f"The embedded engine cannot start: {first_line(error)}; check "
                "LAKEHOUSE_MEMORY_LIMIT (such as 4GB) and LAKEHOUSE_THREADS."
            ) from error
        load_delta(self._connection)
        # Global, because cursors would otherwise start with the time zone of the machine.
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        apply_patches()
        for macro in MACROS:
            self._connection.execute(macro)
        self._session = DuckDBSession(conn=self._connection)
        self.functions = functions
        self.window = Window
        self.dialect = DuckDBDialect()
        self._stores = DuckDBStores(self._connection)
        self.open_store = self._stores.open
        self.address = self._stores.address
        self._snapshots: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._scans: dict[tuple[str, int, str, tuple[str, ...]], str] = {}
        self._relations: dict[str, Relation] = {}
        self._scoped: ScopedResources[str] = ScopedResources(self._free)
        self._unions = Unions()
        self._catalogs: OrderedDict[Hashable, tuple[str, str]] = OrderedDict()
        # One write needs a plan's SQL several times.
        self._queries: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def sql_of(self, frame: DataFrame) -> str:
        """Return a frame's query in DuckDB's dialect."""
        query = self._queries.get(frame)
        if query is None:
            try:
                # DuckDB optimises the query, so SQLFrame need not.
                query = frame.sql(dialect="duckdb", optimize=False, pretty=False)
            except TypeError as error:
                # SQLFrame looks up types to distinguish keys from positions, which fails with the
                # compiled sqlglot.
                raise LakehouseError(
                    "The embedded engine does not support access to elements of arrays and maps; "
                    "use split_part for parts of a text, and explode for elements of an array."
                ) from error
            self._queries[frame] = query
        return query

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DataFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""
        names = tuple(column.name for column in columns)
        # One view per location: two lakes may have tables of the same name and version.
        key = (uri, version, table, names)
        name = self._scans.get(key)
        if name is None:
            name = new_name(f"scan_{table}")
            self._show_scan(name, names, self._attached(uri, version))
            self._scans[key] = name
            if len(self._scans) > _MOST_SCANS:
                dropped = self._scans.pop(next(iter(self._scans)))
                for catalog in [c for c, (_, q) in self._catalogs.items() if f'"{dropped}"' in q]:
                    self._drop_catalog(catalog)
                self._free(dropped)
            origins = {n: frozenset({SourceColumn(table, n)}) for n in names}
            types = {column.name: column.type for column in columns}
            self._relations[name] = Relation(origins, {table: version}, "VIEW", types)
        return frame_of(self._session, name, names)

    def _show_scan(self, name: str, columns: Sequence[str], source: str) -> None:
        selected = ", ".join(map(identifier, columns))
        self._run(f"CREATE OR REPLACE VIEW {name} AS SELECT {selected} FROM {source}")  # noqa: S608

    def _attached(self, uri: str, version: int) -> str:
        """Attach one version of a table, so that its log is read once instead of by every query."""
        name = self._snapshots.pop((uri, version), None)
        if name is None:
            name = new_name("delta")
            self._attach(uri, version, name)
        self._snapshots[uri, version] = name
        while len(self._snapshots) > _MOST_SNAPSHOTS:
            self._detach(*next(iter(self._snapshots)))
        return f"{name}.main.{name}"

    def _attach(self, uri: str, version: int, name: str) -> None:
        """Attach a version; the store is not accessed until a query runs."""
        run(
            self._connection,
            f"ATTACH {literal(self.address(uri))} AS {name} "
            f"(TYPE delta, PIN_SNAPSHOT true, VERSION {int(version)}, READ_ONLY)",
        )

    def _renew_stores(self) -> None:
        """Renew secrets, and re-attach the affected tables, which would keep the old ones."""
        for root in self._stores.renew():
            for (uri, version), name in list(self._snapshots.items()):
                if uri.startswith(f"{root}/"):
                    self._connection.execute(f"DETACH {name}")
                    self._attach(uri, version, name)

    def _detach(self, uri: str, version: int) -> None:
        """Detach a version; frames that still use it re-read its log.

        Its files may be gone meanwhile, because the table was deleted or its old versions purged.
        Only frames that still use it fail then.
        """
        import duckdb

        for (at, of, table, names), view in self._scans.items():
            if (at, of) == (uri, version):
                address = literal(self.address(uri))
                try:
                    self._show_scan(
                        view, names, f"delta_scan({address}, version => {int(version)})"
                    )
                except (duckdb.IOException, LakehouseError):
                    gone = literal(f"Version {version} of table {table} can no longer be read.")
                    values = ", ".join(f"error({gone}) AS {identifier(name)}" for name in names)
                    self._show_scan(view, names, f"(SELECT {values})")
        self._run(f"DETACH {self._snapshots.pop((uri, version))}")

    def from_arrow(
        self, data: pa.Table | pa.RecordBatchReader, table: str | None = None
    ) -> DataFrame:
        """Make a frame of Arrow data; its rows are kept until the scope ends."""
        name = new_name("checkpoint")
        arrow_input = f"arrow_{name}"
        self._connection.register(arrow_input, data)
        try:
            self._run(f"CREATE TABLE {name} AS SELECT * FROM {arrow_input}")  # noqa: S608
        finally:
            self._connection.unregister(arrow_input)
        self._scoped.add(name)
        return self._delivered_frame(name, "TABLE", data.schema.names, table)

    def _delivered_frame(
        self, name: str, kind: str, columns: Sequence[str], table: str | None = None
    ) -> DataFrame:
        """Make a frame of data that is in no stored table, or has no rows of one."""
        origins = {
            column: frozenset({SourceColumn(table, column)} if table else ()) for column in columns
        }
        self._relations[name] = Relation(origins, {}, kind)
        return frame_of(self._session, name, columns)

    def _types(self, name: str) -> Mapping[str, str]:
        """Return the column types of a table or view; DuckDB plans the whole view for that."""
        relation = self._relations[name]
        if relation.types is None:
            rows = self._connection.execute(f"DESCRIBE {identifier(name)}").fetchall()
            relation.types = {str(row[0]): _spark_type(str(row[1])) for row in rows}
        return relation.types

    def checkpoint(self, frame: DataFrame) -> DataFrame:
        """Compute a frame once and keep it until the scope ends."""
        return self._keep(frame, "TABLE")[1]

    def stage(self, frame: DataFrame) -> DataFrame:
        """End a frame's plan and start a new one, without computing; valid until the scope ends.

        SQLFrame copies the whole plan at each step, so building a plan takes time quadratic in its
        length. A view in between keeps plans short, and DuckDB optimises across it.
        """
        return self._keep(frame, "VIEW")[1]

    def union(self, frames: Sequence[DataFrame]) -> DataFrame:
        """Concatenate frames with the same columns, each as a stage of its own."""
        if len(frames) == 1:
            return frames[0]
        columns = list(frames[0].columns)
        stages = [self._keep(frame.select(*columns), "VIEW")[0] for frame in frames]
        name = new_name("stage")
        selected = ", ".join(identifier(column) for column in columns)
        parts = " UNION ALL ".join(f"SELECT {selected} FROM {part}" for part in stages)  # noqa: S608
        self._run(f"CREATE VIEW {name} AS {parts}")
        self._scoped.add(name)
        self._unions.note_parts(name, {stage: self._types(stage) for stage in stages})
        reads = (self._relations[part].versions.items() for part in stages)
        versions = dict(chain.from_iterable(reads))
        self._relations[name] = Relation(parts, versions, "VIEW")
        return frame_of(self._session, name, columns)

    def add_columns(
        self,
        frame: DataFrame,
        needed: Sequence[str],
        added: pa.Schema,
        compute: Callable[[pa.RecordBatch], pa.RecordBatch],
    ) -> DataFrame:
        """Compute columns in Python, batch by batch, once; they are kept until the scope ends.

        One batch is in Python's memory at a time.
        """
        import duckdb
        import pyarrow as pa

        plan, versions = self.sql_of(frame), self.versions_read(frame)
        given = self.arrow_stream(frame)
        failed: list[Exception] = []

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from adding_columns(needed, added, compute)(given)
            except Exception as error:
                # DuckDB wraps it in an error of its own.
                failed.append(error)
                raise

        schema = pa.schema([*given.schema, *added])
        try:
            wider = self.from_arrow(pa.RecordBatchReader.from_batches(schema, batches()))
        except duckdb.Error:
            if failed:
                raise not_computed(added, str(failed[0])) from failed[0]
            raise
        name = self._scoped.last
        kept = ", ".join(map(identifier, given.schema.names))
        source = f"concat({', '.join(map(identifier, needed))})"
        new = ", ".join(f"{source} AS {identifier(column)}" for column in added.names)
        computed = f"SELECT {kept}, {new} FROM ({plan}) AS given"  # noqa: S608
        self._relations[name] = Relation(computed, versions, "TABLE")
        return wider

    def _keep(self, frame: DataFrame, kind: str) -> tuple[str, DataFrame]:
        """Create a table or view of a frame's rows; return its name, and a frame of it."""
        name = new_name("checkpoint" if kind == "TABLE" else "stage")
        versions = self.versions_read(frame)
        query = self.sql_of(frame)
        self._run(f"CREATE {kind} {name} AS {query}")
        self._scoped.add(name)
        if kind == "VIEW":
            self._unions.note(name, query)
        self._relations[name] = Relation(query, versions, kind)
        columns = frame.columns
        # DuckDB renames unnamed and duplicate columns.
        named = "" not in columns and len({*columns}) == len(columns)
        return name, frame_of(self._session, name, columns if named else list(self._types(name)))

    def prepared(self, transform: Callable[..., _Results]) -> Callable[..., _Results]:
        """Return a transformation whose plan is views over its inputs, which are replaced."""
        names: dict[str, str] = {}
        made: list[_Results] = []
        held: list[str] = []

        def apply(**frames: DataFrame) -> _Results:
            for key, frame in frames.items():
                name = names.setdefault(key, new_name("input"))
                self._run(f"CREATE OR REPLACE VIEW {name} AS {self.sql_of(frame)}")
                if not made:
                    self._delivered_frame(name, "VIEW", frame.columns)
                    # The call before may have failed after this view was made.
                    if name not in held:
                        held.append(name)
            if not made:
                with self._scoped.apart() as kept:
                    inputs = {
                        key: frame_of(self._session, names[key], frame.columns)
                        for key, frame in frames.items()
                    }
                    made.append(transform(**inputs))
                held.extend(kept)
            return made[0]

        finalize(apply, self._scoped.abandon, held)
        return apply

    def scope(self) -> AbstractContextManager[None]:
        """Open a scope; frames that are kept inside are freed when it ends."""
        return self._scoped.scope()

    def _free(self, name: str) -> None:
        self._connection.execute(f"DROP {self._relations.pop(name).kind} IF EXISTS {name}")
        self._unions.forget(name)

    def arrow_stream(self, frame: DataFrame) -> pa.RecordBatchReader:
        """Run a frame and stream its rows on a cursor of its own, which leaves the session free."""
        import pyarrow as pa

        first, *others = self._unions.apart(self.sql_of(frame))
        reader = self._reader(first)
        if not others:
            return reader
        following = (batch for query in others for batch in self._reader(query))
        return pa.RecordBatchReader.from_batches(reader.schema, chain(reader, following))

    def _reader(self, query: str) -> pa.RecordBatchReader:
        reader = self._run(query, self.cursor()).to_arrow_reader(BATCH_ROWS)
        return self._stores.explaining(reader) if self._stores else reader

    def rows(self, frame: DataFrame) -> list[dict[str, Any]]:
        """Run a small frame and return its rows."""
        return list(self.arrow_stream(frame).read_all().to_pylist())

    def _run(
        self, query: str, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Run a statement with current secrets."""
        self._renew_stores()
        with self._stores.explained():
            return run(connection or self._connection, query)

    def query(
        self, sql: str, frames: Mapping[str, DataFrame] | None = None
    ) -> pa.RecordBatchReader:
        """Run one SQL statement over named frames and stream its rows.

        Args:
            sql: The statement.
            frames: Frames by SQL name: `domain.table` or a plain name.

        Raises:
            QueryError: the statement fails, at once or while rows are read.
        """
        return self.query_on(self.catalog_of(object(), lambda: frames or {})).run(sql)

    def catalog_of(
        self,
        key: Hashable,
        frames: Callable[[], Mapping[str, DataFrame]],
        views: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Return the name of a catalog with the named frames and no others.

        Statements on it see the same versions until they end, whatever others do meanwhile.

        Args:
            key: Identifies the names and the versions that they mean; a catalog with the same key
                is used again.
            frames: Makes the frames by SQL name.
            views: Queries over those names, by a further name each; later ones may read earlier.
        """
        self._renew_stores()
        if key not in self._catalogs:
            self._catalogs[key] = self._new_catalog(frames(), views)
        self._catalogs.move_to_end(key)
        while len(self._catalogs) > _MOST_CATALOGS:
            self._drop_catalog(next(iter(self._catalogs)))
        return self._catalogs[key][0]

    def query_on(self, catalog: str) -> Query:
        """Begin a statement on a catalog; several threads may."""
        return Query(self._on(catalog), self._stores.explained)

    def script(self, statements: Iterable[str]) -> None:
        """Run statements one by one, on a connection of their own.

        Raises:
            LakehouseError: a statement fails; those before it stay done.
        """
        import duckdb

        with self.cursor() as cursor:
            try:
                for statement in statements:
                    self._run(statement, cursor)
            except duckdb.Error as error:
                raise LakehouseError(f"The embedded engine failed: {first_line(error)}.") from error

    def named_frame(self, name: str, columns: Sequence[str]) -> DataFrame:
        """Make a frame of `domain.table`, which need not exist, for `sql_of`."""
        return frame_of(self._session, name, columns)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a further connection to the engine's instance of DuckDB."""
        return self._connection.cursor()

    def _new_catalog(
        self, frames: Mapping[str, DataFrame], views: Mapping[str, str]
    ) -> tuple[str, str]:
        """Create a catalog with a view for each name; return its name and the views' queries.

        Raises:
            QueryError: a query does not run, such as one on a view that was dropped.
        """
        import duckdb

        catalog = new_name("names")
        self._connection.execute(f"ATTACH ':memory:' AS {catalog}")
        queries = {**{name: self.sql_of(frame) for name, frame in frames.items()}, **views}
        try:
            with self._on(catalog) as cursor:
                for name, query in queries.items():
                    schema, _, plain = name.rpartition(".")
                    schema = schema or "main"
                    self._run(f"CREATE SCHEMA IF NOT EXISTS {catalog}.{identifier(schema)}", cursor)
                    place = f"{catalog}.{identifier(schema)}.{identifier(plain)}"
                    self._run(f"CREATE VIEW {place} AS {query}", cursor)
        except duckdb.Error as error:
            self._connection.execute(f"DETACH {catalog}")
            raise one_sentence(error) from None
        return catalog, "\n".join(queries.values())

    def _on(self, catalog: str) -> duckdb.DuckDBPyConnection:
        """Open a connection that looks for names in a catalog first."""
        cursor = self.cursor()
        cursor.execute(f"SET search_path = '{catalog}.main,memory.main'")
        return cursor

    def _drop_catalog(self, key: Hashable) -> None:
        """Drop a catalog; statements that run on it are not disturbed."""
        self._connection.execute(f"DETACH {self._catalogs.pop(key)[0]}")

    def confine(self, root: str) -> None:
        """Restrict queries permanently to reading the lake at a root."""
        lake, spill = (f"{self.address(at).rstrip('/')}/" for at in (root, self._spill.name))
        for setting in (
            f"allowed_directories = [{literal(lake)}, {literal(spill)}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._connection.execute(f"SET {setting}")

    def lineage(self, frame: DataFrame) -> dict[str, frozenset[SourceColumn]]:
        """Derive, from the plan, which stored columns each output column comes from."""
        return columns_of_query(self.sql_of(frame), self._relations)

    def versions_read(self, frame: DataFrame) -> dict[str, int]:
        """Return the Delta versions that the frame's plan reads, by table name."""
        query = self.sql_of(frame)
        found: dict[str, int] = {}
        for name, relation in self._relations.items():
            if f'"{name}"' in query:
                found |= relation.versions
        return found


def _spark_type(duckdb_type: str) -> str:
    names = {
        "VARCHAR": "string", "BIGINT": "bigint", "INTEGER": "int", "DOUBLE": "double",
        "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP WITH TIME ZONE": "timestamp",
        "TIMESTAMP": "timestamp_ntz", "VARCHAR[]": "array<string>",
    }  # fmt: skip
    return names.get(duckdb_type, duckdb_type.lower())
