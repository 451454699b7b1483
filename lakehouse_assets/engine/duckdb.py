"""The embedded engine: the PySpark DataFrame API on DuckDB through SQLFrame.

Belongs here: the DuckDB session, its scans, its CSV reader, Arrow in and out, and the DuckDB forms
of the vocabulary. Not here: rules, tables, Dagster. No JVM, and nothing is downloaded at run time:
DuckDB's Delta reader comes from a wheel.
"""

from __future__ import annotations

import atexit
import itertools
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lakehouse_assets.engine.base import (
    CsvFile,
    CsvRead,
    MalformedLine,
    SourceColumn,
    column_count_reason,
)
from lakehouse_assets.engine.batches import adding_columns, not_computed
from lakehouse_assets.engine.lineage import columns_of_query
from lakehouse_assets.engine.plan_copies import copy_plans_quickly
from lakehouse_assets.engine.types import Col, DataFrame
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from lakehouse_assets.lake.registry import Column

# SQLFrame has one session and catalog per process, so that two engines must not share names.
_NUMBERS = itertools.count(1)
# Numbers as text without an exponent: DuckDB casts 5e-324 to 0.01 and loses 1234567890.5e-4.
_PLAIN = "lakehouse_plain_number"
_MEAN = "lakehouse_mean"
_TRIM = "lakehouse_trim"
_MACROS = (
    # DuckDB's trim of a set of characters is slow; most values start and end in plain ASCII.
    f"""CREATE MACRO {_TRIM}(text, characters) AS CASE
        WHEN text[1] BETWEEN '!' AND '~' AND text[-1] BETWEEN '!' AND '~' THEN text
        ELSE trim(text, characters) END""",
    f"""CREATE MACRO {_PLAIN}_with_point(sign, digits, point) AS sign || CASE
        WHEN point <= 0 THEN '0.' || repeat('0', -point) || digits
        WHEN point >= length(digits) THEN digits || repeat('0', point - length(digits))
        ELSE digits[1:point] || '.' || digits[point + 1:] END""",
    f"""CREATE MACRO {_PLAIN}(number) AS CASE WHEN NOT regexp_matches(number, '[eE]') THEN number
        ELSE {_PLAIN}_with_point(
            regexp_extract(number, '^[+-]?'),
            regexp_extract(number, '^[+-]?([0-9]*)', 1) || regexp_extract(number, '[.]([0-9]*)', 1),
            length(regexp_extract(number, '^[+-]?([0-9]*)', 1))
            + TRY_CAST(regexp_extract(number, '[eE]([+-]?[0-9]+)$', 1) AS INTEGER)) END""",
    # Whole millionths divided as whole numbers, where DuckDB's own division would be of doubles.
    # By way of text to a double: DuckDB makes one of a large whole number inexactly.
    f"""CREATE MACRO {_MEAN}(total, n, digits) AS sign(total)
        * CAST(((CAST(abs(CAST(total AS DECIMAL(38,6))) * 1000000 AS HUGEINT)
                * 2 * CAST(10 ** digits AS HUGEINT) + n * 1000000) // (n * 2000000))
               || 'e-' || digits AS DOUBLE)""",
)
# Versions of tables kept open: more than one run reads.
_MOST_SNAPSHOTS = 64
# DuckDB cuts the text of a malformed record off here.
_KEPT_TEXT = 10_000


@dataclass(frozen=True)
class _Reject:
    """A malformed record, its line as DuckDB counts, and whether only its field count is wrong."""

    number: int
    line: MalformedLine
    plain: bool


