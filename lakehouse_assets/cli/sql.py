"""Runs one SQL statement on the tables of the lake, and explains its errors.

This is a tool for the lake's owner: unless it is confined, a statement may read and write this
machine's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse_assets.catalog.registry import Table, ambiguous
from lakehouse_assets.errors import LakehouseError, QueryError, did_you_mean
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.views import View, every_view, shared_names, show, views

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import Token

_EXAMPLE = 'such as "show tables"'
_SHOW = re.compile(r"show\s+(all\s+)?tables", re.IGNORECASE)
_DESCRIBE = re.compile(r"(?:describe|desc)\s+(?:table\s+|(history)\s+)?([\w.\"`]+)", re.IGNORECASE)


class Answer(NamedTuple):
    """The rows of a statement.

    Attributes:
        rows: The rows as a stream; column names may repeat.
        of_catalog: Whether they list tables, versions or columns, which are always shown in full.
    """

    rows: pa.RecordBatchReader
    of_catalog: bool = False


def ask(lake: Lake, text: str, *, confined: bool = False) -> Answer:
    """Run one statement.

    `show tables`, `describe <table>` and `describe history <table>` cover only the lake's tables.

    Only the logs of tables that the statement names are opened.

    Args:
        lake: The lake.
        text: The statement, in the dialect of the lake's engine.
        confined: Whether it may only read, and only from the lake. This applies to the process's
            engine from then on.

    Raises:
        LakehouseError: there is no lake, the text is not exactly one statement, or the statement
            fails. The last may be raised while rows are read.
    """
    statement = one_statement(text, lake.engine.name)
    if isinstance(lake.location, Path) and not lake.location.is_dir():
        raise LakehouseError(
            f"There is no lake at {lake.root}; `lakehouse run` builds it, and LAKEHOUSE_ROOT says "
            "where it is."
        )
    known = views(lake.registry)
    if _SHOW.fullmatch(statement):
        return Answer(_tables(lake), of_catalog=True)
    shared = shared_names(lake.registry)
    described = _DESCRIBE.fullmatch(statement)
    name = re.sub('["`]', "", described[2]).lower() if described else ""
    for several in {name} | {*names_in(statement, shared, lake.engine.name)}:
        if several in shared:
            raise LakehouseError(ambiguous(several, shared[several]))
    if described and (view := known.get(name)):
        rows = _history(lake, view.table) if described[1] else _columns(view)
        return Answer(rows, of_catalog=True)
    named = {name: known[name] for name in names_in(statement, known, lake.engine.name)}
    show(lake, named)
    if confined:
        lake.engine.confine(lake.root)
    try:
        return Answer(lake.engine.query(statement))
    except QueryError as error:
        raise _explained(error, known, named) from None


def one_statement(text: str, dialect: str) -> str:
    """Return the only statement of a text, without its final semicolon.

    Raises:
        LakehouseError: there is none, or there are several.
    """
    try:
        tokens = sqlglot.tokenize(text, dialect)
    except SqlglotError:
        # The engine explains errors, such as an open quote, better.
        return text.strip()
    ends = [token.start for token in tokens if _ends(token)]
    last = max((token.start for token in tokens if not _ends(token)), default=None)
    if last is None:
        raise LakehouseError(f"The statement is empty; write one, {_EXAMPLE}.")
    if any(end < last for end in ends):
        raise LakehouseError("There are several statements; run them one by one.")
    return text[: ends[0] if ends else len(text)].strip()


def _ends(token: Token) -> bool:
    """Whether a token ends a statement."""
    return token.token_type.name == "SEMICOLON"


def names_in(statement: str, known: Mapping[str, object], dialect: str) -> list[str]:
    """Return the known names that a statement reads from, in lower case and sorted.

    In a statement that is not a query, every word counts.
    """
    try:
        first = sqlglot.tokenize(statement, dialect)[0].text.lower()
        if first not in {"select", "with", "from", "("}:
            # sqlglot does not parse all other statements, and logs a warning for those.
            raise SqlglotError
        found = {
            ".".join(part.name for part in table.parts).lower()
            for table in sqlglot.parse_one(statement, dialect=dialect).find_all(exp.Table)
            if not _is_cte(table)
        }
    except SqlglotError:
        bare = re.sub('["`]', "", statement.lower())
        found = {*re.findall(r"\w+", bare), *re.findall(r"\w+\.\w+", bare)}
    return sorted(found & known.keys())


def _is_cte(table: exp.Table) -> bool:
    """Whether a name refers to a common table expression (WITH) at its position."""
    node: exp.Expr | None = table
    inside: exp.Expr | None = None
    while node is not None and not table.db:
        common = node.args.get("with_")
        if isinstance(common, exp.With):
            before: Sequence[exp.Expr] = common.expressions
            if inside in before and not common.args.get("recursive"):
                before = before[: before.index(inside)]
            if any(cte.alias.lower() == table.name.lower() for cte in before):
                return True
        if isinstance(node, exp.CTE):
            inside = node
        node = node.parent
    return False


def _explained(
    error: QueryError, known: Mapping[str, View], named: Mapping[str, View]
) -> LakehouseError:
    """Return an error that suggests names of the lake close to the unknown one."""
    if error.table is not None:
        dotted = "." in error.table
        close = did_you_mean(error.table, (n for n in known if ("." in n) == dotted)) or "."
        return LakehouseError(
            f'No table is called {error.table}{close} "show tables" lists what there is.'
        )
    if error.column is not None and named:
        columns = {name for view in named.values() for name in view.columns}
        tables = ", ".join(sorted({view.name for view in named.values()}))
        close = did_you_mean(error.column, columns) or "."
        first = min(view.name for view in named.values())
        return LakehouseError(
            f'No column is called {error.column} in {tables}{close} "describe {first}" lists '
            "what there is."
        )
    return error


def _tables(lake: Lake) -> pa.RecordBatchReader:
    """List the views of tables that are built, by name without aliases."""
    import pyarrow as pa

    def state(table: Table) -> str | None:
        """Return "" for a table that exists, None for a missing one, or what is wrong with it."""
        try:
            return None if lake.version(table) is None else ""
        except LakehouseError:
            return "cannot be read"

    states = dict(zip(lake.registry, log.of_each(state, lake.registry), strict=True))

    def of_view(view: View) -> str | None:
        """Return the state of a view's table, or the worst of those that it is computed from."""
        read = view.computed.reads.values() if view.computed else [view.table]
        found = [states[table] for table in read]
        return None if None in found else max(filter(None, found), default="")

    rows = [
        {
            "table": f"{table.domain}.{view.name}",
            "kind": table.kind,
            "rows_of": found or view.partitions,
        }
        for view in every_view(lake.registry)
        for table in [view.table]
        if (found := of_view(view)) is not None
    ]
    schema = pa.schema([(name, pa.string()) for name in ("table", "kind", "rows_of")])
    return pa.Table.from_pylist(rows, schema).to_reader()


