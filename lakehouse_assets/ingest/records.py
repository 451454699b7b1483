"""A delivered record, and the lines of text from which CSV and JSON records are split."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse_assets.ingest.files import open_delivered


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
    """Write some names in a row; of very many the first ones."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name[:80] or "(without a name)" for name in names[:most]) + more


class Lines:
    """The decoded lines of a delivered file with their ends; lines taken can be put back.

    Attributes:
        number: How many lines are taken.
    """

    def __init__(self, path: Path) -> None:
        self._lines = _decoded(path)
        self._waiting: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        """Take the next line; None after the last."""
        line = self._waiting.popleft() if self._waiting else next(self._lines, None)
        self.number += line is not None
        return line

    def put_back(self, lines: list[str]) -> None:
        """Put the lines back that were taken last."""
        self.number -= len(lines)
        self._waiting.extendleft(reversed(lines))


def _decoded(path: Path) -> Iterator[str]:
    with open_delivered(path) as stream:
        for index, line in enumerate(stream):
            yield line.decode("utf-8" if index else "utf-8-sig")
