"""Computes DAX over rows in plain Python, with DAX's rules for blank.

It is written from DAX's documentation and knows nothing of the translator that it tests.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>\"(?:[^\"]|\"\")*\")"
    r"|(?P<column>(?P<table>'(?:[^']|'')*')?\[(?P<name>(?:[^\]]|\]\])*)\])"
    r"|(?P<rows>'(?:[^']|'')*')|(?P<word>[A-Za-z][\w.]*)|(?P<sign>&&|\|\||<>|<=|>=|[-+*=<>(){},]))"
)
_POWERS = {"||": 1, "&&": 2, "=": 4, "<>": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "IN": 4, "+": 5,
           "-": 5, "*": 6}  # fmt: skip
Row = Mapping[str, Any]
Code = Callable[[Sequence[Row], Row | None], Any]


def evaluate(dax: str, table: str, rows: Sequence[Row]) -> Any:
    """Return the value of a measure over the rows of the one table that it names."""
    parser = _Parser(dax, table)
    code = parser.expression()
    assert parser.at == len(parser.tokens), f"text after the end: {dax}"
    return code(rows, None)


class _Parser:
    def __init__(self, dax: str, table: str) -> None:
        self.tokens: list[re.Match[str]] = []
        end = 0
        for match in _TOKEN.finditer(dax.strip()):
            assert match.start() == end, f"cannot be read: {dax[end:]}"
            self.tokens.append(match)
            end = match.end()
        assert end == len(dax.strip()), f"cannot be read: {dax[end:]}"
        self.at, self.table, self.variables = 0, table, dict[str, Code]()

    def peek(self) -> str:
        return self.tokens[self.at][0].strip() if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> re.Match[str]:
        token = self.tokens[self.at]
        assert wanted in {None, token[0].strip()}, f"{wanted} expected, not {token[0]}"
        self.at += 1
        return token

    def expression(self, power: int = 0) -> Code:
        left = self.operand()
        while _POWERS.get(self.peek(), 0) > power:
            sign = self.take()[0].strip()
            if sign == "IN":
                options = self.listed("{", "}")
                left = _in(left, options)
            else:
                left = _operation(sign, left, self.expression(_POWERS[sign]))
        return left

    def listed(self, first: str, last: str) -> list[Code]:
        self.take(first)
        found = []
        while self.peek() != last:
            found.append(self.expression())
            if self.peek() != last:
                self.take(",")
        self.take(last)
        return found

    def operand(self) -> Code:
        token = self.take()
        if token["number"]:
            number = float(token["number"]) if "." in token["number"] else int(token["number"])
            return lambda rows, row: number
        if token["text"]:
            text = token["text"][1:-1].replace('""', '"')
            return lambda rows, row: text
        if token["column"]:
            return self.column(token)
        if token["rows"]:
            assert token["rows"][1:-1].replace("''", "'") == self.table
            return lambda rows, row: rows
        if token["sign"] == "-":
            return _operation("*", lambda rows, row: -1, self.operand())
        if token["sign"] == "(":
            inside = self.expression()
            self.take(")")
            return inside
        word = token["word"]
        if word == "VAR":
            name = self.take()["word"]
            self.take("=")
            self.variables[name] = self.expression()
            self.take("RETURN")
            return self.expression()
        if word in self.variables:
            return self.variables[word]
        assert word in _FUNCTIONS, f"unknown function {word}"
        return _FUNCTIONS[word](self.listed("(", ")"))

    def column(self, token: re.Match[str]) -> Code:
        name = token["name"].replace("]]", "]")
        if token["table"]:
            assert token["table"][1:-1].replace("''", "'") == self.table

        def read(rows: Sequence[Row], row: Row | None) -> Any:
            return [one[name] for one in rows] if row is None else row[name]

        return read


def _alike(value: Any, other: Any) -> tuple[Any, Any]:
    """Return two values to compare: blank becomes 0, "" or false; text has no case."""
    if value is None and other is not None:
        value = type(other)() if not isinstance(other, date) else date(1899, 12, 30)
    if other is None and value is not None:
        other = type(value)() if not isinstance(value, date) else date(1899, 12, 30)
    if isinstance(value, str) and isinstance(other, str):
        return value.casefold(), other.casefold()
    return value, other


def _operation(sign: str, left: Code, right: Code) -> Code:
    def code(rows: Sequence[Row], row: Row | None) -> Any:
        a = left(rows, row)
        if sign == "&&":
            return bool(a) and bool(right(rows, row))
        if sign == "||":
            return bool(a) or bool(right(rows, row))
        b = right(rows, row)
        if sign in {"+", "-"}:
            return None if a is None and b is None else (a or 0) + (-1 if sign == "-" else 1) * (
                b or 0)  # fmt: skip
        if sign == "*":
            return None if a is None or b is None else a * b
        a, b = _alike(a, b)
        if a is None:
            return sign in {"=", "<=", ">="}
        return {
            "=": a == b, "<>": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b
        }[sign]  # fmt: skip

    return code


def _in(value: Code, options: list[Code]) -> Code:
    equal = [_operation("=", value, option) for option in options]
    return lambda rows, row: any(test(rows, row) for test in equal)


def _row_function(compute: Callable[..., Any]) -> Callable[[list[Code]], Code]:
    return lambda given: lambda rows, row: compute(*(code(rows, row) for code in given))


def _column_function(compute: Callable[[list[Any]], Any]) -> Callable[[list[Code]], Code]:
    """Return a function of a column's values, of which blank ones do not count."""

    def made(given: list[Code]) -> Code:
        (column,) = given

        def code(rows: Sequence[Row], row: Row | None) -> Any:
            assert row is None, "an aggregate inside a row"
            found = [value for value in column(rows, None) if value is not None]
            return compute(found) if found else None

        return code

    return made


