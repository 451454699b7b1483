"""What rows of a table must fulfil, and what happens when they do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from lakehouse_assets.engine import Col, F

Action = Literal["warn", "drop", "fail"]
# First and last day of dim_date: rows with a day outside of it have no place in a star schema.
CALENDAR = (date(1900, 1, 1), date(2099, 12, 31))


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


def present(name: str) -> Expectation:
    """Expect that a column was given and could be read."""
    return Expectation(
        f"{name}_is_readable",
        "drop",
        f"{name.upper()} is given and can be read; a row without it states no facts.",
        lambda: F.col(name).isNotNull(),
    )


def unflagged(flag: str, description: str) -> Expectation:
    """Expect that a row was not repaired in a certain way; repaired rows stay."""
    return Expectation(
        f"no_{flag}",
        "warn",
        description,
        lambda: ~F.array_contains(F.col("quality_flags"), F.lit(flag)),
    )


def in_calendar(name: str) -> Expectation:
    """Expect that a date, if it is known, lies in the calendar."""
    return Expectation(
        f"{name}_is_in_the_calendar",
        "drop",
        "The date lies in 1900 to 2099, the calendar of dim_date.",
        lambda: F.coalesce(F.col(name).between(*CALENDAR), F.lit(True)),
    )


def not_negative(name: str) -> Expectation:
    """Expect that a number, if it is known, is not negative."""
    return Expectation(
        f"{name}_is_not_negative",
        "drop",
        f"{name.upper()} counts something: a negative one states no facts.",
        lambda: F.coalesce(F.col(name) >= F.lit(0), F.lit(True)),
    )


def known(name: str, values: Sequence[str]) -> Expectation:
    """Expect that a label is one of those that the source documents; others stay."""
    return Expectation(
        f"{name}_is_known",
        "warn",
        f"One of {', '.join(values)}.",
        lambda: F.col(name).isin(*values),
    )
