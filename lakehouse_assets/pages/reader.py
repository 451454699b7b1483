"""Reads the rows of pages from the lake, and facts about the lake itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.access import Access
from lakehouse_assets.catalog.domain import built_from_streams
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import stream_tables
from lakehouse_assets.domains import DOMAINS, STREAMS
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
    """Return a reader of the lake's tables and, for the owner, of `OWN_TABLES`.

    Args:
        sessions: Sessions on the lake.
        reads: The tables that each table reads, by full name, for the lineage.
        access: The role that the pages are for; None for the owner.
        tracking: The MLflow store, for the models' metrics.
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

    return Reader(ask, version, _missing)


def _missing(table: Table) -> str:
    streamed = {t for stream in STREAMS for t in stream_tables(stream)}
    if table in streamed | built_from_streams(DOMAINS):
        return (
            f"{table.full_name} is not built: it needs the events of a stream. Read them with "
            "`lakehouse stream` (or simulate them with `lakehouse stream --simulate`), then run "
            "`lakehouse run`."
        )
    return f"{table.full_name} is not built; run `lakehouse run`."


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
