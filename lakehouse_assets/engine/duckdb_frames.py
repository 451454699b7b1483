"""Frames of the embedded engine: PySpark's DataFrame API as DuckDB's SQL.

Belongs here: frames, what they are made of, and the SQL of a plan. Not here: expressions
(`duckdb_columns.py`) and running anything (`duckdb.py`).

A frame is one SELECT over other frames and never changes, so that a step costs what the step says,
whatever came before it. With each column it carries the stored columns that it comes from, so that
lineage is there without looking at the SQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from lakehouse_assets.engine.base import SourceColumn
from lakehouse_assets.engine.duckdb_columns import Column, columns_of, named
from lakehouse_assets.engine.duckdb_sql import identifier
from lakehouse_assets.errors import LakehouseError

Origins = Mapping[str, frozenset[SourceColumn]]

_ORDER = " ORDER BY "
_NOWHERE: frozenset[SourceColumn] = frozenset()
_JOINS = {
    "inner": "JOIN", "left": "LEFT JOIN", "leftouter": "LEFT JOIN", "left_outer": "LEFT JOIN",
    "right": "RIGHT JOIN", "rightouter": "RIGHT JOIN", "right_outer": "RIGHT JOIN",
    "full": "FULL JOIN", "outer": "FULL JOIN", "fullouter": "FULL JOIN", "full_outer": "FULL JOIN",
    "semi": "SEMI JOIN", "leftsemi": "SEMI JOIN", "left_semi": "SEMI JOIN",
    "anti": "ANTI JOIN", "leftanti": "ANTI JOIN", "left_anti": "ANTI JOIN",
}  # fmt: skip


class DuckDBFrame:
    """Rows that a query will give.

    Args:
        parts: The query's text, with frames where it reads them; a name alone is a relation.
        origins: By column, in order: the stored columns it comes from.
        versions: Delta versions that are read, by table name.
        united: Frames whose rows it puts together, if that is all it does.

    Attributes:
        holds_union: Whether there is a union in the plan.
    """

    def __init__(
        self,
        parts: Sequence[str | DuckDBFrame],
        origins: Origins,
        versions: Mapping[str, int] | None = None,
        united: Sequence[DuckDBFrame] = (),
    ) -> None:
        self._parts = parts
        self.origins = dict(origins)
        self.versions = dict(versions or {})
        self.united = united
        self.holds_union = bool(united)
        for part in self._inputs:
            self.versions |= part.versions
            self.holds_union |= part.holds_union

    @classmethod
    def of_relation(
        cls, name: str, origins: Origins, versions: Mapping[str, int] | None = None
    ) -> DuckDBFrame:
        """Make the frame of a table or view."""
        return _Relation((identifier(name),), origins, versions)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.origins)

    @property
    def _inputs(self) -> Iterator[DuckDBFrame]:
        return (part for part in self._parts if isinstance(part, DuckDBFrame))

    @cached_property
    def query(self) -> str:
        """The SQL of the plan; what is read more than once is written once."""
        uses = Counter[DuckDBFrame]()
        ready: list[DuckDBFrame] = []
        _visit(self, uses, ready)
        names: dict[DuckDBFrame, str] = {}
        shared = []
        for frame in ready:
            if uses[frame] > 1 and not isinstance(frame, _Relation):
                name = f"shared_{len(names) + 1}"
                shared.append(f"{name} AS ({frame._text(names)})")
                names[frame] = name
        return (f"WITH {', '.join(shared)} " if shared else "") + self._text(names)

    @property
    def streamed_query(self) -> str:
        """The SQL of the plan where rows are taken while it runs.

        A stream begins when its buffer is full, but DuckDB sees that only once all other pipelines
        have ended. Two that fill one buffer, as those of `UNION ALL` do where joins are in it, wait
        for each other for ever (https://github.com/duckdb/duckdb/issues/22215). So a union is
        computed before its first row is given.
        """
        if not self.holds_union:
            return self.query
        return f"WITH computed AS MATERIALIZED ({self.query}) SELECT * FROM computed"  # noqa: S608

    def _text(self, names: Mapping[DuckDBFrame, str]) -> str:
        return "".join(
            part if isinstance(part, str) else names.get(part) or part._source(names)
            for part in self._parts
        )

    def _source(self, names: Mapping[DuckDBFrame, str]) -> str:
        return f"({self._text(names)})"

    def select(self, *columns: Any) -> DuckDBFrame:
        """Return some columns and expressions."""
        chosen = list(columns_of(self._expanded(columns)))
        origins = {_name_of(column): self._origins_of(column) for column in chosen}
        if len(origins) < len(chosen):
            raise LakehouseError(f"Columns are selected twice: {_twice(map(_name_of, chosen))}.")
        if self.united and all(column.sql == identifier(_name_of(column)) for column in chosen):
            return union([part.select(*origins) for part in self.united])
        return DuckDBFrame(("SELECT ", _list(chosen), " FROM ", self), origins)

    def _expanded(self, columns: Sequence[Any]) -> Iterator[Any]:
        for column in columns:
            if isinstance(column, str) and column == "*":
                yield from self.columns
            else:
                yield column

    def withColumn(self, name: str, column: Column) -> DuckDBFrame:
        """Add a column, or put another in the place of one."""
        return self.withColumns({name: column})

    def withColumns(self, columns: Mapping[str, Column]) -> DuckDBFrame:
        """Add columns, or put others in the place of some."""
        before = [columns[n].alias(n) if n in columns else named(n) for n in self.columns]
        new = [column.alias(n) for n, column in columns.items() if n not in self.origins]
        return self.select(*before, *new)

    def withColumnRenamed(self, existing: str, new: str) -> DuckDBFrame:
        """Call a column by another name."""
        return self.select(*[named(n).alias(new if n == existing else n) for n in self.columns])

    def drop(self, *names: str) -> DuckDBFrame:
        """Leave out columns."""
        return self.select(*[n for n in self.columns if n not in names])

    def filter(self, condition: Column | str) -> DuckDBFrame:
        """Keep the rows for which a condition holds; text is SQL."""
        if isinstance(condition, Column):
            self._check(condition)
            condition = condition.sql
        return DuckDBFrame(("SELECT * FROM ", self, f" WHERE {condition}"), self.origins)

    where = filter

    def distinct(self) -> DuckDBFrame:
        """Keep one of equal rows."""
        return DuckDBFrame(("SELECT DISTINCT * FROM ", self), self.origins)

    def limit(self, number: int) -> DuckDBFrame:
        """Keep at most so many rows."""
        bound = f" LIMIT {int(number)}"
        ordered = str(self._parts[-1]).startswith(_ORDER)
        parts = (*self._parts, bound) if ordered else ("SELECT * FROM ", self, bound)
        return DuckDBFrame(parts, self.origins)

    def orderBy(self, *columns: Any) -> DuckDBFrame:
        """Sort the rows; order ends where the next step begins, unless that is `limit`."""
        keys = list(columns_of(columns))
        for key in keys:
            self._check(key)
        order = ", ".join(key.sql for key in keys)
        return DuckDBFrame(("SELECT * FROM ", self, f"{_ORDER}{order}"), self.origins)

    sort = orderBy

    def groupBy(self, *columns: Any) -> Groups:
        """Put the rows together that agree in some columns."""
        return Groups(self, list(columns_of(columns)))

    def agg(self, *columns: Column) -> DuckDBFrame:
        """Aggregate all rows to one."""
        return Groups(self, []).agg(*columns)

    def join(self, other: DuckDBFrame, on: Any, how: str = "inner") -> DuckDBFrame:
        """Join by a condition, or by columns of the same name, which come once and first.

        Raises:
            LakehouseError: both sides have a column of one name, or there is no such join.
        """
        if how not in _JOINS:
            raise LakehouseError(f"There is no join {how!r}; use one of {', '.join(_JOINS)}.")
        shared = [on] if isinstance(on, str) else [n for n in _list_of(on) if isinstance(n, str)]
        one_sided = _JOINS[how].startswith(("SEMI", "ANTI"))
        if shared:
            matched = f" USING ({', '.join(map(identifier, shared))})"
        else:
            matched = " ON " + self._matched(other, _list_of(on), how)
        mine = {n: o for n, o in self.origins.items() if n not in shared}
        theirs = {n: o for n, o in other.origins.items() if n not in shared and not one_sided}
        both = sorted(mine.keys() & theirs.keys())
        if both:
            raise LakehouseError(
                f"Both sides of a join have {', '.join(both)}; rename or leave out one of them."
            )
        full = _JOINS[how].startswith("FULL")
        keys = {n: self.origins[n] | other.origins[n] if full else self.origins[n] for n in shared}
        names = ", ".join(
            [
                *map(identifier, keys),
                *(f"l.{identifier(n)}" for n in mine),
                *(f"r.{identifier(n)}" for n in theirs),
            ]
        )
        parts = (f"SELECT {names} FROM ", self, f" AS l {_JOINS[how]} ", other, f" AS r{matched}")  # noqa: S608 - quoted names
        return DuckDBFrame(parts, {**keys, **mine, **theirs})

    def _matched(self, other: DuckDBFrame, conditions: Sequence[Column], how: str) -> str:
        for name in {name for condition in conditions for name in condition.uses}:
            if name in self.origins and name in other.origins:
                raise LakehouseError(
                    f"Both sides of a {how} join have {name}, which its condition uses; rename one."
                )
            if name not in self.origins and name not in other.origins:
                raise _no_such_column(name, [*self.columns, *other.columns])
        return " AND ".join(condition.sql for condition in conditions)

    def crossJoin(self, other: DuckDBFrame) -> DuckDBFrame:
        """Pair every row with every row."""
        return self.join(other, Column("TRUE"))

    def union(self, other: DuckDBFrame) -> DuckDBFrame:
        """Put the rows of both together, column by place."""
        return union([self, other.select(*map(_renamed, other.columns, self.columns))])

    unionAll = union

    def unionByName(self, other: DuckDBFrame) -> DuckDBFrame:
        """Put the rows of both together, column by name."""
        return union([self, other])

    def _origins_of(self, column: Column) -> frozenset[SourceColumn]:
        self._check(column)
        return _NOWHERE.union(*(self.origins[name] for name in column.uses))

    def _check(self, column: Column) -> None:
        for name in column.uses:
            if name not in self.origins:
                raise _no_such_column(name, self.columns)


class _Relation(DuckDBFrame):
    """A table or view; its one part is its name."""

    @cached_property
    def query(self) -> str:
        names = ", ".join(map(identifier, self.columns))
        return f"SELECT {names} FROM {self._parts[0]}"  # noqa: S608 - quoted names

    def _source(self, _names: Mapping[DuckDBFrame, str]) -> str:
        return str(self._parts[0])


class Groups:
    """Rows put together by some columns."""

    def __init__(self, frame: DuckDBFrame, keys: list[Column]) -> None:
        self._frame, self._keys = frame, keys

    def agg(self, *columns: Column) -> DuckDBFrame:
        """Return the columns of the groups, and aggregates."""
        chosen = [*self._keys, *columns]
        frame = self._frame.select(*chosen)
        # By place: a name could be that of a column of the rows.
        places = ", ".join(str(place + 1) for place in range(len(self._keys)))
        grouped = (*frame._parts, f" GROUP BY {places}") if places else frame._parts
        return DuckDBFrame(grouped, frame.origins)

    def count(self) -> DuckDBFrame:
        """Count the rows of each group."""
        return self.agg(Column("count(*)").alias("count"))


def union(frames: Sequence[DuckDBFrame]) -> DuckDBFrame:
    """Put the rows of frames with the same columns together, column by name."""
    names = frames[0].columns
    for frame in frames:
        if set(frame.columns) != set(names):
            raise LakehouseError(
                f"Rows with {', '.join(frame.columns)} cannot stand below rows with "
                f"{', '.join(names)}; select the same columns."
            )
    united = [part for frame in frames for part in (frame.united or [frame])]
    united = [part if part.columns == names else part.select(*names) for part in united]
    listed = ", ".join(map(identifier, names))
    parts: list[str | DuckDBFrame] = []
    for part in united:
        parts += [f"{' UNION ALL ' if parts else ''}SELECT {listed} FROM ", part]  # noqa: S608
    origins = {name: _NOWHERE.union(*(part.origins[name] for part in united)) for name in names}
    return DuckDBFrame(parts, origins, united=united)


def _visit(frame: DuckDBFrame, uses: Counter[DuckDBFrame], ready: list[DuckDBFrame]) -> None:
    """Count who reads each frame, and put what is read before who reads it."""
    for part in frame._inputs:
        uses[part] += 1
        if uses[part] == 1:
            _visit(part, uses, ready)
    ready.append(frame)


def _list(columns: Sequence[Column]) -> str:
    return ", ".join(
        column.sql if column.sql == identifier(_name_of(column))
        else f"{column.sql} AS {identifier(_name_of(column))}"
        for column in columns
    )  # fmt: skip


def _list_of(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _renamed(name: str, new: str) -> Column:
    return named(name).alias(new)


def _name_of(column: Column) -> str:
    if column.name is None:
        raise LakehouseError(f"An expression has no name: {column.sql}; give it one by .alias().")
    return column.name


def _twice(names: Iterator[str]) -> str:
    return ", ".join(name for name, number in Counter(names).items() if number > 1)


def _no_such_column(name: str, columns: Sequence[str]) -> LakehouseError:
    return LakehouseError(f"There is no column {name}; the frame has {', '.join(columns)}.")
