"""Parts of plans: what SQLFrame has put into a plan is shared by copies of it and written once.

SQLFrame copies the whole plan at each step, writes it as SQL to name the step after it, and copies
it four times more to write the query, so that a plan costs the square of its length. A part never
changes once it is in a plan, and its name stands for all that comes before it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from sqlglot import expressions as exp

_P = ParamSpec("_P")
_T = TypeVar("_T")

# What SQLFrame makes up: names of parts, and of where they come from.
_MADE_UP = re.compile(r"t[0-9]{1,8}|r[0-9a-f]{32}")
_MOST_SHAPES = 1_000

# Whether copies share parts: while a plan is built, and not where it is rewritten to become SQL.
_building: ContextVar[bool] = ContextVar("building", default=False)

# The SQL of parts, and the parts themselves so that nothing else gets their identity. More than a
# run's longest plans have.
_MOST_WRITTEN = 2_000
_written: OrderedDict[int, tuple[exp.CTE, str]] = OrderedDict()


def share_parts() -> None:
    """Replace how SQLFrame copies, names and writes parts, in this process; once is enough."""
    from sqlframe.base import operations
    from sqlframe.base.dataframe import BaseDataFrame
    from sqlframe.base.session import _BaseSession

    operations._run_operation = _while_building(operations._run_operation, building=True)
    for name in ("_convert_leaf_to_cte", "_create_cte_from_expression"):
        made = _while_building(getattr(BaseDataFrame, name), building=True)
        setattr(BaseDataFrame, name, made)
    shown: Any = BaseDataFrame.columns
    BaseDataFrame.columns = property(_while_building(shown.fget, building=True))
    BaseDataFrame._get_expressions = _while_building(BaseDataFrame._get_expressions, building=False)
    _BaseSession._to_sql = _while_building(_BaseSession._to_sql, building=False)
    BaseDataFrame._create_hash_from_expression = _of_end(BaseDataFrame._create_hash_from_expression)
    BaseDataFrame._add_ctes_to_expression = _private_where_names_meet(
        BaseDataFrame._add_ctes_to_expression
    )
    _BaseSession._normalize_string = _made_up_names_as_they_are(_BaseSession._normalize_string)


def copy_sharing_parts(query: Any, copy: Callable[[Any], Any]) -> Any:
    """Copy a query; while a plan is built, with its parts as they are."""
    if not _building.get():
        return copy(query)
    with _without_parts(query) as parts:
        end = copy(query)
    if parts is not None:
        end.set("with_", type(parts)(**(parts.args | {"expressions": list(parts.expressions)})))
    return end


def frame_of(session: Any, name: str, columns: Sequence[str]) -> Any:
    """Make a frame of all columns of a table or view, as `session.table` does.

    SQLFrame would have DuckDB plan the view to know its types, and parse names again and again.
    """
    from sqlglot import exp

    selected = _selecting(session, tuple(columns)).copy()
    return session._create_table(selected.from_(exp.to_table(name), copy=False))


@lru_cache(_MOST_SHAPES)
def _selecting(session: Any, columns: tuple[str, ...]) -> exp.Select:
    from sqlglot import exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    dialect = session.input_dialect
    named = (exp.to_column(name, dialect=dialect) for name in columns)
    return exp.select(*(normalize_identifiers(column, dialect=dialect) for column in named))


def sql_of(frame: Any) -> str:
    """Write a frame's plan as DuckDB's SQL, as it stands: DuckDB optimises, SQLFrame need not.

    Raises:
        LakehouseError: the plan asks for an element of an array or map.
    """
    frame = frame._resolve_pending_hints()
    texts = [_text_of(frame, part) for part in frame.expression.ctes]
    with _without_parts(frame.expression):
        end = frame.expression.copy()
    frame._set_display_names(end)
    text = _text(frame, end)
    return f"WITH {', '.join(texts)} {text}" if texts else text


def _text_of(frame: Any, part: exp.CTE) -> str:
    known = _written.pop(id(part), None) or (part, _text(frame, part))
    _written[id(part)] = known
    while len(_written) > _MOST_WRITTEN:
        _written.popitem(last=False)
    return known[1]


def _text(frame: Any, node: exp.Expr) -> str:
    from sqlglot import exp

    if found := node.find(exp.Bracket):
        # Whether it is a key or a place depends on types, and SQLFrame cannot find them out beside
        # the compiled sqlglot.
        raise LakehouseError(
            f"The embedded engine gives no elements of arrays and maps ({found.sql()}): use "
            "split_part for parts of a text, explode for elements of an array."
        )
    return str(frame.session._to_sql(node))


@contextmanager
def _without_parts(query: Any) -> Iterator[Any]:
    """Take the parts out of a query for a while."""
    parts = query.args.pop("with_", None)
    try:
        yield parts
    finally:
        if parts is not None:
            query.args["with_"] = parts


def _while_building(function: Callable[_P, _T], *, building: bool) -> Callable[_P, _T]:
    @wraps(function)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        token = _building.set(building)
        try:
            return function(*args, **kwargs)
        finally:
            _building.reset(token)

    return called


def _of_end(hash_of: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    """Name a query after its end: that says where it reads, and those names stand for the rest."""

    @wraps(hash_of)
    def name(frame: Any, expression: Any) -> str:
        with _without_parts(expression):
            return hash_of(frame, expression)

    return name


def _private_where_names_meet(add: Callable[..., Any]) -> Callable[..., Any]:
    """Add parts to a plan: those that it has are not looked at, and those renamed not shared.

    SQLFrame renames parts of one name and different origin in place.
    """

    @wraps(add)
    def added(frame: Any, expression: Any, ctes: list[Any]) -> Any:
        there = {part.alias_or_name: part for part in expression.ctes}
        new = []
        same = True
        for place, part in enumerate(ctes):
            known = there.get(part.alias_or_name)
            # After one was renamed, the next may read it.
            if same and known is part:
                continue
            if known is not None:
                same = False
                part = ctes[place] = part.copy()
            new.append(part)
        return add(frame, expression, new)

    return added


def _made_up_names_as_they_are(normalize: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    """Leave out what a name that SQLFrame made up goes through to become what it is already."""

    @wraps(normalize)
    def normalized(session: Any, value: str) -> str:
        return value if _MADE_UP.fullmatch(value) else normalize(session, value)

    return normalized
