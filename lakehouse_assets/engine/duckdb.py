"""The embedded engine: the PySpark DataFrame API on DuckDB.

Belongs here: the DuckDB session, its scans, Arrow in and out, what it keeps. Not here: the API
(`duckdb_frames.py`, `duckdb_columns.py`, `duckdb_functions.py`), CSV (`duckdb_csv.py`), the
vocabulary (`duckdb_dialect.py`), rules, tables, Dagster. There is no JVM, and nothing is downloaded
at run time: DuckDB's Delta reader comes from a wheel.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine import duckdb_functions
from lakehouse_assets.engine.base import CsvFile, CsvRead, SourceColumn
from lakehouse_assets.engine.batches import adding_columns, folding, not_computed
from lakehouse_assets.engine.duckdb_columns import Window
from lakehouse_assets.engine.duckdb_csv import CsvLoader
from lakehouse_assets.engine.duckdb_dialect import MACROS, DuckDBDialect
from lakehouse_assets.engine.duckdb_frames import DuckDBFrame, union
from lakehouse_assets.engine.duckdb_sql import first_line, identifier, literal, new_name, run
from lakehouse_assets.engine.duckdb_store import DuckDBStores
from lakehouse_assets.engine.kept import Kept
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse_assets.lake.registry import Column

# Versions of tables kept open: more than one run reads.
_MOST_SNAPSHOTS = 64


@dataclass(frozen=True)
class _Stored:
    """A table or view that is kept until its scope ends."""

    kind: str
    name: str


class DuckDBEngine:
    """One DuckDB session for the process.

    Args:
        memory_limit: What DuckDB may hold in memory before it spills, e.g. `4GB`.
        threads: Worker threads; 0 means every core.
    """

    name = "duckdb"

    def __init__(self, memory_limit: str = "4GB", threads: int = 0) -> None:
        import duckdb
        import duckdb_extensions

        self._spill = tempfile.TemporaryDirectory(prefix="lakehouse-duckdb-")
        # An engine lives as long as its process, so that nobody closes it.
        atexit.register(self._spill.cleanup)
        try:
            self._connection = duckdb.connect(
                config={
                    "memory_limit": memory_limit,
                    "threads": threads or os.cpu_count() or 1,
                    "temp_directory": self._spill.name,
                    "preserve_insertion_order": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                }
            )
        except duckdb.Error as error:
            raise LakehouseError(
                f"The embedded engine does not start: {first_line(error)}; check "
                "LAKEHOUSE_MEMORY_LIMIT (such as 4GB) and LAKEHOUSE_THREADS."
            ) from error
        duckdb_extensions.import_extension("delta", con=self._connection)
        self._connection.execute("LOAD delta")
        self._connection.execute("SET TimeZone = 'UTC'")
        for macro in MACROS:
            self._connection.execute(macro)
        self.functions = duckdb_functions
        self.window = Window
        self.dialect = DuckDBDialect()
        self._stores = DuckDBStores(self._connection)
        self._snapshots: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._scans: dict[tuple[str, int, str, tuple[str, ...]], str] = {}
        self._kept: Kept[_Stored] = Kept(self._free)

    def open_store(
        self,
        root: str,
        address: str,
        secret: Callable[[], Mapping[str, str]],
        explained: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Read tables below a root in an object store from now on.

        Args:
            root: Location as the lake names it.
            address: The same for DuckDB.
            secret: Gives the current fields of DuckDB's secret.
            explained: Turns the store's refusals into sentences.

        Raises:
            LakehouseError: DuckDB's reader for such stores is not installed.
        """
        self._stores.open(root, address, secret, explained)

    def close_stores(self) -> None:
        """Leave every store; frames that read one cannot be read any more."""
        for root in self._stores.close():
            for uri, version in list(self._snapshots):
                if uri.startswith(f"{root}/"):
                    self._run(f"DETACH {self._snapshots.pop((uri, version))}")
            for key in [key for key in self._scans if key[0].startswith(f"{root}/")]:
                self._run(f"DROP VIEW {self._scans.pop(key)}")

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DuckDBFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""
        names = tuple(column.name for column in columns)
        # A view of its own per place: two lakes may hold a table of one name at one version.
        key = (uri, version, table, names)
        name = self._scans.get(key)
        if name is None:
            name = new_name(f"scan_{table}")
            self._show_scan(name, names, self._attached(uri, version))
            self._scans[key] = name
        origins = {n: frozenset({SourceColumn(table, n)}) for n in names}
        return DuckDBFrame.of_relation(name, origins, {table: version})

    def _show_scan(self, name: str, columns: Sequence[str], source: str) -> None:
        selected = ", ".join(map(identifier, columns))
        self._run(f"CREATE OR REPLACE VIEW {name} AS SELECT {selected} FROM {source}")  # noqa: S608

    def _attached(self, uri: str, version: int) -> str:
        """Attach one version of a table, so that its log is read once and not by every query."""
        name = self._snapshots.pop((uri, version), None)
        if name is None:
            name = new_name("delta")
            self._attach(uri, version, name)
        self._snapshots[uri, version] = name
        while len(self._snapshots) > _MOST_SNAPSHOTS:
            self._detach(*next(iter(self._snapshots)))
        return f"{name}.main.{name}"

    def _attach(self, uri: str, version: int, name: str) -> None:
        """Attach a version; nothing is asked of a store before a query does."""
        run(
            self._connection,
            f"ATTACH {literal(self._stores.address(uri))} AS {name} "
            f"(TYPE delta, PIN_SNAPSHOT true, VERSION {int(version)}, READ_ONLY)",
        )

    def _renew_stores(self) -> None:
        """Let DuckDB in anew where a token was renewed: what is attached keeps the old one."""
        for root in self._stores.renew():
            for (uri, version), name in list(self._snapshots.items()):
                if uri.startswith(f"{root}/"):
                    self._connection.execute(f"DETACH {name}")
                    self._attach(uri, version, name)

    def _detach(self, uri: str, version: int) -> None:
        """Let go of a version; frames that still read it read its log anew."""
        for (at, of, _table, names), view in self._scans.items():
            if (at, of) == (uri, version):
                place = literal(self._stores.address(uri))
                source = f"delta_scan({place}, version => {int(version)})"
                self._show_scan(view, names, source)
        self._run(f"DETACH {self._snapshots.pop((uri, version))}")

    def read_csv(self, files: Sequence[CsvFile], columns: Sequence[str]) -> CsvRead:
        """Read CSV files as text, rows numbered per file in `_row_number`, bad lines apart."""
        loader = CsvLoader(
            self._connection, columns, lambda table: self._kept.add(_Stored("TABLE", table))
        )
        query, types = loader.load(files)
        name = new_name("checkpoint")
        self._run(f"CREATE VIEW {name} AS {query}")
        self._kept.add(_Stored("VIEW", name))
        return CsvRead(
            rows=_delivered_frame(name, types, holds_union=" UNION " in query),
            malformed=loader.malformed,
            counts=loader.counts,
            unsure=frozenset(loader.unsure),
        )

    def from_arrow(self, data: pa.Table | pa.RecordBatchReader) -> DuckDBFrame:
        """Take Arrow data in; it is kept until the scope ends."""
        return _delivered_frame(self._take(data), data.schema.names)

    def _take(self, data: pa.Table | pa.RecordBatchReader) -> str:
        """Store Arrow data until the scope ends; return the name of its table."""
        name = new_name("checkpoint")
        arrow_input = f"arrow_{name}"
        self._connection.register(arrow_input, data)
        try:
            self._run(f"CREATE TABLE {name} AS SELECT * FROM {arrow_input}")  # noqa: S608
        finally:
            self._connection.unregister(arrow_input)
        self._kept.add(_Stored("TABLE", name))
        return name

    def checkpoint(self, frame: DuckDBFrame, columns: Sequence[str] | None = None) -> DuckDBFrame:
        """Compute a frame once and keep it until the scope ends."""
        if columns is not None:
            frame = frame.select(*columns)
        name = new_name("checkpoint")
        self._run(f"CREATE TABLE {name} AS {frame.query}")
        self._kept.add(_Stored("TABLE", name))
        return DuckDBFrame.of_relation(name, frame.origins, frame.versions)

    def stage(self, frame: DuckDBFrame) -> DuckDBFrame:
        """Return the frame: however long its plan is, a step more costs what the step says."""
        return frame

    def union(self, frames: Sequence[DuckDBFrame]) -> DuckDBFrame:
        """Put the rows of frames with the same columns together."""
        return frames[0] if len(frames) == 1 else union(frames)

    def add_columns(
        self,
        frame: DuckDBFrame,
        needed: Sequence[str],
        added: pa.Schema,
        compute: Callable[[pa.RecordBatch], pa.RecordBatch],
    ) -> DuckDBFrame:
        """Compute columns in Python, batch by batch, once; they are kept until the scope ends.

        One batch is in Python's memory at a time.
        """
        import duckdb
        import pyarrow as pa

        given = self.arrow_stream(frame)
        failed: list[Exception] = []

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from adding_columns(needed, added, compute)(given)
            except Exception as error:
                # DuckDB tells of it as of an error of its own.
                failed.append(error)
                raise

        schema = pa.schema([*given.schema, *added])
        try:
            name = self._take(pa.RecordBatchReader.from_batches(schema, batches()))
        except duckdb.Error:
            if failed:
                raise not_computed(added, str(failed[0])) from failed[0]
            raise
        source = frozenset[SourceColumn]().union(*(frame.origins[column] for column in needed))
        origins = frame.origins | dict.fromkeys(added.names, source)
        return DuckDBFrame.of_relation(name, origins, frame.versions)

    def fold_batches(
        self,
        frame: DuckDBFrame,
        needed: Sequence[str],
        result: pa.Schema,
        compute: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    ) -> pa.Table:
        """Run Python over the rows as one part; one batch is in memory at a time."""
        import duckdb
        import pyarrow as pa

        given = self.arrow_stream(frame.select(*needed))
        try:
            found = list(folding(needed, result, compute)(given))
        except duckdb.Error:
            raise
        except Exception as error:
            raise not_computed(result, str(error)) from error
        return pa.Table.from_batches(found, schema=result)

    def scope(self) -> AbstractContextManager[None]:
        """Free what was checkpointed inside when it ends."""
        return self._kept.scope()

    def _free(self, stored: _Stored) -> None:
        self._connection.execute(f"DROP {stored.kind} IF EXISTS {stored.name}")

    def arrow_stream(self, frame: DuckDBFrame, batch_rows: int = 131_072) -> pa.RecordBatchReader:
        """Run a frame and stream its rows; a cursor of its own leaves the session free."""
        import pyarrow as pa

        first, *others = self._apart(frame)
        reader = self._reader(first, batch_rows)
        if not others:
            return reader
        following = (batch for part in others for batch in self._reader(part, batch_rows))
        return pa.RecordBatchReader.from_batches(reader.schema, chain(reader, following))

    def _apart(self, frame: DuckDBFrame) -> Sequence[DuckDBFrame]:
        """Return frames whose rows, one after the other, are those of a frame.

        A union's parts are asked for one by one, so that nothing has to be kept, if they agree in
        their columns' types.
        """
        kinds = {tuple(self._run(f"DESCRIBE {part.query}").fetchall()) for part in frame.united}
        return frame.united if len(kinds) == 1 else [frame]

    def _reader(self, frame: DuckDBFrame, batch_rows: int) -> pa.RecordBatchReader:
        result = self._run(frame.streamed_query, self._connection.cursor())
        reader = result.to_arrow_reader(batch_rows)
        return self._stores.explaining(reader) if self._stores else reader

    def rows(self, frame: DuckDBFrame) -> list[dict[str, Any]]:
        """Run a small frame and return its rows."""
        reader = self._run(frame.streamed_query).to_arrow_reader(10_000)
        with self._stores.explained():
            return list(reader.read_all().to_pylist())

    def _run(
        self, query: str, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Run a statement, let in anew where a token is near its end."""
        self._renew_stores()
        with self._stores.explained():
            return run(connection or self._connection, query)

    def query(self, sql: str) -> pa.Table:
        """Run one SQL statement over registered views and return all of its rows.

        Raises:
            LakehouseError: the SQL is wrong; the message is DuckDB's, which points at the place.
        """
        import duckdb

        self._renew_stores()
        try:
            with self._stores.explained():
                return self._connection.cursor().execute(sql).to_arrow_table()
        except duckdb.Error as error:
            raise LakehouseError(f"The query does not run: {error}") from None

    def name_view(self, name: str, frame: DuckDBFrame) -> None:
        """Give a frame a name that `query` knows; `domain.table` or a plain name."""
        parts = name.split(".")
        if len(parts) == 2:
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(parts[0])}")
        quoted = ".".join(identifier(part) for part in parts)
        self._connection.execute(f"CREATE OR REPLACE VIEW {quoted} AS {frame.query}")

    def lineage(self, frame: DuckDBFrame) -> dict[str, frozenset[SourceColumn]]:
        """Say which stored columns each output column comes from."""
        return dict(frame.origins)

    def versions_read(self, frame: DuckDBFrame) -> dict[str, int]:
        """Return the Delta versions that the frame's plan reads, by table name."""
        return dict(frame.versions)


def _delivered_frame(
    name: str, columns: Iterable[str], *, holds_union: bool = False
) -> DuckDBFrame:
    """Make a frame of data that comes from no stored table."""
    frame = DuckDBFrame.of_relation(name, dict.fromkeys(columns, frozenset()))
    frame.holds_union = holds_union
    return frame
