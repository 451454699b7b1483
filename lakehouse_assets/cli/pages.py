"""`lakehouse pages`: the lake's pages as a folder of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets.cli.terminal import console


def pages(
    to: Annotated[
        Path | None, typer.Option("--to", help="The folder; by default LAKEHOUSE_PAGES.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open them in the browser.")] = False,
) -> None:
    """Write the pages that the domains declare: charts that filter each other, without a server.

    The folder opens from the disk and from any web server. One that was written before is replaced.
    """
    from lakehouse_assets.catalog.registry import Registry
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.domains import DOMAINS, PAGES, REGISTRY
    from lakehouse_assets.governance.lineage import Lineage
    from lakehouse_assets.pages.own import OWN_PAGES, OWN_TABLES
    from lakehouse_assets.pages.reader import lake_reader
    from lakehouse_assets.pages.site import write_site
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    folder = (to or settings.pages).absolute()
    lake = open_lake(settings)
    reader = lake_reader(lake, Lineage(DOMAINS, lake.engine).reads)
    registry, every = Registry((*REGISTRY, *OWN_TABLES), REGISTRY.views), (*PAGES, *OWN_PAGES)
    site = write_site(registry, every, reader, folder)
    for (page, source), reason in site.missing.items():
        console.print(f"Page {page} does not show {source}: {reason}", style="yellow")
    index = folder / "index.html"
    console.print(f"{len(every)} pages from {len(site.versions)} tables: {index}")
    if show:
        typer.launch(str(index))
