"""The embedded engine: the PySpark DataFrame API on DuckDB through SQLFrame.

Belongs here: the DuckDB session, its scans, its CSV reader, Arrow in and out, and the DuckDB forms
of the vocabulary. Not here: rules, tables, Dagster. No JVM, and nothing is downloaded at run time:
DuckDB's Delta reader comes from a wheel.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

from lakehouse_assets.engine.base import CsvFile, MalformedLine, SourceColumn
from lakehouse_assets.engine.lineage import columns_of_query
from lakehouse_assets.engine.types import Col, DataFrame
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse_assets.lake.registry import Column

_STRPTIME = {"yyyy": "%Y", "M": "%m", "d": "%d"}


class DuckDBDialect:
    """The vocabulary's functions as DuckDB runs them."""

    def trim(self, column: Col, characters: str) -> Col:
        """Trim any of the characters at both ends."""
        return _call("trim", column, characters)

    def parse_date(self, column: Col, formats: Sequence[str]) -> Col:
        """Parse with the first format that fits; years below 1000 are no four digits."""
        from sqlframe.duckdb import functions as F

        patterns = F.array(*[F.lit(_strptime(fmt)) for fmt in formats])
        parsed = _call("try_strptime", column, patterns).cast("date")
        return F.when(F.year(parsed) >= F.lit(1000), parsed)

    def hash_text(self, column: Col) -> Col:
        """Take the first 60 bits of MD5 as a number."""
        from sqlframe.duckdb import functions as F

        return F.concat(F.lit("0x"), F.substring(F.md5(column), 1, 15)).cast("bigint")

    def to_decimal(self, column: Col, precision: int, scale: int) -> Col:
        """Cast text to decimal, null on overflow; DuckDB rounds half away from zero here."""
        return _try_cast(column, f"decimal({precision},{scale})")

    def round_half_up(self, column: Col, digits: int) -> Col:
        """Round by way of a decimal of nine places, where halves are exact."""
        from sqlframe.duckdb import functions as F

        return F.round(column.cast("decimal(38,9)"), digits).cast("double")


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
        from sqlframe.duckdb import DuckDBSession, Window, functions

        self._spill = tempfile.TemporaryDirectory(prefix="lakehouse-duckdb-")
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
                f"The embedded engine does not start: {_first_line(error)}; check "
                "LAKEHOUSE_MEMORY_LIMIT (such as 4GB) and LAKEHOUSE_THREADS."
            ) from error
        duckdb_extensions.import_extension("delta", con=self._connection)
        self._connection.execute("LOAD delta")
        self._connection.execute("SET TimeZone = 'UTC'")
        self._session = DuckDBSession(conn=self._connection)
        self.functions = functions
        self.window = Window
        self.dialect = DuckDBDialect()
        self._numbers = itertools.count(1)
        self._scans: dict[str, tuple[str, int]] = {}
        self._origins: dict[str, dict[str, frozenset[SourceColumn]]] = {}
        self._origin_versions: dict[str, dict[str, int]] = {}
        self._checkpoints: list[str] = []

    def _frame(self, name: str, types: Mapping[str, str]) -> DataFrame:
        self._session.catalog.add_table(name, dict(types))
        return self._session.table(name)

    def _query(self, frame: DataFrame) -> str:
        # The plan is handed to DuckDB as it stands: DuckDB optimises, SQLFrame need not.
        return str(frame.sql(dialect="duckdb", optimize=False, pretty=False))

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DataFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""
        name = f"scan_{table}_{version}"
        known = self._scans.get(name)
        if known is None or known != (f"{table}@{uri}", version):
            selected = ", ".join(_identifier(column.name) for column in columns)
            self._connection.execute(
                f"CREATE OR REPLACE VIEW {name} AS SELECT {selected} "  # noqa: S608 - quoted names
                f"FROM delta_scan({_literal(uri)}, version => {int(version)})"
            )
            self._scans[name] = (f"{table}@{uri}", version)
            self._origins[name] = {
                column.name: frozenset({SourceColumn(table, column.name)}) for column in columns
            }
            self._origin_versions[name] = {table: version}
        return self._frame(name, {column.name: column.type for column in columns})

    def read_csv(
        self, files: Sequence[CsvFile], columns: Sequence[str]
    ) -> tuple[DataFrame, list[MalformedLine]]:
        """Read CSV files as text, rows numbered per file in `_row_number`, bad lines apart."""
        typed = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in columns)
        name = f"checkpoint_{next(self._numbers)}"
        constants = list(files[0].constants)
        target = ", ".join(
            [f"{_identifier(c)} VARCHAR" for c in columns]
            + ["_row_number BIGINT"]
            + [f"{_identifier(c)} {_constant_type(files[0].constants[c])}" for c in constants]
        )
        self._connection.execute(f"CREATE TABLE {name} ({target})")
        self._checkpoints.append(name)
        malformed: list[MalformedLine] = []
        # Rows are numbered by their order in the file, which DuckDB keeps only when told to.
        self._connection.execute("SET preserve_insertion_order = true")
        try:
            for file in files:
                rejects = f"rejects_{next(self._numbers)}"
                source = (
                    f"read_csv({_literal(str(file.path))}, columns = {{{typed}}}, header = true, "
                    "auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
                    f"new_line = {_literal(file.newline.encode('unicode_escape').decode())}, encoding = 'utf-8', "
                    "store_rejects = true, rejects_limit = 0, "
                    f"rejects_table = '{rejects}', rejects_scan = '{rejects}_scan')"
                )
                values = ", ".join(_constant(file.constants[c]) for c in constants)
                self._connection.execute(
                    f"INSERT INTO {name} "  # noqa: S608 - quoted identifiers and literals
                    f"SELECT *, row_number() OVER (), {values} FROM {source}"
                )
                malformed += self._take_rejects(rejects, file, name)
        finally:
            self._connection.execute("SET preserve_insertion_order = false")
        types = dict.fromkeys(columns, "string") | {"_row_number": "bigint"}
        types |= {c: "date" if isinstance(files[0].constants[c], date) else "string" for c in constants}
        self._origins[name] = {column: frozenset() for column in types}
        self._origin_versions[name] = {}
        return self._frame(name, types), malformed

    def _take_rejects(self, rejects: str, file: CsvFile, target: str) -> list[MalformedLine]:
        """Collect a file's malformed records once each and let row numbers count them."""
        found = self._connection.execute(
            "SELECT line, any_value(line_byte_position), any_value(csv_line), "
            "string_agg(DISTINCT error_message, '; ' ORDER BY error_message) "
            f"FROM {rejects} GROUP BY line ORDER BY line"  # noqa: S608 - generated name
        ).fetchall()
        self._connection.execute(f"DROP TABLE {rejects}")
        self._connection.execute(f"DROP TABLE {rejects}_scan")
        if not found:
            return []
        # To DuckDB the header is line 1, blank lines count and line breaks inside quotes do not.
        # The i-th reject (from 0) at data record j precedes every accepted row whose running
        # number among accepted rows exceeds j - i - 1.
        records = [int(row[0]) - 1 - bisect_left(file.blank_at, int(row[1]) - 1) for row in found]
        shifts = [(record - index - 1, index + 1) for index, record in enumerate(records)]
        values = ", ".join(f"({threshold}, {count})" for threshold, count in shifts)
        source = _literal(str(file.constants["_source_file"]))
        self._connection.execute(
            f"UPDATE {target} SET _row_number = _row_number + s.shift "  # noqa: S608 - generated
            "FROM (SELECT r._row_number AS n, max(v.shift) AS shift "
            f"FROM {target} r JOIN (VALUES {values}) v(threshold, shift) "
            f"ON r._row_number > v.threshold WHERE r._source_file = {source} GROUP BY 1) s "
            f"WHERE {target}._row_number = s.n AND {target}._source_file = {source}"
        )
        return [
            MalformedLine(
                path=file.path,
                position=max(int(row[1]) - 1, 0),
                text=str(row[2] or "").rstrip("\r\n"),
                reason=" ".join(str(row[3]).split()).rstrip("."),
            )
            for row in found
        ]

    def from_arrow(self, data: pa.Table | pa.RecordBatchReader) -> DataFrame:
        """Take Arrow data in; it is kept until the scope ends."""
        name = f"checkpoint_{next(self._numbers)}"
        arrow_input = f"arrow_{name}"
        self._connection.register(arrow_input, data)
        try:
            self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {arrow_input}")  # noqa: S608
        finally:
            self._connection.unregister(arrow_input)
        self._checkpoints.append(name)
        types = self._types(name)
        self._origins[name] = {column: frozenset() for column in types}
        self._origin_versions[name] = {}
        return self._frame(name, types)

    def _types(self, table: str) -> dict[str, str]:
        rows = self._connection.execute(f"DESCRIBE {table}").fetchall()
        return {str(row[0]): _spark_type(str(row[1])) for row in rows}

    def checkpoint(self, frame: DataFrame, columns: Sequence[str] | None = None) -> DataFrame:
        """Compute a frame once and keep it until the scope ends."""
        if columns is not None:
            frame = frame.select(*columns)
        name = f"checkpoint_{next(self._numbers)}"
        origins, versions = self.lineage(frame), self.versions_read(frame)
        self._run(f"CREATE TABLE {name} AS {self._query(frame)}")
        self._checkpoints.append(name)
        self._origins[name] = origins
        self._origin_versions[name] = versions
        return self._frame(name, self._types(name))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Free what was checkpointed inside when it ends."""
        before = len(self._checkpoints)
        try:
            yield
        finally:
            for name in self._checkpoints[before:]:
                self._connection.execute(f"DROP TABLE IF EXISTS {name}")
                self._origins.pop(name, None)
                self._origin_versions.pop(name, None)
            del self._checkpoints[before:]

    def arrow_stream(self, frame: DataFrame, batch_rows: int = 131_072) -> pa.RecordBatchReader:
        """Run a frame and stream its rows; a cursor of its own leaves the session free."""
        return self._run(self._query(frame), self._connection.cursor()).to_arrow_reader(batch_rows)

    def rows(self, frame: DataFrame) -> list[dict[str, Any]]:
        """Run a small frame and return its rows."""
        reader = self._run(self._query(frame)).to_arrow_reader(10_000)
        return list(reader.read_all().to_pylist())

    def _run(
        self, query: str, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyConnection:
        import duckdb

        try:
            return (connection or self._connection).execute(query)
        except duckdb.OutOfMemoryException as error:
            raise LakehouseError(
                f"The embedded engine ran out of memory ({_first_line(error)}); raise "
                "LAKEHOUSE_MEMORY_LIMIT or free disk for its spill files."
            ) from error

    def query(self, sql: str) -> pa.Table:
        """Run one SQL statement over registered views and return all of its rows.

        Raises:
            LakehouseError: the SQL is wrong; the message is DuckDB's, which points at the place.
        """
        import duckdb

        try:
            return self._connection.cursor().execute(sql).to_arrow_table()
        except duckdb.Error as error:
            raise LakehouseError(f"The query does not run: {error}") from None

    def name_view(self, name: str, frame: DataFrame) -> None:
        """Give a frame a name that `query` knows; `domain.table` or a plain name."""
        parts = name.split(".")
        if len(parts) == 2:
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_identifier(parts[0])}")
        quoted = ".".join(_identifier(part) for part in parts)
        self._connection.execute(f"CREATE OR REPLACE VIEW {quoted} AS {self._query(frame)}")

    def lineage(self, frame: DataFrame) -> dict[str, frozenset[SourceColumn]]:
        """Derive, from the plan, which stored columns each output column comes from."""
        return columns_of_query(self._query(frame), self._origins)

    def versions_read(self, frame: DataFrame) -> dict[str, int]:
        """Return the Delta versions that the frame's plan reads, by table name."""
        query = self._query(frame)
        found: dict[str, int] = {}
        for name, versions in self._origin_versions.items():
            if f'"{name}"' in query:
                found |= versions
        return found

    def progress(self) -> Iterator[str]:
        """Describe the session for people, line by line."""
        import duckdb

        yield f"DuckDB {duckdb.__version__} through SQLFrame, embedded"


