"""The rows of a statement: a stream that is sent in parts and can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse_assets.endpoint.commands import Command
from lakehouse_assets.endpoint.messages import Field
from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.values import copy_rows, field_of

# Rows that are encoded at a time.
_PART = 8192
# Writes some rows as messages.
Form: TypeAlias = "Callable[[pa.RecordBatch], memoryview]"


@dataclass(eq=False)
class Rows:
    """The rows of one statement.

    Args:
        schema: Their columns.
        batches: The rows; reading them may compute them.
        stop: Stops the computation, from another thread.
        types: PostgreSQL's numbers of the types of columns that Arrow has no type for, by name.
    """

    schema: pa.Schema
    _batches: Iterator[pa.RecordBatch]
    stop: Callable[[], None]
    _types: Mapping[str, int] = field(default_factory=dict)
    _rest: pa.RecordBatch | None = None

    @classmethod
    def of(cls, columns: dict[str, list[str]]) -> Rows:
        """Return rows of texts that are known already."""
        schema = pa.schema([(name, pa.string()) for name in columns])
        batch = pa.RecordBatch.from_pydict(columns, schema)
        return cls(schema, iter([batch]), lambda: None)

    @property
    def fields(self) -> list[Field]:
        """The columns as PostgreSQL has them."""
        fields = [field_of(field.name, field.type) for field in self.schema]
        return [
            field._replace(oid=self._types.get(field.name.lower(), field.oid)) for field in fields
        ]

    def part(self, most: int | None = None) -> pa.RecordBatch | None:
        """Return the next rows, at least one and at most `most`; None if there are none."""
        while self._rest is None or not self._rest.num_rows:
            self._rest = next(self._batches, None)
            if self._rest is None:
                return None
        length = min(_PART, self._rest.num_rows, most or _PART)
        part, self._rest = self._rest.slice(0, length), self._rest.slice(length)
        return part


def formats_of(given: Sequence[int], columns: int) -> list[int]:
    """Return the format of each column: a client names none, one for all of them, or each.

    Raises:
        SqlError: it names another number of formats, or an unknown one.
    """
    if not {*given} <= {0, 1} or len(given) not in {0, 1, columns}:
        raise SqlError("08P01", "The client asks for formats that do not fit the columns.")
    return list(given) if len(given) == columns else [*given, 0][:1] * columns


class CopyForm:
    """Writes rows as COPY ... TO STDOUT does: as text, or as CSV.

    Raises:
        SqlError: the statement has other options.
    """

    def __init__(self, command: Command) -> None:
        words = [word for word in command.options if word not in {"(", ")", ",", "with", "as"}]
        self.csv = self.header = False
        self.delimiter, self.null = "", None
        while words:
            word = words.pop(0)
            value = words[0] if words else ""
            if word == "format" and value in {"csv", "text"}:
                self.csv = words.pop(0) == "csv"
            elif word == "csv":
                self.csv = True
            elif word == "header":
                self.header = True
                if value in {"true", "on", "1"}:
                    words.pop(0)
            elif word == "delimiter" and len(value) == 1:
                self.delimiter = words.pop(0)
            elif word == "null" and words:
                self.null = words.pop(0)
            elif word == "encoding" and value.upper() in {"UTF8", "UTF-8"}:
                words.pop(0)
            else:
                raise SqlError(
                    "0A000",
                    f"COPY does not support {word}; use FORMAT text or csv, HEADER, DELIMITER and "
                    "NULL.",
                )
        self.delimiter = self.delimiter or ("," if self.csv else "\t")
        self.null = self.null if self.null is not None else "" if self.csv else "\\N"

    def __call__(self, batch: pa.RecordBatch) -> memoryview:
        """Return the messages of some rows."""
        return copy_rows(batch, self._lines)

    def head(self, names: Sequence[str]) -> memoryview:
        """Return the message with the names of the columns."""
        batch = pa.RecordBatch.from_arrays(
            [pa.array([name]) for name in names], list(map(str, range(len(names))))
        )
        return self(batch)

    def _lines(self, columns: list[Any]) -> Any:
        cells = [pc.fill_null(self._written(column), self.null) for column in columns]
        lines = pc.binary_join_element_wise(*cells, self.delimiter)
        return pc.binary_join_element_wise(lines, pa.scalar("\n"), "")

    def _written(self, column: Any) -> Any:
        if not self.csv:
            for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
                column = pc.replace_substring(column, plain, escaped)
            if self.delimiter != "\t":
                column = pc.replace_substring(column, self.delimiter, f"\\{self.delimiter}")
            return column
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
        special = pc.or_kleene(
            pc.match_substring_regex(column, f'["\\n\\r{_in_class(self.delimiter)}]'),
            pc.equal(column, self.null),
        )
        return pc.if_else(special, quoted, column)


def _in_class(sign: str) -> str:
    return f"\\{sign}" if sign in "\\]^-" else sign
