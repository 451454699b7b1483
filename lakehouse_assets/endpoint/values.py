"""Encodes Arrow columns as PostgreSQL's types, texts and bytes.

Arrow and numpy encode whole columns. Python encodes single values only of types that are rare in
results: arrays, structures, intervals, bytes and very large decimals.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse_assets.endpoint.messages import Field

TEXT: Final = 25
NUMERIC: Final = 1700
# Number and size of each type, and the number of arrays of it.
_BOOL, _BYTEA, _INT8, _INT2, _INT4 = (16, 1), (17, -1), (20, 8), (21, 2), (23, 4)
ARRAYS: Final = {
    16: 1000, 17: 1001, 20: 1016, 21: 1005, 23: 1007, 25: 1009, 26: 1028, 114: 199, 700: 1021,
    701: 1022, 1082: 1182, 1083: 1183, 1114: 1115, 1184: 1185, 1186: 1187, 1700: 1231,
}  # fmt: skip
# PostgreSQL counts days and microseconds from the year 2000.
_DAYS_TO_2000: Final = 10_957
_MICROSECONDS_TO_2000: Final = _DAYS_TO_2000 * 86_400_000_000
_BYTES: Final = pa.large_binary()
_NUMBERS: Final = {
    pa.int8(): _INT2, pa.uint8(): _INT2, pa.int16(): _INT2, pa.uint16(): _INT4, pa.int32(): _INT4,
    pa.uint32(): (26, 4), pa.int64(): _INT8, pa.uint64(): (NUMERIC, -1), pa.bool_(): _BOOL,
    pa.float32(): (700, 4), pa.float64(): (701, 8), pa.date32(): (1082, 4), pa.null(): (TEXT, -1),
}  # fmt: skip


def field_of(name: str, kind: pa.DataType) -> Field:
    """Return the PostgreSQL column for an Arrow column.

    Decimals become numeric, timestamps with a time zone timestamptz, structures and maps json.
    """
    modifier = -1
    if pa.types.is_decimal(kind):
        modifier = (kind.precision << 16 | kind.scale) + 4
    return Field(name, *_type_of(kind), modifier)


def _type_of(kind: pa.DataType) -> tuple[int, int]:
    known = _NUMBERS.get(kind)
    if known:
        return known
    if pa.types.is_decimal(kind):
        return NUMERIC, -1
    if pa.types.is_timestamp(kind):
        return (1184 if kind.tz else 1114), 8
    if pa.types.is_time(kind):
        return 1083, 8
    if pa.types.is_interval(kind):
        return 1186, 16
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _BYTEA
    if pa.types.is_dictionary(kind):
        return _type_of(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = kind
        while hasattr(inner, "value_type"):
            inner = inner.value_type
        return ARRAYS.get(_type_of(inner)[0], 1009), -1
    if pa.types.is_nested(kind):
        return 114, -1
    return TEXT, -1


def data_rows(batch: pa.RecordBatch, formats: Sequence[int]) -> memoryview:
    """Encode rows as DataRow messages, one after the other.

    Args:
        batch: The rows.
        formats: For each column, 0 for text or 1 for binary.
    """
    parts, total = [], np.full(batch.num_rows, 6, dtype=np.int64)
    for column, form in zip(batch.columns, formats, strict=True):
        cells = (binary_of if form else text_of)(column).cast(_BYTES)
        lengths = pc.fill_null(pc.binary_length(cells), -1).to_numpy(zero_copy_only=False)
        total += np.maximum(lengths, 0) + 4
        parts += [_fixed(lengths.astype(">i4")), cells]
    return _rows("D", total, batch.num_columns, parts)


def copy_rows(batch: pa.RecordBatch, line: Callable[[list[pa.Array]], pa.Array]) -> memoryview:
    """Encode rows as CopyData messages, one for each row.

    Args:
        batch: The rows.
        line: Joins columns of texts to lines, each with its line end.
    """
    lines = line([text_of(column) for column in batch.columns]).cast(_BYTES)
    total = pc.binary_length(lines).to_numpy(zero_copy_only=False) + 4
    return _rows("d", total, None, [lines])


def _rows(kind: str, total: np.ndarray, columns: int | None, parts: list[pa.Array]) -> memoryview:
    """Join the parts of each message after its kind, its length and its number of columns."""
    shape = [("kind", "S1"), ("length", ">i4")] + (
        [("columns", ">i2")] if columns is not None else []
    )
    head = np.empty(len(total), dtype=shape)
    head["kind"], head["length"] = kind, total
    if columns is not None:
        head["columns"] = columns
    joined = pc.binary_join_element_wise(
        _fixed(head), *parts, pa.scalar(b"", _BYTES), null_handling="replace", null_replacement=b""
    )
    return _data(joined)


def _data(joined: pa.Array) -> memoryview:
    if not len(joined):
        return memoryview(b"")
    _, offsets, data = joined.buffers()
    places = np.frombuffer(offsets, dtype=np.int64)
    begin, end = places[joined.offset], places[joined.offset + len(joined)]
    return memoryview(data)[begin:end]


def _fixed(values: np.ndarray) -> pa.Array:
    """Return the bytes of each element of an array as an Arrow array."""
    size = values.dtype.itemsize
    offsets = np.arange(0, size * (len(values) + 1), size, dtype=np.int64)
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_BYTES, len(values), [None, pa.py_buffer(offsets), data])


def text_of(column: pa.Array) -> pa.Array:
    """Return the texts of a column, as PostgreSQL writes them with DateStyle ISO in UTC."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return text_of(column.dictionary_decode())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "t", "f")
    if pa.types.is_floating(kind):
        return _float_texts(column)
    if pa.types.is_decimal(kind):
        return _decimal_texts(column)
    if pa.types.is_timestamp(kind):
        moments = _without_zeros(column.cast(pa.timestamp("us"), safe=False))
        if kind.tz is None:
            return moments
        return pc.binary_join_element_wise(moments, pa.scalar("+00"), "")
    if pa.types.is_time(kind):
        return _without_zeros(column.cast(pa.time64("us"), safe=False))
    if _type_of(kind)[0] == TEXT or pa.types.is_integer(kind) or pa.types.is_date(kind):
        return column.cast(pa.string())
    values = column.to_pylist(maps_as_pydicts="strict")
    return pa.array([None if v is None else plain_text(v) for v in values], pa.string())