class DuckDBDialect:
    """The vocabulary's functions as DuckDB runs them."""

    def trim(self, column: Col, characters: str) -> Col:
        """Trim any of the characters at both ends."""
        return _call(_TRIM, column, characters)

    def is_any(self, column: Col, values: Sequence[str]) -> Col:
        """Look the text up in a list; DuckDB makes a join of a long IN, once per use."""
        from sqlframe.duckdb import functions as F

        return F.array_contains(F.array(*map(F.lit, values)), column)

    def lower(self, column: Col) -> Col:
        """Write small letters; DuckDB goes letter by letter."""
        from sqlframe.duckdb import functions as F

        return F.lower(column)

    def upper(self, column: Col) -> Col:
        """Write capital letters; DuckDB goes letter by letter."""
        from sqlframe.duckdb import functions as F

        return F.upper(column)

    def parse_date(self, column: Col, pattern: str) -> Col:
        """Parse with the pattern, whose shape the vocabulary has checked."""
        return _call("try_strptime", column, _strptime(pattern)).cast("date")

    def hash_text(self, column: Col) -> Col:
        """Take the first 60 bits of MD5 as a number."""
        from sqlframe.duckdb import functions as F

        return F.concat(F.lit("0x"), F.substring(F.md5(column), 1, 15)).cast("bigint")

    def to_decimal(self, column: Col, precision: int, scale: int) -> Col:
        """Cast text to decimal, null on overflow; DuckDB rounds half away from zero here."""
        return _try_cast(_call(_PLAIN, column), f"decimal({precision},{scale})")

    def round_half_up(self, column: Col, digits: int) -> Col:
        """Round the number's shortest decimal text, in which a half is a half."""
        from sqlframe.duckdb import functions as F

        rounded = self.to_decimal(column.cast("string"), 38, digits)
        # By way of text once more: DuckDB divides to make a double of a decimal, which is inexact.
        rounded = rounded.cast("string").cast("double")
        # What is not finite, or too large for a decimal, has no decimals to round.
        return F.coalesce(rounded, column.cast("double"))

    def mean(self, column: Col, digits: int) -> Col:
        """Divide the exact sum by the count in whole numbers."""
        from sqlframe.duckdb import functions as F

        return _call(_MEAN, F.sum(column), F.count(column), F.lit(digits))


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
                f"The embedded engine does not start: {_first_line(error)}; check "
                "LAKEHOUSE_MEMORY_LIMIT (such as 4GB) and LAKEHOUSE_THREADS."
            ) from error
        duckdb_extensions.import_extension("delta", con=self._connection)
        self._connection.execute("LOAD delta")
        self._connection.execute("SET TimeZone = 'UTC'")
        copy_plans_quickly()
        for macro in _MACROS:
            self._connection.execute(macro)
        self._session = DuckDBSession(conn=self._connection)
        self.functions = functions
        self.window = Window
        self.dialect = DuckDBDialect()
        self._snapshots: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._scans: dict[tuple[str, int, str, tuple[str, ...]], str] = {}
        self._origins: dict[str, dict[str, frozenset[SourceColumn]]] = {}
        self._origin_versions: dict[str, dict[str, int]] = {}
        self._checkpoints: list[tuple[str, str]] = []
        # Generating a plan's SQL copies the plan; one write needs it several times.
        self._queries: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def _frame(self, name: str, types: Mapping[str, str]) -> DataFrame:
        self._session.catalog.add_table(name, dict(types))
        return self._session.table(name)

    def _query(self, frame: DataFrame) -> str:
        # The plan is handed to DuckDB as it stands: DuckDB optimises, SQLFrame need not.
        query = self._queries.get(frame)
        if query is None:
            query = str(frame.sql(dialect="duckdb", optimize=False, pretty=False))
            self._queries[frame] = query
        return query

    def _new_name(self, kind: str) -> str:
        return f"{kind}_{next(_NUMBERS)}"

    def scan_delta(
        self, uri: str, version: int, table: str, columns: Sequence[Column]
    ) -> DataFrame:
        """Read one version of a Delta table lazily; its columns are the declared ones."""
        names = tuple(column.name for column in columns)
        # A view of its own per place: two lakes may hold a table of one name at one version.
        key = (uri, version, table, names)
        name = self._scans.get(key)
        if name is None:
            name = self._new_name(f"scan_{table}")
            self._show_scan(name, names, self._attached(uri, version))
            self._scans[key] = name
            self._origins[name] = {n: frozenset({SourceColumn(table, n)}) for n in names}
            self._origin_versions[name] = {table: version}
        return self._frame(name, {column.name: column.type for column in columns})

    def _show_scan(self, name: str, columns: Sequence[str], source: str) -> None:
        selected = ", ".join(map(_identifier, columns))
        self._run(f"CREATE OR REPLACE VIEW {name} AS SELECT {selected} FROM {source}")  # noqa: S608

    def _attached(self, uri: str, version: int) -> str:
        """Attach one version of a table, so that its log is read once and not by every query."""
        name = self._snapshots.pop((uri, version), None)
        if name is None:
            name = self._new_name("delta")
            self._run(
                f"ATTACH {_literal(uri)} AS {name} "
                f"(TYPE delta, PIN_SNAPSHOT true, VERSION {int(version)}, READ_ONLY)"
            )
        self._snapshots[uri, version] = name
        while len(self._snapshots) > _MOST_SNAPSHOTS:
            self._detach(*next(iter(self._snapshots)))
        return f"{name}.main.{name}"

    def _detach(self, uri: str, version: int) -> None:
        """Let go of a version; frames that still read it read its log anew."""
        for (at, of, _table, names), view in self._scans.items():
            if (at, of) == (uri, version):
                source = f"delta_scan({_literal(uri)}, version => {int(version)})"
                self._show_scan(view, names, source)
        self._run(f"DETACH {self._snapshots.pop((uri, version))}")

    def read_csv(self, files: Sequence[CsvFile], columns: Sequence[str]) -> CsvRead:
        """Read CSV files as text, rows numbered per file in `_row_number`, bad lines apart.

        A row's number follows from its place: a table filled in the order of the files keeps that
        order in its row ids, also when several threads fill it. The malformed records before it
        are added.
        """
        malformed: list[MalformedLine] = []
        counts: dict[Path, int] = {}
        # DuckDB would look for what a name with such a sign could match.
        unsure = {file.path for file in files if set("*?[") & set(str(file.path))}
        parts = []
        waiting: list[list[CsvFile]] = [
            [file for file in files if file.newline == newline and file.path not in unsure]
            for newline in sorted({file.newline for file in files})
        ]
        while waiting:
            group = waiting.pop()
            if not group:
                continue
            loaded = self._load_csv(group, columns)
            if loaded is not None:
                raw, rejects = loaded
                parts.append(self._number_rows(raw, rejects, group, columns, counts, unsure))
                malformed += [reject.line for found in rejects.values() for reject in found]
            elif len(group) > 1:
                # One of them breaks the reader; it must not take the others with it.
                waiting += [[file] for file in group]
            else:
                unsure.add(group[0].path)
        constants = {
            name: "date" if isinstance(value, date) else "string"
            for name, value in files[0].constants.items()
        }
        types = dict.fromkeys(columns, "string") | {"_row_number": "bigint"} | constants
        if not parts:
            nothing = [
                f"CAST(NULL AS {_duckdb_type(t)}) {_identifier(n)}" for n, t in types.items()
            ]
            parts.append(f"SELECT {', '.join(nothing)} WHERE false")
        name = self._new_name("checkpoint")
        self._run(f"CREATE VIEW {name} AS {' UNION ALL '.join(parts)}")
        self._checkpoints.append(("VIEW", name))
        return CsvRead(
            rows=self._delivered_frame(name, types),
            malformed=[line for line in malformed if line.path not in unsure],
            counts=counts,
            unsure=frozenset(unsure),
        )

    def _load_csv(
        self, files: Sequence[CsvFile], columns: Sequence[str]
    ) -> tuple[str, dict[Path, list[_Reject]]] | None:
        """Load files of one line ending into a table, in their order.

        Returns:
            The table and the malformed records by file; None if a file breaks the reader.
        """
        import duckdb

        name, rejects = self._new_name("csv"), self._new_name("rejects")
        typed = ", ".join(f"{_literal(column)}: 'VARCHAR'" for column in columns)
        paths = ", ".join(_literal(str(file.path)) for file in files)
        source = (
            f"read_csv([{paths}], columns = {{{typed}}}, filename = '_csv_file', "
            "hive_partitioning = false, header = true, "
            "auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
            f"new_line = {_literal(files[0].newline.encode('unicode_escape').decode())}, "
            "encoding = 'utf-8', "
            "store_rejects = true, rejects_limit = 0, "
            f"rejects_table = '{rejects}', rejects_scan = '{rejects}_scan')"
        )
        self._connection.execute("SET preserve_insertion_order = true")
        try:
            self._run(f"CREATE TABLE {name} AS FROM {source}")
        except duckdb.InvalidInputException:
            return None
        else:
            self._checkpoints.append(("TABLE", name))
            return name, self._malformed_lines(rejects, len(columns))
        finally:
            self._connection.execute("SET preserve_insertion_order = false")
            self._connection.execute(f"DROP TABLE IF EXISTS {rejects}")
            self._connection.execute(f"DROP TABLE IF EXISTS {rejects}_scan")

    def _malformed_lines(self, rejects: str, columns: int) -> dict[Path, list[_Reject]]:
        """Collect malformed records, once each however many errors they have."""
        found = self._connection.execute(
            "SELECT s.file_path, r.line, any_value(r.line_byte_position), "  # noqa: S608 - generated
            "any_value(r.csv_line), "
            # Every missing column is an error; the first of them says how many there are.
            "min(r.column_idx) FILTER (r.error_type = 'MISSING COLUMNS'), "
            "bool_and(r.error_type IN ('MISSING COLUMNS', 'TOO MANY COLUMNS')) "
            f"FROM {rejects} r JOIN {rejects}_scan s USING (scan_id, file_id) "
            "GROUP BY s.file_path, r.line ORDER BY r.line"
        ).fetchall()
        lines: dict[Path, list[_Reject]] = {}
        for file_path, number, position, raw, missing_from, plain in found:
            text = str(raw or "")
            line = MalformedLine(
                path=Path(file_path),
                # DuckDB may hand over half of the line end before the record, or the one after.
                position=max(int(position) - 1, 0) + len(text) - len(text.lstrip("\r\n")),
                text=text.strip("\r\n"),
                reason=column_count_reason(
                    columns + 1 if missing_from is None else int(missing_from), columns
                ),
            )
            lines.setdefault(line.path, []).append(_Reject(int(number), line, bool(plain)))
        return lines

    def _number_rows(
        self,
        raw: str,
        rejects: Mapping[Path, Sequence[_Reject]],
        files: Sequence[CsvFile],
        columns: Sequence[str],
        counts: dict[Path, int],
        unsure: set[Path],
    ) -> str:
        """Select a loaded table's rows with their numbers and constants; count them by file."""
        import pyarrow as pa

        found = self._connection.execute(
            f"SELECT _csv_file, min(rowid), max(rowid), count(*) FROM {raw} GROUP BY 1"  # noqa: S608
        ).fetchall()
        spans = {Path(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in found}
        shifted: list[tuple[int, int, int]] = []
        for file in files:
            first, last, count = spans.get(file.path, (0, -1, 0))
            counts[file.path] = count
            bad = rejects.get(file.path, ())
            if last - first + 1 != count or not all(_trustworthy(file, reject) for reject in bad):
                unsure.add(file.path)
                continue
            # To DuckDB the header is line 1 and line breaks inside quotes do not count. The i-th
            # reject (from 0), data record j, precedes the accepted rows after the (j - i - 1)-th.
            starts = [first + reject.number - 2 - index for index, reject in enumerate(bad)]
            ends = [*starts[1:], last + 1]
            shifted += [
                (start, end, index + 1)
                for index, (start, end) in enumerate(zip(starts, ends, strict=False))
                if start < end
            ]
        shifts = self._new_name("csv_shifts")
        fields = [("first", pa.int64()), ("past", pa.int64()), ("shift", pa.int64())]
        ranges = pa.table(
            {
                name: pa.array([row[i] for row in shifted], kind)
                for i, (name, kind) in enumerate(fields)
            }
        )
        self._connection.register(f"arrow_{shifts}", ranges)
        try:
            self._run(
                f"CREATE TABLE {shifts} AS SELECT unnest(range(first, past)) AS id, shift "  # noqa: S608
                f"FROM arrow_{shifts}"
            )
        finally:
            self._connection.unregister(f"arrow_{shifts}")
        self._checkpoints.append(("TABLE", shifts))
        names = list(files[0].constants)
        values = ", ".join(
            f"({_literal(str(file.path))}, {spans.get(file.path, (0,))[0]}, "
            + ", ".join(_constant(file.constants[name]) for name in names)
            + ")"
            for file in files
        )
        return (
            f"SELECT {', '.join(f'r.{_identifier(c)}' for c in columns)}, "  # noqa: S608 - quoted
            "r.rowid - f.first_id + 1 + coalesce(s.shift, 0) AS _row_number, "
            f"{', '.join(f'f.{_identifier(name)}' for name in names)} FROM {raw} r "
            f"JOIN (VALUES {values}) f(path, first_id, {', '.join(map(_identifier, names))}) "
            f"ON r._csv_file = f.path LEFT JOIN {shifts} s ON s.id = r.rowid"
        )

    def from_arrow(self, data: pa.Table | pa.RecordBatchReader) -> DataFrame:
        """Take Arrow data in; it is kept until the scope ends."""
        name = self._new_name("checkpoint")
        arrow_input = f"arrow_{name}"
        self._connection.register(arrow_input, data)
        try:
            self._run(f"CREATE TABLE {name} AS SELECT * FROM {arrow_input}")  # noqa: S608
        finally:
            self._connection.unregister(arrow_input)
        self._checkpoints.append(("TABLE", name))
        return self._delivered_frame(name, self._types(name))

    def _delivered_frame(self, name: str, types: Mapping[str, str]) -> DataFrame:
        """Make a frame of data that comes from no stored table."""
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
        return self._kept(frame, "TABLE")

    def stage(self, frame: DataFrame) -> DataFrame:
        """Start a new plan where a frame's plan ends; nothing is computed.

        SQLFrame copies the whole plan at each step, so building a long one costs the square of its
        length; a view in between keeps it short, and DuckDB sees through it.
        """
        return self._kept(frame, "VIEW")

    def union(self, frames: Sequence[DataFrame]) -> DataFrame:
        """Put the rows of frames with the same columns together, each frame a stage of its own."""
        if len(frames) == 1:
            return frames[0]
        columns = list(frames[0].columns)
        stages = [self._stage_name(frame.select(*columns)) for frame in frames]
        name = self._new_name("stage")
        selected = ", ".join(_identifier(column) for column in columns)
        parts = " UNION ALL ".join(f"SELECT {selected} FROM {part}" for part in stages)  # noqa: S608
        self._run(f"CREATE VIEW {name} AS {parts}")
        self._checkpoints.append(("VIEW", name))
        self._origins[name] = {
            column: frozenset().union(*(self._origins[part][column] for part in stages))
            for column in columns
        }
        self._origin_versions[name] = {
            table: version
            for part in stages
            for table, version in self._origin_versions[part].items()
        }
        return self._frame(name, self._types(name))

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

        origins, versions = self.lineage(frame), self.versions_read(frame)
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
            wider = self.from_arrow(pa.RecordBatchReader.from_batches(schema, batches()))
        except duckdb.Error:
            if failed:
                raise not_computed(added, str(failed[0])) from failed[0]
            raise
        _, name = self._checkpoints[-1]
        source = frozenset[SourceColumn]().union(*(origins[column] for column in needed))
        self._origins[name] = origins | dict.fromkeys(added.names, source)
        self._origin_versions[name] = versions
        return wider

    def _stage_name(self, frame: DataFrame) -> str:
        """Stage a frame and return the name of its view."""
        self._kept(frame, "VIEW")
        return self._checkpoints[-1][1]

    def _kept(self, frame: DataFrame, kind: str) -> DataFrame:
        name = self._new_name("checkpoint" if kind == "TABLE" else "stage")
        origins, versions = self.lineage(frame), self.versions_read(frame)
        self._run(f"CREATE {kind} {name} AS {self._query(frame)}")
        self._checkpoints.append((kind, name))
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
            for kind, name in reversed(self._checkpoints[before:]):
                self._connection.execute(f"DROP {kind} IF EXISTS {name}")
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
        exp.TryCast(
            this=column.column_expression, to=exp.DataType.build(type_name, dialect="duckdb")
        )
    )


def _strptime(java_pattern: str) -> str:
    directives = {"yyyy": "%Y", "M": "%m", "d": "%d"}
    return re.sub(
        "yyyy|M+|d+", lambda m: directives[m[0] if m[0] == "yyyy" else m[0][0]], java_pattern
    )


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


def _duckdb_type(spark_type: str) -> str:
    return {"string": "VARCHAR", "bigint": "BIGINT", "date": "DATE"}[spark_type]


def _trustworthy(file: CsvFile, reject: _Reject) -> bool:
    """Say whether a malformed record is what DuckDB makes of it.

    It is not where quotes are out of order (an open one swallows rows, and loses them where it
    outgrows a buffer), where the line is too long for DuckDB or its text was cut off, and after an
    empty line, which DuckDB counts as a record.
    """
    blank_before = file.first_blank is not None and file.first_blank <= reject.line.position
    return reject.plain and len(reject.line.text) < _KEPT_TEXT and not blank_before
