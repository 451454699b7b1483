"""Quicker plans: slow spots of SQLFrame and sqlglot while a plan is built.

A test
builds the same plans with and without them.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakehouse_assets.engine.plan_parts import copy_sharing_parts, share_parts

if TYPE_CHECKING:
    from sqlframe.base.column import Column
    from sqlframe.base.dataframe import BaseDataFrame
    from sqlglot.dialects.dialect import Dialect

_FLAT = frozenset({int, str, bool, float, type(None)})

# Notes of where a name stood in a text.
_PLACE = frozenset({"line", "col", "start", "end"})

# sqlglot's nodes do not ask what has been copied: no node is in two places.
_NOTHING_COPIED: dict[int, Any] = {}

# Names of columns and of SQLFrame's own parts of plans: a long-lived process makes ever new ones.
_MOST_NAMES = 10_000


def build_plans_quickly() -> None:
    """Replace the slow spots, in this process; once is enough."""
    from sqlframe.base import column, dataframe, functions, util
    from sqlframe.base.dataframe import BaseDataFrame
    from sqlframe.base.session import _BaseSession
    from sqlframe.duckdb import functions as functions_of_duckdb
    from sqlglot.expressions import core

    if util.dialect_to_string is _name_of:
        return
    # Set by name: the module has it from the standard library and does not export it.
    setattr(core, "deepcopy", _copied)  # noqa: B010
    util.dialect_to_string = _name_of
    BaseDataFrame.copy = _copy_with
    BaseDataFrame._resolve_pending_hints = _only_if_hinted(BaseDataFrame._resolve_pending_hints)
    name_of_column = _remembering_quoted(util.quote_preserving_alias_or_name)
    for module in (util, column, dataframe):
        module.quote_preserving_alias_or_name = name_of_column
    _BaseSession._normalize_string = _remembering(_BaseSession._normalize_string)
    functions.col = functions_of_duckdb.col = _remembering_columns(functions.col)
    share_parts()


def _copied(value: Any) -> Any:
    """Copy what belongs to a node: its notes plainly, and without where its name once stood.

    SQLFrame copies its whole plan at every step, and sqlglot copies the notes of each node with the
    standard library's general `deepcopy`, which takes longer than everything else about the copy.
    """
    if type(value) is dict:
        if "line" in value:
            value = {name: note for name, note in value.items() if name not in _PLACE}
        if not value:
            return {}
        if _FLAT.issuperset(map(type, value.values())):
            return value.copy()
    elif type(value) is list:
        if not value:
            return []
    elif hasattr(value, "args"):
        return (
            copy_sharing_parts(value, _node_copied)
            if "with_" in value.args
            else _node_copied(value)
        )
    return deepcopy(value)


def _node_copied(node: Any) -> Any:
    return node.__deepcopy__(_NOTHING_COPIED)


def _name_of(dialect: Dialect) -> str:
    """Return the name that sqlglot registered a dialect under.

    SQLFrame asks for it with every column, and finds it by importing all of sqlglot's dialects each
    time anew.
    """
    return type(dialect).__name__.lower()


def _copy_with(frame: BaseDataFrame[Any, Any, Any, Any, Any, Any], **given: Any) -> Any:
    """Copy a frame with other attributes; those it is given are not copied before they go.

    Most copies are given a new plan, and the old one is what is long.
    """
    given["join_on_uuid"] = str(uuid4())
    kept = {
        name: value.copy() if hasattr(value, "copy") else copy(value)
        for name, value in vars(frame).items()
        if name not in given
    }
    return type(frame)(**kept, **given)


def _only_if_hinted(resolve: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Copy a frame to resolve its hints only if it has some; both callers copy the plan anyway."""

    @wraps(resolve)
    def resolved(frame: Any) -> Any:
        return resolve(frame) if frame.pending_hints else frame

    return resolved


def _remembering_quoted(name_of: Callable[[Any], str]) -> Callable[[Any], str]:
    """Remember how a plain name is written; it is asked for with every column at every step."""
    from sqlglot import expressions as exp

    @lru_cache(_MOST_NAMES)
    def known(name: str, quoted: bool) -> str:
        return name_of(exp.Identifier(this=name, quoted=quoted))

    @wraps(name_of)
    def found(col: Any) -> str:
        named = col.args["alias"] if isinstance(col, exp.Alias) else col
        if type(named) is exp.Column:
            named = named.this
        if type(named) is exp.Identifier and type(named.this) is str:
            return known(named.this, bool(named.args.get("quoted")))
        return name_of(col)

    return found


def _remembering(normalize: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    """Remember names in their normal form, which are parsed and written again and again."""
    known = lru_cache(_MOST_NAMES)(normalize)

    @wraps(normalize)
    def normalized(session: Any, value: str) -> str:
        return known(session, value)

    return normalized


def _remembering_columns(column: Callable[[Any], Column]) -> Callable[[Any], Column]:
    """Remember what a column's name parses to; every caller gets a copy of its own.

    Where a name stood in the text of itself tells nobody anything, but would be copied with every
    plan that has the column.
    """

    @lru_cache(_MOST_NAMES)
    def known(name: str) -> Column:
        parsed = column(name)
        for node in parsed.expression.walk():
            notes = node._meta or {}
            node._meta = {k: note for k, note in notes.items() if k not in _PLACE} or None
        return parsed

    @wraps(column)
    def found(column_name: Any) -> Column:
        # Names only: equal numbers of different types are different literals.
        return known(column_name).copy() if type(column_name) is str else column(column_name)

    return found
