"""Errors with SQLSTATE, the five-character code by which PostgreSQL clients tell errors apart."""

from __future__ import annotations

from lakehouse_assets.errors import LakehouseError, QueryError


class SqlError(LakehouseError):
    """An error that is sent to a client.

    Attributes:
        sqlstate: Its code, such as 42601 for a syntax error.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def with_sqlstate(error: Exception) -> SqlError:
    """Return an error with its code; messages of `LakehouseError` stay as they are."""
    if isinstance(error, SqlError):
        return error
    if isinstance(error, RecursionError):
        return SqlError("54001", "The statement is nested too deeply; simplify it.")
    if not isinstance(error, LakehouseError):
        return SqlError("XX000", f"The server failed on the statement ({type(error).__name__}).")
    known = getattr(error, "sqlstate", None)
    if known is None and isinstance(error, QueryError):
        known = "42P01" if error.table else "42703" if error.column else "42000"
    return SqlError(known or "58000", str(error))
