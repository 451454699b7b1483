"""The project's own words of the DataFrame API: one function each, one meaning on every engine.

Belongs here: parsing, cleaning, rounding and hashing whose built-in forms differ between engines
(platform.md lists how). Not here: rules of a domain. What an engine must do in its own way, it does
in its `Dialect`; the meaning is fixed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lakehouse_assets.engine.current import F, active
from lakehouse_assets.engine.types import Col

# Everything Unicode calls white space, and the two invisible marks that exports leave behind.
# An engine's own trim removes the ASCII blank only, so U+3000 alone would survive as a city.
WHITE_SPACE = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff\u200b"
)

_WHOLE_NUMBER = r"^[+-]?[0-9]{1,18}(\.0*)?$"
_NUMBER = r"^[+-]?([0-9]{1,20}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"


def text(column: Col) -> Col:
    """Trim Unicode white space at both ends; nothing left is null."""
    trimmed = active().dialect.trim(column, WHITE_SPACE)
    return F.when(trimmed != F.lit(""), trimmed)


def without(column: Col, placeholders: Sequence[str]) -> Col:
    """Make null of a value that stands for 'nothing', such as `.` or `-`."""
    return F.when(~column.isin(*placeholders), column)


def whole_number(column: Col) -> Col:
    """Read text as bigint; null unless it is a whole number of at most 18 digits.

    `42` and `42.0` are 42; `1.5`, `1e3`, `12abc` and blanks are null.
    """
    return F.when(
        column.rlike(_WHOLE_NUMBER),
        F.regexp_replace(column, r"\.0*$", "").cast("bigint"),
    )


def decimal(column: Col, precision: int = 18, scale: int = 2) -> Col:
    """Read text as an exact decimal, rounded half up; null if it is no number or does not fit."""
    number = F.when(column.rlike(_NUMBER), column)
    return active().dialect.to_decimal(number, precision, scale)


def real(column: Col) -> Col:
    """Read text as double; null if it is not a plain decimal number."""
    return F.when(column.rlike(_NUMBER), column).cast("double")


def parse_date(column: Col, *formats: str) -> Col:
    """Read text as a date in the first of the formats that fits; null if none does.

    Formats are Java patterns of `yyyy`, `M` and `d` with separators (`M/d/yyyy`); a month or day
    may have one or two digits, a year has four; days that do not exist are null.
    """
    return active().dialect.parse_date(column, formats)


def round_half_up(column: Col, digits: int) -> Col:
    """Round a number half away from zero to a double of that many decimals."""
    return active().dialect.round_half_up(column, digits)


def mean(column: Col, digits: int) -> Col:
    """Average a whole-number or decimal column, rounded half up.

    The sum is exact, so the result does not depend on the order in which threads add.
    """
    return round_half_up(F.sum(column).cast("double") / F.count(column), digits)


def hash_key(*columns: Col) -> Col:
    """Hash values to a positive bigint of 60 bits, the same on every run and engine.

    Null and empty text differ, and neighbours cannot run into each other.
    """
    separator = "\x1f"
    parts = [F.coalesce(F.concat(F.lit("="), column), F.lit("~")) for column in columns]
    return active().dialect.hash_text(F.concat_ws(separator, *parts))


def day_of_week(day: Col) -> Col:
    """Number the day of a date's week: 1 Sunday to 7 Saturday."""
    # 1899-12-31 was a Sunday; days between dates mean the same on every engine.
    return F.datediff(day, F.lit(date(1899, 12, 31))) % F.lit(7) + F.lit(1)


def week_start(day: Col) -> Col:
    """Return the Monday of a date's week, as a date."""
    return F.date_sub(day, ((day_of_week(day) + F.lit(5)) % F.lit(7)).cast("int")).cast("date")
