"""Formats the rows of a query: as a table or Markdown to read, or as exact CSV or JSON.

CSV and JSON hold each value with all its digits: numbers and decimals as they are, dates and
timestamps (in UTC) as ISO 8601, bytes in hexadecimal, lists and structs as JSON. In CSV null is an
empty field and empty text is `""`. JSON is an array with one object per line, in which decimals are
numbers, repeated column names are numbered (`a`, `a_2`), and NaN and the infinities are text. A
table and Markdown write null as NULL, and control characters as escapes.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rich.cells import cell_len

from lakehouse_assets.text import UNSEEN, markdown, visible

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["table", "csv", "json", "markdown"]
Row: TypeAlias = tuple[Any, ...]

# Text that Excel, LibreOffice or Google Sheets evaluate as a formula, except plain numbers.
_FORMULA = re.compile(r"[=@\t\r\n\uff1d\uff0b\uff0d\uff20]|[+-](?![\d.]+\Z)")
_GAP = "  "
# Fewest columns of the terminal to wrap text in.
_NARROWEST = 20


def rows_of(reader: pa.RecordBatchReader) -> Iterator[Row]:
    """Return rows as tuples of Python values, batch by batch."""
    for batch in reader:
        yield from zip(*map(_values, batch.columns), strict=True)


def _values(column: pa.Array) -> list[Any]:
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except (OverflowError, ValueError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    """Return a Python value; text for a date or timestamp outside Python's range of years."""
    import pyarrow as pa

    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(part) for name, part in scalar.items()}
    if isinstance(scalar, pa.MapScalar):
        return {_value(pair["key"]): _value(pair["value"]) for pair in scalar.values}
    if isinstance(scalar, pa.ListScalar):
        return [_value(part) for part in scalar.values]
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return _far(scalar)


def _far(scalar: pa.Date32Scalar | pa.TimestampScalar) -> str:
    """Write a date or timestamp of any year, or DuckDB's infinity."""
    import numpy as np

    kind, number = scalar.type, scalar.value
    sign = "-" * (number < 0)
    if abs(number) == 2 ** (kind.bit_width - 1) - 1:
        return f"{sign}infinity"
    moment = np.datetime64(number, getattr(kind, "unit", "D"))
    year, _, rest = str(moment).replace("T", " ").lstrip("-").partition("-")
    return f"{sign}{year:0>4}-{rest}" + "+00:00" * bool(getattr(kind, "tz", None))


def lines_of(
    form: Format, names: Sequence[str], rows: Iterable[Row], width: int | None
) -> Iterator[str]:
    """Format rows as lines; for a spreadsheet, apply `without_formulas` first.

    Args:
        form: The format.
        names: Names of the columns; some may be equal.
        rows: Values of the rows.
        width: Columns of the terminal, which limit a table; control characters are escaped. None
            for a file or a pipe.
    """
    if form == "csv":
        for row in chain([tuple(names)], rows):
            yield _csv(row) if width is None else visible(_csv(row))
    elif form == "json":
        yield from _json_lines(names, rows)
    elif form == "markdown":
        yield _markdown(names)
        yield _markdown(["---"] * len(names))
        yield from (_markdown(["NULL" if v is None else text_of(v) for v in row]) for row in rows)
    else:
        yield from _table(names, list(rows), width)


def without_formulas(row: Row) -> Row:
    """Put an apostrophe before texts that a spreadsheet would evaluate as formulas.

    Numbers, and texts that are plain numbers, stay as they are.
    """
    return tuple(
        f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value for value in row
    )


def text_of(value: Any) -> str:
    """Format a value that is not null with all its digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else _ENDLESS[str(value)]
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "nanoseconds"):
        seconds = Decimal(value.nanoseconds) / 10**9
        return f"P{value.months}M{value.days}DT{seconds:f}S"
    return _json(value) if isinstance(value, list | tuple | dict) else str(value)


_ENDLESS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _json(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        pairs = ((k if isinstance(k, str) else text_of(k), v) for k, v in value.items())
        return "{" + ", ".join(f"{_json(k)}: {_json(v)}" for k, v in pairs) + "}"
    if isinstance(value, list | tuple) and not hasattr(value, "nanoseconds"):
        return "[" + ", ".join(map(_json, value)) + "]"
    if isinstance(value, bool | int | Decimal) or (
        isinstance(value, float) and math.isfinite(value)
    ):
        return text_of(value)
    quoted = json.dumps(text_of(value), ensure_ascii=False)
    return UNSEEN.sub(lambda m: f"\\u{ord(m[0]):04x}", quoted)


def _json_lines(names: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    keys: list[str] = []
    for name in names:
        number, key = 1, name
        while key in keys or (number > 1 and key in names):
            number += 1
            key = f"{name}_{number}"
        keys.append(key)
    before = "["
    for row in rows:
        yield before + _json(dict(zip(keys, row, strict=True)))
        # The comma precedes the next object, because a row is not known to be the last one.
        before = ","
    yield "[]" if before == "[" else "]"


def _csv(row: Row) -> str:
    if len(row) == 1 and row[0] is None:
        # Readers skip empty lines.
        return '""'
    return ",".join("" if value is None else _csv_text(text_of(value)) for value in row)


def _csv_text(text: str) -> str:
    if text and text == text.strip() and not re.search('[,"\r\n]', text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _seen(value: Any) -> str:
    return "NULL" if value is None else visible(text_of(value))


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown, cells)) + " |"


def _table(names: Sequence[str], rows: Sequence[Row], width: int | None) -> Iterator[str]:
    """Format a grid; if the terminal is too narrow, wrap the last column.

    If that is not enough, each row becomes a block of lines.
    """
    heads = [visible(name) for name in names]
    cells = [[_seen(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    numbers = [_is_number(column) for column in zip(*rows, strict=True)] or [False] * len(heads)
    left = (width or 0) - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
    if width is not None and rows and left < widths[-1]:
        if left < _NARROWEST or numbers[-1]:
            yield from _blocks(heads, cells, width)
            return
        widths[-1] = left
    for line in (heads, ["-" * w for w in widths], *cells):
        last, *more = _wrapped(line[-1], widths[-1])
        padded = [
            _pad(cell, w, right=right)
            for cell, w, right in zip((*line[:-1], last), widths, numbers, strict=True)
        ]
        yield _GAP.join(padded).rstrip()
        yield from (" " * (sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)) + m for m in more)


def _blocks(heads: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Format each value on a line of its own, long ones on several lines."""
    longest = max(map(cell_len, heads))
    room = max(width - longest - len(_GAP), _NARROWEST)
    for number, row in enumerate(cells, 1):
        yield f"-- row {number}"
        for head, cell in zip(heads, row, strict=True):
            first, *more = _wrapped(cell, room)
            yield (_pad(head, longest) + _GAP + first).rstrip()
            yield from (" " * (longest + len(_GAP)) + line for line in more)


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap text between words; only the space at a break is lost."""
    if cell_len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, expand_tabs=False, replace_whitespace=False)


def _is_number(values: Iterable[Any]) -> bool:
    return all(
        value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))
        for value in values
    )


def _pad(text: str, width: int, *, right: bool = False) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
