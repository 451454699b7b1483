"""Checks before a copy: whether the source answers, how many rows are new, and its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.sources import SourceTable
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.dialects import Kind, kind_of
from lakehouse_assets.text import counted

if TYPE_CHECKING:
    import sqlalchemy as sa

CursorValue = int | str | date | datetime | Decimal


@dataclass(frozen=True)
class ColumnInfo:
    """A column of the source.

    Attributes:
        name: Its name as declared by the dataset.
        type: Its type as written by the database.
        kind: Kind of its values.
        column: The column for use in statements.
        found: Its SQLAlchemy type.
    """

    name: str
    type: str
    kind: Kind
    column: sa.ColumnElement[Any]
    found: sa.types.TypeEngine[Any]


@dataclass(frozen=True)
class Window:
    """The rows that a copy takes: all of them, or those between two cursor values.

    Attributes:
        low: Lowest value, inclusive; None for all rows.
        high: Highest value, inclusive; None if it has not been looked up or there is none.
    """

    low: CursorValue | None = None
    high: CursorValue | None = None

    def condition(self, cursor: sa.ColumnElement[Any] | None) -> list[Any]:
        """Return the conditions for rows in the window."""
        if cursor is None or self.low is None:
            return []
        return [cursor >= self.low, *([cursor <= self.high] if self.high is not None else [])]


@dataclass(frozen=True)
class LookUp:
    """Result of a look-up.

    Attributes:
        database: Product and address, without secrets.
        columns: Columns of the dataset in declared order.
        waiting: Number of rows that the copy will take.
        window: Its window.
        without_cursor: Number of rows whose cursor is null, which only a full copy takes.
        added: Columns that the dataset does not declare.
        retyped: Sentences on columns whose type has changed since the last copy.
    """

    database: str
    columns: tuple[ColumnInfo, ...]
    waiting: int
    window: Window
    without_cursor: int
    added: tuple[str, ...]
    retyped: tuple[str, ...]

    @property
    def types(self) -> dict[str, str]:
        """Types of the columns by name, which the next look-up compares with its own."""
        return {column.name: column.type for column in self.columns}

    @property
    def findings(self) -> list[str]:
        """Sentences that the user should read before the copy."""
        sentences = list(self.retyped)
        if self.added:
            sentences.append(
                f"The source has undeclared columns: {', '.join(self.added)}. They are not copied; "
                "to copy them, declare them as fields of the dataset."
            )
        if self.without_cursor:
            sentences.append(
                f"{counted(self.without_cursor, 'row')} "
                f"{'has' if self.without_cursor == 1 else 'have'} no cursor value; a copy with "
                "--full includes all rows."
            )
        return sentences


def table_of(columns: Sequence[ColumnInfo]) -> Any:
    """Return the columns' table."""
    return columns[0].column.table


def look_up(
    connection: sa.Connection,
    source: Source,
    declared: SourceTable,
    known: Mapping[str, str],
    window: Window,
    *,
    counted: bool = True,
) -> LookUp:
    """Look up the columns of a source table and the rows to copy.

    Args:
        connection: An open connection to the source.
        source: The database.
        declared: The table.
        known: Types of its columns at the last copy.
        window: Rows to copy; the cursor's maximum becomes its end if it has none.
        counted: Whether to count rows, which is slow for large tables.

    Raises:
        LakehouseError: the table or a declared column does not exist.
    """
    import sqlalchemy as sa

    columns, added = _columns(connection, source, declared)
    table = table_of(columns)
    cursor = next((c.column for c in columns if c.name == declared.cursor), None)
    if cursor is not None and window.high is None:
        high = connection.execute(sa.select(sa.func.max(cursor)).select_from(table)).scalar()
        window = Window(window.low, high)
    waiting, without = 0, 0
    if counted:
        query = sa.select(sa.func.count()).select_from(table)
        waiting = int(connection.execute(query.where(*window.condition(cursor))).scalar() or 0)
        if cursor is not None and window.low is not None:
            without = int(connection.execute(query.where(cursor.is_(None))).scalar() or 0)
    retyped = [
        f"Column {column.name} is {column.type}, but was {known[column.name]} at the last copy."
        for column in columns
        if known.get(column.name, column.type) != column.type
    ]
    title = source.dialect.title
    return LookUp(
        database=f"{title} at {source.place}",
        columns=tuple(columns),
        waiting=waiting,
        window=window,
        without_cursor=without,
        added=tuple(added),
        retyped=tuple(retyped),
    )


def _columns(
    connection: sa.Connection, source: Source, declared: SourceTable
) -> tuple[list[ColumnInfo], list[str]]:
    """Return the declared columns of the source table, and the names of its other columns."""
    import sqlalchemy as sa

    try:
        described = sa.inspect(connection).get_columns(declared.table, schema=declared.schema)
    except sa.exc.NoSuchTableError:
        described = []
    if not described:
        raise LakehouseError(
            f"The source {source.name} at {source.place} has no table {declared.full_name}, or the "
            "user may not read it. Check the address and the user's permissions."
        )
    by_name: dict[str, list[Any]] = {}
    for column in described:
        by_name.setdefault(str(column["name"]).lower(), []).append(column)
    wanted = {name.lower(): name for name in declared.dataset.source_names}
    missing = [name for lower, name in wanted.items() if lower not in by_name]
    twice = [name for lower, name in wanted.items() if len(by_name.get(lower, ())) > 1]
    for names, what in ((missing, "lacks"), (twice, "has in both upper and lower case")):
        if names:
            raise LakehouseError(
                f"The table {declared.full_name} of the source {source.name} {what} "
                f"{', '.join(names)}, so nothing was copied. Restore the column, or declare its "
                f"new name in the fields of {declared.dataset.path}."
            )
    taken = {lower: by_name[lower][0] for lower in wanted}
    typed = source.dialect.typed
    table = sa.Table(
        declared.table,
        sa.MetaData(),
        *[
            sa.Column(found["name"], found["type"] if typed else sa.types.NullType())
            for found in taken.values()
        ],
        schema=declared.schema,
    )
    columns = [
        ColumnInfo(
            name=wanted[lower],
            type=_written(found["type"], connection.dialect),
            kind=kind_of(found["type"], connection.dialect.name),
            column=table.c[found["name"]],
            found=found["type"],
        )
        for lower, found in taken.items()
    ]
    return columns, [c[0]["name"] for lower, c in by_name.items() if lower not in wanted]


def _written(found: Any, dialect: Any) -> str:
    """Return a type as the database writes it."""
    try:
        return str(found.compile(dialect=dialect))
    except Exception:  # noqa: BLE001 - types that a dialect reads but cannot write
        return str(type(found).__name__).upper()
