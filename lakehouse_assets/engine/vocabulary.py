"""The project's own DataFrame functions, each with one meaning on every engine.

This module defines the meaning; an engine's `Dialect` implements what engines do differently.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, get_args

from lakehouse_assets.engine.current import Col, DataFrame, F, W, active
from lakehouse_assets.errors import LakehouseError

# Everything that Unicode calls white space, and two invisible characters that exports leave behind.
# An engine's own trim removes only the ASCII blank, so U+3000 alone would survive as a city.
WHITE_SPACE = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff\u200b"
)

SEPARATORS = (
    r"\x01-/:-@\[-\^`{-"
    "\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u1680\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u3004"
    "\u3008-\u3020\u3030\ufe00-\ufe0f\ufeff\uff01-\uff0f\uff1a-\uff20\U0001f000-\U0001faff"
)
"""Inside of a pattern's class: what separates words, such as blanks, punctuation and emoji.

Listed, because engines take `\\p{L}` from different versions of Unicode. `_` is not among them.
"""

# `\z` is the end of the text everywhere; on a JVM, `$` also matches before a final line break.
_WHOLE_NUMBER = r"^[+-]?[0-9]{1,18}(\.0*)?\z"
_COMMA_NUMBER = r"^[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)(,[0-9]*)?\z"
_NUMBER = r"^[+-]?([0-9]{1,20}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?\z"
MOMENT = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|\+00:00)?\z"
)
# A timestamp without a zone, or midnight in UTC, as bronze writes them: each names one day.
_DAY_OF_MOMENT = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]"
    r"(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?|00:00:00(\.0{1,9})?(Z|\+00:00))\z"
)
# With the year first, the order of month and day is certain.
_YEAR_FIRST = ("yyyy-M-d", "yyyy/M/d")
_YES = ("true", "t", "yes", "y", "1")
_NO = ("false", "f", "no", "n", "0")
_GROUPS = re.compile(r"\\[1-9]")
_DATE_PARTS = {"y": "[1-9][0-9]{3}", "M": "[0-9]{1,2}", "d": "[0-9]{1,2}"}
# The API requires a length for "the rest of a text".
_LONGEST_WORD = 2**31 - 1
_MINUTE = 60_000_000
_EPOCH = date(1970, 1, 1)
_CALENDAR = ((date.min - _EPOCH).days, (date.max - _EPOCH).days)
Weekday = Literal["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
# Days of the week are counted from this Sunday.
_SUNDAY = date(1899, 12, 31)


def staged(frame: DataFrame) -> DataFrame:
    """Allow the engine to cut a long plan here; the rows stay the same."""
    return active().stage(frame)


def ratio(part: Col, whole: Col) -> Col:
    """Divide numbers as doubles, correctly rounded; null if the divisor is 0 or null."""
    quotient = part.cast("double") / whole.cast("double")
    return F.when(whole != F.lit(0), quotient)


def text(column: Col) -> Col:
    """Trim Unicode white space at both ends; null if nothing is left."""
    return F.nullif(active().dialect.trim(column, WHITE_SPACE), F.lit(""))


def is_any(column: Col, values: Sequence[str]) -> Col:
    """Say whether text is one of the values; null if it is null."""
    return active().dialect.is_any(column, values)


def first_of(*cases: tuple[Col, Any], otherwise: Any = None) -> Col:
    """Return the value of the first case whose condition holds, else `otherwise`.

    Values are columns, or Python values.
    """
    first, *others = cases
    found = F.when(*first)
    for case in others:
        found = found.when(*case)
    return found.otherwise(otherwise)


def without(column: Col, placeholders: Sequence[str]) -> Col:
    """Replace values that mean "not given", such as `.` or `-`, with null."""
    return F.when(~is_any(column, placeholders), column)


def whole_number(column: Col) -> Col:
    """Read text as bigint; null unless it is a whole number of at most 18 digits.

    `42` and `42.0` are 42; `1.5`, `1e3`, `12abc` and blanks are null.
    """
    return F.when(
        column.rlike(_WHOLE_NUMBER),
        F.regexp_replace(column, r"\.0*$", "").cast("bigint"),
    )


def small_number(column: Col) -> Col:
    """Read text as int, as `whole_number` does; null if it does not fit."""
    number = whole_number(column)
    return F.when(number.between(-(2**31), 2**31 - 1), number).cast("int")


def decimal(column: Col, precision: int = 18, scale: int = 2) -> Col:
    """Read text as an exact decimal, rounded half up; null if not a number or too large."""
    number = F.when(column.rlike(_NUMBER), column)
    return active().dialect.to_decimal(number, precision, scale)


def decimal_point(column: Col) -> Col:
    """Rewrite a number with a decimal comma: `1.234,56` becomes `1234.56`.

    Points may only separate groups of three digits. Any other text, such as `5.00`, is null,
    because it could mean two numbers.
    """
    number = F.when(column.rlike(_COMMA_NUMBER), column)
    return F.regexp_replace(F.regexp_replace(number, r"\.", ""), ",", ".")


def real(column: Col) -> Col:
    """Read text as double; null if it is not a plain decimal number."""
    return F.when(column.rlike(_NUMBER), column).cast("double")


def parse_date(column: Col, *formats: str) -> Col:
    """Read text as a date, year first or in the first format that fits; null if none does.

    `2014-03-31`, as bronze writes a typed date, is always accepted, also with slashes. So is a
    timestamp (`2014-03-31T09:30:00`), whose day counts. A timestamp with a zone is accepted only at
    midnight in UTC: any other could mean a different day in another zone.

    Formats are Java patterns of `yyyy`, `M` and `d` with separators (`M/d/yyyy`). A month or day
    may have one or two digits; a year has four and is at least 1000. Days that do not exist are
    null, and so is text with anything before or after the date.
    """
    parse = active().dialect.parse_date
    is_moment = column.rlike(_DAY_OF_MOMENT)
    day = F.when(is_moment, F.substring(column, 1, 10)).otherwise(column)
    parsed = [
        parse(F.when(day.rlike(_shape_of(pattern)), day), pattern)
        for pattern in dict.fromkeys((*_YEAR_FIRST, *formats))
    ]
    return F.coalesce(*parsed)


def boolean(column: Col) -> Col:
    """Read text as a boolean: true, yes, y, t or 1, and their opposites, in any case.

    Anything else is null. `1.0` is read as 1, because spreadsheets and data frames write whole
    numbers like that in columns with gaps.
    """
    small = lower(text_id(column))
    return F.when(is_any(small, _YES), F.lit(True)).when(is_any(small, _NO), F.lit(False))


def text_id(column: Col) -> Col:
    """Read text as an identifier, which is kept as it is.

    Only the decimals that spreadsheets and data frames add to whole numbers are removed: `1001.0`
    becomes `1001`. Leading zeros are part of an identifier: `1` and `01` are different.
    """
    is_float = column.rlike(r"^[0-9]+\.0+\z")
    return F.when(is_float, F.regexp_replace(column, r"\.0+$", "")).otherwise(column)


def _shape_of(pattern: str) -> str:
    parts = re.split("(yyyy|M+|d+)", pattern)
    return "^" + "".join(_DATE_PARTS.get(p[:1], re.escape(p)) for p in parts) + r"\z"


def parse_timestamp(column: Col) -> Col:
    """Read text as a timestamp in UTC: `yyyy-MM-dd`, a blank or T, `HH:mm:ss`, a fraction, Z.

    The fraction and the Z (or +00:00) are optional; the fraction is truncated to microseconds. Null
    for any other text, another offset, or a day or time that does not exist.
    """
    exists = column.rlike(MOMENT) & parse_date(F.substring(column, 1, 10), "yyyy-MM-dd").isNotNull()
    fraction = F.regexp_replace(F.substring(column, 20, _LONGEST_WORD), r"(Z|\+00:00)\z", "")
    padded = F.concat(F.when(fraction == F.lit(""), F.lit(".")).otherwise(fraction), F.lit("0" * 6))
    moment = F.concat(
        F.substring(column, 1, 10),
        F.lit(" "),
        F.substring(column, 12, 8),
        F.substring(padded, 1, 7),
    )
    return F.when(exists, moment).cast("timestamp")


def micros_between(start: Col, end: Col) -> Col:
    """Count the microseconds from one timestamp to another; negative if the end is earlier."""
    return active().dialect.to_micros(end) - active().dialect.to_micros(start)


def minute_start(moment: Col) -> Col:
    """Return the start of a timestamp's minute in UTC."""
    return _start(moment, _MINUTE)


