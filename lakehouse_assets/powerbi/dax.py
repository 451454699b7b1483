"""Translates SQL aggregates and row filters over one table to DAX.

SQL and DAX differ on missing values: DAX adds blank as 0 and treats it as equal to 0, "" and false,
where SQL returns null. The translation tests for blank wherever that could change a result, so that
both compute the same, with three exceptions: Power BI compares text without regard to case; a count
of no rows is blank instead of 0; and a division by zero is blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse_assets.catalog.registry import Column, Table
from lakehouse_assets.errors import LakehouseError

_COMPARISONS: dict[type[exp.Expr], tuple[str, str]] = {
    exp.EQ: ("=", "<>"), exp.NEQ: ("<>", "="), exp.LT: ("<", ">="), exp.LTE: ("<=", ">"),
    exp.GT: (">", "<="), exp.GTE: (">=", "<"),
}  # fmt: skip
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
# Functions of one row's values, blank if their argument is.
_FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Abs: "ABS", exp.Floor: "FLOOR", exp.Ceil: "CEILING", exp.Round: "ROUND", exp.Year: "YEAR",
    exp.Month: "MONTH", exp.Day: "DAY", exp.Length: "LEN",
}  # fmt: skip
_AGGREGATES: dict[type[exp.Expr], str] = {
    exp.Sum: "SUM", exp.Avg: "AVERAGE", exp.Min: "MIN", exp.Max: "MAX", exp.Median: "MEDIAN",
}  # fmt: skip
_BLANK = "BLANK()"


class UntranslatableError(LakehouseError):
    """An SQL expression that this module cannot translate to DAX."""


def table_name(name: str) -> str:
    """Return a table's name as DAX writes it."""
    return "'" + name.replace("'", "''") + "'"


def column_name(table: str, column: str) -> str:
    """Return a column with its table, as DAX writes it."""
    return f"{table_name(table)}[{column.replace(']', ']]')}]"


def text(value: str) -> str:
    """Return a text as DAX writes it."""
    return '"' + value.replace('"', '""') + '"'


def measure_to_dax(
    table: Table, expression: str, *, named: str | None = None, where: str | None = None
) -> str:
    """Translate an SQL aggregate over a table's rows.

    Args:
        table: The table whose columns it names.
        expression: The aggregate, such as `sum(revenue) / nullif(sum(pieces), 0)`.
        named: The table's name in the model, if it differs.
        where: Condition on the rows; None for all rows.

    Raises:
        UntranslatableError: part of the expression has no translation; the message names it.
    """
    tree = _parsed(expression)
    if any(node.find_ancestor(exp.AggFunc, exp.Filter) is None
           for node in tree.find_all(exp.Column)):  # fmt: skip
        raise UntranslatableError(f"{expression} has a column outside an aggregate.")
    only = None if where is None else _parsed(where)
    return _Translation(table, named or table.name, expression, only).value(tree)


def filter_to_dax(table: Table, condition: str, *, named: str | None = None) -> str:
    """Translate an SQL condition on a table's rows to DAX that is true for the same rows.

    Raises:
        UntranslatableError: part of the expression has no translation; the message names it.
    """
    return _Translation(table, named or table.name, condition).true(_parsed(condition))


