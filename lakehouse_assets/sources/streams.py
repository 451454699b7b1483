"""Read the rows of a database as Arrow batches of text, in constant memory.

`copy`: PostgreSQL writes CSV itself, and Arrow parses it. `lines`: MySQL joins the values of a row
into one line of CSV, so that its driver, which is pure Python, handles one value per row (314,000
rows/s instead of 98,000). `arrow`: Snowflake sends Arrow. `cursor`: all other drivers, several
thousand rows at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.exact_text import array_as_text, value_as_text
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.lookup import ColumnInfo, Window, table_of
from lakehouse_assets.sources.served import in_one_form

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

_ROWS = 20_000
_BYTES = 1 << 22


def rows_of(
    connection: sa.Connection,
    source: Source,
    columns: Sequence[ColumnInfo],
    window: Window,
    cursor: str | None,
    key: Sequence[str] = (),
    after: Sequence[str] = (),
) -> Generator[pa.RecordBatch, None, None]:
    """Stream the rows of a table as text, ordered by its key if it has one.

    Args:
        connection: An open connection to the source.
        source: The database.
        columns: The columns to read.
        window: The rows to read.
        cursor: Name of the column that the window limits.
        key: Names of the columns that order the rows.
        after: Key values after which to start; empty to start at the first row.
    """
    query = statement(source, columns, window, cursor, key, after)
    read = {"copy": _copied, "lines": _lines, "arrow": _arrow, "cursor": _cursor}
    names = [column.name for column in columns]
    for batch in read[source.dialect.stream](connection, query, names):
        yield _in_one_form(batch, columns)


def state_of(batches: Iterator[pa.RecordBatch], columns: Sequence[ColumnInfo]) -> str:
    """Return a fingerprint of rows that does not depend on their order."""
    import duckdb
    import pyarrow as pa

    schema = pa.schema([(column.name, pa.string()) for column in columns])
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("found", pa.RecordBatchReader.from_batches(schema, batches))
        query = "SELECT count(*), sum(hash(*COLUMNS(*))) FROM found"
        return ":".join(str(value) for value in connection.execute(query).fetchall()[0])


def statement(
    source: Source,
    columns: Sequence[ColumnInfo],
    window: Window,
    cursor: str | None,
    key: Sequence[str],
    after: Sequence[str],
) -> sa.Select[Any]:
    """Return the SELECT statement for the rows; parameters as for `rows_of`."""
    import sqlalchemy as sa

    by_name = {column.name: column for column in columns}
    ordered = [by_name[name] for name in key]
    written = [
        source.dialect.written(c.column, c.kind, c.found).label(f"c{number}")
        for number, c in enumerate(columns)
    ]
    conditions = window.condition(by_name[cursor].column if cursor else None)
    if after:
        conditions.append(_behind(ordered, after))
    query: sa.Select[Any] = sa.select(*written).select_from(table_of(columns))
    return query.where(*conditions).order_by(*[column.column for column in ordered])


def _behind(key: Sequence[ColumnInfo], after: Sequence[str]) -> Any:
    """Return the condition for rows after a key; not every database can compare row values."""
    import sqlalchemy as sa

    either = []
    for place, (column, text) in enumerate(zip(key, after, strict=True)):
        before = zip(key[:place], after[:place], strict=True)
        same = [known.column == _typed(known, value) for known, value in before]
        either.append(sa.and_(*same, column.column > _typed(column, text)))
    return sa.or_(*either)


def _typed(column: ColumnInfo, text: str) -> Any:
    """Convert the text of a key value back to its type.

    Raises:
        LakehouseError: keys of that kind cannot be compared exactly.
    """
    from datetime import date, datetime
    from decimal import Decimal

    if column.kind in {"whole", "decimal"}:
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else number
    if column.kind == "text":
        return text
    if column.kind == "date":
        return date.fromisoformat(text)
    if column.kind in {"moment", "zoned"}:
        return datetime.fromisoformat(text)
    raise LakehouseError(
        f"Column {column.name} is {column.type}, which cannot order rows exactly; declare other "
        "columns as the key."
    )


def _in_one_form(batch: pa.RecordBatch, columns: Sequence[ColumnInfo]) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [in_one_form(batch.column(n), column.kind) for n, column in enumerate(columns)]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _copied(
    connection: sa.Connection, query: sa.Select[Any], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    compiled = query.compile(dialect=connection.dialect)
    with _driver(connection).cursor() as cursor:
        copy = f"COPY ({compiled}) TO STDOUT (FORMAT csv)"
        with cursor.copy(copy, compiled.params or None) as messages:
            # The protocol has one message per row. Collecting the message objects would take three
            # times as long as copying each into a buffer and freeing it.
            waiting = BytesIO()
            for message in messages:
                waiting.write(message)
                if waiting.tell() >= _BYTES:
                    yield from _parsed(waiting.getvalue(), names)
                    waiting = BytesIO()
            if waiting.tell():
                yield from _parsed(waiting.getvalue(), names)


def _lines(
    connection: sa.Connection, query: sa.Select[Any], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    import sqlalchemy as sa
    from pymysql.cursors import SSCursor

    quoted = [
        sa.func.ifnull(sa.func.concat('"', sa.func.replace(column, '"', '""'), '"'), "")
        for column in query.selected_columns
    ]
    line = query.with_only_columns(sa.func.concat_ws(",", *quoted))
    compiled = line.compile(dialect=connection.dialect)
    driver = _driver(connection)
    # Return values as bytes, exactly as the server wrote them.
    driver.decoders = {}
    driver.use_unicode = False
    with driver.cursor(SSCursor) as cursor:
        cursor.execute(str(compiled), compiled.params)
        try:
            while rows := cursor.fetchmany(_ROWS):
                if any(row[0] is None for row in rows):
                    raise LakehouseError(
                        "A row is larger than the server's max_allowed_packet; increase that "
                        "setting."
                    )
                yield from _parsed(b"\n".join(row[0] for row in rows) + b"\n", names)
        except BaseException:
            # Otherwise closing the cursor would read all remaining rows.
            driver._result.unbuffered_active = False
            connection.invalidate()
            raise


def _parsed(content: bytes, names: Sequence[str]) -> list[pa.RecordBatch]:
    """Parse whole lines of CSV, where nulls are empty and empty text is quoted."""
    import pyarrow as pa
    from pyarrow import csv

    read: pa.Table = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(column_names=list(names), block_size=len(content) + 1),
        # With one column, an empty line is a null.
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    return list(read.to_batches())


def _arrow(
    connection: sa.Connection, query: sa.Select[Any], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    compiled = query.compile(dialect=connection.dialect)
    with _driver(connection).cursor() as cursor:
        cursor.execute(str(compiled), compiled.params)
        for table in cursor.fetch_arrow_batches():
            for batch in table.to_batches(_ROWS):
                arrays = [array_as_text(array) for array in batch.columns]
                yield pa.RecordBatch.from_arrays(arrays, names=list(names))


def _cursor(
    connection: sa.Connection, query: sa.Select[Any], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    # The driver's own cursor, because SQLAlchemy's result would convert some values to other types.
    # SQLAlchemy's streaming is off, because it would have fetched the first rows already; these
    # drivers stream by themselves.
    cursor: Any = connection.execute(query).cursor
    cursor.arraysize = _ROWS
    while rows := cursor.fetchmany(_ROWS):
        arrays = [
            _texts(values, name)
            for values, name in zip(zip(*rows, strict=True), names, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=list(names))


def _texts(values: Sequence[Any], name: str) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        pass
    try:
        return pa.array([value_as_text(value) for value in values], pa.string())
    except TypeError as error:
        raise LakehouseError(
            f"Column {name} has values of type {error}, which cannot be converted to text; leave "
            "it out, or cast it in a view."
        ) from None
