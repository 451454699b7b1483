"""Watches a statement until its last row is fetched, and records it for the audit log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from weakref import finalize

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse_assets import clock
from lakehouse_assets.errors import LakehouseError, QueryError
from lakehouse_assets.query.audit import Asked, Reader
from lakehouse_assets.query.policy import words_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.catalog.access import Access
    from lakehouse_assets.query.statements import Statement

_LONGEST = 2000
_QUERY = re.compile(r"[\s(]*(select|with|from|values)\b", re.IGNORECASE)


@dataclass(eq=False)
class Watch:
    """Watches one statement until its last row is fetched, and records it once.

    As a context, it records an error as the statement's end.
    """

    _reader: Reader
    _access: Access | None
    _add: Callable[[Asked], None] | None
    _at: datetime = field(default_factory=lambda: clock.now())
    _started: float = field(default_factory=time.monotonic)
    _asked: Statement | None = None
    _checked: Statement | None = None
    _rows: int = 0
    _done: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LakehouseError):
            self.fail(error)

    def of(self, statement: Statement) -> Statement:
        """Note the statement, once it is parsed and again once it is checked."""
        self._asked, self._checked = self._asked or statement, statement
        return statement

    def rows_of(self, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return the rows, which are counted while they are fetched."""
        import pyarrow as pa

        if self._add is None:
            return rows
        counted = self._counted(rows)
        # A generator that never started does not notice that it is dropped.
        finalize(counted, self.end, "cancelled")
        return pa.RecordBatchReader.from_batches(rows.schema, counted)

    def _counted(self, rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            for batch in rows:
                self._rows += batch.num_rows
                yield batch
        except GeneratorExit:
            self.end("cancelled")
            raise
        except BaseException as error:
            self.fail(error)
            raise
        self.end("answered")

    def fail(self, error: BaseException) -> None:
        """Record the statement as refused, cancelled or failed, depending on the error."""
        code = error.sqlstate if isinstance(error, QueryError) else ""
        verdict = {"42501": "refused", "57014": "cancelled"}.get(code, "failed")
        self.end(verdict, code)

    def end(self, verdict: str, code: str = "") -> None:
        """Record the statement, unless it was recorded."""
        if self._done or self._add is None:
            return
        self._done = True
        statement, access = self._checked, self._access
        tables = {named.view.table for named in statement.names.values()} if statement else set()
        policies = [
            f"{table.full_name}: {words_of(access.tables[table])}"
            for table in sorted(tables, key=lambda table: table.key)
            if access is not None and table in access.tables
        ]
        self._add(
            Asked(
                at=self._at.astimezone(UTC).isoformat(),
                user=self._reader.user,
                role=access.name if access else "owner",
                source=self._reader.source,
                policy=". ".join(policies),
                statement=shape_of(self._asked) if self._asked else "",
                tables=tuple(sorted(table.full_name for table in tables)),
                columns=columns_of(statement) if statement else (),
                rows=self._rows,
                milliseconds=int((time.monotonic() - self._started) * 1000),
                verdict=verdict,
                code=code,
            )
        )


def shape_of(statement: Statement) -> str:
    """Return a statement with `?` in place of every value and without comments.

    A text that cannot be parsed has an empty shape, because its values cannot be found.
    """
    if statement.kind != "rows":
        return {"tables": "show tables", "columns": "describe", "history": "describe history"}[
            statement.kind
        ]
    tree = _tree(statement)
    if tree is None:
        return ""
    for node in list(tree.find_all(exp.Literal, exp.Boolean, exp.HexString, exp.BitString)):
        node.replace(exp.Placeholder())
    return tree.sql("duckdb", comments=False, unsupported_level=sqlglot.ErrorLevel.IGNORE)[
        :_LONGEST
    ]


def columns_of(statement: Statement) -> tuple[str, ...]:
    """Return the columns that a statement may read; with a `*`, all columns of its tables."""
    if statement.kind != "rows":
        return ()
    views = {named.view for named in statement.names.values()}
    mentioned: Collection[str] | None = statement.columns
    tree = _tree(statement) if mentioned is None else None
    if tree is not None and not any(tree.find_all(exp.Star, exp.Columns)):
        mentioned = {column.name.lower() for column in tree.find_all(exp.Column)}
        names = {name for view in views for name in (view.name, view.table.name)}
        aliases = {alias.name.lower() for alias in tree.find_all(exp.TableAlias)}
        # The name of a table in place of a column means a whole row.
        if mentioned & {*names, *aliases}:
            mentioned = None
    return tuple(
        sorted(
            {
                f"{view.table.full_name}.{column}"
                for view in views
                for name, column in view.columns.items()
                if mentioned is None or name in mentioned
            }
        )
    )


def _tree(statement: Statement) -> exp.Expr | None:
    """Return a statement as a tree; None if it is not a query or cannot be parsed."""
    # sqlglot logs other texts that it cannot parse, with their values.
    if not _QUERY.match(statement.text):
        return None
    try:
        tree = sqlglot.parse_one(statement.text, dialect="duckdb")
    except SqlglotError:
        return None
    return tree if isinstance(tree, exp.Query) else None
