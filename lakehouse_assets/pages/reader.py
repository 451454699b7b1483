"""Reads pages' rows from the lake, each table at one version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.views import show, views
from lakehouse_assets.pages.site import Reader, Version

if TYPE_CHECKING:
    import pyarrow as pa


def lake_reader(lake: Lake) -> Reader:
    """Return a reader of the lake's tables."""
    known = views(lake.registry)

    def ask(text: str) -> pa.Table:
        named = {name: view for name, view in known.items() if f" {name} as " in text}
        show(lake, named)
        return lake.engine.query(text).read_all()

    def version(table: Table) -> Version | None:
        newest = lake.history(table, 1)
        if not newest:
            return None
        # When its rows were written: maintenance commits versions with the same rows.
        written = newest[0].written_at or newest[0].committed_at
        return Version(table.full_name, newest[0].number, _minute(written))

    return Reader(ask, version)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
