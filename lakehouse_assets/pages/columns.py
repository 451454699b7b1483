"""Encodes columns for a browser, as dictionaries and as the smallest arrays that lose no value."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

# Whole numbers up to here, and sums of them, are exact in a browser.
_EXACT = 2**53
_WHOLE = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


def array(values: np.ndarray[Any, Any]) -> dict[str, str]:
    """Encode numbers as `{type, data}`: the smallest type that holds them, and base64."""
    whole = _WHOLE if values.dtype.kind in "iu" else ()
    low, high = (values.min(), values.max()) if len(values) else (0, 0)
    fitting = (k for k in whole if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    kind = next(fitting, "float64")
    data = values.astype(np.dtype(kind).newbyteorder("<"))
    return {"type": kind, "data": b64encode(data.tobytes()).decode()}


def dictionary(
    column: pa.ChunkedArray, order: pa.ChunkedArray | None = None
) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """Return the distinct values of a column in order, null first, and each row's position.

    Args:
        column: The column.
        order: Column that orders the values; by default their own order.
    """
    import pyarrow.compute as pc

    values = _sorted(column.unique())
    if order is not None:
        first = order.take(pc.index_in(values, value_set=column.combine_chunks()))
        # Values of one place stay in their own order.
        values = values.take(
            pc.array_sort_indices(first.combine_chunks(), null_placement="at_start")
        )
    return [_label(value) for value in values.to_pylist()], _places(column, values)


def anonymous(rows: pa.Table, private: Collection[str]) -> pa.Table:
    """Return rows with running numbers in place of the values of private columns.

    Numbers and rows are ordered by what the other columns say about each value. The order of the
    values themselves would reveal customer numbers that have no gaps. Null stays null.

    Args:
        rows: The rows.
        private: Names of the columns to replace.
    """
    import pyarrow as pa

    hidden = [name for name in rows.column_names if name in private]
    if not hidden:
        return rows
    others = [_ranks(rows[name]) for name in rows.column_names if name not in private]
    _, seen = np.unique(np.stack(others, axis=1), axis=0, return_inverse=True)
    seen = seen.reshape(-1)
    order = [seen]
    for name in hidden:
        ranks = _ranks(rows[name])
        by_value = np.lexsort((seen, ranks))
        found, starts = np.unique(ranks[by_value], return_index=True)
        said = [tuple(part) for part in np.split(seen[by_value], starts[1:])]
        # Null has the first rank, and no number.
        values = range(int(rows[name].null_count > 0), len(found))
        numbers = np.zeros(len(found), np.int64)
        numbers[sorted(values, key=said.__getitem__)] = np.arange(len(values)) + 1
        order.append(numbers[ranks])
        column = pa.array(order[-1], mask=order[-1] == 0)
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows.take(np.lexsort(order[::-1]))


def _ranks(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return the place of each row's value among the distinct values of its column."""
    return _places(column, _sorted(column.unique()))


def _sorted(values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return values.take(pc.array_sort_indices(values, null_placement="at_start"))


def _places(column: pa.ChunkedArray, values: pa.Array) -> np.ndarray[Any, Any]:
    """Return the position of each row's value among values."""
    import pyarrow.compute as pc

    places: np.ndarray[Any, Any] = pc.index_in(column, value_set=values).to_numpy()
    return places.astype(np.int64)


def _label(value: Any) -> Any:
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(" ")
        return text[:16] if value.second == value.microsecond == 0 else text
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) or (isinstance(value, int) and abs(value) > _EXACT):
        return str(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value


def type_of(kind: pa.DataType) -> str:
    """Return the type of a dimension for the browser."""
    import pyarrow as pa

    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "time"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "text"


def figures(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], int]:
    """Return a column of numbers for exact sums, and the decimals by which they are scaled.

    Decimals become whole numbers of their last digit. Null becomes NaN. If sums could exceed what
    is exact, the numbers stay doubles.
    """
    import pyarrow as pa

    kind, whole = column.type, column.combine_chunks()
    scale = 0
    if pa.types.is_decimal(kind):
        scale = kind.scale
        # An unscaled 128-bit number; the lower half is the number if it is small enough.
        halves = np.frombuffer(whole.buffers()[1], dtype="<i8").reshape(-1, 2)
        numbers = halves[whole.offset : whole.offset + len(whole), 0].copy()
        missing = whole.is_null().to_numpy(zero_copy_only=False)
        numbers[missing] = 0
        if np.abs(whole.cast(pa.float64()).fill_null(0).to_numpy()).sum() * 10.0**scale >= _EXACT:
            return whole.cast(pa.float64()).to_numpy(zero_copy_only=False), 0
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        missing = whole.is_null().to_numpy(zero_copy_only=False)
        numbers = whole.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    else:
        return whole.cast(pa.float64()).to_numpy(zero_copy_only=False), 0
    if missing.any():
        found = numbers.astype(np.float64)
        found[missing] = np.nan
        return found, scale
    return numbers, scale
