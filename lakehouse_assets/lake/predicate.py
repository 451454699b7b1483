"""Which rows of a table a set of partitions means, for writing, reading and counting alike.

A selection that cannot be expressed raises; it never widens to the whole table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine import Col, F
from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class Everything:
    """The whole table."""


@dataclass(frozen=True)
class Window:
    """Rows of the half-open time window [start, end), in UTC, of one partition column."""

    partition: PartitionColumn
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Windows:
    """Rows of several disjoint half-open windows of one partition column."""

    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Keys:
    """Rows whose partition column holds one of the keys."""

    partition: PartitionColumn
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Both:
    """Rows of a rectangle: the conjunction of one selection per dimension."""

    dimensions: tuple[Window | Windows | Keys, ...]


Selection: TypeAlias = Everything | Window | Windows | Keys | Both

# What a partition column can hold, as Python sees it; text and whole numbers stand for themselves.
_Value: TypeAlias = str | int | date


@dataclass(frozen=True)
class _Condition:
    """What one column must hold: a value of a half-open range, or one of the values."""

    column: Column
    ranges: tuple[tuple[_Value, _Value], ...] = ()
    values: tuple[_Value, ...] = ()


Dialect: TypeAlias = Literal["standard", "spark"]

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_BITS = {"int": 32, "bigint": 64}


def rectangle(pairs: Collection[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split two-dimensional partition keys into the two key lists whose product they are.

    Raises:
        LakehouseError: the keys are not a full rectangle, so no conjunction describes them.
    """
    first = tuple(dict.fromkeys(pair[0] for pair in pairs))
    second = tuple(dict.fromkeys(pair[1] for pair in pairs))
    if {(a, b) for a in first for b in second} != set(pairs):
        raise LakehouseError(
            f"The {len(set(pairs))} requested partition keys are not a full rectangle of "
            f"{len(first)} x {len(second)} keys, so no predicate describes them; run them apart."
        )
    return first, second


def to_sql(
    selection: Selection,
    columns: Sequence[Column],
    relation: str = "",
    dialect: Dialect = "standard",
) -> str | None:
    """Render a selection as SQL over typed columns; None stands for the whole table.

    Args:
        selection: Rows to select.
        columns: Columns of the table.
        relation: Name that qualifies the columns, for a merge.
        dialect: Who reads the text: delta-rs (DataFusion) and DuckDB, or Spark, to which double
            quotes hold text and a backslash escapes.

    Raises:
        LakehouseError: the column's type and the selection do not fit, or nothing is selected.
    """
    prefix = f"{relation}." if relation else ""
    parts = []
    for condition in _conditions(selection, columns):
        name = prefix + quoted(condition.column.name, dialect)
        write = _spark_literal if dialect == "spark" else _literal
        kind = condition.column.type
        alternatives = [
            f"{name} >= {write(start, kind)} AND {name} < {write(end, kind)}"
            for start, end in condition.ranges
        ]
        if condition.values:
            listed = ", ".join(write(value, kind) for value in condition.values)
            alternatives.append(f"{name} IN ({listed})")
        parts.append(" OR ".join(f"({text})" for text in alternatives))
    return " AND ".join(f"({part})" for part in parts) or None


def to_filter(selection: Selection, columns: Sequence[Column]) -> Col | None:
    """Render a selection as a DataFrame filter; None stands for the whole table.

    Raises:
        LakehouseError: as for `to_sql`.
    """
    result: Col | None = None
    for condition in _conditions(selection, columns):
        name, kind = F.col(condition.column.name), condition.column.type
        part: Col | None = None
        if condition.values:
            part = name.isin(*[_lit(value, kind) for value in condition.values])
        for start, end in condition.ranges:
            inside = (name >= _lit(start, kind)) & (name < _lit(end, kind))
            part = inside if part is None else part | inside
        result = part if result is None else result & part
    return result