def hour_start(moment: Col) -> Col:
    """Return the start of a timestamp's hour in UTC."""
    return _start(moment, 60 * _MINUTE)


def _start(moment: Col, length: int) -> Col:
    micros = active().dialect.to_micros(moment)
    # On some engines the remainder of a negative number is negative, so a length is added.
    past = (micros % F.lit(length) + F.lit(length)) % F.lit(length)
    return active().dialect.from_micros(micros - past)


def rewrite(column: Col, pattern: str, replacement: str) -> Col:
    r"""Replace every match of a pattern, from left to right; `\1` is the first group.

    Patterns use only the syntax that test_transformations.py permits and match at least one
    character.

    Raises:
        LakehouseError: the replacement holds a character that engines interpret differently.
    """
    if set("$\\") & set(_GROUPS.sub("", replacement)):
        raise LakehouseError(
            f"The replacement {replacement!r} contains a dollar sign or a backslash; "
            "refer to groups as \\1."
        )
    return active().dialect.rewrite(column, pattern, replacement)


def add_days(day: Col, days: Col) -> Col:
    """Add days to a date, or subtract them; null if the result is outside the years 1 to 9999."""
    after = days_between(F.lit(_EPOCH), day) + days
    near = F.when(after.between(*_CALENDAR), days)
    return F.date_add(day, near.cast("int")).cast("date")


