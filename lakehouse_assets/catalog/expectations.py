"""Expectations: conditions on rows, and what happens to rows that fail them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from lakehouse_assets.engine import Col, F

Action = Literal["warn", "drop", "fail"]
# First and last day of dim_date: a row with a day outside it has no date to refer to.
CALENDAR = (date(1900, 1, 1), date(2099, 12, 31))


@dataclass(frozen=True)
class Expectation:
    """A condition that each row should meet.

    Attributes:
        name: Name of the asset check and of the reason in quarantine.
        action: `warn` keeps and reports the row; `drop` quarantines and reports it; `fail` blocks
            everything downstream.
        description: What is expected, and the source of the rule.
        condition: Builds the column that is true for rows that pass; null counts as a failure.
    """

    name: str
    action: Action
    description: str
    condition: Callable[[], Col]


def present(name: str) -> Expectation:
    """Expect a value that is given and can be read; other rows are quarantined."""
    return Expectation(
        f"{name}_is_readable",
        "drop",
        f"{name} is given and can be read; other rows are quarantined.",
        lambda: F.col(name).isNotNull(),
    )


def unflagged(flag: str, description: str) -> Expectation:
    """Expect rows without a flag; flagged rows are kept and reported."""
    return Expectation(
        f"no_{flag}",
        "warn",
        description,
        lambda: ~F.array_contains(F.col("quality_flags"), F.lit(flag)),
    )


def in_calendar(name: str) -> Expectation:
    """Expect a known date to be in the calendar; other rows are quarantined."""
    return Expectation(
        f"{name}_is_in_the_calendar",
        "drop",
        f"{name} is from 1900 to 2099, the years of dim_date; other rows are quarantined.",
        lambda: F.coalesce(F.col(name).between(*CALENDAR), F.lit(True)),
    )


def not_negative(name: str) -> Expectation:
    """Expect a known number not to be negative; other rows are quarantined."""
    return Expectation(
        f"{name}_is_not_negative",
        "drop",
        f"{name} is not negative; other rows are quarantined.",
        lambda: F.coalesce(F.col(name) >= F.lit(0), F.lit(True)),
    )


def known(name: str, values: Sequence[str]) -> Expectation:
    """Expect a label that the source documents; rows with others are kept and reported."""
    return Expectation(
        f"{name}_is_known",
        "warn",
        f"{name} is one of {', '.join(values)}; rows with other values are kept.",
        lambda: F.col(name).isin(*values),
    )
