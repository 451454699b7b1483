"""`lakehouse pages`: writes the pages as a folder of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets.cli.opening import load_settings, no_lake, open_sessions, open_tracking
from lakehouse_assets.cli.terminal import console
from lakehouse_assets.errors import LakehouseError


def pages(
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder to write. Default: LAKEHOUSE_PAGES.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--as", help="Role to write for: only what it may read, with its masks."),
    ] = None,
    identifiers: Annotated[
        bool,
        typer.Option(
            "--identifiers", help="Write people's identifiers; by default, numbers replace them."
        ),
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the pages in the browser.")] = False,
) -> None:
    """Write pages of charts that filter each other and need no server.

    The folder opens from disk or from any web server. An earlier version of it is replaced.
    """
    from lakehouse_assets.catalog.access import access_of
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.orchestration.pages_asset import write_pages

    settings = load_settings()
    folder = (to or settings.pages).absolute()
    if isinstance(settings.root, Path) and not settings.root.is_dir():
        raise LakehouseError(no_lake(settings))
    access = access_of(role, ROLES, "--as") if role else None
    tracking = open_tracking(settings)
    site = write_pages(
        open_sessions(settings), folder, access, tracking=tracking, identifiers=identifiers
    )
    for (page, source), reason in site.missing.items():
        console.print(f"Page {page} does not show {source}: {reason}", style="yellow")
    index = folder / "index.html"
    console.print(f"{site.pages} pages from {len(site.versions)} tables: {index}")
    if show:
        typer.launch(str(index))
