"""Errors whose messages are written for users."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from lakehouse_assets.text import visible


class LakehouseError(Exception):
    """An error whose message says in plain words what happened and what to do.

    Control characters from delivered values are escaped in it.

    Attributes:
        transient: Whether the error is transient, so that a retry may succeed.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(visible(message, keep="\n"))
        self.transient = transient


class QueryError(LakehouseError):
    """An SQL statement that failed.

    Attributes:
        table: Name of the missing table, as written in the statement.
        column: Name of the missing column.
        sqlstate: PostgreSQL's code for the kind of failure; `42000` for a statement that is wrong
            in another way.
    """

    def __init__(
        self,
        message: str,
        *,
        table: str | None = None,
        column: str | None = None,
        sqlstate: str = "42000",
    ) -> None:
        super().__init__(message)
        self.table = table
        self.column = column
        self.sqlstate = sqlstate


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean <the closest names>?`, or nothing if none is close."""
    close = get_close_matches(name.lower(), sorted({*names}), n=3)
    if not close:
        return ""
    *others, last = close
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


class FileRefusedError(LakehouseError):
    """A delivered file that is refused as a whole; the run continues with its other files."""


class SourceNotReadyError(LakehouseError):
    """A source of a table is missing or failed; other tables and partitions continue."""


class DamagedTableError(LakehouseError):
    """A table that cannot be opened or does not match its declaration; only its users fail."""


def one_line(error: BaseException) -> str:
    """Put an error's text on one line, without the colours and arrows of delta-rs's error trees."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\u21b3", "", str(error))
    return " ".join(plain.split())
