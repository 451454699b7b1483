"""`lakehouse catalog`, `lineage`, `openlineage` and `classify`: what tables hold and come from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text
from rich.tree import Tree

from lakehouse_assets.cli.opening import load_settings, open_lake
from lakehouse_assets.cli.terminal import AsJson, console
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse_assets.engine.base import SourceColumn


def lineage(
    column: Annotated[str, typer.Argument(help="Column to trace, as [<domain>.]<table>.<column>.")],
    up: Annotated[bool, typer.Option("--up", help="Show only its origins.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Show only its uses.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a column is computed from, back to the delivered fields, and what uses it.

    Lineage is derived from the code, so it needs no lake. It leaves out columns that only filter,
    join or sort rows. An ellipsis marks a column whose branch is already shown above.
    """
    from lakehouse_assets.domains import DOMAINS, REGISTRY
    from lakehouse_assets.engine.start import start_engine
    from lakehouse_assets.governance.lineage import Lineage, find_column, walk

    if up and down:
        raise LakehouseError("Use either --up or --down, or neither to see both directions.")
    at, found = find_column(REGISTRY, column), Lineage(DOMAINS, start_engine())
    directions: dict[str, tuple[str, Callable[[SourceColumn], list[SourceColumn]]]] = {}
    if not down:
        directions["upstream"] = ("computed from", found.upstream)
    if not up:
        directions["downstream"] = ("used for", found.downstream)
    learning = [name for name in found.models if at in found.learnt_from(name)]
    if as_json:
        shown: dict[str, Any] = {"column": str(at), "models": learning}
        for name, (_, step) in directions.items():
            shown[name] = [{"of": str(of), "is": str(is_)} for of, is_ in walk(at, step)]
        print(json.dumps(shown, indent=2))  # noqa: T201
        return
    for title, step in directions.values():
        console.print(_tree(at, title, step))
    if learning and not up:
        console.print(f"Models trained on it: {', '.join(learning)}.")


def _tree(at: SourceColumn, title: str, step: Callable[[SourceColumn], list[SourceColumn]]) -> Tree:
    """Draw the columns that a column leads to, each branch once."""
    drawn: set[SourceColumn] = set()

    def grow(tree: Tree, column: SourceColumn) -> None:
        for other in step(column):
            known = other in drawn and bool(step(other))
            branch = tree.add(_label(other, " …" if known else ""))
            if other not in drawn:
                drawn.add(other)
                grow(branch, other)

    root = Tree(_label(at, f" is {title}" + ("" if step(at) else " no stored column")))
    grow(root, at)
    return root


def _label(column: SourceColumn, note: str) -> Text:
    from lakehouse_assets.domains import REGISTRY

    pii = None if "/" in column.table else REGISTRY[column.table].column(column.column).pii
    return Text.assemble(str(column), (f" ({pii})" if pii else "", "yellow"), (note, "dim"))


def classify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables to scan. Default: all tables.")
    ] = None,
    rows: Annotated[
        int, typer.Option(min=1, help="Maximum rows per table, sampled at random.")
    ] = 5_000,
    as_json: AsJson = False,
) -> None:
    """Find personal data in stored rows, and fail if its column declares no PII class.

    A column is reported if more than half of its values look like e-mail addresses, telephone
    numbers, bank accounts, payment cards, identity numbers, handles, addresses or coordinates, or
    if its name suggests personal data. The exit code is 1 if such a column declares no class.
    """
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.governance.classify import scan

    lake = open_lake(load_settings(), "duckdb")
    tables = [REGISTRY[name] for name in names] if names else [*REGISTRY]
    stored = [table for table in tables if lake.version(table) is not None]
    if not stored or (names and len(stored) < len(tables)):
        absent = ", ".join(t.full_name for t in tables if t not in stored) if names else "the lake"
        raise LakehouseError(
            f"No rows of {absent} are stored in {lake.root}; build them with `lakehouse run`."
        )
    found = [s for table in stored for s in scan(lake.engine, table, lake.read(table), rows)]
    undeclared = [suspect for suspect in found if suspect.declared is None]
    if as_json:
        print(json.dumps([asdict(suspect) for suspect in found], indent=2))  # noqa: T201
    else:
        headings = ("column", "looks like", "share", "declared")
        grid = Grid(*(Column(name, overflow="fold") for name in headings), header_style="bold")
        for suspect in found:
            declared = suspect.declared or Text("nothing", "red")
            share = f"{suspect.share:.0%}"
            grid.add_row(f"{suspect.table}.{suspect.column}", suspect.looks_like, share, declared)
        console.print(grid)
        columns = sum(len(table.columns) for table in stored)
        console.print(
            f"Scanned {columns:,} columns of {len(stored)} tables; {len(found)} look like personal "
            "data."
        )
    if undeclared:
        listed = "; ".join(f'{s.table}.{s.column} (pii="{s.pii}")' for s in undeclared)
        raise LakehouseError(
            f"Personal data is not declared: {listed}. Add the class to the declarations of these "
            "columns and of those computed from them, which `lakehouse lineage` shows."
        )


def catalog(
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder to write. Default: `catalog` next to LAKEHOUSE_PAGES."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--open", help="Open the catalogue in the browser.")
    ] = False,
) -> None:
    """Write a searchable catalogue of tables, columns, terms, lineage, quality and samples.

    The folder opens from disk or from any web server, and its catalog.json holds the same data for
    programs. Personal data is masked. An earlier catalogue in the folder is replaced.
    """
    from lakehouse_assets.domains import DOMAINS, ROLES
    from lakehouse_assets.governance.catalog import Ages, describe
    from lakehouse_assets.governance.lineage import Lineage
    from lakehouse_assets.governance.site import write_catalog
    from lakehouse_assets.orchestration.freshness import windows_of
    from lakehouse_assets.pages.own import OWN_PAGES, OWN_TABLES

    settings = load_settings()
    pages, lake = settings.pages.absolute(), open_lake(settings, "duckdb")
    folder = (to or pages.with_name("catalog")).absolute()
    ages = {
        table: Ages(*(window.total_seconds() for window in windows))
        for table in lake.registry
        if (windows := windows_of(table)) is not None
    }
    derived = Lineage(DOMAINS, lake.engine)
    found = describe(DOMAINS, lake, derived, ROLES, ages, OWN_PAGES, OWN_TABLES)
    beside = os.path.relpath(pages, folder) if (pages / "index.html").is_file() else None
    write_catalog(found, folder, beside)
    index = folder / "index.html"
    console.print(f"{len(found['tables'])} tables and {len(found['terms'])} terms: {index}")
    if show:
        typer.launch(str(index))


def openlineage() -> None:
    """Send OpenLineage events for the runs that ended since the last call.

    Events are appended to LAKEHOUSE_OPENLINEAGE_FILE or posted to LAKEHOUSE_OPENLINEAGE_URL. The
    sensor `openlineage` does the same every minute.
    """
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.orchestration.instance import dagster_instance
    from lakehouse_assets.orchestration.openlineage import receiver_of, send_new

    settings = load_settings()
    with dagster_instance(settings) as instance:
        sent = send_new(instance, REGISTRY, settings.root, receiver_of(settings))
    place = settings.openlineage_file if settings.openlineage_url is None else "the receiver"
    console.print(f"Sent the events of {sent} runs to {place}.")
