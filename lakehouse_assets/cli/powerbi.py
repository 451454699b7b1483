"""`lakehouse powerbi`: writes Power BI projects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lakehouse_assets.cli.opening import load_settings
from lakehouse_assets.cli.terminal import console


def powerbi(
    to: Annotated[Path, typer.Option(help="Folder to write the projects to.")],
    source: Annotated[
        Literal["local", "onelake", "sql"],
        typer.Option(help="Source that Power BI reads rows from."),
    ] = "local",
    at: Annotated[
        str | None,
        typer.Option(
            help="Location of the source, if it is not the lake's: a folder, abfss://... of "
            "OneLake, or <host>:<port>/<database> of `lakehouse serve sql`."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files changed in Power BI Desktop.")
    ] = False,
) -> None:
    """Write a Power BI project (PBIP) for each domain: a semantic model and a report.

    The model has the latest state of the domain's gold tables, with relationships and measures. The
    report has the domain's pages. The files depend only on the declarations, so Git can track them.
    docs/how-to/powerbi.md explains how to open them.
    """
    from lakehouse_assets.domains import DOMAINS, PAGES, REGISTRY, ROLES
    from lakehouse_assets.pages.own import OWN_PAGES
    from lakehouse_assets.powerbi.project import projects, write
    from lakehouse_assets.powerbi.sources import RowSource

    place = RowSource.of(source, at, load_settings().root)
    made = list(
        projects(
            REGISTRY, place, pages=(*PAGES, *OWN_PAGES), roles=ROLES.values(),
            terms={domain.name: domain.terms for domain in DOMAINS},
        )
    )  # fmt: skip
    write(to, {path: text for one in made for path, text in one.files.items()}, overwrite=overwrite)
    for one in made:
        model = one.model
        measures = sum(len(table.measures) for table in model.tables)
        pages = sum(path.endswith("/page.json") for path in one.files)
        console.print(
            f"{to / model.name}: {len(model.tables)} tables, {len(model.relations)} relations, "
            f"{measures} measures, {len(model.roles)} roles, {pages} pages"
        )
        for what in one.left_out:
            console.print(f"  left out: {what}", highlight=False, soft_wrap=True)
