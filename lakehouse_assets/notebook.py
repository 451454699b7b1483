"""The lake in Python: tables and statements as relations, on the lake of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse_assets.query.relation import Relation
    from lakehouse_assets.query.session import Session, Sessions


def table(name: str, *, as_of: int | str | date | None = None, role: str = "owner") -> Relation:
    """Return a table of the lake, whose rows are read when they are asked for.

    Args:
        name: Its name in SQL: `<domain>.<table>`, the bare name or an alias. A table that has a
            state for each month is the latest; `<table>_history` has them all.
        as_of: An earlier state: a version, or a moment in UTC.
        role: The role that reads; a role gets its rows, masked.

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
    """Return the rows of a statement over the lake, which runs when they are asked for.

    Args:
        text: One statement in DuckDB's dialect.
        parameters: Values of `?` and `$1`.
        role: The role that asks; the owner may do all that DuckDB can.

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
    """Return the sessions on the lake of the settings, one for each place of a lake."""
    from lakehouse_assets.cli.report import deliveries_of, open_lake
    from lakehouse_assets.query.audit import AuditFolder
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    key = settings.mask_key.get_secret_value() if settings.mask_key else None
    return Sessions(
        open_lake(settings, "duckdb"),
        key=key,
        audit=AuditFolder(settings.audit).add,
        deliveries=deliveries_of(settings),
    )
