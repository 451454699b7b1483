"""What rows of a table must fulfil, and what happens when they do not.

Belongs here: the `Expectation` declaration. Not here: the expectations of a table (each domain's
`expectations.py`) and how rows are sorted by them (`classify.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lakehouse_assets.engine.types import Col

Action = Literal["warn", "drop", "fail"]


@dataclass(frozen=True)
class Expectation:
    """A statement about each row.

    Attributes:
        name: Name of the asset check, and the reason in quarantine.
        action: `warn` keeps the row and reports it; `drop` moves the row to quarantine and
            reports it; `fail` stops everything downstream.
        description: What is expected, and the source of the rule.
        condition: Builds the column that is true where the row is as expected; null counts as not.
    """

    name: str
    action: Action
    description: str
    condition: Callable[[], Col]
