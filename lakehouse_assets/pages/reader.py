"""Reads pages' rows from the lake, and facts about the lake itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.pages.facts import facts
from lakehouse_assets.pages.site import Reader, Version
from lakehouse_assets.query import audit
from lakehouse_assets.query.session import Sessions

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.tracking import MlflowTracking


def lake_reader(
    sessions: Sessions,
    reads: Mapping[str, Sequence[str]],
    access: Access | None = None,
    tracking: MlflowTracking | None = None,
) -> Reader:
    """Return a reader of the lake's tables, and, for the owner, of `OWN_TABLES`.

    Args:
        sessions: Sessions on the lake.
        reads: What each table reads, by full name, for the graph of tables.
        access: What the role may read that the pages are for; None for the owner.
        tracking: Where models are registered, for their metrics.
    """
    lake = sessions.lake
    session = sessions.open(access, reader=audit.Reader.here("pages"))
    own = facts(lake, reads, tracking) if access is None else {}

    def ask(text: str) -> pa.Table:
        frames = {
            table.full_name: lake.engine.from_arrow(rows)
            for table, rows in own.items()
            if f" {table.full_name} as " in text
        }
        if frames:
            return lake.engine.query(text, frames).read_all()
        return session.run(text).rows.read_all()

    def version(table: Table) -> Version | None:
        if table in own:
            return Version(table.full_name, None, None)
        newest = lake.history(table, 1)
        if not newest:
            return None
        # When its rows were written: maintenance commits versions with the same rows.
        written = newest[0].written_at or newest[0].committed_at
        return Version(table.full_name, newest[0].number, _minute(written))

    return Reader(ask, version)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
