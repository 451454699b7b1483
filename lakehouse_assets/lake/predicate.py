"""Which rows of a table a set of partitions means, as one SQL predicate.

Belongs here: the selections (everything, half-open windows, key lists, their conjunction) and the
one builder that turns them into SQL for writing (replaceWhere) and for reading alike. Not here:
reading Dagster contexts (`io_manager.py`) or tables (`delta.py`).

A selection that cannot be expressed raises; it never widens to the whole table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeAlias

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.registry import Column, PartitionColumn


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


def to_sql(selection: Selection, columns: Sequence[Column]) -> str | None:
    """Render a selection as SQL over typed columns; None stands for the whole table.

    The text is read alike by DuckDB, DataFusion (delta-rs) and Spark.

    Raises:
        LakehouseError: the column's type and the selection do not fit, or nothing is selected.
    """
    if isinstance(selection, Everything):
        return None
    if isinstance(selection, Both):
        return " AND ".join(f"({to_sql(part, columns)})" for part in selection.dimensions)
    if isinstance(selection, Windows):
        if not selection.windows:
            raise LakehouseError("No partition window is selected; name at least one partition.")
        return " OR ".join(f"({to_sql(part, columns)})" for part in selection.windows)
    column = next((c for c in columns if c.name == selection.partition.column), None)
    if column is None:
        raise LakehouseError(
            f"The partition column {selection.partition.column} is not a column of the table; "
            "declare it in the registry."
        )
    if isinstance(selection, Keys):
        return _keys_sql(selection, column)
    start = _literal(selection.start, column, selection.partition)
    end = _literal(selection.end, column, selection.partition)
    if not selection.start < selection.end:
        raise LakehouseError(
            f"The window [{selection.start}, {selection.end}) of {column.name} is empty; its end "
            "must lie after its start."
        )
    return f"{_quoted(column.name)} >= {start} AND {_quoted(column.name)} < {end}"


def _keys_sql(selection: Keys, column: Column) -> str:
    if not selection.keys:
        raise LakehouseError("No partition key is selected; name at least one key.")
    if column.type == "string":
        literals = [_text(key) for key in selection.keys]
    elif column.type in {"int", "bigint"}:
        literals = [str(_integer(key, column)) for key in selection.keys]
    elif column.type == "date":
        literals = [f"CAST({_text(_iso_date(key, column))} AS DATE)" for key in selection.keys]
    else:
        raise LakehouseError(
            f"Keys cannot select on column {column.name} of type {column.type}; use a string, "
            "integer or date column."
        )
    return f"{_quoted(column.name)} IN ({', '.join(literals)})"


def _literal(moment: datetime, column: Column, partition: PartitionColumn) -> str:
    """Write a moment as a literal of the column's type."""
    if moment.tzinfo is None:
        raise LakehouseError(
            f"The window bound {moment} of {column.name} has no time zone; use UTC."
        )
    utc = moment.astimezone(UTC)
    if column.type == "date":
        if utc.time() != datetime.min.time():
            raise LakehouseError(
                f"The window bound {utc.isoformat()} is no whole day, but column {column.name} is "
                "a date; use a timestamp column for partitions below one day."
            )
        return f"CAST('{utc.date().isoformat()}' AS DATE)"
    if column.type == "timestamp":
        return f"CAST('{utc:%Y-%m-%d %H:%M:%S.%f}+00:00' AS TIMESTAMP WITH TIME ZONE)"
    if column.type == "timestamp_ntz":
        return f"CAST('{utc:%Y-%m-%d %H:%M:%S.%f}' AS TIMESTAMP)"
    if column.type == "string":
        return _text(utc.strftime(_sortable(partition, column)))
    if column.type in {"int", "bigint"}:
        return str(_integer(utc.strftime(_sortable(partition, column)), column))
    raise LakehouseError(
        f"A time window cannot select on column {column.name} of type {column.type}; use a date, "
        "timestamp, string or integer column."
    )


def _sortable(partition: PartitionColumn, column: Column) -> str:
    """Return the partition's format if text in it sorts like time, else refuse."""
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
    return fmt


def _integer(key: str, column: Column) -> int:
    try:
        return int(key)
    except ValueError:
        raise LakehouseError(
            f"The partition key {key!r} is no integer, but column {column.name} is "
            f"{column.type}; correct the key or the column's type."
        ) from None


def _iso_date(key: str, column: Column) -> str:
    try:
        return date.fromisoformat(key).isoformat()
    except ValueError:
        raise LakehouseError(
            f"The partition key {key!r} is no date, but column {column.name} is a date; write "
            "it as YYYY-MM-DD."
        ) from None


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
