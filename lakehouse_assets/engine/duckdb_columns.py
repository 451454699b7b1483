"""Columns of the embedded engine: expressions of PySpark's API as DuckDB reads them.

Belongs here: `Column`, literals, type names and windows. Not here: functions
(`duckdb_functions.py`) and frames (`duckdb_frames.py`).

A column is its SQL text and the names that the text uses, so that building one costs no more than
joining texts, and lineage needs no parser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral
from typing import Any

from lakehouse_assets.engine.duckdb_sql import identifier, literal
from lakehouse_assets.errors import LakehouseError

_NOTHING: frozenset[str] = frozenset()
_TYPES = {
    "string": "VARCHAR", "bigint": "BIGINT", "long": "BIGINT", "int": "INTEGER",
    "integer": "INTEGER", "smallint": "SMALLINT", "tinyint": "TINYINT", "double": "DOUBLE",
    "float": "REAL", "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMPTZ",
    "timestamp_ntz": "TIMESTAMP", "binary": "BLOB",
}  # fmt: skip


class Column:
    """An expression over the columns of a frame.

    Args:
        sql: The expression as DuckDB reads it; it stands on its own among operators.
        uses: Names of the columns that it is computed from.
        name: What it is called when it is selected; None if that has to be said.
    """

    __slots__ = ("name", "sql", "uses")

    def __init__(self, sql: str, uses: frozenset[str] = _NOTHING, name: str | None = None) -> None:
        self.sql = sql
        self.uses = uses
        self.name = name

    def __repr__(self) -> str:
        """Show the expression."""
        return f"Column<{self.sql}>"

    def __bool__(self) -> bool:
        """Refuse `and`, `or` and `not`, which would look at the expression and not at rows."""
        raise LakehouseError("A column is neither true nor false; combine columns by &, | and ~.")

    def alias(self, name: str) -> Column:
        """Call the expression by a name."""
        return Column(self.sql, self.uses, name)

    def cast(self, type_name: str) -> Column:
        """Cast to a type as PySpark names it."""
        return Column(f"CAST({self.sql} AS {duckdb_type(type_name)})", self.uses, self.name)

    def isNull(self) -> Column:
        """Say whether it is null."""
        return Column(f"({self.sql} IS NULL)", self.uses)

    def isNotNull(self) -> Column:
        """Say whether it is not null."""
        return Column(f"({self.sql} IS NOT NULL)", self.uses)

    def isin(self, *values: Any) -> Column:
        """Say whether it is one of the values."""
        options = _flat(values)
        if not options:
            return Column("FALSE")
        return apply("({} IN (" + ", ".join(["{}"] * len(options)) + "))", self, *options)

    def between(self, lower: Any, upper: Any) -> Column:
        """Say whether it lies between two values or is one of them."""
        return apply("({} BETWEEN {} AND {})", self, lower, upper)

    def eqNullSafe(self, other: Any) -> Column:
        """Say whether both are equal or both are null."""
        return apply("({} IS NOT DISTINCT FROM {})", self, other)

    def rlike(self, pattern: str) -> Column:
        """Say whether a regular expression finds something in the text."""
        return apply("regexp_matches({}, {})", self, pattern)

    def contains(self, other: Any) -> Column:
        """Say whether the text contains another."""
        return apply("contains({}, {})", self, other)

    def startswith(self, other: Any) -> Column:
        """Say whether the text starts with another."""
        return apply("starts_with({}, {})", self, other)

    def endswith(self, other: Any) -> Column:
        """Say whether the text ends with another."""
        return apply("ends_with({}, {})", self, other)

    def substr(self, start: Any, length: Any) -> Column:
        """Cut out text by its first place, counted from 1, and its length."""
        return apply("substring({}, {}, {})", self, start, length)

    def getItem(self, place: int) -> Column:
        """Return an array's element by its place, counted from 0; null if there is none."""
        return apply("{}[{}]", self, place + 1)

    def over(self, window: WindowSpec) -> Column:
        """Compute the function over a window."""
        return Column(f"{self.sql} OVER ({window.sql})", self.uses | window.uses)

    def asc(self) -> Column:
        """Sort from low to high, nulls first as PySpark has it."""
        return self._sorted("ASC NULLS FIRST")

    def desc(self) -> Column:
        """Sort from high to low, nulls last as PySpark has it."""
        return self._sorted("DESC NULLS LAST")

    def asc_nulls_first(self) -> Column:
        """Sort from low to high, nulls first."""
        return self._sorted("ASC NULLS FIRST")

    def asc_nulls_last(self) -> Column:
        """Sort from low to high, nulls last."""
        return self._sorted("ASC NULLS LAST")

    def desc_nulls_first(self) -> Column:
        """Sort from high to low, nulls first."""
        return self._sorted("DESC NULLS FIRST")

    def desc_nulls_last(self) -> Column:
        """Sort from high to low, nulls last."""
        return self._sorted("DESC NULLS LAST")

    def _sorted(self, how: str) -> Column:
        return Column(f"{self.sql} {how}", self.uses, self.name)

    def __eq__(self, other: object) -> Column:  # type: ignore[override]  # as in PySpark
        return apply("({} = {})", self, other)

    def __ne__(self, other: object) -> Column:  # type: ignore[override]  # as in PySpark
        return apply("({} <> {})", self, other)

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Column:
        return apply("({} < {})", self, other)

    def __le__(self, other: Any) -> Column:
        return apply("({} <= {})", self, other)

    def __gt__(self, other: Any) -> Column:
        return apply("({} > {})", self, other)

    def __ge__(self, other: Any) -> Column:
        return apply("({} >= {})", self, other)

    def __and__(self, other: Any) -> Column:
        return apply("({} AND {})", self, other)

    def __rand__(self, other: Any) -> Column:
        return apply("({} AND {})", other, self)

    def __or__(self, other: Any) -> Column:
        return apply("({} OR {})", self, other)

    def __ror__(self, other: Any) -> Column:
        return apply("({} OR {})", other, self)

    def __invert__(self) -> Column:
        return apply("(NOT {})", self)

    def __neg__(self) -> Column:
        return apply("(-{})", self)

    def __add__(self, other: Any) -> Column:
        return apply("({} + {})", self, other)

    def __radd__(self, other: Any) -> Column:
        return apply("({} + {})", other, self)

    def __sub__(self, other: Any) -> Column:
        return apply("({} - {})", self, other)

    def __rsub__(self, other: Any) -> Column:
        return apply("({} - {})", other, self)

    def __mul__(self, other: Any) -> Column:
        return apply("({} * {})", self, other)

    def __rmul__(self, other: Any) -> Column:
        return apply("({} * {})", other, self)

    def __truediv__(self, other: Any) -> Column:
        return apply("({} / {})", self, other)

    def __rtruediv__(self, other: Any) -> Column:
        return apply("({} / {})", other, self)

    def __mod__(self, other: Any) -> Column:
        return apply("({} % {})", self, other)

    def __rmod__(self, other: Any) -> Column:
        return apply("({} % {})", other, self)


