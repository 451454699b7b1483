"""Quick copies of SQLFrame's plans.

Belongs here: one replacement in sqlglot. Not here: how plans are built.

SQLFrame copies its whole plan at every step, and sqlglot copies the notes of each node (where its
name stood in a text) with the standard library's general `deepcopy`, which takes longer than
everything else about the copy. The notes are flat, so a plain copy of the dictionary does.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

_FLAT = frozenset({int, str, bool, float, type(None)})


def copy_plans_quickly() -> None:
    """Let sqlglot copy flat notes plainly, in this process; others are copied as before."""
    from sqlglot.expressions import core

    # Set by name: the module has it from the standard library and does not export it.
    setattr(core, "deepcopy", _copied)  # noqa: B010


def _copied(value: Any) -> Any:
    if type(value) is dict and all(type(entry) in _FLAT for entry in value.values()):
        return value.copy()
    return deepcopy(value)
