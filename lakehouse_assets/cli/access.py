"""`lakehouse access`: shows and exports what each role may read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column
from rich.table import Table as Grid

from lakehouse_assets.cli.terminal import console
from lakehouse_assets.errors import LakehouseError

access = typer.Typer()


@access.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    role: Annotated[str | None, typer.Option(help="Show only this role.")] = None,
    table: Annotated[str | None, typer.Option(help="Show only this table.")] = None,
) -> None:
    """Show which rows each role may read and which columns are masked, or export the roles."""
    from lakehouse_assets.catalog.access import OWNER, access_of
    from lakehouse_assets.domains import REGISTRY, ROLES
    from lakehouse_assets.query.policy import row_filter

    if context.invoked_subcommand is not None:
        return
    wanted = REGISTRY[table] if table else None
    if role is not None:
        access_of(role, ROLES, "--role")
    if role is None and wanted is None:
        for found in ROLES.values():
            console.print(f"{found.name}: {found.description}")
        console.print(f"{OWNER}: Reads everything as it is stored.\n")
    headings = ("role", "table", "rows", "masked columns")
    grid = Grid(*(Column(name, overflow="fold") for name in headings), header_style="bold")
    for found in ROLES.values():
        for of, policy in found.tables.items():
            if role in (None, found.name) and wanted in (None, of):
                rows = row_filter(policy.rows, str) if policy.rows else "all"
                masks = ", ".join(f"{name} ({mask.kind})" for name, mask in policy.masks.items())
                grid.add_row(found.name, of.full_name, rows, masks)
    console.print(grid)


@access.command()
def export(
    unity: Annotated[bool, typer.Option("--unity", help="Write SQL for Unity Catalog.")] = False,
    fabric: Annotated[bool, typer.Option("--fabric", help="Write OneLake roles as JSON.")] = False,
    to: Annotated[
        Path | None, typer.Option(help="File to write. Default: standard output.")
    ] = None,
    catalog: Annotated[
        str, typer.Option(help="Catalog that holds the tables in Unity Catalog.")
    ] = "lakehouse",
) -> None:
    """Export the roles as grants, row filters and column masks for Databricks or Fabric.

    The output has not been tried on either platform.
    """
    from lakehouse_assets.domains import REGISTRY, ROLES
    from lakehouse_assets.governance.access_export import onelake_roles, unity_catalog

    if unity == fabric:
        raise LakehouseError("Choose what to write: either --unity or --fabric.")
    if unity:
        text = unity_catalog(ROLES.values(), REGISTRY, catalog)
    else:
        text = json.dumps(onelake_roles(ROLES.values(), REGISTRY), indent=2) + "\n"
    if to is None:
        typer.echo(text, nl=False)
        return
    to.write_text(text, encoding="utf-8")
    console.print(f"Wrote the roles {', '.join(ROLES)} to {to}.")
