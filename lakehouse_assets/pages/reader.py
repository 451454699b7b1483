"""Reads pages' rows from the lake, and facts about the lake itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.snapshot import snapshot_of
from lakehouse_assets.lake.views import views
from lakehouse_assets.pages.facts import facts
from lakehouse_assets.pages.site import Reader, Version

if TYPE_CHECKING:
    import pyarrow as pa


def lake_reader(lake: Lake, reads: Mapping[str, Sequence[str]]) -> Reader:
    """Return a reader of the lake's tables and of `OWN_TABLES`.

    Args:
        lake: The lake.
        reads: What each table reads, by full name, for the graph of tables.
    """
    known = views(lake.registry)
    own = facts(lake, reads)

    def ask(text: str) -> pa.Table:
        with snapshot_of(lake) as snapshot:
            frames = {
                name: snapshot.frame(view) for name, view in known.items() if f" {name} as " in text
            }
            frames |= {
                table.full_name: lake.engine.from_arrow(rows)
                for table, rows in own.items()
                if f" {table.full_name} as " in text
            }
            return lake.engine.query(text, frames).read_all()

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
