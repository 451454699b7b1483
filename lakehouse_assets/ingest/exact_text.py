"""Typed values as the text that bronze keeps: exact, and the same wherever they come from.

| type | text |
|---|---|
| text | itself; empty text is not null |
| whole numbers, decimals | plain digits, decimals with all of their places, never an exponent |
| floating point | the shortest digits of the same number, never an exponent; nan, inf, -inf |
| boolean | `true`, `false` |
| date | `2021-09-06` |
| time of day | `06:30:00.25`, the fraction as short as is exact |
| moment without zone | `2021-09-06T06:30:00.25` |
| moment with zone | the same in UTC with a `Z` |
| bytes | `0x` and hexadecimal digits, which are never read as a number |
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = timedelta(days=1)
# A double has at most three digits there; more would be text as long as nobody wants it.
_EXPONENT = r"^-?(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,3}$"


def array_as_text(values: pa.Array) -> pa.Array:
    """Write an Arrow array as text.

    Raises:
        TypeError: its type has no text, such as a list.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = values.type
    if kind == pa.string():
        return values
    if isinstance(values, pa.ExtensionArray):
        return array_as_text(values.storage)
    if t.is_dictionary(kind):
        return array_as_text(values.dictionary_decode())
    if t.is_boolean(kind) or t.is_integer(kind) or t.is_date32(kind) or t.is_null(kind):
        return values.cast(pa.string())
    if t.is_large_string(kind) or t.is_string_view(kind):
        return values.cast(pa.string())
    if t.is_floating(kind) or t.is_decimal(kind):
        return without_exponents(values.cast(pa.string()))
    if t.is_date64(kind):
        return values.cast(pa.date32()).cast(pa.string())
    if t.is_time(kind):
        return short_fraction(values.cast(pa.string()))
    if t.is_timestamp(kind):
        zoned = kind.tz is not None
        # Without its zone a moment is stored in UTC already.
        plain = short_fraction(values.cast(pa.timestamp(kind.unit)).cast(pa.string()))
        # What is out of any calendar's range stays a sentence with its number.
        moment = r"\1T\2Z" if zoned else r"\1T\2"
        return pc.replace_substring_regex(plain, r"^(-?\d+-\d\d-\d\d) (.*)$", moment)
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        found = (None if value is None else f"0x{value.hex()}" for value in values.to_pylist())
        return pa.array(found, pa.string())
    raise TypeError(str(kind))


def value_as_text(value: Any) -> str | None:
    """Write a value that a database driver gave as text.

    Raises:
        TypeError: its type has no text.
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return _of_decimal(value)
    if isinstance(value, float):
        plain = _of_decimal(Decimal(repr(value)))
        return plain.removesuffix(".0").lower().replace("infinity", "inf")
    # A datetime is a date, too.
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return _trimmed(value.isoformat())
        return _trimmed(value.astimezone(UTC).replace(tzinfo=None).isoformat()) + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time) and value.tzinfo is None:
        return _trimmed(value.isoformat())
    if isinstance(value, timedelta) and timedelta(0) <= value < _DAY:
        # What MySQL's drivers make of a time of day.
        return _trimmed((datetime.min + value).time().isoformat())  # noqa: DTZ901 - a time of day
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"0x{bytes(value).hex()}"
    if isinstance(value, (str, UUID)):
        return str(value)
    raise TypeError(type(value).__name__)


def _of_decimal(value: Decimal) -> str:
    return format(value, "f")


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def without_exponents(text: pa.Array) -> pa.Array:
    """Write out the numbers that have an exponent; whatever else stands there stays."""
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.match_substring_regex(text, _EXPONENT)
    if not pc.any(odd).as_py():
        return text
    plain = [_of_decimal(Decimal(value)) for value in text.filter(odd).to_pylist()]
    return pc.replace_with_mask(text, pc.fill_null(odd, False), pa.array(plain, pa.string()))


def short_fraction(text: pa.Array) -> pa.Array:
    """Take zeros away that end the fraction of a second."""
    import pyarrow.compute as pc

    some = pc.replace_substring_regex(text, r"(\.\d*[1-9])0+$", r"\1")
    return pc.replace_substring_regex(some, r"\.0*$", "")
