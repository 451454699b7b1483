"""`lakehouse views`: a DuckDB file of the lake's tables, and views that users make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets.cli.terminal import console

views = typer.Typer()


@views.callback(invoke_without_command=True)
def write(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="The file.")] = Path("lake.duckdb"),
    copy: Annotated[
        list[str] | None,
        typer.Option("--copy", help="A table whose rows are stored in the file, as they are now."),
    ] = None,
) -> None:
    """Write a DuckDB file with the lake's tables as views, for tools that open such files.

    A schema for each domain, every table as its latest state, <table>_history with every partition,
    aliases, and descriptions with units as comments. The views show the tables as they are when
    they are asked. A tool needs DuckDB's extension delta. Where the lake was moved, write the file
    again, or SET VARIABLE lakehouse_root = '<the folder>'.
    """
    if context.invoked_subcommand:
        return
    from lakehouse_assets.cli.report import no_lake, open_lake
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.errors import LakehouseError
    from lakehouse_assets.query.views_file import write_views
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    lake = open_lake(settings, "duckdb")
    file = to.absolute()
    written = write_views(lake, file, [REGISTRY[name] for name in copy or ()])
    if not written.views:
        raise LakehouseError(no_lake(settings))
    console.print(f"{len(written.views)} views: {file}", soft_wrap=True)
    if written.missing:
        console.print(
            f"{len(written.missing)} tables are not built and not in it: "
            f"{', '.join(written.missing)}.",
            soft_wrap=True,
        )
    if not isinstance(lake.location, Path):
        console.print(
            "The lake is in a store: who opens the file needs DuckDB's extension azure too, and a "
            "secret of their own, such as CREATE SECRET (TYPE azure, PROVIDER credential_chain, "
            "ACCOUNT_NAME '<account>').",
            soft_wrap=True,
        )


@views.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    text: Annotated[str, typer.Argument(help="One SELECT over the lake.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the view of that name.")
    ] = False,
) -> None:
    """Keep a SELECT in the lake as views.<name>, for every SQL interface.

    Whoever asks reads it with the rights of their own role.
    """
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.query.user_views import SCHEMA, create_view
    from lakehouse_assets.settings import load_settings

    create_view(open_lake(load_settings(), "duckdb"), name, text, replace=replace)
    console.print(f"{SCHEMA}.{name} is there.")


@views.command("list")
def list_them() -> None:
    """List the views that users have made."""
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.query.user_views import SCHEMA, read_views
    from lakehouse_assets.settings import load_settings

    for name, text in read_views(open_lake(load_settings(), "duckdb")).items():
        console.print(f"{SCHEMA}.{name}: {text}", soft_wrap=True, markup=False, highlight=False)


@views.command()
def drop(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Remove a view that a user has made; tables stay as they are."""
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.query.user_views import SCHEMA, drop_view
    from lakehouse_assets.settings import load_settings

    readers = drop_view(open_lake(load_settings(), "duckdb"), name)
    console.print(f"{SCHEMA}.{name} is gone.")
    if readers:
        console.print(f"These views read it and fail now: {', '.join(readers)}.")