def _parsed(expression: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(expression, dialect="duckdb")
    except SqlglotError:
        raise UntranslatableError(f"{expression} is not valid SQL.") from None
    return tree


@dataclass
class _Translation:
    """The translation of one expression over a table.

    `value` returns a node's value, which is blank where SQL's is null. `true` and `false` return a
    condition that holds if SQL's is true or false, and does not if SQL's is null.
    """

    _table: Table
    _named: str
    _expression: str
    where: exp.Expr | None = None

    def _no(self, node: exp.Expr) -> UntranslatableError:
        return UntranslatableError(
            f"{node.sql('duckdb')} in {self._expression} cannot be translated to DAX."
        )

    def value(self, node: exp.Expr) -> str:
        """Return the value of a node."""
        if isinstance(node, exp.AggFunc | exp.Filter):
            return self._aggregate(node)
        if isinstance(node, exp.Paren):
            return f"({self.value(node.this)})"
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Literal):
            return text(node.this) if node.is_string else str(node.this)
        if isinstance(node, exp.Boolean):
            return "TRUE()" if node.this else "FALSE()"
        if isinstance(node, exp.Null):
            return _BLANK
        if isinstance(node, exp.Neg):
            return f"-1 * {self._operand(node.this)}"
        if type(node) in _ARITHMETIC:
            return self._arithmetic(node)
        if isinstance(node, exp.Div):
            divisor = node.expression
            if isinstance(divisor, exp.Nullif) and divisor.expression.sql() == "0":
                divisor = divisor.this  # DIVIDE by zero is blank
            return f"DIVIDE({self.value(node.this)}, {self.value(divisor)})"
        if isinstance(node, exp.Nullif):
            value = self.value(node.this)
            return f"IF({self.true(exp.EQ(this=node.this, expression=node.expression))}, " \
                f"{_BLANK}, {value})"  # fmt: skip
        if isinstance(node, exp.Coalesce):
            return self._call("COALESCE", [node.this, *node.expressions])
        if isinstance(node, exp.Case | exp.If):
            return self._case(node)
        if isinstance(node, exp.Cast):
            return self._cast(node)
        if type(node) in _FUNCTIONS:
            return self._function(node)
        if isinstance(node, exp.Not | exp.And | exp.Or | exp.Is | exp.In | exp.Between) or (
            type(node) in _COMPARISONS
        ):
            no = "FALSE()" if not self._nullable(node) else f"IF({self.false(node)}, FALSE())"
            return f"IF({self.true(node)}, TRUE(), {no})"
        raise self._no(node)

    def true(self, node: exp.Expr) -> str:
        """Return a condition that holds where SQL's condition is true."""
        return self._condition(node, wanted=True)

    def false(self, node: exp.Expr) -> str:
        """Return a condition that holds where SQL's condition is false."""
        return self._condition(node, wanted=False)

    def _condition(self, node: exp.Expr, *, wanted: bool) -> str:
        if isinstance(node, exp.Paren):
            return f"({self._condition(node.this, wanted=wanted)})"
        if isinstance(node, exp.Not):
            return self._condition(node.this, wanted=not wanted)
        if isinstance(node, exp.And | exp.Or):
            sign = "&&" if isinstance(node, exp.And) == wanted else "||"
            parts = [self._condition(part, wanted=wanted) for part in (node.this, node.expression)]
            return f"({parts[0]} {sign} {parts[1]})"
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            blank = f"ISBLANK({self.value(node.this)})"
            return blank if wanted else f"NOT({blank})"
        if type(node) in _COMPARISONS:
            sign = _COMPARISONS[type(node)][not wanted]
            said = f"{self._operand(node.this)} {sign} {self._operand(node.expression)}"
            return self._known([node.this, node.expression], said)
        if isinstance(node, exp.Between):
            low, high = node.args["low"], node.args["high"]
            value = self._operand(node.this)
            signs = ("{0} >= {1} && {0} <= {2}", "({0} < {1} || {0} > {2})")[not wanted]
            said = signs.format(value, self._operand(low), self._operand(high))
            return self._known([node.this, low, high], said)
        if isinstance(node, exp.In) and node.expressions:
            if any(isinstance(option, exp.Null) for option in node.expressions):
                raise self._no(node)
            options = ", ".join(self.value(option) for option in node.expressions)
            said = f"{self._operand(node.this)} IN {{{options}}}"
            return self._known([node.this, *node.expressions], said if wanted else f"NOT({said})")
        if isinstance(node, exp.Boolean):
            return "TRUE()" if node.this == wanted else "FALSE()"
        if isinstance(node, exp.Case | exp.If | exp.Coalesce) or (
            isinstance(node, exp.Column) and self._declared(node).type == "boolean"
        ):
            said = f"{self.value(node)} = {'TRUE()' if wanted else 'FALSE()'}"
            return self._known([node], said)
        raise self._no(node)

    def _known(self, values: Sequence[exp.Expr], said: str) -> str:
        """Return a condition that also requires that none of the values is blank."""
        tests = [f"NOT(ISBLANK({self.value(v)}))" for v in values if self._nullable(v)]
        return f"({' && '.join([*tests, said])})" if tests else said

    def _declared(self, node: exp.Column) -> Column:
        if node.table or node.name not in self._table.column_names:
            raise UntranslatableError(
                f"{node.sql('duckdb')} in {self._expression} is not a column of "
                f"{self._table.full_name}."
            )
        return self._table.column(node.name)

    def _column(self, node: exp.Column) -> str:
        return column_name(self._named, self._declared(node).name)

    def _nullable(self, node: exp.Expr) -> bool:
        """Whether a value can be null."""
        if isinstance(node, exp.Column):
            return self._declared(node).nullable
        if isinstance(node, exp.Literal | exp.Boolean | exp.Count):
            return False
        if isinstance(node, exp.Filter):
            return self._nullable(node.this)
        if isinstance(node, exp.AggFunc | exp.Null | exp.Nullif | exp.Div):
            return True
        if isinstance(node, exp.Coalesce):
            return all(self._nullable(part) for part in [node.this, *node.expressions])
        if isinstance(node, exp.Case | exp.If):
            values = [part for _, part in _branches(node)]
            default = node.args.get("default") or node.args.get("false")
            return default is None or any(self._nullable(part) for part in [*values, default])
        return any(self._nullable(part) for part in node.iter_expressions())

    def _operand(self, node: exp.Expr) -> str:
        value = self.value(node)
        return f"({value})" if isinstance(node, exp.Binary | exp.Neg) and not isinstance(
            node, exp.Div) else value  # fmt: skip

    def _call(self, name: str, arguments: Sequence[exp.Expr]) -> str:
        return f"{name}({', '.join(self.value(part) for part in arguments)})"

    def _unless_blank(self, values: Sequence[exp.Expr], said: str) -> str:
        """Return an expression that is blank if one of the values is."""
        tests = [f"ISBLANK({self.value(v)})" for v in values if self._nullable(v)]
        return f"IF({' || '.join(tests)}, {_BLANK}, {said})" if tests else said

    def _arithmetic(self, node: exp.Expr) -> str:
        said = (
            f"{self._operand(node.this)} {_ARITHMETIC[type(node)]} {self._operand(node.expression)}"
        )
        if isinstance(node, exp.Mul):
            return said  # blank times anything is blank
        return self._unless_blank([node.this, node.expression], said)

    def _case(self, node: exp.Expr) -> str:
        default = node.args.get("default") or node.args.get("false")
        said = self.value(default) if default is not None else _BLANK
        for condition, value in reversed(_branches(node)):
            end = "" if said == _BLANK else f", {said}"
            said = f"IF({self.true(condition)}, {self.value(value)}{end})"
        return said

    def _cast(self, node: exp.Cast) -> str:
        if node.to.is_type("date") and isinstance(node.this, exp.Literal):
            try:
                day = date.fromisoformat(node.this.this)
            except ValueError:
                raise self._no(node) from None
            return f"DATE({day.year}, {day.month}, {day.day})"
        if node.to.is_type("double", "decimal", "float"):
            return self.value(node.this)  # DAX computes with fractions anyway
        raise self._no(node)

    def _function(self, node: exp.Expr) -> str:
        arguments = [node.this]
        if isinstance(node, exp.Round):
            arguments.append(node.args.get("decimals") or exp.Literal.number(0))
        elif node.args.get("decimals") is not None:
            raise self._no(node)
        name = _FUNCTIONS[type(node)]
        said = self._call(name, arguments)
        if isinstance(node, exp.Floor | exp.Ceil):
            said = f"{said[:-1]}, 1)"
        return self._unless_blank(arguments, said)

    def _aggregate(self, node: exp.Expr) -> str:
        rows = table_name(self._named)
        conditions = [] if self.where is None else [self.where]
        if isinstance(node, exp.Filter):
            conditions.append(node.expression.this)
            node = node.this
        if conditions:
            rows = f"FILTER({rows}, {' && '.join(map(self.true, conditions))})"
        if any(isinstance(inner, exp.AggFunc) for inner in node.find_all(exp.AggFunc)
               if inner is not node):  # fmt: skip
            raise self._no(node)
        if isinstance(node, exp.Count):
            return self._count(node, rows)
        name = _AGGREGATES.get(type(node))
        if name is None or isinstance(node.this, exp.Distinct | exp.Order):
            raise self._no(node)
        if node.args.get("expressions"):
            raise self._no(node)
        plain = rows == table_name(self._named)
        if isinstance(node.this, exp.Column) and plain:
            return f"{name}({self._column(node.this)})"
        return f"{name}X({rows}, {self.value(node.this)})"

    def _count(self, node: exp.Count, rows: str) -> str:
        counted = node.this
        if isinstance(counted, exp.Star):
            return f"COUNTROWS({rows})"
        if isinstance(counted, exp.Distinct):
            if len(counted.expressions) != 1:
                raise self._no(node)
            (value,) = counted.expressions
            if isinstance(value, exp.Column) and rows == table_name(self._named):
                return f"DISTINCTCOUNTNOBLANK({self._column(value)})"
            values = f'DISTINCT(SELECTCOLUMNS({rows}, "@value", {self.value(value)}))'
            return f"COUNTROWS(FILTER({values}, NOT(ISBLANK([@value]))))"
        if node.args.get("expressions"):
            raise self._no(node)
        return f"COUNTROWS(FILTER({rows}, NOT(ISBLANK({self.value(counted)}))))"


def _branches(node: exp.Expr) -> list[tuple[exp.Expr, exp.Expr]]:
    """Return the conditions of CASE or IF with their values."""
    if isinstance(node, exp.If):
        return [(node.this, node.args["true"])]
    operand = node.args.get("this")

    def condition(found: exp.Expr) -> exp.Expr:
        return found if operand is None else exp.EQ(this=operand.copy(), expression=found.copy())

    return [(condition(branch.this), branch.args["true"]) for branch in node.args["ifs"]]
