"""`lakehouse sql`, `tables` and `status`: show what is in the lake."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

from lakehouse_assets.cli.formats import Format
from lakehouse_assets.cli.opening import (
    deliveries_of,
    load_settings,
    no_lake,
    open_lake,
    open_sessions,
)
from lakehouse_assets.cli.terminal import AsJson, console, errors
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakehouse_assets.cli.status import StreamStatus


def sql(
    query: Annotated[
        str | None, typer.Argument(help="SQL statement; - reads it from standard input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="File that holds the SQL statement.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="Output format; csv and json keep every digit.")
    ] = "table",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum rows. Default: 50 for table and markdown, none for csv and json."
        ),
    ] = None,
    safe: Annotated[
        bool, typer.Option("--safe", help="Allow only SELECT, and only on the lake's files.")
    ] = False,
    role: Annotated[
        str | None,
        typer.Option("--as", help="Role to query as; limits tables and rows, and masks columns."),
    ] = None,
    safe_formulas: Annotated[
        bool,
        typer.Option(
            "--safe-formulas",
            help="Put an apostrophe before CSV text that a spreadsheet would run as a formula.",
        ),
    ] = False,
) -> None:
    """Query the lake, for example: lakehouse sql "select * from <table> limit 5".

    Tables are available by name, by alias and as <domain>.<table>. If a table has a state for each
    month, its name returns the latest one and <table>_history all of them. "show tables" lists the
    tables, "describe <table>" the columns of one. Without --safe or --as, a statement can read and
    write files of this machine.
    """
    from lakehouse_assets.catalog.access import access_of
    from lakehouse_assets.cli.formats import lines_of, rows_of, without_formulas
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.query.audit import AuditFolder
    from lakehouse_assets.query.session import ask

    if safe_formulas and form != "csv":
        raise LakehouseError("--safe-formulas is for spreadsheets; add --format csv.")
    settings, statement = load_settings(), _statement(query, file)
    if role is None:
        answer = ask(
            open_lake(settings),
            statement,
            confined=safe,
            audit=AuditFolder(settings.audit).add,
            deliveries=deliveries_of(settings),
        )
    else:
        access = access_of(role, ROLES, "--as")
        answer = open_sessions(settings).open(access, guarded=True).run(statement)
    exact = form in {"csv", "json"}
    most = limit or (None if exact or answer.of_catalog else 50)
    names, rows = answer.rows.schema.names, rows_of(answer.rows)
    if safe_formulas:
        names, rows = without_formulas(names), map(without_formulas, rows)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if isinstance(sys.stdout, io.TextIOWrapper):
        if exact and width is None:
            sys.stdout.reconfigure(encoding="utf-8")
        else:
            sys.stdout.reconfigure(errors="backslashreplace")
    for line in lines_of(form, names, islice(rows, most), width):
        print(line)  # noqa: T201 - as it is, without Rich
    if most is not None and next(rows, None) is not None:
        errors.print(f"Only the first {most} rows are shown; --limit shows more.")


def _statement(query: str | None, file: Path | None) -> str:
    """Return the statement that the arguments give or name."""
    if (query is None) == (file is None):
        raise LakehouseError(
            'Give a statement: lakehouse sql "select ...", or -f <file>, or - for standard input.'
        )
    try:
        if file is not None:
            return file.read_text(encoding="utf-8-sig")
        return sys.stdin.read() if query == "-" else str(query)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise LakehouseError(
            f"The statement cannot be read from {file or 'standard input'} ({reason}); use a UTF-8 "
            "text file."
        ) from None


def tables(
    name: Annotated[
        str | None, typer.Argument(help="Table to describe. Default: list all tables.")
    ] = None,
) -> None:
    """List all tables, or describe the columns, keys and measures of one."""
    from lakehouse_assets.domains import REGISTRY
    from lakehouse_assets.lake.schema import comment

    if name is None:
        names, kinds = Column("table", overflow="fold"), Column("kind", no_wrap=True)
        grid = Grid(names, kinds, "description", header_style="bold")
        for table in (*REGISTRY, *(view.table for view in REGISTRY.views)):
            grid.add_row(f"{table.domain}.{table.name}", table.kind, table.full_description)
        console.print(grid)
        return
    table = REGISTRY[name]
    console.print(f"{table.domain}.{table.name}: {table.full_description}")
    part = f", by {table.partition.column} ({table.partition.grain})" if table.partition else ""
    console.print(f"Kind: {table.kind}{part}. Other names: {', '.join(table.aliases) or 'none'}.")
    names = Column("column", no_wrap=True)
    grid = Grid(names, "type", "null", "PII", "meaning", header_style="bold")
    for column in table.columns:
        grid.add_row(
            column.name,
            column.type,
            "yes" if column.nullable else "",
            column.pii or "",
            comment(column),
        )
    console.print(grid)
    console.print(f"Key: {', '.join(table.keys)}")
    for reference in table.references:
        console.print(f"Reference: {', '.join(reference.columns)} → {reference.to_table}")
    for measure in table.measures:
        console.print(
            f"Measure: {measure.name} ({measure.unit}, {measure.additivity}) = "
            f"{measure.expression}. {measure.description}",
            markup=False,
        )


_STATUS_COLUMNS = (
    "table", "rows", "partitions", "missing", "last written (UTC)", "run", "freshness",
    "failing rules",
)  # fmt: skip


def status(
    as_json: AsJson = False,
) -> None:
    """Show each table's rows, missing partitions, last run, freshness and failing rules.

    "2 in 14" failing rules means that two rules fail, in 14 partitions. For each partition of a
    stream's topic, the command shows the next offset, the lag, the last event and the newest closed
    minute. It reads only logs, so it is quick for tables of any size.
    """
    from lakehouse_assets.cli.status import status as look
    from lakehouse_assets.cli.status import stream_status, unread

    settings = load_settings()
    found, streams = look(settings), stream_status(settings)
    for sentence in unread(settings):
        errors.print(f"Not loaded: {sentence}", style="yellow")
    if as_json:
        of_table: dict[str, list[dict[str, Any]]] = {}
        for part in streams:
            of_table.setdefault(part.table, []).append(asdict(part))
        tables = [asdict(table) | {"stream": of_table.get(table.table)} for table in found]
        print(json.dumps(tables, indent=2, default=datetime.isoformat))  # noqa: T201
        return
    colours = {
        "damaged": "red",
        "fresh": "green",
        "aging": "yellow",
        "late": "red",
        "no deadline": "dim",
        "never": "dim",
    }
    columns: dict[str, list[str | Text]] = {name: [] for name in _STATUS_COLUMNS}
    for table in found:
        missing = "" if table.missing is None else str(len(table.missing))
        cells = (
            table.table,
            "" if table.rows is None else f"{table.rows:,}",
            str(table.partitions or ""),
            Text(missing, "red") if table.missing else missing,
            f"{table.updated_at:%Y-%m-%d %H:%M}" if table.updated_at else "",
            (table.run_id or "")[:8],
            Text(table.freshness, colours[table.freshness]),
            f"{table.failing_rules} in {table.failing_partitions}" if table.failing_rules else "",
        )
        for name, cell in zip(columns, cells, strict=True):
            columns[name].append(cell)
    left_out = []
    for name in ("", "run", "last written (UTC)", "partitions", "failing rules"):
        if columns.pop(name, None) is not None:
            left_out.append(name)
        grid = Grid(header_style="bold")
        for shown in columns:
            number = shown in {"rows", "partitions", "missing"}
            grid.add_column(shown, justify="right" if number else "left", no_wrap=True)
        for row in zip(*columns.values(), strict=True):
            grid.add_row(*row)
        whole = console.measure(grid, options=console.options.update(width=1_000)).maximum
        if whole <= console.width:
            break
    console.print(grid)
    if left_out:
        console.print(f"A wider terminal, or --json, also shows: {', '.join(left_out)}.")
    if streams:
        console.print(_of_streams(streams))
    if all(table.freshness == "never" for table in found):
        console.print(no_lake(settings), soft_wrap=True, highlight=False)


def _of_streams(streams: Sequence[StreamStatus]) -> Group:
    """Draw how far each partition of the streams has been read, in 80 columns."""
    headings = ("partition", "offset", "lag", "last event (UTC)", "closed")
    numbers = (Column(heading, justify="right", no_wrap=True) for heading in headings)
    grid = Grid(Column("stream", no_wrap=True), *numbers, box=None, header_style="bold")
    for found in streams:
        lag = "?" if found.lag is None else f"{found.lag:,}"
        closed, last = found.closed_minute, found.last_event
        same_day = closed and last and closed.date() == last.date()
        grid.add_row(
            found.stream.partition("/")[2] + " (simulated)" * found.simulated,
            "" if found.partition is None else str(found.partition),
            "" if found.offset is None else f"{found.offset:,}",
            Text(lag, "green" if lag == "0" else "yellow"),
            f"{last:%Y-%m-%d %H:%M}" if last else "",
            f"{closed:%H:%M}" if same_day else f"{closed:%m-%d %H:%M}" if closed else "",
        )
    problems = {found.problem: found.stream for found in streams if found.problem}
    return Group(
        grid, *(Text(f"{stream}: {problem}", "yellow") for problem, stream in problems.items())
    )
