"""`lakehouse pages`: the lake's pages as a folder of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets.cli.terminal import console
from lakehouse_assets.errors import LakehouseError


def pages(
    to: Annotated[
        Path | None, typer.Option("--to", help="The folder; by default LAKEHOUSE_PAGES.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--as", help="Role that they are for: only what it may read, with its masks."),
    ] = None,
    identifiers: Annotated[
        bool,
        typer.Option(
            "--identifiers", help="Write what identifies people; by default, numbers stand for it."
        ),
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open them in the browser.")] = False,
) -> None:
    """Write the pages that the domains declare: charts that filter each other, without a server.

    The folder opens from the disk and from any web server. One that was written before is replaced.
    """
    from lakehouse_assets.catalog.access import access_of
    from lakehouse_assets.cli.report import no_lake, open_lake
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.orchestration.pages_asset import write_pages
    from lakehouse_assets.query.audit import AuditFolder
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.settings import load_settings

    settings = load_settings().model_copy(update={"engine": "duckdb"})
    folder = (to or settings.pages).absolute()
    if isinstance(settings.root, Path) and not settings.root.is_dir():
        raise LakehouseError(no_lake(settings))
    access = access_of(role, ROLES, "--as") if role else None
    key = settings.mask_key.get_secret_value() if settings.mask_key else None
    sessions = Sessions(open_lake(settings), key=key, audit=AuditFolder(settings.audit).add)
    tracking = MlflowTracking.of(settings)
    site = write_pages(sessions, folder, access, tracking=tracking, identifiers=identifiers)
    for (page, source), reason in site.missing.items():
        console.print(f"Page {page} does not show {source}: {reason}", style="yellow")
    index = folder / "index.html"
    console.print(f"{site.pages} pages from {len(site.versions)} tables: {index}")
    if show:
        typer.launch(str(index))
