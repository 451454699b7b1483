"""The project's own words of the DataFrame API: one function each, one meaning on every engine.

What an engine must do in its own way, it does
in its `Dialect`; the meaning is fixed here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Literal, get_args

from lakehouse_assets.engine.current import F, active
from lakehouse_assets.engine.types import Col, DataFrame
from lakehouse_assets.errors import LakehouseError

# Everything Unicode calls white space, and the two invisible marks that exports leave behind.
# An engine's own trim removes the ASCII blank only, so U+3000 alone would survive as a city.
WHITE_SPACE = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff\u200b"
)

# `\z` is the end of the text everywhere; to a JVM `$` is also the place before a last line end.
_WHOLE_NUMBER = r"^[+-]?[0-9]{1,18}(\.0*)?\z"
_NUMBER = r"^[+-]?([0-9]{1,20}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?\z"
_MOMENT = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|\+00:00)?\z"
)
# What bronze writes for a moment without a zone, and for midnight in UTC: both name one day.
_DAY_OF_MOMENT = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]"
    r"(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?|00:00:00(\.0{1,9})?(Z|\+00:00))\z"
)
# A year that comes first leaves no doubt about day and month.
_YEAR_FIRST = ("yyyy-M-d", "yyyy/M/d")
_YES = ("true", "t", "yes", "y", "1")
_NO = ("false", "f", "no", "n", "0")
_GROUPS = re.compile(r"\\[1-9]")
_DATE_PARTS = {"y": "[1-9][0-9]{3}", "M": "[0-9]{1,2}", "d": "[0-9]{1,2}"}
# The API wants a length where the rest of a word is meant.
_LONGEST_WORD = 2**31 - 1
_EPOCH = date(1970, 1, 1)
_CALENDAR = ((date.min - _EPOCH).days, (date.max - _EPOCH).days)
Weekday = Literal["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
# Days of the week are counted from this Sunday.
_SUNDAY = date(1899, 12, 31)


def staged(frame: DataFrame) -> DataFrame:
    """Mark where a long transformation may be cut into stages; the rows stay the same."""
    return active().stage(frame)


def ratio(part: Col, whole: Col) -> Col:
    """Divide whole numbers as doubles, correctly rounded; null if the divisor is 0 or null."""
    quotient = part.cast("double") / whole.cast("double")
    return F.when(whole != F.lit(0), quotient)


def text(column: Col) -> Col:
    """Trim Unicode white space at both ends; nothing left is null."""
    return F.nullif(active().dialect.trim(column, WHITE_SPACE), F.lit(""))


def is_any(column: Col, values: Sequence[str]) -> Col:
    """Say whether text is one of the values; null if it is null."""
    return active().dialect.is_any(column, values)


def without(column: Col, placeholders: Sequence[str]) -> Col:
    """Make null of a value that stands for 'nothing', such as `.` or `-`."""
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
    """Read text as an exact decimal, rounded half up; null if it is no number or does not fit."""
    number = F.when(column.rlike(_NUMBER), column)
    return active().dialect.to_decimal(number, precision, scale)


def real(column: Col) -> Col:
    """Read text as double; null if it is not a plain decimal number."""
    return F.when(column.rlike(_NUMBER), column).cast("double")


def parse_date(column: Col, *formats: str) -> Col:
    """Read text as a date, year first or in the first of the formats that fits; null if none does.

    `2014-03-31` is always read, since it is how bronze writes a typed date, with slashes too, and
    so is a typed moment (`2014-03-31T09:30:00`), of which the day is taken. A moment with a zone
    names a day at midnight in UTC only: any other may be midnight elsewhere, of the day before or
    after.

    Formats are Java patterns of `yyyy`, `M` and `d` with separators (`M/d/yyyy`). A month or day
    may have one or two digits, a year has four and is 1000 at least; days that do not exist are
    null, and so is text with anything else before or after.
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
    """Read text as a boolean: true, yes, y, t or 1, and their opposites, in any letters.

    Anything else is null. `1.0` is 1, as spreadsheets and data frames write a column with gaps.
    """
    small = lower(text_id(column))
    return F.when(is_any(small, _YES), F.lit(True)).when(is_any(small, _NO), F.lit(False))


def text_id(column: Col) -> Col:
    """Read text as an identifier, which is kept letter by letter.

    Only what spreadsheets and data frames add to whole numbers is removed: `1001.0` is `1001`.
    Zeros in front are part of an identifier: `1` and `01` are two.
    """
    is_float = column.rlike(r"^[0-9]+\.0+\z")
    return F.when(is_float, F.regexp_replace(column, r"\.0+$", "")).otherwise(column)


def _shape_of(pattern: str) -> str:
    parts = re.split("(yyyy|M+|d+)", pattern)
    return "^" + "".join(_DATE_PARTS.get(p[:1], re.escape(p)) for p in parts) + r"\z"


