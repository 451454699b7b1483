"""Errors with SQLSTATE, PostgreSQL's five characters by which clients tell errors apart."""

from __future__ import annotations

from lakehouse_assets.errors import LakehouseError, QueryError


class SqlError(LakehouseError):
    """An error that a client is told.

    Attributes:
        sqlstate: Its code, such as 42601 for a statement that cannot be read.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def with_sqlstate(error: Exception) -> SqlError:
    """Return an error with the code that fits it; sentences for users stay as they are."""
    if isinstance(error, SqlError):
        return error
    if isinstance(error, RecursionError):
        return SqlError("54001", "The statement is nested too deeply.")
    if not isinstance(error, LakehouseError):
        return SqlError("XX000", f"The statement failed inside the server: {type(error).__name__}.")
    known = getattr(error, "sqlstate", None)
    if known is None and isinstance(error, QueryError):
        known = "42P01" if error.table else "42703" if error.column else "42000"
    return SqlError(known or "58000", str(error))
