"""Convert typed values to the text that bronze stores: exact, and the same for every source.

| type | text |
|---|---|
| text | itself; empty text is not null |
| integers, decimals | plain digits, decimals with their full scale, never an exponent |
| floating point | the shortest digits that give the same number, no exponent; nan, inf, -inf |
| boolean | `true`, `false` |
| date | `2021-09-06` |
| time of day | `06:30:00.25`, without trailing zeros in the fraction |
| timestamp without time zone | `2021-09-06T06:30:00.25` |
| timestamp with time zone | the same in UTC with a `Z` |
| bytes | `0x` and hexadecimal digits, which are never read as a number |
| UUID | `00000000-0000-0000-0000-000000000001` |
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = timedelta(days=1)
_UUID_BYTES = "^0x(.{8})(.{4})(.{4})(.{4})(.{12})$"
# A double's exponent has at most three digits; writing out a longer one would make huge text.
_EXPONENT = r"^-?(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,3}$"


def array_as_text(values: pa.Array) -> pa.Array:
    """Convert an Arrow array to text.

    Raises:
        TypeError: its type, such as a list, has no text form.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = values.type
    if kind == pa.string():
        return values
    if isinstance(values, pa.ExtensionArray):
        text = array_as_text(values.storage)
        if kind.extension_name == "arrow.uuid":
            return pc.replace_substring_regex(text, _UUID_BYTES, r"\1-\2-\3-\4-\5")
        return text
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
        # A timestamp with a zone is stored in UTC, so dropping the zone leaves the UTC time.
        plain = short_fraction(values.cast(pa.timestamp(kind.unit)).cast(pa.string()))
        # Arrow's text for a timestamp outside the calendar's range does not match and is kept.
        moment = r"\1T\2Z" if zoned else r"\1T\2"
        return pc.replace_substring_regex(plain, r"^(-?\d+-\d\d-\d\d) (.*)$", moment)
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        found = (None if value is None else f"0x{value.hex()}" for value in values.to_pylist())
        return pa.array(found, pa.string())
    raise TypeError(str(kind))


def value_as_text(value: Any) -> str | None:
    """Convert a value from a database driver to text.

    Raises:
        TypeError: its type has no text form.
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
    # Before `date`, because a datetime is a date too.
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return _trimmed(value.isoformat())
        return _trimmed(value.astimezone(UTC).replace(tzinfo=None).isoformat()) + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time) and value.tzinfo is None:
        return _trimmed(value.isoformat())
    if isinstance(value, timedelta) and timedelta(0) <= value < _DAY:
        # MySQL's drivers return a time of day as a timedelta.
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
    """Write out numbers that have an exponent; any other text is kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.match_substring_regex(text, _EXPONENT)
    if not pc.any(odd).as_py():
        return text
    plain = [_of_decimal(Decimal(value)) for value in text.filter(odd).to_pylist()]
    return pc.replace_with_mask(text, pc.fill_null(odd, False), pa.array(plain, pa.string()))


def short_fraction(text: pa.Array) -> pa.Array:
    """Remove trailing zeros from fractions of a second."""
    import pyarrow.compute as pc

    some = pc.replace_substring_regex(text, r"(\.\d*[1-9])0+$", r"\1")
    return pc.replace_substring_regex(some, r"\.0*$", "")
