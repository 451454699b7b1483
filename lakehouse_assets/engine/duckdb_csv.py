"""CSV files read by DuckDB's own reader, with every record numbered.

A row's number follows from its place: a table filled in the order of the files keeps that order in
its row ids, also when several threads fill it. The malformed records before it are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse_assets.engine.base import CsvFile, MalformedLine, column_count_reason
from lakehouse_assets.engine.duckdb_sql import identifier, literal, new_name, run

if TYPE_CHECKING:
    import duckdb

# DuckDB cuts the text of a malformed record off here.
_KEPT_TEXT = 10_000


@dataclass(frozen=True)
class _Reject:
    """A malformed record, its line as DuckDB counts, and whether only its field count is wrong."""

    number: int
    line: MalformedLine
    plain: bool


@dataclass
class CsvLoader:
    """Loads CSV files into tables of a connection.

    Args:
        connection: Where they are loaded.
        columns: Names of the files' columns.
        keep: Is told of each table that has to stay as long as the rows are used.

    Attributes:
        counts: Rows by file.
        unsure: Files that DuckDB is not to be trusted with.
    """

    connection: duckdb.DuckDBPyConnection
    columns: Sequence[str]
    keep: Callable[[str], None]
    counts: dict[Path, int] = field(default_factory=dict)
    unsure: set[Path] = field(default_factory=set)
    _malformed: list[MalformedLine] = field(default_factory=list)

    @property
    def malformed(self) -> list[MalformedLine]:
        """Records that are in no row."""
        return [line for line in self._malformed if line.path not in self.unsure]

    def load(self, files: Sequence[CsvFile]) -> tuple[str, dict[str, str]]:
        """Load files; return the query of their rows and its columns' types.

        The columns are the fields as text, `_row_number` and the files' constants.
        """
        # DuckDB would look for what a name with such a sign could match.
        self.unsure |= {file.path for file in files if set("*?[") & set(str(file.path))}
        parts = []
        waiting: list[list[CsvFile]] = [
            [
                file
                for file in files
                if (file.newline, file.header) == kind and file.path not in self.unsure
            ]
            for kind in sorted({(file.newline, file.header) for file in files})
        ]
        while waiting:
            group = waiting.pop()
            if not group:
                continue
            table = self._load(group)
            if table is not None:
                parts.append(self._numbered(*table, group))
            elif len(group) > 1:
                # One of them breaks the reader; it must not take the others with it.
                waiting += [[file] for file in group]
            else:
                self.unsure.add(group[0].path)
        constants = {
            name: "date" if isinstance(value, date) else "string"
            for name, value in files[0].constants.items()
        }
        types = dict.fromkeys(self.columns, "string") | {"_row_number": "bigint"} | constants
        if not parts:
            nothing = [f"CAST(NULL AS {_duckdb_type(t)}) {identifier(n)}" for n, t in types.items()]
            parts.append(f"SELECT {', '.join(nothing)} WHERE false")
        return " UNION ALL ".join(parts), types

    def _load(self, files: Sequence[CsvFile]) -> tuple[str, dict[Path, list[_Reject]]] | None:
        """Load files of one line ending, all with or without header, into a table, in their order.

        Returns:
            The table and the malformed records by file; None if a file breaks the reader.
        """
        import duckdb

        name, rejects = new_name("csv"), new_name("rejects")
        typed = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in self.columns)
        paths = ", ".join(literal(str(file.path)) for file in files)
        source = (
            f"read_csv([{paths}], columns = {{{typed}}}, filename = '_csv_file', "
            f"hive_partitioning = false, header = {files[0].header}, "
            "auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
            f"new_line = {literal(files[0].newline.encode('unicode_escape').decode())}, "
            "encoding = 'utf-8', "
            "store_rejects = true, rejects_limit = 0, "
            f"rejects_table = '{rejects}', rejects_scan = '{rejects}_scan')"
        )
        self.connection.execute("SET preserve_insertion_order = true")
        try:
            run(self.connection, f"CREATE TABLE {name} AS FROM {source}")
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            # Whatever it is, such as zeros behind a packed file: the file is read without DuckDB.
            return None
        else:
            self.keep(name)
            return name, self._malformed_lines(rejects)
        finally:
            self.connection.execute("SET preserve_insertion_order = false")
            self.connection.execute(f"DROP TABLE IF EXISTS {rejects}")
            self.connection.execute(f"DROP TABLE IF EXISTS {rejects}_scan")

    def _malformed_lines(self, rejects: str) -> dict[Path, list[_Reject]]:
        """Collect malformed records, once each however many errors they have."""
        found = self.connection.execute(
            "SELECT s.file_path, r.line, any_value(r.line_byte_position), "  # noqa: S608 - generated
            "any_value(r.csv_line), "
            # Every missing column is an error; the first of them says how many there are.
            "min(r.column_idx) FILTER (r.error_type = 'MISSING COLUMNS'), "
            "bool_and(r.error_type IN ('MISSING COLUMNS', 'TOO MANY COLUMNS')) "
            f"FROM {rejects} r JOIN {rejects}_scan s USING (scan_id, file_id) "
            "GROUP BY s.file_path, r.line ORDER BY r.line"
        ).fetchall()
        columns = len(self.columns)
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
            self._malformed.append(line)
            lines.setdefault(line.path, []).append(_Reject(int(number), line, bool(plain)))
        return lines

    def _numbered(
        self, raw: str, rejects: Mapping[Path, Sequence[_Reject]], files: Sequence[CsvFile]
    ) -> str:
        """Select a loaded table's rows with their numbers and constants; count them by file."""
        import pyarrow as pa

        found = self.connection.execute(
            f"SELECT _csv_file, min(rowid), max(rowid), count(*) FROM {raw} GROUP BY 1"  # noqa: S608
        ).fetchall()
        spans = {Path(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in found}
        shifted: list[tuple[int, int, int]] = []
        for file in files:
            first, last, count = spans.get(file.path, (0, -1, 0))
            self.counts[file.path] = count
            bad = rejects.get(file.path, ())
            if last - first + 1 != count or not all(_trustworthy(file, reject) for reject in bad):
                self.unsure.add(file.path)
                continue
            # To DuckDB the header is line 1 and line breaks inside quotes do not count. The i-th
            # reject (from 0), data record j, precedes the accepted rows after the (j - i - 1)-th.
            begin = first - 1 - file.header
            starts = [begin + reject.number - index for index, reject in enumerate(bad)]
            ends = [*starts[1:], last + 1]
            shifted += [
                (start, end, index + 1)
                for index, (start, end) in enumerate(zip(starts, ends, strict=False))
                if start < end
            ]
        shifts = new_name("csv_shifts")
        fields = [("first", pa.int64()), ("past", pa.int64()), ("shift", pa.int64())]
        ranges = pa.table(
            {
                name: pa.array([row[i] for row in shifted], kind)
                for i, (name, kind) in enumerate(fields)
            }
        )
        self.connection.register(f"arrow_{shifts}", ranges)
        try:
            run(
                self.connection,
                f"CREATE TABLE {shifts} AS SELECT unnest(range(first, past)) AS id, shift "  # noqa: S608
                f"FROM arrow_{shifts}",
            )
        finally:
            self.connection.unregister(f"arrow_{shifts}")
        self.keep(shifts)
        names = list(files[0].constants)
        values = ", ".join(
            f"({literal(str(file.path))}, {spans.get(file.path, (0,))[0]}, "
            + ", ".join(_constant(file.constants[name]) for name in names)
            + ")"
            for file in files
        )
        return (
            f"SELECT {', '.join(f'r.{identifier(c)}' for c in self.columns)}, "  # noqa: S608 - quoted
            "r.rowid - f.first_id + 1 + coalesce(s.shift, 0) AS _row_number, "
            f"{', '.join(f'f.{identifier(name)}' for name in names)} FROM {raw} r "
            f"JOIN (VALUES {values}) f(path, first_id, {', '.join(map(identifier, names))}) "
            f"ON r._csv_file = f.path LEFT JOIN {shifts} s ON s.id = r.rowid"
        )


def _constant(value: str | date) -> str:
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) else literal(value)


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
