"""Which rows of a table a write replaces or a read returns, in the words of each client.

A selection that cannot be expressed raises; it never widens to the whole table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from lakehouse_assets.catalog.registry import PartitionColumn
from lakehouse_assets.engine import Col, F
from lakehouse_assets.errors import LakehouseError


@dataclass(frozen=True)
class Everything:
    """The whole table."""


@dataclass(frozen=True)
class Values:
    """Rows whose text column holds one of some values.

    Raises:
        LakehouseError: there is no value.
    """

    column: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise LakehouseError(f"No value of {self.column} is selected; name at least one.")


@dataclass(frozen=True)
class Windows:
    """Rows whose partition column lies in one of some half-open windows [start, end) of days.

    Attributes:
        partition: The partition column.
        spans: First day of each window, and the day after its last.
        only: The rows of these windows that are meant; all of them if it is None.

    Raises:
        LakehouseError: there is no window, one is empty, or it is not of whole partitions.
    """

    partition: PartitionColumn
    spans: tuple[tuple[date, date], ...]
    only: Values | None = None

    def __post_init__(self) -> None:
        column = self.partition.column
        if not self.spans:
            raise LakehouseError(f"No partition of {column} is selected; name at least one.")
        for start, end in self.spans:
            if type(start) is not date or type(end) is not date:
                raise LakehouseError(
                    f"The window [{start}, {end}) of {column} has bounds that are not days; "
                    "partitions are whole days or months in UTC."
                )
            if not start < end:
                raise LakehouseError(
                    f"The window [{start}, {end}) of {column} is empty; its end must be after its "
                    "start."
                )
            if self.partition.grain == "month" and (start.day, end.day) != (1, 1):
                raise LakehouseError(
                    f"The window [{start}, {end}) of {column} is not of whole months, by which the "
                    "table is partitioned; partition the asset by month too."
                )


def between(partition: PartitionColumn, start: date, end: date) -> Windows:
    """Select the partitions from `start` up to, but without, `end`."""
    return Windows(partition, ((start, end),))


Selection: TypeAlias = Everything | Windows | Values
Dialect: TypeAlias = Literal["delta_rs", "spark"]

# In Spark's SQL a backslash escapes, and a dollar sign could begin the name of a setting, which
# Spark would replace.
_SPARK_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "$": "\\u0024"})


def to_sql(selection: Selection, dialect: Dialect = "delta_rs") -> str | None:
    """Write a selection as SQL for Delta's `replaceWhere`; None is the whole table."""
    if isinstance(selection, Everything):
        return None
    if isinstance(selection, Values):
        listed = ", ".join(_literal(value, dialect) for value in selection.values)
        return f"{_quoted(selection.column)} IN ({listed})"
    name = _quoted(selection.partition.column)
    windows = " OR ".join(
        f"({name} >= DATE '{start}' AND {name} < DATE '{end}')" for start, end in selection.spans
    )
    return f"({windows}) AND {to_sql(selection.only, dialect)}" if selection.only else windows


def to_filter(selection: Selection) -> Col | None:
    """Write a selection as a DataFrame filter; None is the whole table."""
    if isinstance(selection, Everything):
        return None
    if isinstance(selection, Values):
        return F.col(selection.column).isin(*selection.values)
    name = F.col(selection.partition.column)
    found: Col | None = None
    for start, end in selection.spans:
        inside = (name >= F.lit(start)) & (name < F.lit(end))
        found = inside if found is None else found | inside
    only = to_filter(selection.only) if selection.only else None
    return found if found is None or only is None else found & only


def to_python_predicate(selection: Selection) -> Callable[[date | None], bool]:
    """Return a test of a partition: whether it may hold selected rows."""
    if not isinstance(selection, Windows):
        return lambda _day: True
    spans = selection.spans
    return lambda day: day is not None and any(start <= day < end for start, end in spans)


def columns_of(selection: Selection) -> tuple[str, ...]:
    """Return the columns by which a selection tells rows apart."""
    if isinstance(selection, Everything):
        return ()
    if isinstance(selection, Values):
        return (selection.column,)
    return (selection.partition.column, *columns_of(selection.only or Everything()))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(value: str, dialect: Dialect) -> str:
    if dialect == "spark":
        return f"'{value.translate(_SPARK_ESCAPES)}'"
    return "'" + value.replace("'", "''") + "'"
