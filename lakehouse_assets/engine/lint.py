"""A lint for transformations: it keeps out what does not mean the same on every engine.

A lint sees names,
not types; what it cannot see, such as casting 1.9 to int, the vocabulary's tests cover.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NUMBER = "v.whole_number, v.decimal or v.real"
_DAYS = "v.add_days, v.days_between, v.week_start or v.month_start"

# Function of F to why it is kept out and what to use instead.
FUNCTIONS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("trim", "ltrim", "rtrim", "btrim"),
        ("Spark strips the ASCII blank only, others more", "v.text"),
    ),
    **dict.fromkeys(
        ("to_date", "to_timestamp", "try_to_date", "try_to_timestamp", "unix_timestamp"),
        (
            "engines read malformed dates differently or not at all",
            "v.parse_date or v.parse_timestamp",
        ),
    ),
    **dict.fromkeys(
        ("to_number", "try_to_number", "try_cast"),
        ("1.5 and 1e3 become whole numbers on some engines", _NUMBER),
    ),
    **dict.fromkeys(
        ("round", "bround"), ("halves are rounded on different digits", "v.round_half_up")
    ),
    **dict.fromkeys(
        ("avg", "mean", "try_avg"), ("means of decimals become doubles on some engines", "v.mean")
    ),
    **dict.fromkeys(
        ("dayofweek", "weekday"), ("days are numbered from different days", "v.day_of_week")
    ),
    **dict.fromkeys(
        ("date_trunc", "trunc", "date_add", "date_sub", "dateadd", "add_months"),
        ("the result is a timestamp on some engines", _DAYS),
    ),
    **dict.fromkeys(
        ("date_diff", "datediff", "months_between", "timestampdiff"),
        ("units, the order of arguments and the result's type differ", "v.days_between"),
    ),
    "last_day": ("the result is a timestamp on some engines", "v.last_of_month"),
    **dict.fromkeys(
        ("collect_list", "collect_set", "array_agg", "array_distinct"),
        ("nulls are kept on some engines and the order is open", "a join or a window"),
    ),
    **dict.fromkeys(
        ("corr", "covar_pop", "covar_samp"), ("nulls count differently", "sums of products")
    ),
    **dict.fromkeys(
        ("window", "session_window"), ("it is missing on the embedded engine", "v.week_start")
    ),
    "pmod": ("it is missing on the embedded engine", "% after making the number positive"),
    **dict.fromkeys(
        ("xxhash64", "hash", "crc32", "md5", "sha1", "sha2"),
        ("engines hash differently, or null and neighbours alike", "v.hash_key"),
    ),
    **dict.fromkeys(
        ("udf", "pandas_udf", "udtf"), ("it runs on one engine only", "the API's functions")
    ),
    **dict.fromkeys(
        ("lower", "upper", "lcase", "ucase"),
        ("special letters get other letters, or two", "v.lower or v.upper"),
    ),
    **dict.fromkeys(
        ("from_json", "from_csv", "schema_of_json", "zip_with", "transform_values", "stack"),
        ("it is missing on the embedded engine", "columns that ingestion has split"),
    ),
    **dict.fromkeys(
        ("from_utc_timestamp", "to_utc_timestamp", "convert_timezone"),
        ("engines read the arguments differently", "UTC throughout"),
    ),
    **dict.fromkeys(
        ("like", "ilike"), ("escapes are read differently", "contains, startswith or rlike")
    ),
    "initcap": ("apostrophes start a word on some engines", "v.title_case"),
    **dict.fromkeys(
        ("expr", "call_function", "callUDF"),
        ("SQL text means what the engine's dialect makes of it", "the API's functions"),
    ),
    **dict.fromkeys(
        ("rand", "randn", "uuid", "shuffle", "monotonically_increasing_id"),
        ("every run gives other values", "v.hash_key or F.row_number over a full order"),
    ),
    **dict.fromkeys(
        ("current_date", "current_timestamp", "now", "localtimestamp"),
        ("a transformation knows no clock", "a parameter"),
    ),
}

# Functions that the parity suite has shown to agree, each with a case of its own; a function that
# is neither here nor above is not permitted until it has one.
PROVEN = frozenset(
    {
        "abs", "array", "array_compact", "array_contains", "array_join", "coalesce", "col",
        "concat", "count", "countDistinct", "dayofmonth", "first", "greatest", "least",
        "length", "lit", "max", "min", "month", "quarter", "regexp_replace", "row_number",
        "size", "split", "substring", "sum", "transform", "weekofyear", "when", "year",
    }
)  # fmt: skip

# Method of a frame or column to the same.
METHODS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("collect", "toPandas", "toArrow", "toLocalIterator", "show", "take", "head", "foreach"),
        ("a transformation is lazy and reads no rows", "frames"),
    ),
    **dict.fromkeys(
        ("selectExpr", "sql"),
        ("SQL text means what the engine's dialect makes of it", "the API's functions"),
    ),
    **dict.fromkeys(
        ("avg", "mean"), ("means of decimals become doubles on some engines", "agg with v.mean")
    ),
    **dict.fromkeys(
        ("sample", "randomSplit"), ("every run gives other rows", "a filter on v.hash_key")
    ),
    **dict.fromkeys(
        ("cache", "persist", "checkpoint"),
        ("keeping a frame is the caller's matter", "the engine's checkpoint, outside"),
    ),
    **dict.fromkeys(("write", "writeTo"), ("a transformation writes nothing", "its result")),
    **dict.fromkeys(
        ("like", "ilike"), ("escapes are read differently", "contains, startswith or rlike")
    ),
    "try_cast": ("1.5 and 1e3 become whole numbers on some engines", _NUMBER),
}

_VOCABULARY = frozenset({"v", "vocabulary"})
_SORTS = frozenset({"orderBy", "sort", "sortWithinPartitions"})
_NULL_ORDERS = frozenset(
    {"asc_nulls_first", "asc_nulls_last", "desc_nulls_first", "desc_nulls_last"}
)
_FULL_JOINS = frozenset({"full", "outer", "fullouter", "full_outer"})
# Regular expressions: signs that mean other characters or places to one engine than to another.
_PATTERN_TAKERS = frozenset({"rlike", "regexp_replace", "regexp_extract", "split", "rewrite"})
_UNEQUAL_SIGNS = {
    "$": r"`$` is also before a last line end on some engines; use \z",
    ".": r"`.` leaves out other line ends on some engines; use [^\n]",
    r"\s": r"`\s` is another set of blanks on some engines; name them",
    r"\S": r"`\S` is another set of signs on some engines; name them",
    r"\b": r"`\b` knows other letters on some engines; name what stands around",
    r"\B": r"`\B` knows other letters on some engines; name what stands around",
    "(?": "`(?` is missing or means less on some engines; write it out",
}
_BUILT_INS = frozenset({"open", "print", "input", "eval", "exec", "__import__"})
_LIBRARY = frozenset(
    {"__future__", "collections", "dataclasses", "datetime", "decimal", "functools", "itertools",
     "math", "re", "typing"}
)  # fmt: skip
# Rooms of the project that hold declarations and pure functions.
_PURE_ROOMS = ("engine", "engine.types", "engine.vocabulary", "errors", "ingest.datasets",
               "lake.registry", "ml.personas", "quality.delivered", "quality.fields")  # fmt: skip
_PROJECT = "lakehouse_assets"


@dataclass(frozen=True)
class Problem:
    """A place where a transformation uses what it should not.

    Attributes:
        file: Name of the file.
        line: Line in it.
        text: What is used, why not, and what to use instead.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def check_transforms(package: Path) -> list[Problem]:
    """Check every module in the `transforms` rooms of the package's domains."""
    return [
        problem
        for path in sorted(package.glob("*/transforms/**/*.py"))
        for problem in check_source(
            path.read_text(encoding="utf-8"), path.relative_to(package).as_posix()
        )
    ]


