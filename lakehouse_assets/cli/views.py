"""`lakehouse views`: writes a DuckDB file of the lake's tables, and manages saved views."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets.cli.opening import load_settings, no_lake, open_lake
from lakehouse_assets.cli.terminal import console, say

views = typer.Typer()


@views.callback(invoke_without_command=True)
def write(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="File to write.")] = Path("lake.duckdb"),
    copy: Annotated[
        list[str] | None,
        typer.Option("--copy", help="Table whose current rows are copied to the file; repeatable."),
    ] = None,
) -> None:
    """Write a DuckDB file with the lake's tables as views, or manage the lake's saved views.

    The file has a schema for each domain, with the latest state of each table, <table>_history with
    every partition, aliases, and descriptions as comments. Views read the lake when they are
    queried, with DuckDB's extension delta. After the lake has moved, write the file again or
    SET VARIABLE lakehouse_root = '<the folder>'.
    """
    if context.invoked_subcommand:
        return
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.errors import LakehouseError
    from lakehouse_assets.query.views_file import write_views

    settings = load_settings()
    lake = open_lake(settings, "duckdb")
    file = to.absolute()
    written = write_views(lake, file, [REGISTRY[name] for name in copy or ()])
    if not written.views:
        raise LakehouseError(no_lake(settings))
    say(f"Wrote {len(written.views)} views to {file}")
    if written.missing:
        say(
            f"{len(written.missing)} tables are not built yet and were left out: "
            f"{', '.join(written.missing)}.",
        )
    if not isinstance(lake.location, Path):
        say(
            "The lake is in cloud storage, so readers of the file also need DuckDB's extension "
            "azure and a secret, such as CREATE SECRET (TYPE azure, PROVIDER credential_chain, "
            "ACCOUNT_NAME '<account>').",
        )


@views.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the view.")],
    text: Annotated[str, typer.Argument(help="One SELECT statement on the lake.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing view of this name.")
    ] = False,
) -> None:
    """Save a SELECT in the lake as views.<name>, for every SQL interface.

    A view returns what the reader's own role may read.
    """
    from lakehouse_assets.query.user_views import SCHEMA, create_view

    create_view(open_lake(load_settings(), "duckdb"), name, text, replace=replace)
    console.print(f"Created {SCHEMA}.{name}.")


@views.command("list")
def list_them() -> None:
    """List the saved views."""
    from lakehouse_assets.query.user_views import SCHEMA, read_views

    found = read_views(open_lake(load_settings(), "duckdb"))
    for name, text in found.items():
        console.print(f"{SCHEMA}.{name}: {text}", soft_wrap=True, highlight=False)
    if not found:
        console.print("No view is saved; `lakehouse views create` saves one.")


@views.command()
def drop(name: Annotated[str, typer.Argument(help="Name of the view.")]) -> None:
    """Drop a saved view; tables are not changed."""
    from lakehouse_assets.query.user_views import SCHEMA, drop_view

    readers = drop_view(open_lake(load_settings(), "duckdb"), name)
    console.print(f"Dropped {SCHEMA}.{name}.")
    if readers:
        console.print(f"These views read it and no longer work: {', '.join(readers)}.")