def _iterator(compute: Callable[[list[Any]], Any]) -> Callable[[list[Code]], Code]:
    def made(given: list[Code]) -> Code:
        table, value = given

        def code(rows: Sequence[Row], row: Row | None) -> Any:
            found = [v for one in table(rows, None) if (v := value(rows, one)) is not None]
            return compute(found) if found else None

        return code

    return made


def _filter(given: list[Code]) -> Code:
    table, test = given
    return lambda rows, row: [one for one in table(rows, None) if test(rows, one)]


def _calculate(given: list[Code]) -> Code:
    value, test = given
    # The test's variables are computed outside, over all rows.
    return lambda rows, row: value([one for one in rows if test(rows, one)], None)


def _select(given: list[Code]) -> Code:
    table, name, value = given
    return lambda rows, row: [{name(rows, None): value(rows, one)} for one in table(rows, None)]


def _distinct(given: list[Code]) -> Code:
    def code(rows: Sequence[Row], row: Row | None) -> Any:
        found = {_same(tuple(one.values())): one for one in given[0](rows, None)}
        return list(found.values())

    return code


def _same(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.casefold() if isinstance(value, str) else value for value in values)


def _if(given: list[Code]) -> Code:
    test, yes, no = (*given, lambda rows, row: None)[:3]
    return lambda rows, row: yes(rows, row) if test(rows, row) else no(rows, row)


def _round(value: Any, digits: int) -> Any:
    scaled = abs(value or 0) * 10**digits
    return math.copysign(math.floor(scaled + 0.5) / 10**digits, value or 0)


_AGGREGATES = {
    "SUM": sum, "AVERAGE": lambda v: sum(v) / len(v), "MIN": min, "MAX": max,
    "MEDIAN": statistics.median,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[list[Code]], Code]] = {
    **{name: _column_function(compute) for name, compute in _AGGREGATES.items()},
    **{f"{name}X": _iterator(compute) for name, compute in _AGGREGATES.items()},
    "DISTINCTCOUNTNOBLANK": _column_function(lambda v: len({_same((one,)) for one in v})),
    "COUNTROWS": lambda given: lambda rows, row: len(given[0](rows, None)) or None,
    "FILTER": _filter,
    "CALCULATE": _calculate,
    "SELECTCOLUMNS": _select,
    "DISTINCT": _distinct,
    "IF": _if,
    "BLANK": _row_function(lambda: None),
    "TRUE": _row_function(lambda: True),
    "FALSE": _row_function(lambda: False),
    "ISBLANK": _row_function(lambda v: v is None),
    "NOT": _row_function(lambda v: not v),
    "COALESCE": _row_function(lambda *v: next((one for one in v if one is not None), None)),
    "DIVIDE": _row_function(lambda a, b: None if a is None or not b else a / b),
    "ABS": _row_function(lambda v: abs(v or 0)),
    "FLOOR": _row_function(lambda v, step: math.floor((v or 0) / step) * step),
    "CEILING": _row_function(lambda v, step: math.ceil((v or 0) / step) * step),
    "ROUND": _row_function(_round),
    "LEN": _row_function(lambda v: len(v or "")),
    "DATE": _row_function(date),
    **{
        name.upper(): _row_function(lambda v, name=name: getattr(v or date(1899, 12, 30), name))
        for name in ("year", "month", "day")
    },
}
