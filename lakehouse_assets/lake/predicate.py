"""Selections: the rows that a write replaces or a read returns, translated for each client.

A selection that cannot be expressed raises an error; it never widens to the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from operator import or_
from typing import Literal, TypeAlias

from lakehouse_assets.catalog.registry import PartitionColumn
from lakehouse_assets.engine import Col, F
from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class Everything:
    """The whole table."""


@dataclass(frozen=True)
class Values:
    """Rows whose text column has one of the values.

    Raises:
        LakehouseError: `values` is empty.
    """

    column: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise LakehouseError(f"No value of {self.column} is selected; select at least one.")


@dataclass(frozen=True)
class Times:
    """Rows whose timestamp column is in one of several half-open windows [start, end).

    Attributes:
        column: The column.
        spans: Start and end of each window, with a time zone.

    Raises:
        LakehouseError: there is no window.
    """

    column: str
    spans: tuple[tuple[datetime, datetime], ...]

    def __post_init__(self) -> None:
        if not self.spans:
            raise LakehouseError(f"No time span of {self.column} is selected; select at least one.")


@dataclass(frozen=True)
class Windows:
    """Rows whose partition column is in one of several half-open windows [start, end) of days.

    Attributes:
        partition: The partition column.
        spans: First day of each window, and the day after its last.
        only: Limits the selection to these rows of the windows; None for all rows.

    Raises:
        LakehouseError: there is no window, or one is empty or does not cover whole partitions.
    """

    partition: PartitionColumn
    spans: tuple[tuple[date, date], ...]
    only: Values | Times | None = None

    def __post_init__(self) -> None:
        column = self.partition.column
        if not self.spans:
            raise LakehouseError(f"No partition of {column} is selected; select at least one.")
        for start, end in self.spans:
            if type(start) is not date or type(end) is not date:
                raise LakehouseError(
                    f"The window [{start}, {end}) of {column} has bounds that are not dates; "
                    "partitions are whole days or months in UTC."
                )
            if not start < end:
                raise LakehouseError(
                    f"The window [{start}, {end}) of {column} is empty; its end must be after its "
                    "start."
                )
            if self.partition.grain == "month" and (start.day, end.day) != (1, 1):
                raise LakehouseError(
                    f"The window [{start}, {end}) of {column} is not made of whole months, but the "
                    "table is partitioned by month; partition the asset by month too."
                )


def between(partition: PartitionColumn, start: date, end: date) -> Windows:
    """Select the partitions from `start` up to, but not including, `end`."""
    return Windows(partition, ((start, end),))


Selection: TypeAlias = Everything | Windows | Values | Times
Dialect: TypeAlias = Literal["delta_rs", "spark"]

# In Spark SQL a backslash escapes, and Spark would substitute a setting after a dollar sign.
_SPARK_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "$": "\\u0024"})


def to_sql(selection: Selection, dialect: Dialect = "delta_rs") -> str | None:
    """Return a selection as SQL for Delta's `replaceWhere`; None for the whole table."""
    if isinstance(selection, Everything):
        return None
    if isinstance(selection, Values):
        listed = ", ".join(_literal(value, dialect) for value in selection.values)
        return f"{_quoted(selection.column)} IN ({listed})"
    column = selection.column if isinstance(selection, Times) else selection.partition.column
    name = _quoted(column)
    windows = " OR ".join(
        f"({name} >= {_bound(start, dialect)} AND {name} < {_bound(end, dialect)})"
        for start, end in selection.spans
    )
    if isinstance(selection, Windows) and selection.only:
        return f"({windows}) AND {to_sql(selection.only, dialect)}"
    return f"({windows})"


def to_filter(selection: Selection) -> Col | None:
    """Return a selection as a DataFrame filter; None for the whole table."""
    if isinstance(selection, Everything):
        return None
    if isinstance(selection, Values):
        return F.col(selection.column).isin(*selection.values)
    if isinstance(selection, Times):
        starts, ends = zip(*selection.spans, strict=True)
        # Engines skip files by a single window, but not by one of several.
        around = _inside(selection.column, [(min(starts), max(ends))])
        return around & _inside(selection.column, selection.spans)
    found = _inside(selection.partition.column, selection.spans)
    only = to_filter(selection.only) if selection.only else None
    return found if only is None else found & only


def _inside(column: str, spans: Iterable[tuple[date, date]]) -> Col:
    """Return the filter for half-open windows of a column."""
    first, *others = [
        (F.col(column) >= F.lit(start)) & (F.col(column) < F.lit(end)) for start, end in spans
    ]
    return reduce(or_, others, first)


def to_python_predicate(selection: Selection) -> Callable[[date | None], bool]:
    """Return a function that says whether a partition may contain selected rows."""
    if not isinstance(selection, Windows):
        return lambda _day: True
    spans = selection.spans
    return lambda day: day is not None and any(start <= day < end for start, end in spans)


def columns_of(selection: Selection) -> tuple[str, ...]:
    """Return the columns that a selection filters by."""
    if isinstance(selection, Everything):
        return ()
    if isinstance(selection, Values | Times):
        return (selection.column,)
    return (selection.partition.column, *columns_of(selection.only or Everything()))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _bound(value: date, dialect: Dialect) -> str:
    if not isinstance(value, datetime):
        return f"DATE '{value}'"
    kind = "TIMESTAMP " if dialect == "spark" else ""
    return kind + value.astimezone(UTC).strftime("'%Y-%m-%dT%H:%M:%S.%fZ'")


def _literal(value: str, dialect: Dialect) -> str:
    if dialect == "spark":
        return f"'{value.translate(_SPARK_ESCAPES)}'"
    return "'" + value.replace("'", "''") + "'"
