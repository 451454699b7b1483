"""`lakehouse forget`: removes a person's records from the lake."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lakehouse_assets.cli.opening import load_settings, open_lake
from lakehouse_assets.cli.run import end, watched
from lakehouse_assets.cli.terminal import Yes, console, given_reason, say

if TYPE_CHECKING:
    from lakehouse_assets.ingest.removal import Receipt
    from lakehouse_assets.orchestration.forgetting import Request


def forget(
    domain: Annotated[str, typer.Argument(help="Domain that holds the records.")],
    subject: Annotated[str, typer.Argument(help="Kind of person, as the domain names it.")],
    identifier: Annotated[
        str,
        typer.Argument(
            help="Identifier of the person; - reads it from standard input, to keep it out of the "
            "shell history."
        ),
    ],
    reason: Annotated[
        str,
        typer.Option(
            callback=given_reason, help="Reason, such as a request number; no personal data."
        ),
    ],
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Delete old table versions now, which ends time travel. Default: maintenance "
            "deletes them after a week.",
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove a person's records from every table, and keep them out of later loads.

    Deletes the rows from bronze and the rejects, and rebuilds the tables computed from them. The
    delivered files are not changed; the receipt lists them. Later loads need LAKEHOUSE_FORGET_KEY
    too.
    """
    from lakehouse_assets.cli.report import print_warnings
    from lakehouse_assets.orchestration.forgetting import conclude, remove_records, request_of

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
        print_warnings(summary.warnings)
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
        say(
            "Bronze holds no records of this person. The receipt keeps out any that are delivered "
            "later.",
        )


def _print_receipt(receipt: Receipt, purged: bool) -> None:
    rows = sum(receipt.removed.values())
    console.print(f"Records removed: {rows:,}. Receipt in the lake: {receipt.path}")
    if receipt.files:
        say(
            f"These delivered files still hold the records: {', '.join(receipt.files)}. Delete or "
            "correct the files; loads skip the records.",
        )
    if receipt.models:
        say(
            "These model versions may have been trained on the records: "
            f"{', '.join(receipt.models)}. Later versions are trained without them.",
        )
    if not purged:
        say(
            "Old table versions hold the records until maintenance deletes them after a week, and "
            "logs for a month; --purge deletes both now.",
        )
