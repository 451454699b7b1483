"""`lakehouse powerbi`: the lake as Power BI projects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets.cli.terminal import console
from lakehouse_assets.errors import LakehouseError


def powerbi(
    to: Annotated[Path, typer.Option(help="Folder for the projects.")],
    source: Annotated[
        str, typer.Option(help="Where Power BI reads rows: local, onelake or sql.")
    ] = "local",
    at: Annotated[
        str | None,
        typer.Option(
            help="The place of that source, if it is not the lake's: a folder, abfss://... of "
            "OneLake, or <host>:<port>/<database> of `lakehouse serve sql`."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that Power BI Desktop has changed.")
    ] = False,
) -> None:
    """Write a Power BI project (PBIP) for each domain: its semantic model and its report.

    The model has the domain's gold tables as they are now, with relations and measures; the report
    has the domain's pages. The same registry gives the same files, so they can be kept in Git.
    docs/how-to/powerbi.md says how to open them.
    """
    from lakehouse_assets.domains import DOMAINS, PAGES, REGISTRY, ROLES
    from lakehouse_assets.pages.own import OWN_PAGES
    from lakehouse_assets.powerbi.project import projects, write
    from lakehouse_assets.powerbi.sources import KINDS, RowSource
    from lakehouse_assets.settings import load_settings

    kind = next((known for known in KINDS if known == source), None)
    if kind is None:
        raise LakehouseError(f"{source} is not a source; choose {', '.join(KINDS)}.")
    place = RowSource.of(kind, at, load_settings().root)
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