def days_between(start: Col, end: Col) -> Col:
    """Count the days from one date to another as bigint; negative if the end is earlier."""
    return F.datediff(end, start).cast("bigint")


def day_of_week(day: Col) -> Col:
    """Return the day of the week as int, 1 Sunday to 7 Saturday."""
    # On some engines the remainder of a negative number is negative, so 7 is added.
    left = days_between(F.lit(_SUNDAY), day) % F.lit(7)
    return ((left + F.lit(7)) % F.lit(7) + F.lit(1)).cast("int")


def week_start(day: Col, first: Weekday = "monday") -> Col:
    """Return the first day of a date's week, as a date.

    Weeks that start on Thursday are seven-day periods counted from 1 January 1970.
    """
    before = (day_of_week(day) + F.lit(6 - WEEKDAYS.index(first))) % F.lit(7)
    return add_days(day, F.lit(0) - before)


def lower(column: Col) -> Col:
    """Convert to lower case, letter by letter, whatever the context."""
    return active().dialect.lower(column)


def upper(column: Col) -> Col:
    """Convert to upper case, letter by letter; the upper case of a sharp s is one letter, too."""
    return active().dialect.upper(column)


def round_half_up(column: Col, digits: int) -> Col:
    """Round a number half away from zero to a double with that many decimals (0 or more).

    Rounding applies to the number as written, the shortest text that denotes the double: 1.255
    rounds to 1.26 although the double is slightly less. Infinity and NaN are kept.
    """
    return active().dialect.round_half_up(column, digits)


def mean(column: Col, digits: int) -> Col:
    """Average a whole-number or decimal column (up to 6 decimals), rounded half up.

    Sum and division are exact, so that the result does not depend on the order in which threads
    add. It is null if there are no values.
    """
    return active().dialect.mean(column, digits)


def total(column: Col, scale: int = 0) -> Col:
    """Add up whole numbers or decimals exactly, as decimal(38, scale).

    Sums of 18-digit values cannot overflow, however many rows there are; in the values' own type
    they could.
    """
    wide = f"decimal(38,{scale})"
    return F.sum(column.cast(wide)).cast(wide)


def percentile(column: Col, share: float, series: Sequence[str]) -> Col:
    """Return a quantile of doubles among the rows with the same `series`, interpolated linearly.

    Nulls do not count; it is null if there is nothing else.
    """
    return active().dialect.percentile(column, share).over(W.partitionBy(*series))


def add_micros(moment: Col, micros: Col) -> Col:
    """Add microseconds, a bigint, to a timestamp."""
    return active().dialect.from_micros(active().dialect.to_micros(moment) + micros)


def proportion(total: Col, part: Col, whole: Col) -> Col:
    """Return `total * part / whole` as decimal(38,0), exact and truncated toward zero.

    `total` is a whole number of at most 32 digits, the others of at most 18; `part` is at most
    `whole`, and neither is negative. Null if one is null or `whole` is 0.
    """
    return active().dialect.proportion(total, part, whole)


def hash_key(*columns: Col) -> Col:
    """Hash values to a positive bigint of 60 bits, the same on every run and engine.

    Null and empty text differ. Each value is hashed with its length, so that adjacent values cannot
    be confused, whatever they contain.
    """
    parts = []
    for column in columns:
        value = column.cast("string")
        measured = F.concat(F.length(value).cast("string"), F.lit(":"), value)
        parts.append(F.coalesce(measured, F.lit("-")))
    return active().dialect.hash_text(F.concat(*parts))
