"""Parameters of prepared statements: `$1` in a text is replaced by a literal of its value."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import sqlglot
from sqlglot.errors import SqlglotError

from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.values import ARRAYS, NUMERIC

# DuckDB's names of types by PostgreSQL's number. Values of other types are written as texts, whose
# type DuckDB infers.
_CASTS = {
    16: "BOOLEAN", 17: "BLOB", 20: "BIGINT", 21: "SMALLINT", 23: "INTEGER", 26: "BIGINT",
    700: "FLOAT", 701: "DOUBLE", 1082: "DATE", 1083: "TIME", 1114: "TIMESTAMP",
    1184: "TIMESTAMPTZ", 1186: "INTERVAL", 2950: "UUID",
}  # fmt: skip
_ELEMENTS = {array: element for element, array in ARRAYS.items()} | {1015: 1043, 2951: 2950}
_BEFORE = "SELECT "
_EPOCH = date(2000, 1, 1)


@dataclass(frozen=True)
class _Place:
    """Where a parameter is in a text.

    Attributes:
        number: Its number, from 1.
        start: Where it begins.
        end: Where the text goes on.
        in_any: Whether it is the list of ANY or ALL.
        as_array: Whether it is cast to an array.
    """

    number: int
    start: int
    end: int
    in_any: bool
    as_array: bool


def count_of(text: str) -> int:
    """Return how many parameters a statement has: the highest number after a `$`."""
    return max((place.number for place in _places(text)), default=0)


def with_literals(text: str, literals: Sequence[str]) -> str:
    """Replace `$1`, `$2` and so on by SQL."""
    parts, done = [], 0
    for place in _places(text):
        if not 0 < place.number <= len(literals):
            raise SqlError("08P01", f"Parameter ${place.number} has no value.")
        written = literals[place.number - 1]
        if written.startswith("'{") and (place.in_any or place.as_array):
            # An array of texts, which clients send as a text of no type.
            written = f"CAST('[{written[2:-2]}]' AS VARCHAR[])"
        parts += [text[done : place.start], written]
        done = place.end
    return "".join([*parts, text[done:]])


def _places(text: str) -> list[_Place]:
    """Return the place of each parameter outside string literals and comments."""
    try:
        # Without SELECT, sqlglot makes one token of the rest of some statements, such as DECLARE.
        tokens = sqlglot.tokenize(f"{_BEFORE}{text}", dialect="postgres")[1:]
    except SqlglotError:
        return []
    names = ["", "", *(token.token_type.name for token in tokens), "", "", ""]
    return [
        _Place(
            int(number.text), mark.start - len(_BEFORE), number.end + 1 - len(_BEFORE),
            in_any=names[at] in {"ANY", "ALL"} and names[at + 1] == "L_PAREN",
            as_array=names[at + 4] in {"DCOLON", "ALIAS"} and names[at + 6] == "L_BRACKET",
        )
        for at, (mark, number) in enumerate(pairwise(tokens))
        if mark.token_type.name == "PARAMETER"
        and mark.text == "$"
        and number.token_type.name == "NUMBER"
        and number.text.isdecimal()
        and number.start == mark.end + 1
    ]  # fmt: skip


def null(oid: int) -> str:
    """Return a null of a type, as SQL."""
    kind = "DECIMAL(38,10)" if oid == NUMERIC else _CASTS.get(oid)
    element = _ELEMENTS.get(oid)
    if element is not None:
        kind = f"{_CASTS.get(element, 'DOUBLE' if element == NUMERIC else 'VARCHAR')}[]"
    return f"CAST(NULL AS {kind})" if kind else "NULL"


def literal(value: bytes | None, oid: int, binary: bool) -> str:
    """Return a value that a client sent as a literal of SQL.

    Args:
        value: Its bytes; None for null.
        oid: PostgreSQL's number of its type; 0 if the client leaves it to the server.
        binary: Whether it is in the binary format.

    Raises:
        SqlError: the bytes are none of that type.
    """
    if value is None:
        return null(oid)
    try:
        return _literal(_of_binary(value, oid) if binary else value.decode(), oid)
    except (ValueError, struct.error, ArithmeticError, OverflowError):
        raise SqlError("22P03", "A parameter has a value that is not of its type.") from None


def _literal(text: str, oid: int) -> str:
    if oid in _ELEMENTS:
        return f"CAST({_quoted('[' + text[1:-1] + ']')} AS {null(oid)[13:]}"
    if oid == NUMERIC:
        return _decimal(text)
    if oid == 17 and text.startswith("\\x"):
        text = "".join(f"\\x{byte:02X}" for byte in bytes.fromhex(text[2:]))
    return f"CAST({_quoted(text)} AS {_CASTS[oid]})" if oid in _CASTS else _quoted(text)


def _decimal(text: str) -> str:
    number = Decimal(text)
    if not number.is_finite():
        return f"CAST({_quoted(text)} AS DOUBLE)"
    written = f"{number:f}"
    # DuckDB reads a literal with more digits as a double.
    return written if not written.startswith("-") else f"({written})"


def _quoted(text: str) -> str:
    if "\0" in text:
        raise ValueError
    return "'" + text.replace("'", "''") + "'"


def _of_binary(value: bytes, oid: int) -> str:
    """Return the text of a value in the binary format."""
    return (_of_array if oid in _ELEMENTS else _TEXTS.get(oid, bytes.decode))(value)


def _moment(value: bytes) -> datetime:
    (microseconds,) = struct.unpack("!q", value)
    return datetime(2000, 1, 1) + timedelta(microseconds=microseconds)  # noqa: DTZ001


def _interval(value: bytes) -> str:
    microseconds, days, months = struct.unpack("!qii", value)
    return f"{months} months {days} days {microseconds} microseconds"


def _of_numeric(value: bytes) -> str:
    count, weight, sign, _ = struct.unpack_from("!hhHh", value)
    if sign not in {0, 0x4000}:
        return {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}[sign]
    digits = struct.unpack_from(f"!{count}h", value, 8)
    number = 0
    for digit in digits:
        number = number * 10_000 + digit
    exact = Decimal((int(sign > 0), tuple(map(int, str(number))), 4 * (weight - count + 1)))
    return f"{exact:f}"


def _of_array(value: bytes) -> str:
    dimensions, _, element = struct.unpack_from("!iiI", value)
    if dimensions == 0:
        return "{}"
    if dimensions != 1:
        raise ValueError
    (length,) = struct.unpack_from("!i", value, 12)
    at, texts = 20, []
    for _ in range(length):
        (size,) = struct.unpack_from("!i", value, at)
        at += 4
        if size < 0:
            texts.append("NULL")
            continue
        text = _of_binary(value[at : at + size], element)
        texts.append('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
        at += size
    return "{" + ",".join(texts) + "}"


# Texts of values in the binary format, by PostgreSQL's number of their type; others are texts.
_TEXTS: dict[int, Callable[[bytes], str]] = {
    16: lambda value: "true" if value != b"\0" else "false",
    17: lambda value: "\\x" + value.hex(),
    **dict.fromkeys((20, 21, 23), lambda value: str(int.from_bytes(value, signed=True))),
    26: lambda value: str(int.from_bytes(value)),
    700: lambda value: repr(struct.unpack("!f", value)[0]),
    701: lambda value: repr(struct.unpack("!d", value)[0]),
    1082: lambda value: (_EPOCH + timedelta(*struct.unpack("!i", value))).isoformat(),
    1083: lambda value: _moment(value).time().isoformat(),
    1114: lambda value: _moment(value).isoformat(" "),
    1184: lambda value: _moment(value).isoformat(" ") + "+00",
    1186: _interval,
    NUMERIC: _of_numeric,
    2950: lambda value: str(uuid.UUID(bytes=value)),
    3802: lambda value: value[1:].decode(),
}