def _history(lake: Lake, table: Table) -> pa.RecordBatchReader:
    """List the versions of a table, newest first: when, how and by which run each was made."""
    import pyarrow as pa

    if table.kind == "view":
        raise LakehouseError(f"{table.name} is a view, which has no versions; ask for its tables.")
    rows = [
        {
            "version": version.number, "committed_at": version.committed_at,
            "operation": version.operation,
            "partition": version.commit and version.commit.partition,
            "run_id": version.commit and version.commit.run_id,
        }
        for version in lake.history(table)
    ]  # fmt: skip
    texts = [(name, pa.string()) for name in ("operation", "partition", "run_id")]
    moment = ("committed_at", pa.timestamp("us", "UTC"))
    return pa.Table.from_pylist(
        rows, pa.schema([("version", pa.int64()), moment, *texts])
    ).to_reader()


def _columns(view: View) -> pa.RecordBatchReader:
    """List the columns of a view: type, unit and meaning."""
    import pyarrow as pa

    def rows() -> Iterator[dict[str, object]]:
        for name, stored in view.columns.items():
            column = view.table.column(stored)
            meaning = column.description if name == stored else f"Another name for {stored}."
            yield {
                "column": name, "type": column.type, "unit": column.unit or "", "meaning": meaning,
            }  # fmt: skip

    schema = pa.schema([(name, pa.string()) for name in ("column", "type", "unit", "meaning")])
    return pa.Table.from_pylist(list(rows()), schema).to_reader()
