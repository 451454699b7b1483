"""Answers `show tables`, `describe` and `describe history`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.errors import LakehouseError, QueryError, did_you_mean
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.snapshot import view_without_versions
from lakehouse_assets.lake.views import View, every_view
from lakehouse_assets.query.statements import Statement
from lakehouse_assets.query.user_views import SCHEMA

if TYPE_CHECKING:
    import pyarrow as pa


def catalog_rows(
    lake: Lake,
    statement: Statement,
    users: Mapping[str, Statement],
    sees: Callable[[Table], bool] = lambda _: True,
) -> pa.RecordBatchReader:
    """Answer `show tables`, `describe <table>` or `describe history <table>`.

    Args:
        lake: The lake.
        statement: The statement.
        users: Users' views by SQL name.
        sees: Whether the user's role may see a table.

    Raises:
        QueryError: the role may not see the table.
    """
    if statement.kind == "tables":
        return _tables(lake, users, sees, statement.domain)
    ((name, (view, _)),) = statement.names.items()
    if not sees(view.table):
        raise QueryError(
            f'No table is called {name}. "show tables" lists all tables.',
            table=name,
            sqlstate="42P01",
        )
    return _history(lake, view.table) if statement.kind == "history" else _columns(view)


def _tables(
    lake: Lake,
    users: Mapping[str, Statement],
    sees: Callable[[Table], bool],
    domain: str | None,
) -> pa.RecordBatchReader:
    """List the views of tables that are built, by name without aliases."""
    import pyarrow as pa

    domains = {table.domain for table in lake.registry if sees(table)} | {SCHEMA}
    if domain is not None and domain not in domains:
        raise QueryError(
            f"No domain is called {domain}{did_you_mean(domain, domains) or '.'} The domains are "
            f"{', '.join(sorted(domains))}.",
            sqlstate="3F000",
        )

    def state(table: Table) -> str | None:
        """Return "" for a table that can be read, None for a missing one, or the problem."""
        try:
            return None if lake.version(table) is None else ""
        except LakehouseError:
            return "cannot be read"

    states = dict(zip(lake.registry, log.of_each(state, lake.registry), strict=True))

    def of_view(view: View) -> str | None:
        """Return the state of a view's table, or the worst of the tables that it reads."""
        read = view.computed.reads.values() if view.computed else [view.table]
        found = [states[table] for table in read]
        return None if None in found else max(filter(None, found), default="")

    rows = [
        {
            "table": f"{table.domain}.{view.name}",
            "kind": table.kind,
            "rows_of": found or view.partitions,
        }
        for view in every_view(lake.registry)
        for table in [view.table]
        if sees(table) and (found := of_view(view)) is not None
    ]
    rows += [
        {"table": name, "kind": "view", "rows_of": "a user's view"}
        for name in sorted(users)
        if "." in name and all(sees(named.view.table) for named in users[name].names.values())
    ]
    if domain is not None:
        rows = [row for row in rows if row["table"].startswith(f"{domain}.")]
    schema = pa.schema([(name, pa.string()) for name in ("table", "kind", "rows_of")])
    return pa.Table.from_pylist(rows, schema).to_reader()


def _history(lake: Lake, table: Table) -> pa.RecordBatchReader:
    """List a table's versions, newest first: time, operation, run, and number of added rows."""
    import pyarrow as pa

    if table.kind == "view":
        raise view_without_versions(table)
    rows = [
        {
            "version": version.number, "committed_at": version.committed_at,
            "operation": version.operation,
            "partition": version.commit and version.commit.partition,
            "run_id": version.commit and version.commit.run_id,
            "rows": version.rows,
        }
        for version in lake.history(table)
    ]  # fmt: skip
    texts = [(name, pa.string()) for name in ("operation", "partition", "run_id")]
    moment = ("committed_at", pa.timestamp("us", "UTC"))
    return pa.Table.from_pylist(
        rows, pa.schema([("version", pa.int64()), moment, *texts, ("rows", pa.int64())])
    ).to_reader()


def _columns(view: View) -> pa.RecordBatchReader:
    """List the columns of a view: type, unit and meaning."""
    import pyarrow as pa

    rows = [
        {"column": c.name, "type": c.type, "unit": c.unit or "", "meaning": c.description}
        for c in view.named_columns
    ]
    schema = pa.schema([(name, pa.string()) for name in ("column", "type", "unit", "meaning")])
    return pa.Table.from_pylist(rows, schema).to_reader()