def to_test(selection: Selection, columns: Sequence[Column]) -> Callable[[Mapping[str, Any]], bool]:
    """Return the selection as a test of values by column name; null is never selected.

    Columns that a mapping does not hold are not judged, so files can be told by the partition
    column alone.

    Raises:
        LakehouseError: as for `to_sql`.
    """
    conditions = _conditions(selection, columns)

    def test(row: Mapping[str, Any]) -> bool:
        return all(_holds(c, row[c.column.name]) for c in conditions if c.column.name in row)

    return test


def columns_of(selection: Selection) -> tuple[str, ...]:
    """Return the columns by which a selection tells rows."""
    if isinstance(selection, Everything):
        return ()
    if isinstance(selection, Both):
        return tuple(name for part in selection.dimensions for name in columns_of(part))
    if isinstance(selection, Windows):
        return tuple(dict.fromkeys(w.partition.column for w in selection.windows))
    return (selection.partition.column,)


def _conditions(selection: Selection, columns: Sequence[Column]) -> tuple[_Condition, ...]:
    """Read a selection as conditions that must all hold: the meaning every form shares."""
    if isinstance(selection, Everything):
        return ()
    if isinstance(selection, Both):
        if not selection.dimensions:
            raise LakehouseError("No partition dimension is selected; name at least one.")
        return tuple(c for part in selection.dimensions for c in _conditions(part, columns))
    if isinstance(selection, Keys):
        column = _column(selection.partition, columns)
        if not selection.keys:
            raise LakehouseError("No partition key is selected; name at least one key.")
        return (_Condition(column, values=tuple(_key(key, column) for key in selection.keys)),)
    windows = selection.windows if isinstance(selection, Windows) else (selection,)
    if not windows:
        raise LakehouseError("No partition window is selected; name at least one partition.")
    if len({window.partition for window in windows}) > 1:
        raise LakehouseError(
            "The windows of one selection are of different partition columns; select each column "
            "in a dimension of its own."
        )
    column = _column(windows[0].partition, columns)
    return (_Condition(column, ranges=tuple(_range(window, column) for window in windows)),)


def _column(partition: PartitionColumn, columns: Sequence[Column]) -> Column:
    for column in columns:
        if column.name == partition.column:
            return column
    raise LakehouseError(
        f"The partition column {partition.column} is not a column of the table; declare it in the "
        "registry."
    )


def _range(window: Window, column: Column) -> tuple[_Value, _Value]:
    bounds = (
        _bound(window.start, column, window.partition),
        _bound(window.end, column, window.partition),
    )
    if not window.start < window.end:
        raise LakehouseError(
            f"The window [{window.start}, {window.end}) of {column.name} is empty; its end must "
            "lie after its start."
        )
    return bounds


def _bound(moment: datetime, column: Column, partition: PartitionColumn) -> _Value:
    """Return a moment as the column stores it; a moment between two stored values raises."""
    if moment.tzinfo is None:
        raise LakehouseError(
            f"The window bound {moment} of {column.name} has no time zone; use UTC."
        )
    utc = moment.astimezone(UTC)
    if partition.grain == "keys":
        raise LakehouseError(
            f"Column {column.name} holds keys, so a time window cannot select on it; declare its "
            "partition with the grain day or month."
        )
    if partition.grain == "month" and utc != utc.replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    ):
        raise LakehouseError(
            f"The window bound {utc.isoformat()} does not start a month, but column {column.name} "
            "is partitioned by month; partition the asset by month too."
        )
    if column.type == "date":
        if utc.time() != datetime.min.time():
            raise LakehouseError(
                f"The window bound {utc.isoformat()} is no whole day, but column {column.name} is "
                "a date; use a timestamp column for partitions below one day."
            )
        return utc.date()
    if column.type == "timestamp":
        return utc
    if column.type == "timestamp_ntz":
        return utc.replace(tzinfo=None)
    if column.type in {"string", "int", "bigint"}:
        text = _formatted(utc, column, partition)
        return text if column.type == "string" else _integer(text, column)
    raise LakehouseError(
        f"A time window cannot select on column {column.name} of type {column.type}; use a date, "
        "timestamp, string or integer column."
    )


