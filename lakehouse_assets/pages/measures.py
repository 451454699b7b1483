"""Splits a measure's expression so that a browser can compute it for any selection of rows.

An expression is arithmetic over aggregates. The aggregates become components, computed for groups
of rows and combined in the browser; the arithmetic becomes a small tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import sqlglot
from sqlglot import exp

from lakehouse_assets.catalog.registry import Measure, Table
from lakehouse_assets.errors import LakehouseError

Operation = Literal["sum", "min", "max", "distinct"]
# A number, ["component", index], or an operator and its arguments.
Tree: TypeAlias = list[Any] | float | int
_ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}


@dataclass(frozen=True)
class Component:
    """An aggregate whose results for groups of rows give the result for all of them.

    Attributes:
        operation: How the results of groups are combined. The values of `distinct` are the
            distinct values themselves.
        sql: SQL over the table's columns that computes it for a group; for `distinct`, the value.
        count: Whether it counts, so that it is zero instead of null without rows.
    """

    operation: Operation
    sql: str
    count: bool = False


@dataclass
class Components:
    """The components of a table's measures, each once.

    Attributes:
        table: The table.
        found: The components, in the order in which the trees number them; the first one counts
            the rows.
    """

    table: Table
    found: list[Component] = field(
        default_factory=lambda: [Component("sum", "count(1)", count=True)]
    )

    def tree(self, measure: Measure) -> Tree:
        """Split a measure and return its arithmetic over the components.

        Raises:
            LakehouseError: part of the expression cannot be computed from groups.
        """
        return self._tree(sqlglot.parse_one(measure.expression, dialect="duckdb"), measure)

    def _tree(self, node: exp.Expr, measure: Measure) -> Tree:
        if isinstance(node, exp.Filter):
            return self._aggregate(node.this, node.expression.this, measure)
        if isinstance(node, exp.AggFunc):
            return self._aggregate(node, None, measure)
        if isinstance(node, exp.Paren | exp.Cast):
            return self._tree(node.this, measure)
        if isinstance(node, exp.Literal) and not node.is_string:
            return float(node.this) if "." in node.this else int(node.this)
        if isinstance(node, exp.Neg):
            return ["-", 0, self._tree(node.this, measure)]
        for kind, operator in _ARITHMETIC.items():
            if isinstance(node, kind):
                return [operator, *(self._tree(part, measure) for part in (node.left, node.right))]
        if isinstance(node, exp.Nullif):
            return ["nullif", self._tree(node.this, measure), self._tree(node.expression, measure)]
        if isinstance(node, exp.Coalesce):
            parts = (node.this, *node.expressions)
            return ["coalesce", *(self._tree(part, measure) for part in parts)]
        raise self._refused(measure, node)

    def _aggregate(self, node: exp.Expr, condition: exp.Expr | None, measure: Measure) -> Tree:
        value = node.this
        if isinstance(node, exp.Count) and isinstance(value, exp.Distinct):
            (value,) = value.expressions
            return self._component("distinct", self._given(value, condition))
        if isinstance(node, exp.Count):
            counted = exp.Literal.number(1) if isinstance(value, exp.Star) else value
            return self._count(self._given(counted, condition))
        if isinstance(node, exp.Min | exp.Max):
            name: Operation = "min" if isinstance(node, exp.Min) else "max"
            return self._component(name, f"{name}({self._given(value, condition)})")
        if isinstance(node, exp.Sum | exp.Avg):
            given = self._given(value, condition)
            # A sum of doubles depends on the order of its rows.
            order = f" order by {given}" if self._has_doubles(value) else ""
            total = self._component("sum", f"sum({given}{order})")
            if isinstance(node, exp.Sum):
                return total
            return ["/", total, self._count(given)]
        raise self._refused(measure, node)

    def _count(self, given: str) -> Tree:
        return self._component("sum", f"count({given})", count=True)

    def _given(self, value: exp.Expr, condition: exp.Expr | None) -> str:
        """Return the SQL of a value in the rows that meet a condition."""
        found = value.copy()
        if condition is not None:
            found = exp.Case().when(condition.copy(), found)
        for column in found.find_all(exp.Column):
            column.set("table", exp.to_identifier("source"))
        return found.sql(dialect="duckdb")

    def _has_doubles(self, value: exp.Expr) -> bool:
        named = {column.name.lower() for column in value.find_all(exp.Column)}
        return any(c.type == "double" and c.name in named for c in self.table.columns)

    def _component(self, operation: Operation, sql: str, *, count: bool = False) -> Tree:
        component = Component(operation, sql, count)
        if component not in self.found:
            self.found.append(component)
        return ["component", self.found.index(component)]

    def _refused(self, measure: Measure, node: exp.Expr) -> LakehouseError:
        return LakehouseError(
            f"Measure {measure.name} of {self.table.full_name} uses "
            f"{node.sql(dialect='duckdb')!r}, which a page cannot compute for a selection; use "
            "arithmetic over sum, count, avg, min and max."
        )