class Case(Column):
    """A choice between values: `when(…).when(…).otherwise(…)`."""

    __slots__ = ("_branches",)

    def __init__(self, branches: str, uses: frozenset[str]) -> None:
        super().__init__(f"CASE {branches} END", uses)
        self._branches = branches

    def when(self, condition: Column, value: Any) -> Case:
        """Add a value and when it is chosen."""
        branch = apply("WHEN {} THEN {}", condition, value)
        return Case(f"{self._branches} {branch.sql}", self.uses | branch.uses)

    def otherwise(self, value: Any) -> Column:
        """Say what is chosen if nothing else is."""
        last = apply("{}", value)
        return Column(f"CASE {self._branches} ELSE {last.sql} END", self.uses | last.uses)


class WindowSpec:
    """Rows that a function sees beside its own."""

    def __init__(
        self,
        partition: tuple[Column, ...] = (),
        order: tuple[Column, ...] = (),
        rows: str = "",
    ) -> None:
        self._partition, self._order, self._rows = partition, order, rows

    def partitionBy(self, *columns: Any) -> WindowSpec:
        """See the rows that agree in these columns."""
        return WindowSpec(tuple(columns_of(columns)), self._order, self._rows)

    def orderBy(self, *columns: Any) -> WindowSpec:
        """See the rows up to one's own, in this order."""
        return WindowSpec(self._partition, tuple(columns_of(columns)), self._rows)

    def rowsBetween(self, start: int, end: int) -> WindowSpec:
        """See so many rows before (negative) and after one's own."""
        rows = f"ROWS BETWEEN {_bound(start)} AND {_bound(end)}"
        return WindowSpec(self._partition, self._order, rows)

    @property
    def sql(self) -> str:
        """The window as DuckDB reads it."""
        parts = []
        if self._partition:
            parts.append("PARTITION BY " + ", ".join(c.sql for c in self._partition))
        if self._order:
            parts.append("ORDER BY " + ", ".join(c.sql for c in self._order))
        return " ".join([*parts, self._rows]).rstrip()

    @property
    def uses(self) -> frozenset[str]:
        """Names of the columns that it is made of."""
        return _NOTHING.union(*(c.uses for c in (*self._partition, *self._order)))


