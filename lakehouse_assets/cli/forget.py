"""`lakehouse forget`: removes a person's records from the lake on their request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lakehouse_assets.cli.run import end, watched
from lakehouse_assets.cli.terminal import console

if TYPE_CHECKING:
    from lakehouse_assets.ingest.removal import Receipt
    from lakehouse_assets.orchestration.forgetting import Request


def forget(
    domain: Annotated[str, typer.Argument(help="Name of a domain.")],
    subject: Annotated[str, typer.Argument(help="Kind of person, as the domain calls it.")],
    identifier: Annotated[
        str,
        typer.Argument(help="Their identifier; - reads it from standard input, so that no shell "
                       "history keeps it."),
    ],
    reason: Annotated[
        str, typer.Option(help="Why, such as the number of the request; no personal data.")
    ],
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Remove old versions of the tables now, and with them time "
                     "travel; default: maintenance does after a week."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:  # fmt: skip
    """Remove a person's records from every table, and keep them out when files are delivered again.

    Rows leave bronze and the rejects; what is built from them is built again. The delivered files
    stay as they are: the receipt names them. LAKEHOUSE_FORGET_KEY is needed for later loads too.
    """
    from lakehouse_assets.cli.report import open_lake, print_warnings
    from lakehouse_assets.orchestration.forgetting import conclude, remove_records, request_of
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    lake = open_lake(settings)
    if identifier == "-":
        identifier = sys.stdin.readline().strip()
    request = request_of(settings, lake, domain, subject, identifier, reason)
    _print_held(request)
    if not yes and not typer.confirm("Remove these records?"):
        raise typer.Exit(1)
    runs = remove_records(settings, lake, request)
    summary = watched(settings, runs, "lakehouse forget") if runs else None
    if summary is not None:
        print_warnings(console, summary.warnings)
        end(summary)
    _print_receipt(conclude(lake, request, now=purge), purge)


def _print_held(request: Request) -> None:
    table = Table("dataset", "rows", "malformed records", "partitions", "files")
    for held in request.held:
        table.add_row(
            held.dataset.path,
            f"{sum(held.rows.values()):,}",
            f"{sum(map(len, held.rejects.values())):,}",
            f"{len(held.partitions):,}",
            f"{len(held.files):,}",
        )
    console.print(table)
    if not any(held.partitions for held in request.held):
        console.print(
            "Bronze has no record of this person. The receipt keeps out any that is delivered "
            "later.",
            soft_wrap=True,
        )


def _print_receipt(receipt: Receipt, purged: bool) -> None:
    rows = sum(receipt.removed.values())
    console.print(f"Records removed: {rows:,}. Receipt in the lake: {receipt.path}")
    if receipt.files:
        console.print(
            f"These delivered files still have them: {', '.join(receipt.files)}. Delete or correct "
            "them where they are kept; loads leave these records out.",
            soft_wrap=True,
        )
    if receipt.models:
        console.print(
            "These model versions may have been fitted on them: "
            f"{', '.join(receipt.models)}. Fits from now on are without them.",
            soft_wrap=True,
        )
    if not purged:
        console.print(
            "Old versions of the tables still have them until maintenance removes these after a "
            "week, and their logs after a month; --purge removes both now.",
            soft_wrap=True,
        )
