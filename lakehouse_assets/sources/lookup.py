"""What is checked before a copy: the source answers, how many rows wait, and the schema."""

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

if TYPE_CHECKING:
    import sqlalchemy as sa

Moment = int | str | date | datetime | Decimal


@dataclass(frozen=True)
class Found:
    """A column of the source.

    Attributes:
        name: Its name as the dataset declares it.
        type: Its type as the database writes it.
        kind: What its values are.
        column: The column in statements.
        found: Its type.
    """

    name: str
    type: str
    kind: Kind
    column: sa.ColumnElement[Any]
    found: sa.types.TypeEngine[Any]


@dataclass(frozen=True)
class Window:
    """What a copy takes: everything, or what was written between two values of the cursor.

    Attributes:
        low: First value, taken too; None for everything.
        high: Last value, taken too; None for everything, or for an empty table.
    """

    low: Moment | None = None
    high: Moment | None = None

    def condition(self, cursor: sa.ColumnElement[Any] | None) -> list[Any]:
        """Return what rows must fulfil."""
        if cursor is None or self.low is None:
            return []
        return [cursor >= self.low, *([cursor <= self.high] if self.high is not None else [])]


@dataclass(frozen=True)
class LookUp:
    """What the look-up found.

    Attributes:
        database: Product and place, without secrets.
        columns: Columns of the dataset in their order.
        waiting: Rows that the copy will take.
        window: What it takes.
        without_cursor: Rows that only a full copy takes: their cursor is null.
        added: Columns that the dataset does not declare.
        retyped: Sentences on columns whose type is another than at the last copy.
    """

    database: str
    columns: tuple[Found, ...]
    waiting: int
    window: Window
    without_cursor: int
    added: tuple[str, ...]
    retyped: tuple[str, ...]

    @property
    def types(self) -> dict[str, str]:
        """Types of the columns by name, to be held against those of the next look-up."""
        return {column.name: column.type for column in self.columns}

    @property
    def findings(self) -> list[str]:
        """What somebody should know before the copy, a sentence each."""
        told = list(self.retyped)
        if self.added:
            told.append(
                f"The source has columns that nobody declares: {', '.join(self.added)}; they are "
                "not copied. Declare them as fields of the dataset to have them."
            )
        if self.without_cursor:
            told.append(
                f"{self.without_cursor} rows have no value of the cursor, so only a full copy "
                "takes them; run it with --full."
            )
        return told


def table_of(columns: Sequence[Found]) -> Any:
    """Return the table that columns stand in."""
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
    """Ask a source what waits.

    Args:
        connection: Where it is asked.
        source: The database.
        declared: The table.
        known: Types of its columns at the last copy.
        window: What the copy shall take; its end is found here if it has none.
        counted: Whether rows are counted, which takes a while on large tables.

    Raises:
        LakehouseError: the table or a declared column is not there.
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
        f"Column {column.name} is {column.type}, and was {known[column.name]} at the last copy."
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
) -> tuple[list[Found], list[str]]:
    """Find the declared columns in the source, and those that are not declared."""
    import sqlalchemy as sa

    try:
        described = sa.inspect(connection).get_columns(declared.table, schema=declared.schema)
    except sa.exc.NoSuchTableError:
        described = []
    if not described:
        raise LakehouseError(
            f"The source {source.name} at {source.place} has no table {declared.full_name}, or "
            "its user may not read it; check the address and the user's rights."
        )
    by_name: dict[str, list[Any]] = {}
    for column in described:
        by_name.setdefault(str(column["name"]).lower(), []).append(column)
    wanted = {name.lower(): name for name in declared.dataset.source_names}
    missing = [name for lower, name in wanted.items() if lower not in by_name]
    twice = [name for lower, name in wanted.items() if len(by_name.get(lower, ())) > 1]
    for names, what in ((missing, "lacks"), (twice, "has in capital and in small letters")):
        if names:
            raise LakehouseError(
                f"The table {declared.full_name} of the source {source.name} {what} "
                f"{', '.join(names)}; nothing is copied. Restore it there, or declare what it is "
                f"called now among the fields of {declared.dataset.path}."
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
        Found(
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
    """Write a type as the database does."""
    try:
        return str(found.compile(dialect=dialect))
    except Exception:  # noqa: BLE001 - types that a dialect reads but cannot write
        return str(type(found).__name__).upper()