class Window:
    """Where windows begin, as `pyspark.sql.Window`."""

    unboundedPreceding = -(2**63)
    unboundedFollowing = 2**63 - 1
    currentRow = 0

    @staticmethod
    def partitionBy(*columns: Any) -> WindowSpec:
        """See the rows that agree in these columns."""
        return WindowSpec().partitionBy(*columns)

    @staticmethod
    def orderBy(*columns: Any) -> WindowSpec:
        """See the rows up to one's own, in this order."""
        return WindowSpec().orderBy(*columns)


def _bound(place: int) -> str:
    if place in {Window.unboundedPreceding, Window.unboundedFollowing}:
        return f"UNBOUNDED {'PRECEDING' if place < 0 else 'FOLLOWING'}"
    side = "PRECEDING" if place < 0 else "FOLLOWING"
    return "CURRENT ROW" if place == 0 else f"{abs(place)} {side}"


def named(name: str) -> Column:
    """Return the column of a name."""
    return Column(identifier(name), frozenset({name}), name)


def value(given: Any) -> Column:
    """Return a column as it is, and anything else as a literal."""
    return given if isinstance(given, Column) else Column(_literal(given))


def apply(template: str, *arguments: Any) -> Column:
    """Put the SQL of columns and literals into a template with a `{}` for each."""
    columns = [value(argument) for argument in arguments]
    return Column(
        template.format(*(c.sql for c in columns)), _NOTHING.union(*(c.uses for c in columns))
    )


def columns_of(given: Iterable[Any]) -> Iterator[Column]:
    """Return columns of names and columns, alone or in lists."""
    for item in _flat(given):
        yield item if isinstance(item, Column) else named(item)


def _flat(given: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in given:
        found += item if isinstance(item, list | tuple | set | frozenset) else [item]
    return found


def duckdb_type(name: str) -> str:
    """Return DuckDB's name of a type of PySpark.

    Raises:
        LakehouseError: there is none.
    """
    plain = name.lower().strip()
    if plain.startswith("decimal"):
        return plain.upper()
    if plain.startswith("array<"):
        return duckdb_type(plain.removeprefix("array<").removesuffix(">")) + "[]"
    if plain not in _TYPES:
        raise LakehouseError(f"There is no type {name!r}; use one of {', '.join(_TYPES)}.")
    return _TYPES[plain]


def _literal(given: Any) -> str:
    """Write a Python value as DuckDB reads it, of the type that PySpark gives it."""
    if given is None:
        return "NULL"
    if isinstance(given, bool):
        return "TRUE" if given else "FALSE"
    if isinstance(given, str):
        # A text of SQL ends at the sign 0.
        parts = " || chr(0) || ".join(map(literal, given.split("\0")))
        return f"({parts})" if "\0" in given else parts
    if isinstance(given, Integral):
        whole = int(given)
        return str(whole) if whole >= 0 else f"({whole})"
    if isinstance(given, float):
        # Without the cast it would be a decimal.
        return f"CAST('{float(given)!r}' AS DOUBLE)"
    if isinstance(given, Decimal):
        return f"{given:f}" if given >= 0 else f"({given:f})"
    if isinstance(given, datetime):
        kind = "TIMESTAMP" if given.tzinfo is None else "TIMESTAMPTZ"
        return f"CAST('{given.isoformat(sep=' ')}' AS {kind})"
    if isinstance(given, date):
        return f"CAST('{given.isoformat()}' AS DATE)"
    raise LakehouseError(
        f"A {type(given).__name__} is no literal; give a text, number, date, moment or truth value."
    )