def check_source(source: str, name: str) -> list[Problem]:
    """Check the text of one module."""
    found = {
        Problem(name, node.lineno, text)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.expr | ast.stmt)
        for text in _complaints(node)
    }
    return sorted(found, key=lambda problem: (problem.line, problem.text))


def _complaints(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_import(alias.name) for alias in node.names if not _allowed(alias.name))
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        whole = [f"{module}.{alias.name}" for alias in node.names]
        # `from lakehouse_assets.engine import vocabulary` names a module by its second half.
        if node.level or not (_allowed(module) or all(map(_allowed, whole))):
            yield _import("." * node.level + module)
        elif module.endswith(".functions"):
            yield _import(module)
    elif isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        of_functions = owner == "F"
        table = FUNCTIONS if of_functions else METHODS
        if node.attr in table and owner not in _VOCABULARY:
            reason, instead = table[node.attr]
            shown = f"F.{node.attr}" if of_functions else f".{node.attr}"
            yield f"{shown}: {reason}; use {instead}."
        elif of_functions and node.attr not in PROVEN:
            yield (
                f"F.{node.attr}: nobody has shown that engines agree on it; give it a case in the "
                "parity suite and add it to PROVEN."
            )
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        if any(_is_column(part) for part in ast.walk(node)):
            yield (
                "/ of columns: quotients of decimals become doubles on some engines, and a zero "
                "below is null or an error; use v.mean, or a word of the vocabulary for it."
            )
    elif isinstance(node, ast.Call):
        yield from _call_complaints(node)


