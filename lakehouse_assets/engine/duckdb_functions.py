"""`pyspark.sql.functions` as the embedded engine offers them.

Belongs here: functions under PySpark's names and with PySpark's arguments, as DuckDB computes them.
Not here: which of them mean the same everywhere (`lint.PROVEN` and the parity suite), and words of
the project's own (`vocabulary.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lakehouse_assets.engine.duckdb_columns import Case, Column, apply, columns_of, named, value

# Functions that take columns or their names, and have the same name in DuckDB.
_ALIKE = frozenset(
    {
        "abs", "ascii", "ceil", "coalesce", "dense_rank", "exp", "floor", "greatest", "least",
        "length", "ln", "lower", "ltrim", "max", "md5", "min", "nullif", "percent_rank", "rank",
        "reverse", "row_number", "rtrim", "sign", "sqrt", "sum", "trim", "upper",
    }
)  # fmt: skip
# The same for parts of a date.
_PARTS = {
    "dayofmonth": "day", "dayofyear": "dayofyear", "month": "month", "quarter": "quarter",
    "weekofyear": "week", "year": "year",
}  # fmt: skip


def col(name: str) -> Column:
    """Return the column of a name."""
    return named(name)


def lit(given: Any) -> Column:
    """Return a value as a column; a column stays one."""
    return value(given)


def when(condition: Column, chosen: Any) -> Case:
    """Begin a choice."""
    branch = apply("WHEN {} THEN {}", condition, chosen)
    return Case(branch.sql, branch.uses)


def count(column: Any) -> Column:
    """Count the rows in which the column is not null; `*` counts all."""
    if isinstance(column, str) and column == "*":
        return Column("count(*)")
    return _call("count", column)


def countDistinct(column: Any) -> Column:
    """Count different values; null is none."""
    return apply("count(DISTINCT {})", *columns_of([column]))


def first(column: Any, ignorenulls: bool = False) -> Column:
    """Return the first value of a window, or any one of a group."""
    return apply("first({} IGNORE NULLS)" if ignorenulls else "first({})", *columns_of([column]))


def concat(*columns: Any) -> Column:
    """Put texts together; null if one is null."""
    given = list(columns_of(columns))
    return apply("(" + " || ".join(["{}"] * len(given)) + ")", *given)


def substring(column: Any, start: Any, length: Any) -> Column:
    """Cut out text by its first place, counted from 1, and its length."""
    return apply("substring({}, {}, {})", *columns_of([column]), start, length)


def regexp_replace(column: Any, pattern: str, replacement: str) -> Column:
    """Replace every match of a regular expression."""
    return apply("regexp_replace({}, {}, {}, 'g')", *columns_of([column]), pattern, replacement)


def split(column: Any, pattern: str) -> Column:
    """Split text where a regular expression matches."""
    return apply("str_split_regex({}, {})", *columns_of([column]), pattern)


def array(*columns: Any) -> Column:
    """Make an array of values."""
    given = list(columns_of(columns))
    return apply("[" + ", ".join(["{}"] * len(given)) + "]", *given)


def array_contains(column: Any, element: Any) -> Column:
    """Say whether an array has an element."""
    return apply("list_contains({}, {})", *columns_of([column]), element)


def array_compact(column: Any) -> Column:
    """Leave out an array's nulls."""
    return apply("list_filter({}, lambda x: x IS NOT NULL)", *columns_of([column]))


def array_join(column: Any, delimiter: str) -> Column:
    """Make one text of an array's texts."""
    return apply("array_to_string({}, {})", *columns_of([column]), delimiter)


def size(column: Any) -> Column:
    """Count an array's elements; null if it is null."""
    return _call("len", column)


def transform(column: Any, change: Callable[[Column], Column]) -> Column:
    """Change each element of an array."""
    (variable,) = inspect.signature(change).parameters
    changed = change(Column(variable))
    (given,) = columns_of([column])
    return Column(
        f"list_transform({given.sql}, lambda {variable}: {changed.sql})", given.uses | changed.uses
    )


def datediff(end: Any, start: Any) -> Column:
    """Count the days from a start to an end."""
    later, earlier = columns_of([end, start])
    return apply("date_diff('day', CAST({} AS DATE), CAST({} AS DATE))", earlier, later)


def date_add(day: Any, days: Any) -> Column:
    """Add days to a date."""
    number = days if isinstance(days, int) else next(columns_of([days]))
    return apply("(CAST({} AS DATE) + CAST({} AS INTEGER))", *columns_of([day]), number)


def last_day(day: Any) -> Column:
    """Return the last day of a date's month."""
    return apply("last_day(CAST({} AS DATE))", *columns_of([day]))


def rand() -> Column:
    """Draw a number from 0 to 1 for each row."""
    return Column("random()")


def _call(function: str, *columns: Any) -> Column:
    given = list(columns_of(columns))
    return apply(f"{function}({', '.join(['{}'] * len(given))})", *given)


def __getattr__(name: str) -> Callable[..., Column]:
    """Return a function that only passes its columns on."""
    if name in _ALIKE:
        return lambda *columns: _call(name, *columns)
    if name in _PARTS:
        return lambda day: apply(f"{_PARTS[name]}(CAST({{}} AS DATE))", *columns_of([day]))
    raise AttributeError(
        f"The embedded engine has no function {name}; use one that lint.PROVEN names, or add it to "
        "engine/duckdb_functions.py with a case in the parity suite."
    )
