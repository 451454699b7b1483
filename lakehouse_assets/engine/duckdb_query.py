"""One running statement of the embedded engine: its rows as a stream, its end, its errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from lakehouse_assets.errors import QueryError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# A statement that is being planned may miss an interrupt, so that interrupts are repeated.
_SECONDS_BETWEEN_INTERRUPTS = 0.1
_STATES = (
    (r"Catalog Error: .*Function with name", "42883"),
    (r"(?:Binder|Catalog) Error: .*does not exist", "42P01"),
    (r"Binder Error: .*column", "42703"),
    (r"(?:Parser|Syntax) Error", "42601"),
    (r"(?:Permission) Error", "42501"),
    (r"Out of Memory", "53200"),
    (r"(?:Conversion|Out of Range|Invalid Input) Error", "22000"),
)


class Query:
    """One statement on a cursor of its own.

    Args:
        cursor: The cursor, which ends with the statement.
        explained: Raises the errors of the stores that it reads as one sentence.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        explained: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._cursor = cursor
        self._stores_explained = explained
        self._stopped: QueryError | None = None
        self._ended = Event()

    def run(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        timeout: float | None = None,
        batch_rows: int = 10_000,
        *,
        select_only: bool = False,
    ) -> pa.RecordBatchReader:
        """Run the statement and stream its rows.

        Args:
            sql: One statement.
            parameters: Values of `?` and `$1`, or of `$name`.
            timeout: Seconds until the last row must be read; None for no limit.
            batch_rows: Rows of a batch.
            select_only: Whether it must be a SELECT.

        Raises:
            QueryError: the statement fails, is stopped, or takes too long: at once or while rows
                are read.
        """
        import duckdb
        import pyarrow as pa

        if timeout is not None:
            Thread(target=self._watch, args=[timeout], daemon=True).start()
        try:
            with self._explained():
                if select_only and [s.type for s in self._cursor.extract_statements(sql)] != [
                    duckdb.StatementType.SELECT
                ]:
                    raise QueryError(
                        "The query does not run: only SELECT is allowed here.", sqlstate="42501"
                    )
                self._cursor.execute(sql, parameters or None)
                reader = self._cursor.to_arrow_reader(batch_rows)
        except BaseException:
            self._end()
            raise

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                with self._explained():
                    for batch in reader:
                        self._check()
                        yield batch
                    self._check()
            finally:
                self._end()

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def describe(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> pa.Schema:
        """Return the columns of a query's rows without computing them; this ends the statement.

        Args:
            sql: One query.
            parameters: Values of its parameters; None if they are not known, as text then.

        Raises:
            QueryError: the statement is wrong, or is not a query.
        """
        import duckdb

        with self._explained():
            (statement,) = self._cursor.extract_statements(sql)
            if parameters is None:
                unknown = duckdb.Value("1", duckdb.sqltypes.VARCHAR)
                parameters = dict.fromkeys(statement.named_parameters, unknown)
            limited = f"SELECT * FROM ({sql}\n) LIMIT 0"  # noqa: S608
        return self.run(limited, parameters).read_all().schema

    def stop(self, reason: QueryError) -> None:
        """Stop the statement from another thread; the thread that reads it gets the reason."""
        if self._ended.is_set() or self._stopped is not None:
            return
        self._stopped = reason
        Thread(target=self._interrupt, daemon=True).start()

    def close(self) -> None:
        """End the statement, whose remaining rows are not needed."""
        self.stop(QueryError("The statement was closed.", sqlstate="57014"))

    def _watch(self, timeout: float) -> None:
        if not self._ended.wait(timeout):
            self.stop(
                QueryError(
                    f"The statement was stopped after {timeout:g} seconds; select fewer rows, or "
                    "raise the timeout.",
                    sqlstate="57014",
                )
            )

    def _interrupt(self) -> None:
        while not self._ended.is_set():
            self._cursor.interrupt()
            self._ended.wait(_SECONDS_BETWEEN_INTERRUPTS)

    def _end(self) -> None:
        self._ended.set()
        self._cursor.close()

    def _check(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise DuckDB's error as a QueryError of one sentence, or why the statement was stopped.

        While rows are read, Arrow raises DuckDB's errors as OSError.
        """
        import duckdb

        try:
            with self._stores_explained():
                self._check()
                yield
        except (duckdb.Error, OSError) as error:
            self._check()
            raise one_sentence(error) from None


def one_sentence(error: Exception) -> QueryError:
    """Return DuckDB's error as one sentence, with the missing table or column."""
    text = str(error)
    if "Interrupted" in text:
        # A thread that had to end because another one failed may be the first to say so.
        return QueryError(
            "The query does not run: a value cannot be computed, such as the number of a text.",
            sqlstate="22000",
        )
    line_number = re.search(r"^LINE ([0-9]+):", text, re.MULTILINE)
    said = re.sub(r"^[A-Z][A-Za-z ]*Error: ", "", text.partition("\n")[0]).rstrip(".!: ")
    line = f" (line {line_number[1]})" if line_number and line_number[1] != "1" else ""
    table = re.match(r'Table with name "?(.+?)"? does not exist', said)
    column = re.search(r'(?:Referenced column|have a column named) "(.+?)"', said)
    states = (state for pattern, state in _STATES if re.match(pattern, text))
    return QueryError(
        f"The query does not run: {said}{line}.",
        table=table and table[1],
        column=column and column[1],
        sqlstate=next(states, "42000"),
    )
