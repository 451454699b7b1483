"""Patches of SQLFrame and sqlglot that make plans cheaper to build.

SQLFrame copies its whole plan at every step. A test builds the same plans with and without them.
"""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot.dialects.dialect import Dialect

_FLAT = frozenset({int, str, bool, float, type(None)})
# Metadata on the position of a name in SQL text.
_POSITION = frozenset({"line", "col", "start", "end"})
# The memo of deepcopy, which sqlglot's nodes ignore, because no node is in two places.
_NOTHING_COPIED: dict[int, Any] = {}


def apply_patches() -> None:
    """Patch SQLFrame and sqlglot in this process; further calls change nothing."""
    from sqlframe.base import util
    from sqlframe.base.dataframe import BaseDataFrame
    from sqlglot.expressions import core

    # Set by name, because the module imports it from the standard library and does not export it.
    setattr(core, "deepcopy", _copy_of)  # noqa: B010
    util.dialect_to_string = _name_of
    BaseDataFrame.copy = _copy_frame


def _copy_of(value: Any) -> Any:
    """Copy a part of a node; flat metadata is copied shallowly and without positions in text.

    sqlglot uses the standard library's general `deepcopy`, which takes longer than the rest of the
    copy.
    """
    if type(value) is dict:
        if "line" in value:
            value = {name: note for name, note in value.items() if name not in _POSITION}
        if _FLAT.issuperset(map(type, value.values())):
            return value.copy()
    elif type(value) is list and not value:
        return []
    elif hasattr(value, "args"):
        return value.__deepcopy__(_NOTHING_COPIED)
    return deepcopy(value)


def _name_of(dialect: Dialect) -> str:
    """Return the name under which sqlglot registered a dialect.

    SQLFrame asks for it for every column, and finds it by importing all of sqlglot's dialects.
    """
    return type(dialect).__name__.lower()


def _copy_frame(frame: Any, **given: Any) -> Any:
    """Copy a frame with some attributes replaced, without copying the replaced ones first.

    Most copies replace the plan, and the old plan is the expensive part.
    """
    given["join_on_uuid"] = str(uuid4())
    others = {
        name: value.copy() if hasattr(value, "copy") else copy(value)
        for name, value in vars(frame).items()
        if name not in given
    }
    return type(frame)(**others, **given)


def frame_of(session: Any, name: str, columns: Sequence[str]) -> Any:
    """Make a frame of all columns of a table or view, as `session.table` does.

    SQLFrame itself would have DuckDB plan the view to learn its types, and never forget them.
    """
    from sqlglot import exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    dialect = session.input_dialect
    named = (exp.to_column(column, dialect=dialect) for column in columns)
    selected = exp.select(*(normalize_identifiers(column, dialect=dialect) for column in named))
    return session._create_table(selected.from_(exp.to_table(name), copy=False))
