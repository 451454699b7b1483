"""The vocabulary's functions as Spark runs them.

Everything uses Spark's own functions, so that no Python runs on the workers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lakehouse_assets.engine.case_mapping import to_lower, to_upper
from lakehouse_assets.engine.current import Col, F

# Text of at most this many digits that denotes a double is always its shortest text.
_SURE_DIGITS = 15
_MILLION = 1_000_000
# Printable ASCII without the blank, which is never among the characters to trim.
_FIRST_PLAIN, _LAST_PLAIN = ord("!"), ord("~")


class SparkDialect:
    """The vocabulary's functions as Spark runs them."""

    def trim(self, column: Col, characters: str) -> Col:
        """Trim any of the characters at both ends."""
        # Trimming a set of characters is slow; most values start and end in plain ASCII.
        first, last = F.ascii(column), F.ascii(F.substring(column, -1, 1))
        plain = first.between(_FIRST_PLAIN, _LAST_PLAIN) & last.between(_FIRST_PLAIN, _LAST_PLAIN)
        return F.when(plain, column).otherwise(F.trim(column, F.lit(characters)))

    def is_any(self, column: Col, values: Sequence[str]) -> Col:
        """Compare with each of the values."""
        return column.isin(*values)

    def lower(self, column: Col) -> Col:
        """Convert to lower case, letter by letter."""
        # Most text is plain ASCII, for which Spark's own function suffices.
        return F.when(_is_ascii(column), F.lower(column)).otherwise(
            F.translate(column, *to_lower())
        )

    def upper(self, column: Col) -> Col:
        """Convert to upper case, letter by letter."""
        return F.when(_is_ascii(column), F.upper(column)).otherwise(
            F.translate(column, *to_upper())
        )

    def rewrite(self, column: Col, pattern: str, replacement: str) -> Col:
        """Replace every match; in Java, a dollar sign marks a group."""
        java = re.sub(r"\\([1-9])", r"$\1", replacement)
        return F.regexp_replace(column, F.lit(pattern), F.lit(java))

    def parse_date(self, column: Col, pattern: str) -> Col:
        """Reorder to year, month and day, and cast; Spark's own patterns fail or guess."""
        parts = re.split("(yyyy|M+|d+)", pattern)
        groups = [part[0] for part in parts[1::2]]
        shape = "".join(
            re.escape(part) if index % 2 == 0 else "([0-9]+)" for index, part in enumerate(parts)
        )
        order = "-".join(f"${groups.index(part) + 1}" for part in "yMd")
        return F.regexp_replace(column, f"^{shape}\\z", order).try_cast("date")

    def to_micros(self, column: Col) -> Col:
        """Return a timestamp as microseconds since 1970."""
        return F.unix_micros(column)

    def from_micros(self, column: Col) -> Col:
        """Return microseconds since 1970 as a timestamp."""
        return F.timestamp_micros(column)

    def hash_text(self, column: Col) -> Col:
        """Return the first 60 bits of MD5 as a number."""
        return F.conv(F.substring(F.md5(column), 1, 15), 16, 10).cast("bigint")

    def to_decimal(self, column: Col, precision: int, scale: int) -> Col:
        """Cast text to decimal, null on overflow; Spark rounds half away from zero here."""
        return column.try_cast(f"decimal({precision},{scale})")

    def round_half_up(self, column: Col, digits: int) -> Col:
        """Round the number's shortest decimal text, in which halves are exact.

        Java 17 does not always write the shortest text of a double. If its text is just below a
        half, and the half is the same double, the half is the shorter text.
        """
        exact = f"decimal(38,{digits})"
        number = column.cast("double")
        rounded = column.cast("string").try_cast(exact)
        sign = F.when(number < F.lit(0.0), F.lit(-1)).otherwise(F.lit(1)).cast("decimal(1,0)")
        half = (F.lit("0." + "0" * digits + "5")).cast(f"decimal({digits + 1},{digits + 1})")
        unit = F.lit(f"1e-{digits}").cast(f"decimal({digits + 1},{digits})")
        size = F.abs(rounded).cast(f"decimal(22,{digits})")
        # Only doubles are concerned: the text of decimals and whole numbers is exact.
        missed = (
            (F.typeof(column) == F.lit("double"))
            & (F.abs(number) < F.lit(10.0 ** (_SURE_DIGITS - 1 - digits)))
            & ((size + half).cast("string").cast("double") == F.abs(number))
        )
        closer = F.when(missed, (sign * (size + unit)).cast("string").cast("double"))
        # Numbers that are not finite, or too large for a decimal, have no decimals to round.
        return F.coalesce(closer, rounded.cast("string").cast("double"), number)

    def mean(self, column: Col, digits: int) -> Col:
        """Divide the exact sum by the count in whole numbers."""
        whole = "decimal(38,0)"
        total = F.sum(column.cast("decimal(32,6)"))
        millionths = (F.abs(total).cast("decimal(38,6)") * F.lit(_MILLION)).cast(whole)
        count = F.count(column).cast("decimal(19,0)")
        part = (count * F.lit(2 * _MILLION)).cast(whole)
        above = (millionths * F.lit(2 * 10**digits)).cast(whole) + count * F.lit(_MILLION)
        above = above.cast(whole)
        quotient = ((above - above % part) / part).cast(whole).cast("string")
        size = F.concat(quotient, F.lit(f"e-{digits}")).cast("double")
        # Without values the result is null instead of a division by zero.
        return F.when(count > F.lit(0), F.when(total < F.lit(0), -size).otherwise(size))

    def percentile(self, column: Col, share: float) -> Col:
        """Aggregate to a quantile."""
        return F.percentile(column, share)

    def proportion(self, total: Col, part: Col, whole: Col) -> Col:
        """Multiply and divide decimals of scale 0.

        Quotient and remainder are handled separately, so that no product has more than 36 digits.
        """
        narrow, wide = "decimal(18,0)", "decimal(38,0)"
        divisor = F.when(whole > F.lit(0), whole).cast(narrow)
        size, share = F.abs(total.cast(wide)), part.cast(narrow)
        rest = (size % divisor).cast(narrow)
        product = (rest * share).cast(wide)
        size = (
            (((size - rest) / divisor).cast(wide) * share).cast(wide)
            + ((product - product % divisor) / divisor).cast(wide)
        ).cast(wide)
        return F.when(total < F.lit(0), -size).otherwise(size)


def _is_ascii(column: Col) -> Col:
    return F.length(column) == F.octet_length(column)
