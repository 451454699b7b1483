"""Reads the lake of the settings in Python: tables and SQL statements as relations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse_assets.query.relation import Relation
    from lakehouse_assets.query.session import Session, Sessions


def table(name: str, *, as_of: int | str | date | None = None, role: str = "owner") -> Relation:
    """Return a table of the lake; its rows are read on demand.

    Args:
        name: Its name in SQL: `<domain>.<table>`, the bare name or an alias. If a table has a state
            for each month, this is the latest; `<table>_history` has all of them.
        as_of: A version, or a time in UTC, to read an earlier state.
        role: The role that reads; any but `owner` gets only its rows, with its masks.

    Returns:
        A relation with `.df()` (pandas), `.pl()` (Polars), `.arrow()`, `.batches()`, and
        `.sql("select ... from this")`.

    Raises:
        LakehouseError: there is no such table or role.
    """
    from lakehouse_assets.query.relation import table_relation

    sessions, session = _session(role)
    return table_relation(sessions, session, name, as_of)


def sql(text: str, parameters: Sequence[Any] = (), *, role: str = "owner") -> Relation:
    """Return the rows of a SQL statement, which runs on demand.

    Args:
        text: One statement in DuckDB's dialect.
        parameters: Values of `?` and `$1`.
        role: The role that asks; `owner` may do all that DuckDB can.

    Raises:
        LakehouseError: there is no such role.
    """
    from lakehouse_assets.query.relation import Relation

    return Relation(_session(role)[1], text, parameters)


def _session(role: str) -> tuple[Sessions, Session]:
    from lakehouse_assets.catalog.access import access_of
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.query.audit import Reader
    from lakehouse_assets.settings import load_settings

    sessions = sessions_at(str(load_settings().root))
    access = access_of(role, ROLES, "The argument role")
    return sessions, sessions.open(access, reader=Reader.here("python"))


@cache
def sessions_at(root: str) -> Sessions:
    """Return the sessions on the lake of the settings, cached by the location of the lake."""
    from lakehouse_assets.cli.opening import open_sessions
    from lakehouse_assets.settings import load_settings

    return open_sessions(load_settings(), with_deliveries=True)