def parse_timestamp(column: Col) -> Col:
    """Read text as a moment in UTC: `yyyy-MM-dd`, a blank or T, `HH:mm:ss`, a fraction, Z.

    The fraction and the Z (or +00:00) may be missing; what is finer than a microsecond is cut off.
    Null if the text is anything else, has another offset or names a moment that does not exist.
    """
    exists = (
        column.rlike(_MOMENT) & parse_date(F.substring(column, 1, 10), "yyyy-MM-dd").isNotNull()
    )
    fraction = F.regexp_replace(F.substring(column, 20, _LONGEST_WORD), r"(Z|\+00:00)\z", "")
    padded = F.concat(F.when(fraction == F.lit(""), F.lit(".")).otherwise(fraction), F.lit("0" * 6))
    moment = F.concat(
        F.substring(column, 1, 10),
        F.lit(" "),
        F.substring(column, 12, 8),
        F.substring(padded, 1, 7),
    )
    return F.when(exists, moment).cast("timestamp")


def rewrite(column: Col, pattern: str, replacement: str) -> Col:
    r"""Replace every match of a pattern, from left to right; `\1` stands for its first group.

    Patterns hold what test_transformations.py permits and match one character at least.

    Raises:
        LakehouseError: the replacement holds a sign that engines read differently.
    """
    if set("$\\") & set(_GROUPS.sub("", replacement)):
        raise LakehouseError(
            f"The replacement {replacement!r} holds a dollar sign or backslash; name groups as \\1."
        )
    return active().dialect.rewrite(column, pattern, replacement)


def add_days(day: Col, days: Col) -> Col:
    """Add whole days to a date, or take them away; the result is a date.

    It is null where it would lie outside the years 1 to 9999.
    """
    after = days_between(F.lit(_EPOCH), day) + days
    near = F.when(after.between(*_CALENDAR), days)
    return F.date_add(day, near.cast("int")).cast("date")


def days_between(start: Col, end: Col) -> Col:
    """Count the days from one date to another as bigint; negative if the end comes first."""
    return F.datediff(end, start).cast("bigint")


def day_of_week(day: Col) -> Col:
    """Number the day of a date's week: 1 Sunday to 7 Saturday, as int."""
    # What is left of a negative number is negative on some engines: it is lifted above zero.
    left = days_between(F.lit(_SUNDAY), day) % F.lit(7)
    return ((left + F.lit(7)) % F.lit(7) + F.lit(1)).cast("int")


def week_start(day: Col, first: Weekday = "monday") -> Col:
    """Return the first day of a date's week, as a date.

    Weeks that start on Thursday are those of seven days that count from 1 January 1970.
    """
    before = (day_of_week(day) + F.lit(6 - WEEKDAYS.index(first))) % F.lit(7)
    return add_days(day, F.lit(0) - before)


def month_start(day: Col) -> Col:
    """Return the first day of a date's month, as a date."""
    return add_days(day, F.lit(1) - F.dayofmonth(day))


def last_of_month(day: Col) -> Col:
    """Return the last day of a date's month, as a date."""
    return F.last_day(day).cast("date")


def lower(column: Col) -> Col:
    """Write lower case, one letter for each, whatever stands around it."""
    return active().dialect.lower(column)


def upper(column: Col) -> Col:
    """Write upper case, one letter for each; that of a sharp s is one letter, too."""
    return active().dialect.upper(column)


def title_case(column: Col) -> Col:
    """Write words with an upper-case letter first and lower case after it.

    Words are what blanks separate, so that an apostrophe or hyphen starts no new one; blanks stay.
    """
    words = F.split(lower(column), " ")
    return F.array_join(F.transform(words, _capitalised), " ")


def _capitalised(word: Col) -> Col:
    return F.concat(upper(F.substring(word, 1, 1)), F.substring(word, 2, _LONGEST_WORD))


def round_half_up(column: Col, digits: int) -> Col:
    """Round a number half away from zero to a double of that many decimals (0 or more).

    What is rounded is the number as it is written, the shortest text that stands for the double:
    1.255 rounds to 1.26 although the double is a little less. What is not finite stays.
    """
    return active().dialect.round_half_up(column, digits)


def mean(column: Col, digits: int) -> Col:
    """Average a whole-number or decimal column (up to 6 decimals), rounded half up.

    Sum and division are exact, so that the result is the true mean, rounded, in whatever order
    threads add. Without values it is null.
    """
    return active().dialect.mean(column, digits)


def total(column: Col, scale: int = 0) -> Col:
    """Add up whole numbers or decimals exactly, as decimal(38, scale).

    Every value of 18 digits fits as often as there can be rows; a sum of the values' own type
    would not.
    """
    wide = f"decimal(38,{scale})"
    return F.sum(column.cast(wide)).cast(wide)


def proportion(total: Col, part: Col, whole: Col) -> Col:
    """Return `total * part / whole` as decimal(38,0), exact and cut off toward zero.

    `total` is a whole number of at most 32 digits, the others of at most 18; `part` is at most
    `whole` and neither is negative. Null where one is null or `whole` is 0.
    """
    return active().dialect.proportion(total, part, whole)


def hash_key(*columns: Col) -> Col:
    """Hash values to a positive bigint of 60 bits, the same on every run and engine.

    Null and empty text differ. Each value is hashed with its length, so that neighbours cannot run
    into each other whatever they hold.
    """
    parts = []
    for column in columns:
        value = column.cast("string")
        measured = F.concat(F.length(value).cast("string"), F.lit(":"), value)
        parts.append(F.coalesce(measured, F.lit("-")))
    return active().dialect.hash_text(F.concat(*parts))
