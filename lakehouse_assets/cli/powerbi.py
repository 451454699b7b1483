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
    docs/powerbi.md says how to open them.
    """
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.powerbi.project import projects, write
    from lakehouse_assets.powerbi.sources import KINDS, Source
    from lakehouse_assets.settings import load_settings

    kind = next((known for known in KINDS if known == source), None)
    if kind is None:
        raise LakehouseError(f"{source} is not a source; choose {', '.join(KINDS)}.")
    place = Source.of(kind, at, load_settings().root)
    made = list(projects(REGISTRY, place))
    write(to, {path: text for one in made for path, text in one.files.items()}, overwrite=overwrite)
    for one in made:
        model = one.model
        measures = sum(len(table.measures) for table in model.tables)
        console.print(
            f"{to / model.name}.SemanticModel: {len(model.tables)} tables, "
            f"{len(model.relations)} relations, {measures} measures"
        )
        for what in model.left_out:
            console.print(f"  left out: {what}")
