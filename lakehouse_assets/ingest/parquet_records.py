"""Read a Parquet file in batches, as text.

A Parquet file has types, but bronze stores text for every format, so that a column that changes its
type, or a value that does not fit, is handled in silver and nothing is lost. Null stays null, and
empty text stays empty text. Some writers (Impala, ClickHouse) store text as bytes without marking
it as text: bytes that are valid UTF-8 without null bytes are read as text, and a file with other
bytes is refused.

A file that unpacks to too much is refused by its footer, before anything is unpacked. The footer of
a hostile file may say too little. What its pages hold is known only once they are unpacked: one
page of each column at a time, which the format limits to 2 GiB each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from io import FileIO
from typing import TYPE_CHECKING, Any

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.attributes import check_columns
from lakehouse_assets.ingest.exact_text import array_as_text
from lakehouse_assets.ingest.limits import FileLimits

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 65_536
_BYTES = 64 << 20


class ParquetReader:
    """Reads the declared columns of a Parquet file, which may have them in any order.

    Args:
        file: The open file.
        name: Its name.
        columns: Names of the columns that it must have.
        additive: Whether it may have others, which are not read.
        limits: Limits on the file.

    Attributes:
        rows: Number of rows according to its footer.
        undeclared: Names of its columns that are not declared.

    Raises:
        FileRefusedError: it is not a Parquet file, has no rows or unexpected columns, or exceeds a
            limit.
    """

    def __init__(
        self,
        file: FileIO,
        name: str,
        columns: Sequence[str],
        additive: bool,
        limits: FileLimits,
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._name, self._columns, self._limits = name, list(columns), limits
        try:
            footer = pq.read_metadata(file)
            if footer.num_columns > limits.columns:
                found = f"has {footer.num_columns:,} columns, nested ones counted"
                raise limits.exceeded(name, "columns", found)
            schema = footer.schema.to_arrow_schema()
            check_columns(name, schema.names, columns, additive)
            self._check_types(schema)
            self._check_size(footer, os.fstat(file.fileno()).st_size)
            # Text is read dictionary-encoded, so that its length is known before it is expanded
            # row by row.
            kinds = {c: schema.field(c).type for c in self._columns}
            texts = [c for c, kind in kinds.items() if _is_text(kind) or _is_bytes(kind)]
            self._file = pq.ParquetFile(
                file,
                read_dictionary=texts,
                buffer_size=1 << 20,
                # As nanoseconds, moments before 1677 and after 2262 would become other ones.
                coerce_int96_timestamp_unit="us",
            )
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._damaged() from error
        self.rows = int(footer.num_rows)
        if not self.rows:
            raise FileRefusedError(f"{name} has no rows; deliver it again with its rows.")
        self.undeclared = tuple(name for name in schema.names if name not in columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield its rows as text, with the columns in declared order.

        Raises:
            FileRefusedError: it is damaged, has bytes that are not text, or exceeds a limit.
        """
        import pyarrow as pa

        size = found = 0
        try:
            for batch in self._file.iter_batches(_ROWS, columns=self._columns, use_threads=False):
                # Damaged text would fail the engine later, together with the other files.
                batch.validate(full=True)
                most = sum(self._size(batch.column(name), name) for name in self._columns)
                size += most
                found += batch.num_rows
                if size > self._limits.unpacked_bytes:
                    what = f"has {size:,} bytes of text or more"
                    raise self._limits.exceeded(self._name, "unpacked_bytes", what)
                step = max(batch.num_rows * _BYTES // max(most, _BYTES), 1)
                for start in range(0, batch.num_rows, step):
                    part = batch.slice(start, step)
                    arrays = [self._as_text(part.column(name), name) for name in self._columns]
                    yield pa.RecordBatch.from_arrays(arrays, names=self._columns)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._damaged() from error
        if found != self.rows:
            raise self._damaged()

    def _damaged(self) -> FileRefusedError:
        return FileRefusedError(f"{self._name} is damaged or not a Parquet file; deliver it again.")

    def _check_types(self, schema: pa.Schema) -> None:
        import pyarrow as pa

        for column in self._columns:
            field = schema.field(column)
            try:
                _as_text(pa.nulls(0, field.type))
            except (TypeError, pa.ArrowException):
                raise FileRefusedError(
                    f"{self._name} has a column {column} of type {str(field.type)[:80]}, which "
                    "cannot be stored as text; deliver it flat, or as text."
                ) from None

    def _check_size(self, footer: Any, packed: int) -> None:
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        # A negative size is a lie that would make up for another column's.
        size = sum(
            abs(group.column(i).total_uncompressed_size)
            for group in groups
            for i in range(footer.num_columns)
        )
        if size > self._limits.unpacked_bytes:
            found = f"unpacks to {size:,} bytes, according to its footer"
            raise self._limits.exceeded(self._name, "unpacked_bytes", found)
        self._limits.check_ratio(self._name, packed, size)

    def _size(self, values: pa.Array, column: str) -> int:
        """Return the size of a column's text in bytes; an estimate for types other than text.

        Raises:
            FileRefusedError: a value is too long.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        repeated = t.is_dictionary(values.type)
        texts = values.dictionary if repeated else values
        if not (_is_text(texts.type) or _is_bytes(texts.type)):
            return 32 * len(values)
        lengths = pc.binary_length(texts)
        longest = pc.max(lengths).as_py() or 0
        if longest > self._limits.field_bytes:
            found = f"has a value of {longest:,} bytes in the column {column}"
            raise self._limits.exceeded(self._name, "field_bytes", found)
        if repeated:
            lengths = lengths.take(values.indices)
        return int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)

    def _as_text(self, values: pa.Array, column: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            text = _as_text(values)
            # Null bytes are UTF-8, but mean that the bytes are a number or padded.
            if not _is_bytes(values.type) or not pc.any(pc.match_substring(text, "\0")).as_py():
                return text
        except pa.ArrowInvalid:
            pass
        raise FileRefusedError(
            f"{self._name} has a column {column} of bytes that are not UTF-8 text; deliver it as "
            "text."
        )


def _as_text(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return values.cast(pa.string()) if _is_bytes(values.type) else array_as_text(values)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    return bool(
        t.is_binary(kind)
        or t.is_large_binary(kind)
        or t.is_binary_view(kind)
        or t.is_fixed_size_binary(kind)
    )
