"""Records of delivered files, readable or malformed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """A readable record.

    Attributes:
        number: Its position among all records of its file, from 1.
        values: Its fields as text, in the declared order.
        undeclared: Names of its attributes that the dataset does not declare.
        missing: Names of declared attributes that it does not have.
    """

    number: int
    values: tuple[str | None, ...]
    undeclared: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Malformed:
    """An unreadable record.

    Attributes:
        line: The line it starts on, from 1.
        text: Its text as delivered.
        reason: What is wrong with it.
        undeclared: Names of its attributes that the dataset does not declare.
        missing: Names of declared attributes that it does not have.
    """

    line: int
    text: str
    reason: str
    undeclared: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def listed(names: Sequence[str], most: int = 8) -> str:
    """Join names with commas; beyond `most` of them, only count the rest."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    shown = (name[:80].encode(errors="backslashreplace").decode() for name in names[:most])
    return ", ".join(name or "(without a name)" for name in shown) + more