def _call_complaints(node: ast.Call) -> Iterator[str]:
    if isinstance(node.func, ast.Name) and node.func.id in _BUILT_INS:
        yield f"{node.func.id}(): a transformation takes and gives frames; IO belongs to assets."
    if isinstance(node.func, ast.Attribute) and node.func.attr in _SORTS:
        for argument in node.args:
            if not _says_where_nulls_go(argument):
                yield (
                    f".{node.func.attr} without a place for nulls: engines put them at different "
                    "ends; use .asc_nulls_last() or its like on every column."
                )

    if isinstance(node.func, ast.Attribute):
        yield from _method_complaints(node, node.func.attr)


def _method_complaints(node: ast.Call, name: str) -> Iterator[str]:
    """Look at the arguments of a call of a method or of a function of F."""
    values = {
        argument: argument.value
        for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        if isinstance(argument, ast.Constant)
    }
    if name in _PATTERN_TAKERS:
        for text in values.values():
            if isinstance(text, str):
                yield from (f".{name}: {_UNEQUAL_SIGNS[sign]}." for sign in _unequal_signs(text))
    elif name in {"substring", "substr"}:
        if 0 in [value for value in values.values() if type(value) is int]:
            yield f".{name} from 0: engines begin at different characters; begin at 1."
    elif name == "join" and _FULL_JOINS & {str(value) for value in values.values()}:
        yield (
            ".join of both sides by name: the joined column differs between engines; rename the "
            "columns, join by an equation and coalesce them."
        )
    elif name in {"transform", "filter"} and any(
        isinstance(argument, ast.Lambda) and len(argument.args.args) > 1 for argument in node.args
    ):
        yield f".{name} with an index: engines count from 0 or from 1; use elements alone."


def _unequal_signs(pattern: str) -> list[str]:
    """Find the signs of a regular expression that engines take differently, outside of sets."""
    found, inside = [], False
    for match in re.finditer(r"\\.|\(\?|.", pattern, re.DOTALL):
        sign = match[0]
        inside = (inside or sign == "[") and sign != "]"
        if sign in _UNEQUAL_SIGNS and (not inside or sign.startswith("\\")):
            found.append(sign)
    return found


def _is_column(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"F", *_VOCABULARY}
    )


def _says_where_nulls_go(node: ast.expr) -> bool:
    if isinstance(node, ast.Starred):
        return _says_where_nulls_go(node.value)
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(_says_where_nulls_go, node.elts))
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return _says_where_nulls_go(node.elt)
    if isinstance(node, ast.IfExp):
        return _says_where_nulls_go(node.body) and _says_where_nulls_go(node.orelse)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _NULL_ORDERS
    )


def _allowed(module: str) -> bool:
    first, _, rest = module.partition(".")
    if first in _LIBRARY:
        return True
    if first != _PROJECT:
        return False
    # A domain's own declarations and transformations.
    parts = rest.split(".")
    domain = len(parts) > 1 and (parts[1] in {"transforms", "tables"})
    return rest in _PURE_ROOMS or domain


def _import(module: str) -> str:
    return (
        f"import of {module}: transformations know no engine, no Dagster and no IO; use "
        "lakehouse_assets.engine and declarations."
    )
