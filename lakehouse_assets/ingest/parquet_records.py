"""Looking at a Parquet file before anything is made of it, and reading it in batches as text.

A Parquet file knows its types, but bronze keeps text whatever was delivered, so that a column that
changes its type, or a value that does not fit, is a matter of silver and loses nothing. Null stays
null, and empty text stays empty text. Some writers (Impala, ClickHouse) store text as bytes without
saying that it is text: bytes that are UTF-8 are text, and a file with other bytes is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.attributes import check_columns
from lakehouse_assets.ingest.exact_text import array_as_text
from lakehouse_assets.storage.files import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 65_536


@dataclass(frozen=True)
class ParquetFacts:
    """What a Parquet file says of itself, and the hash of its bytes.

    Attributes:
        sha256: Hash of the content as delivered.
        rows: Rows by its footer.
        undeclared: Names of its columns that the dataset does not declare.
    """

    sha256: str
    rows: int
    undeclared: tuple[str, ...] = ()


def examine_parquet(path: Path, columns: Sequence[str], additive: bool = False) -> ParquetFacts:
    """Read a file once: hash it, and check that all of it can be read, under the declared names.

    Args:
        path: The file.
        columns: Names that its columns must have, in whatever order.
        additive: Whether it may have others, which are not read.

    Raises:
        FileRefusedError: it cannot be read, holds nothing, or has other columns.
    """
    import pyarrow as pa

    try:
        with _opened(path) as file:
            found = file.schema_arrow.names
            check_columns(path.name, found, columns, additive)
            _check_types(path, file.schema_arrow, columns)
            rows = int(file.metadata.num_rows)
            for batch in file.iter_batches(_ROWS, columns=list(columns)):
                # Damaged text would break the engine later, in the middle of the other files.
                batch.validate(full=True)
                for name in columns:
                    _check_text(path, name, batch.column(name))
        if not rows:
            raise FileRefusedError(f"{path.name} holds no rows; deliver it again with its rows.")
        undeclared = tuple(name for name in found if name not in columns)
        return ParquetFacts(digest_of(path), rows, undeclared)
    except (pa.ArrowException, OSError) as error:
        raise FileRefusedError(
            f"{path.name} is damaged or no Parquet file; deliver it again."
        ) from error


def parquet_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file that was examined, as text in the order of `columns`."""
    import pyarrow as pa

    with _opened(path) as file:
        for batch in file.iter_batches(_ROWS, columns=list(columns)):
            arrays = [_as_text(batch.column(name)) for name in columns]
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _as_text(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return values.cast(pa.string()) if _is_bytes(values.type) else array_as_text(values)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    return bool(t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind))


def _check_text(path: Path, name: str, values: pa.Array) -> None:
    import pyarrow as pa

    try:
        if _is_bytes(values.type):
            _as_text(values)
    except pa.ArrowInvalid:
        raise FileRefusedError(
            f"{path.name} has a column {name} of bytes that are no UTF-8 text; deliver it as text."
        ) from None


def _opened(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


def _check_types(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    import pyarrow as pa

    for name in columns:
        field = schema.field(name)
        try:
            _as_text(pa.nulls(0, field.type))
        except (TypeError, pa.ArrowException):
            raise FileRefusedError(
                f"{path.name} has a column {field.name} of type {field.type}, which has no text; "
                "deliver it flat, or as text."
            ) from None