def _formatted(utc: datetime, column: Column, partition: PartitionColumn) -> str:
    """Write a moment in the partition's format, if that sorts like time and loses nothing."""
    fmt = partition.format
    if fmt is None:
        raise LakehouseError(
            f"Column {column.name} stores partitions as {column.type}; give the partition a "
            "strftime format such as %Y-%m-%d."
        )
    rank = {"%Y": 0, "%m": 1, "%d": 2, "%H": 3, "%M": 4, "%S": 5}
    order = [rank.get(fmt[i : i + 2], -1) for i, sign in enumerate(fmt) if sign == "%"]
    if order != list(range(len(order))) or not order:
        raise LakehouseError(
            f"The format {fmt} of column {column.name} does not sort like time; use year, month, "
            "day, hour in that order."
        )
    # strftime writes the year 999 in three digits, which would sort after 1000.
    text = utc.strftime(fmt.replace("%Y", f"{utc.year:04d}"))
    if datetime.strptime(text, fmt).replace(tzinfo=UTC) != utc:
        raise LakehouseError(
            f"The window bound {utc.isoformat()} does not fit the format {fmt} of column "
            f"{column.name}, which is coarser; partition the asset as coarsely or refine it."
        )
    return text


def _key(key: str, column: Column) -> _Value:
    """Return a partition key as the column stores it."""
    if column.type == "string":
        return key
    if column.type in _BITS:
        return _integer(key, column)
    if column.type == "date":
        return _iso_date(key, column)
    raise LakehouseError(
        f"Keys cannot select on column {column.name} of type {column.type}; use a string, integer "
        "or date column."
    )


def _integer(key: str, column: Column) -> int:
    # int() would take 1_0, blanks and other scripts' digits, and so merge different keys.
    if not _INTEGER.fullmatch(key) or not -(1 << _BITS[column.type] - 1) <= int(key) < (
        1 << _BITS[column.type] - 1
    ):
        raise LakehouseError(
            f"The partition key {key!r} is no integer of column {column.name}, which is "
            f"{column.type}; correct the key or the column's type."
        )
    return int(key)


def _iso_date(key: str, column: Column) -> date:
    try:
        day = date.fromisoformat(key)
    except ValueError:
        day = None
    if day is None or day.isoformat() != key:
        raise LakehouseError(
            f"The partition key {key!r} is no date, but column {column.name} is a date; write it "
            "as YYYY-MM-DD."
        )
    return day


def _holds(condition: _Condition, value: Any) -> bool:
    if value is None:
        return False
    inside = any(start <= value < end for start, end in condition.ranges)
    return inside or value in condition.values


def _stamp(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def _literal(value: _Value, column_type: str) -> str:
    """Write a value as an SQL literal of the column's type."""
    if isinstance(value, datetime):
        # No CAST: to delta-rs it would be nanoseconds, which it cannot compare with the column's
        # microseconds. A bare literal takes the column's type, here and in DuckDB.
        zone = "+00:00" if column_type == "timestamp" else ""
        return f"'{_stamp(value)}{zone}'"
    if isinstance(value, date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def _spark_literal(value: _Value, column_type: str) -> str:
    """Write a value as a Spark SQL literal of the column's type."""
    if isinstance(value, datetime):
        zone = "+00:00" if column_type == "timestamp" else ""
        return f"{column_type.upper()} '{_stamp(value)}{zone}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    # A dollar sign could begin the name of a setting, which Spark would put in its place.
    escapes = {"\\": "\\\\", "'": "\\'", "$": "\\u0024"}
    return "'" + "".join(escapes.get(sign, sign) for sign in value) + "'"


def _lit(value: _Value, column_type: str) -> Col:
    """Write a value as a DataFrame literal of the column's type."""
    if isinstance(value, datetime):
        zone = "+00:00" if column_type == "timestamp" else ""
        return F.lit(_stamp(value) + zone).cast(column_type)
    return F.lit(value)


def quoted(name: str, dialect: Dialect) -> str:
    """Write a name as SQL."""
    mark = "`" if dialect == "spark" else '"'
    return mark + name.replace(mark, mark + mark) + mark
