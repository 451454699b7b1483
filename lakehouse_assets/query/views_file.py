"""Writes a DuckDB file with a view for each table of the lake, for tools that open such files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlglot import exp

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine.duckdb import DuckDBEngine
from lakehouse_assets.engine.duckdb_dialect import MACROS
from lakehouse_assets.engine.duckdb_sql import identifier, literal, new_name
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake, missing_columns
from lakehouse_assets.lake.schema import comment
from lakehouse_assets.lake.snapshot import Snapshot
from lakehouse_assets.lake.views import View, every_view

ROOT_VARIABLE = "lakehouse_root"
"""DuckDB variable with the location of the lake, if it was moved after the file was written."""


@dataclass(frozen=True)
class ViewsFile:
    """The written file.

    Attributes:
        views: Names of the views and copies.
        missing: Full names of tables that are not built, and so are left out.
    """

    views: list[str]
    missing: list[str]


def write_views(lake: Lake, to: Path, copied: Collection[Table] = ()) -> ViewsFile:
    """Write a DuckDB file with a schema for each domain and a view for each table of the lake.

    The views read the current rows, including the latest partition, on each query. Names are those
    of `lakehouse sql`: `<domain>.<table>` is the latest state, `_history` has every partition, and
    aliases are views too. Descriptions and units are comments.

    Args:
        lake: The lake, on the embedded engine.
        to: The file; an existing file is replaced.
        copied: Tables whose present rows are copied into the file.

    Raises:
        LakehouseError: a table cannot be read, or the file cannot be written.
    """
    engine = cast("DuckDBEngine", lake.engine)
    versions = dict(zip(lake.registry, log.of_each(lake.version, lake.registry), strict=True))
    built = {table for table, version in versions.items() if version is not None}
    shown = [
        view
        for view in every_view(lake.registry)
        if (
            built.issuperset(view.computed.reads.values()) if view.computed else view.table in built
        )
    ]
    catalog = new_name("file")
    part = to.with_name(f"{to.name}.part")
    try:
        part.unlink(missing_ok=True)
        engine.script(
            [
                f"ATTACH {literal(str(part))} AS {catalog}",
                f"USE {catalog}",
                *MACROS,
                *_statements(lake, engine, shown, copied),
                "USE memory",
                f"DETACH {catalog}",
            ]
        )
        part.replace(to)
    except OSError as error:
        raise LakehouseError(
            f"The file {to} cannot be written ({error.strerror}); choose another one with --to."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return ViewsFile(
        [f"{view.table.domain}.{view.name}" for view in shown],
        sorted(table.full_name for table in versions if table not in built),
    )


def _statements(
    lake: Lake, engine: DuckDBEngine, shown: list[View], copied: Collection[Table]
) -> Iterator[str]:
    for schema in sorted({view.table.domain for view in shown}):
        yield f"CREATE SCHEMA {identifier(schema)}"
    for view in shown:
        table = view.table
        place = f"{identifier(table.domain)}.{identifier(view.name)}"
        copy = table in copied and not view.history
        kind = "TABLE" if copy else "VIEW"
        yield f"CREATE {kind} {place} AS {_query(lake, engine, view)}"
        text = f"{table.description} Partitions: {view.partitions}."
        if copy:
            text += f" A copy of version {lake.version(table)}."
        yield f"COMMENT ON {kind} {place} IS {literal(text)}"
        for name, stored in view.columns.items():
            said = comment(table.column(stored)) if name == stored else f"Other name of {stored}."
            yield f"COMMENT ON COLUMN {place}.{identifier(name)} IS {literal(said)}"
        for alias in table.aliases:
            name = f"{alias}_history" if view.history else alias
            other = f"{identifier(table.domain)}.{identifier(name)}"
            yield f"CREATE VIEW {other} AS FROM {place}"
            yield f"COMMENT ON VIEW {other} IS {literal(f'Other name of {view.name}.')}"


def _query(lake: Lake, engine: DuckDBEngine, view: View) -> str:
    """Return the SQL of a view; it names no version and no partition."""
    table = view.table
    columns = ", ".join(
        identifier(of) if name == of else f"{identifier(of)} AS {identifier(name)}"
        for name, of in view.columns.items()
    )
    if view.computed:
        reads = view.computed.reads.items()
        frames = {
            name: engine.named_frame(of.full_name, list(View(of).columns)) for name, of in reads
        }
        rule = engine.sql_of(view.computed.rule(**frames))
        return f"SELECT {columns} FROM ({rule})"  # noqa: S608
    query = f"SELECT {columns} FROM {_scan(lake, engine, table)}"  # noqa: S608
    if table.partition is None or not table.holds_states or view.history:
        return query
    dated = lake.registry.meant_by(table, table.latest_with) if table.latest_with else table
    own = identifier(table.partition.column)
    other = identifier((dated.partition or table.partition).column)
    latest = f"SELECT max({other}) FROM {_source(lake, engine, dated)}"  # noqa: S608
    return f"{query} WHERE {own} = ({latest})"


def _scan(lake: Lake, engine: DuckDBEngine, table: Table) -> str:
    """Return SQL that reads a table; declared columns that it does not have yet are null."""
    source = _source(lake, engine, table)
    absent = missing_columns(table, Snapshot(lake).open(table))
    if not absent:
        return source
    nulls = ", ".join(
        f"CAST(NULL AS {exp.DataType.build(c.type, dialect='spark').sql('duckdb')}) "
        f"AS {identifier(c.name)}"
        for c in absent
    )
    # By name, so that a column is read as soon as the table has it.
    return f"(FROM {source} UNION ALL BY NAME SELECT {nulls} WHERE false)"


def _source(lake: Lake, engine: DuckDBEngine, table: Table) -> str:
    root = engine.address(lake.root)
    place = f"{table.domain}/{table.name}"
    return (
        f"delta_scan(coalesce(getvariable({literal(ROOT_VARIABLE)}), {literal(root)}) || "
        f"{literal(f'/{place}')})"
    )