def _call(function: str, column: Col, *arguments: Any) -> Col:
    """Call a DuckDB function that the PySpark API does not have."""
    from sqlframe.duckdb import Column
    from sqlframe.duckdb import functions as F

    rest = [F.lit(a) if isinstance(a, str) else a for a in arguments]
    return Column.invoke_anonymous_function(column, function, *rest)


def _try_cast(column: Col, type_name: str) -> Col:
    """Cast to a type, null where the value does not fit."""
    from sqlframe.duckdb import Column
    from sqlglot import exp

    return Column(
        exp.TryCast(this=column.column_expression, to=exp.DataType.build(type_name, dialect="duckdb"))
    )


def _strptime(java_pattern: str) -> str:
    out = java_pattern
    for letters, directive in _STRPTIME.items():
        out = out.replace(letters * 2 if letters in {"M", "d"} else letters, letters)
        out = out.replace(letters, directive)
    return out


def _spark_type(duckdb_type: str) -> str:
    names = {
        "VARCHAR": "string", "BIGINT": "bigint", "INTEGER": "int", "DOUBLE": "double",
        "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP WITH TIME ZONE": "timestamp",
        "TIMESTAMP": "timestamp_ntz", "VARCHAR[]": "array<string>",
    }  # fmt: skip
    return names.get(duckdb_type, duckdb_type.lower())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _constant(value: str | date) -> str:
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) else _literal(value)


def _constant_type(value: str | date) -> str:
    return "DATE" if isinstance(value, date) else "VARCHAR"