def _float_texts(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    if pc.all(pc.is_finite(column)).as_py() is not False:
        return texts
    texts = pc.replace_substring(texts, "nan", "NaN")
    return pc.replace_substring(texts, "inf", "Infinity")


def _decimal_texts(column: pa.Array) -> pa.Array:
    texts = column.cast(pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        # Arrow writes small numbers with an exponent, which numeric never has.
        return pa.array([v if v is None else f"{v:f}" for v in column.to_pylist()], pa.string())
    return texts


def _without_zeros(moments: pa.Array) -> pa.Array:
    """Return times as text without the zeros at the end of their fractions."""
    texts = moments.cast(pa.string())
    if pc.all(pc.ends_with(texts, ".000000")).as_py() is not False:
        return pc.utf8_slice_codeunits(texts, 0, -len(".000000"))
    return pc.replace_substring_regex(texts, r"\.?0{1,6}$", "")


def plain_text(value: Any) -> str:
    """Return the text of a value of a rare type: an array, structure, map, bytes, interval."""
    if isinstance(value, list):
        return "{" + ",".join(map(_element, value)) + "}"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, dict):
        return json.dumps(_of_json(value), ensure_ascii=False)
    if isinstance(value, tuple) and hasattr(value, "nanoseconds"):
        return _interval(*value)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def _of_json(value: Any) -> Any:
    """Return a value as JSON has it; what JSON lacks becomes text."""
    if isinstance(value, dict):
        return {k if isinstance(k, str) else plain_text(k): _of_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_of_json(item) for item in value]
    plain = value is None or isinstance(value, str | int)
    if plain or (isinstance(value, float) and math.isfinite(value)):
        return value
    return plain_text(value)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    seconds, fraction = divmod(abs(nanoseconds) // 1000, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    after = f".{fraction:06}".rstrip("0") if fraction else ""
    return f"{months} mons {days} days {'-' if nanoseconds < 0 else ''}{clock}{after}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = plain_text(value)
    if isinstance(value, list):
        return text
    plain = text and text.upper() != "NULL" and not set(text) & set('{},"\\ \t\n\r\v\f')
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def binary_of(column: pa.Array) -> pa.Array:
    """Return the bytes of a column, as PostgreSQL's binary format has them."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return binary_of(column.dictionary_decode())
    oid, size = _type_of(kind)
    if oid == NUMERIC:
        return _numerics(column.cast(pa.decimal128(20, 0)) if pa.types.is_integer(kind) else column)
    if oid == 1082:
        column, shift = column.cast(pa.int32()), _DAYS_TO_2000
    elif oid in {1114, 1184}:
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        shift = _MICROSECONDS_TO_2000
    elif oid == 1083:
        column, shift = column.cast(pa.time64("us"), safe=False).cast(pa.int64()), 0
    elif size in {1, 2, 4, 8}:
        shift = 0
    elif oid in {TEXT, 17}:
        return column.cast(pa.string()) if oid == TEXT else column
    else:
        values = column.to_pylist(maps_as_pydicts="strict")
        cells = [None if value is None else _bytes(value, kind) for value in values]
        return pa.array(cells, _BYTES)
    form = f">{'f' if oid in {700, 701} else 'u' if oid == 26 else 'i'}{size}"
    if oid == _BOOL[0]:
        column = column.cast(pa.int8())
    numbers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return _where_valid(column, _fixed((numbers - shift if shift else numbers).astype(form)))


def _where_valid(column: pa.Array, cells: pa.Array) -> pa.Array:
    if not column.null_count:
        return cells
    return pc.if_else(column.is_valid(), cells, pa.scalar(None, _BYTES))


def _bytes(value: Any, kind: pa.DataType) -> bytes:
    if pa.types.is_interval(kind):
        months, days, nanoseconds = value
        return struct.pack("!qii", nanoseconds // 1000, days, months)
    if not isinstance(value, list):
        return plain_text(value).encode()
    oid = _type_of(kind.value_type)[0]
    if not value:
        return struct.pack("!iiI", 0, 0, oid)
    cells = binary_of(pa.array(value, kind.value_type)).to_pylist()
    body = b"".join(
        struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell
        for cell in (c.encode() if isinstance(c, str) else c for c in cells)
    )
    return struct.pack("!iiIii", 1, None in cells, oid, len(value), 1) + body


def _numerics(column: pa.Array) -> pa.Array:
    """Return decimals in base 10,000: number of digits, weight, sign, scale, and the digits."""
    scale = column.type.scale
    # Two words of 64 bits a value; the upper one only extends the sign if the lower is enough.
    words = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    words = words[column.offset : column.offset + len(column)]
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    low, high = np.where(valid, words[:, 0], 0), np.where(valid, words[:, 1], 0)
    lowest = np.iinfo(np.int64).min
    if (
        column.type.bit_width != 128
        or scale > 16
        or (high != low >> 63).any()
        or (low == lowest).any()
    ):
        return pa.array(
            [v if v is None else _numeric(v, scale) for v in column.to_pylist()], _BYTES
        )
    whole, fraction = np.divmod(np.abs(low), 10**scale)
    groups = -(-scale // 4)
    fraction = fraction * 10 ** (4 * groups - scale)
    digits = [whole // 10_000**place % 10_000 for place in range(4, -1, -1)]
    digits += [fraction // 10_000**place % 10_000 for place in range(groups - 1, -1, -1)]
    matrix = np.stack(digits, axis=1)
    present = matrix != 0
    some = present.any(axis=1)
    first = np.where(some, present.argmax(axis=1), 0)
    last = np.where(some, matrix.shape[1] - 1 - present[:, ::-1].argmax(axis=1), -1)
    places = np.arange(matrix.shape[1])
    kept = (places >= first[:, None]) & (places <= last[:, None])
    count = kept.sum(axis=1)
    head = [
        count,
        np.where(some, 4 - first, 0),
        np.where(low < 0, 0x4000, 0),
        np.full_like(low, scale),
    ]
    table = np.concatenate([np.stack(head, axis=1), matrix], axis=1).astype(">i2")
    used = np.concatenate([np.ones((len(low), 4), dtype=bool), kept], axis=1)
    offsets = np.concatenate([[0], np.cumsum(2 * (count + 4))]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(table[used].tobytes())]
    return _where_valid(column, pa.Array.from_buffers(_BYTES, len(low), buffers))


def _numeric(value: Decimal, scale: int) -> bytes:
    # Not `abs`, which rounds to 28 digits.
    whole, _, fraction = f"{value.copy_abs():f}".partition(".")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    text, weight = whole + fraction, len(whole) // 4 - 1
    digits = [int(text[place : place + 4]) for place in range(0, len(text), 4)]
    while digits and not digits[0]:
        del digits[0]
        weight -= 1
    while digits and not digits[-1]:
        del digits[-1]
    head = (len(digits), weight if digits else 0, 0x4000 if value < 0 else 0, scale)
    return struct.pack(f"!hhHh{len(digits)}h", *head, *digits)
