"""Transformations use only what means the same on every engine.

Ruff bans the functions of `F` that have a better word (pyproject, banned-api), import-linter says
what a transformation may import. This finds the rest; it sees names, not types.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lakehouse_assets
from lakehouse_assets_tests.engine import test_parity

# Functions that the parity suite has shown to agree, each with a case of its own.
PROVEN = frozenset(
    {
        "abs", "array", "array_compact", "array_contains", "array_join", "coalesce", "col",
        "concat", "count", "countDistinct", "dayofmonth", "first", "floor", "greatest", "lag",
        "least", "length", "lit", "max", "min", "month", "quarter", "regexp_replace", "row_number",
        "size", "split", "sqrt", "substring", "sum", "transform", "weekofyear", "when", "year",
    }
)  # fmt: skip
METHODS = {
    **dict.fromkeys(
        ("collect", "toPandas", "toArrow", "toLocalIterator", "show", "take", "head", "foreach"),
        "a transformation is lazy and reads no rows",
    ),
    **dict.fromkeys(
        ("selectExpr", "sql"), "SQL text means what the engine's dialect makes of it"
    ),
    **dict.fromkeys(("avg", "mean"), "means of decimals become doubles; use agg with v.mean"),
    **dict.fromkeys(("sample", "randomSplit"), "every run gives other rows"),
    **dict.fromkeys(
        ("cache", "persist", "checkpoint", "write", "writeTo"), "the caller keeps and writes frames"
    ),
    **dict.fromkeys(("like", "ilike"), "escapes differ; use contains, startswith or rlike"),
    "try_cast": "1.5 and 1e3 become whole numbers on some engines; use the vocabulary",
    "getItem": "the embedded engine does not support access to elements of arrays and maps",
}  # fmt: skip
SORTS = {"orderBy", "sort", "sortWithinPartitions"}
NULL_ORDERS = {"asc_nulls_first", "asc_nulls_last", "desc_nulls_first", "desc_nulls_last"}
FULL_JOINS = {"full", "outer", "fullouter", "full_outer"}
PATTERN_TAKERS = {"rlike", "regexp_replace", "regexp_extract", "split", "rewrite"}
# Signs of regular expressions that mean other characters or places to one engine than to another.
UNEQUAL_SIGNS = {"$", ".", r"\s", r"\S", r"\b", r"\B", "(?"}


def problems(source: str) -> list[str]:
    """Say what a module uses that engines take differently."""
    return [
        f"{node.lineno}: {text}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.expr)
        for text in complaints(node)
    ]


def complaints(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if owner == "F" and node.attr not in PROVEN:
            yield f"F.{node.attr} has no case in the parity suite"
        elif owner not in {"F", "v"} and node.attr in METHODS:
            yield f".{node.attr}: {METHODS[node.attr]}"
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and has_column(node):
        yield "/ of columns: quotients of decimals become doubles on some engines; use v.mean"
    elif isinstance(node, ast.Subscript) and is_call_of(node.value, {"col", "split"}):
        yield "[]: the embedded engine does not support access to elements of arrays and maps"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield from complaints_of_call(node, node.func.attr)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "input", "eval", "exec"}:
        yield f"{ast.unparse(node.func)}(): a transformation takes and gives frames"


def complaints_of_call(node: ast.Call, name: str) -> Iterator[str]:
    values = [
        argument.value
        for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        if isinstance(argument, ast.Constant)
    ]
    texts = [value for value in values if isinstance(value, str)]
    if name in SORTS and not all(map(places_nulls, node.args)):
        yield f".{name} without a place for nulls: engines put them at different ends"
    elif name in PATTERN_TAKERS:
        yield from (f".{name}: {sign}" for text in texts for sign in unequal_signs(text))
    elif name in {"substring", "substr"} and any(type(v) is int and v == 0 for v in values):
        yield f".{name} from 0: engines begin at different characters"
    elif name == "join" and FULL_JOINS & {*texts}:
        yield ".join of both sides by name: the joined column differs; coalesce renamed ones"
    elif name in {"transform", "filter"}:
        if any(isinstance(a, ast.Lambda) and len(a.args.args) > 1 for a in node.args):
            yield f".{name} with an index: engines count from 0 or from 1"
    elif name == "cast" and isinstance(node.func, ast.Attribute):
        inner = node.func.value
        if is_call_of(inner, {"cast"}) and all(map(may_be_decimal, (inner, node))):
            yield ".cast().cast() to decimals: SQLFrame leaves out the second"


def unequal_signs(pattern: str) -> Iterator[str]:
    inside = False
    for match in re.finditer(r"\\.|\(\?|.", pattern, re.DOTALL):
        sign = match[0]
        inside = (inside or sign == "[") and sign != "]"
        if sign in UNEQUAL_SIGNS and (not inside or sign.startswith("\\")):
            yield sign


def is_call_of(node: ast.AST, names: set[str]) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
    )


def may_be_decimal(cast: ast.AST) -> bool:
    kind = cast.args[0] if isinstance(cast, ast.Call) else None
    return not isinstance(kind, ast.Constant) or str(kind.value).startswith("decimal")


def has_column(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Attribute)
        and isinstance(part.value, ast.Name)
        and part.value.id in {"F", "v"}
        for part in ast.walk(node)
    )


def places_nulls(node: ast.expr) -> bool:
    if isinstance(node, ast.Starred):
        return places_nulls(node.value)
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(places_nulls, node.elts))
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return places_nulls(node.elt)
    if isinstance(node, ast.IfExp):
        return places_nulls(node.body) and places_nulls(node.orelse)
    return is_call_of(node, NULL_ORDERS)


def test_the_projects_transformations_are_clean() -> None:
    package = Path(lakehouse_assets.__file__).parent
    modules = [p for part in ("gold", "datasets") for p in package.glob(f"domains/*/{part}/*.py")]
    modules.append(package / "domains" / "conformed" / "city_names.py")
    assert len(modules) > 10
    found = {str(path): problems(path.read_text(encoding="utf-8")) for path in modules}
    assert {name: said for name, said in found.items() if said} == {}


def test_every_permitted_function_has_a_case_in_the_parity_suite() -> None:
    source = Path(test_parity.__file__).read_text(encoding="utf-8")
    assert {name for name in PROVEN if f"F.{name}(" not in source} == set()


@pytest.mark.parametrize(
    "source",
    [
        "F.soundex(F.col('a'))", "f = F.trim", "frame.collect()", "frame.write",
        "c.rlike('a$')", "c.rlike('a.b')", r"F.regexp_replace(c, r'[\s_]+', '')",
        r"c.rlike(r'\bword')", "c.rlike('(?i)word')", "F.substring(c, 0, 3)", "c.substr(0, 3)",
        "a.join(b, 'k', 'full')", "a.join(b, on=['k'], how='outer')",
        "F.transform(c, lambda x, i: x)", "F.col('a') / F.lit(2)", "total / v.days_between(a, b)",
        "frame.orderBy('a')", "frame.orderBy(F.col('a'))",
        "frame.sort(F.col('a').asc_nulls_last(), 'b')", "frame.sort([F.col('b').asc()])",
        "frame.orderBy(*[F.col(c) for c in names])",
        "frame.orderBy(F.col('a').asc_nulls_last() if up else F.col('a').desc())",
        "open('x')", "F.col('a')[0]", "F.split(c, ' ')[1]",
        "c.cast('decimal(38,4)').cast('decimal(38,2)')", "c.cast(EXACT).cast(f'decimal(9,{n})')",
    ],
)  # fmt: skip
def test_what_engines_take_differently_is_found(source: str) -> None:
    assert len(problems(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "W.partitionBy('a').orderBy(F.col('a').desc_nulls_last())",
        "frame.orderBy(*[F.col(c).asc_nulls_first() for c in names])",
        "v.text(F.col('a'))", "F.coalesce(F.sum('a'), F.lit(0))", "names.append('x')",
        r"c.rlike(r'^a\.[.$][^\n]?b\z')", "F.split(c, ' ')", "F.substring(c, 1, 7)",
        "a.join(b, F.col('k') == F.col('l'), 'left')", "F.transform(c, lambda x: x)",
        "half = 7 / 2", "c.cast('string').cast(EXACT)", "names[0]",
    ],
)  # fmt: skip
def test_what_agrees_is_allowed(source: str) -> None:
    assert problems(source) == []
