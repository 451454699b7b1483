"""The vocabulary's functions as DuckDB runs them, through SQLFrame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lakehouse_assets.engine.current import Col, F

# Numbers as text without an exponent: DuckDB casts 5e-324 to 0.01 and loses 1234567890.5e-4.
_PLAIN = "lakehouse_plain_number"
_MEAN = "lakehouse_mean"
_TRIM = "lakehouse_trim"
_PROPORTION = "lakehouse_proportion"
# Created once per connection.
MACROS = (
    # DuckDB's trim of a set of characters is slow; most values start and end in plain ASCII.
    f"""CREATE MACRO {_TRIM}(text, characters) AS CASE
        WHEN text[1] BETWEEN '!' AND '~' AND text[-1] BETWEEN '!' AND '~' THEN text
        ELSE trim(text, characters) END""",
    f"""CREATE MACRO {_PLAIN}_with_point(sign, digits, point) AS sign || CASE
        WHEN point <= 0 THEN '0.' || repeat('0', -point) || digits
        WHEN point >= length(digits) THEN digits || repeat('0', point - length(digits))
        ELSE digits[1:point] || '.' || digits[point + 1:] END""",
    f"""CREATE MACRO {_PLAIN}(number) AS CASE WHEN NOT regexp_matches(number, '[eE]') THEN number
        ELSE {_PLAIN}_with_point(
            regexp_extract(number, '^[+-]?'),
            regexp_extract(number, '^[+-]?([0-9]*)', 1) || regexp_extract(number, '[.]([0-9]*)', 1),
            length(regexp_extract(number, '^[+-]?([0-9]*)', 1))
            + TRY_CAST(regexp_extract(number, '[eE]([+-]?[0-9]+)$', 1) AS INTEGER)) END""",
    # Divides millionths as whole numbers, because DuckDB's own division uses doubles. The result
    # becomes a double via text, because DuckDB converts large whole numbers inexactly.
    f"""CREATE MACRO {_MEAN}(total, n, digits) AS sign(total)
        * CAST(((CAST(abs(CAST(total AS DECIMAL(38,6))) * 1000000 AS HUGEINT)
                * 2 * CAST(10 ** digits AS HUGEINT) + n * 1000000) // (n * 2000000))
               || 'e-' || digits AS DOUBLE)""",
    # Handles quotient and remainder separately, so that no product has more than 36 digits.
    f"""CREATE MACRO {_PROPORTION}(total, part, whole) AS CASE WHEN whole > 0 THEN
        CAST(sign(total) * (CAST(abs(total) AS HUGEINT) // whole * part
            + CAST(abs(total) AS HUGEINT) % whole * part // whole) AS DECIMAL(38,0)) END""",
)


class DuckDBDialect:
    """The vocabulary's functions as DuckDB runs them."""

    def trim(self, column: Col, characters: str) -> Col:
        """Trim any of the characters at both ends."""
        return _call(_TRIM, column, characters)

    def is_any(self, column: Col, values: Sequence[str]) -> Col:
        """Search the values in an array; DuckDB turns a long IN into a join for each use."""
        return F.array_contains(F.array(*map(F.lit, values)), column)

    def lower(self, column: Col) -> Col:
        """Convert to lower case; DuckDB does so letter by letter."""
        return F.lower(column)

    def upper(self, column: Col) -> Col:
        """Convert to upper case; DuckDB does so letter by letter."""
        return F.upper(column)

    def rewrite(self, column: Col, pattern: str, replacement: str) -> Col:
        """Replace every match."""
        return _call("regexp_replace", column, pattern, replacement, "g")

    def parse_date(self, column: Col, pattern: str) -> Col:
        """Parse with the pattern, whose shape the vocabulary has checked."""
        return _call("try_strptime", column, _strptime(pattern)).cast("date")

    def to_micros(self, column: Col) -> Col:
        """Return a timestamp as microseconds since 1970."""
        return _call("epoch_us", column)

    def from_micros(self, column: Col) -> Col:
        """Return microseconds since 1970 as a timestamp."""
        return _call("make_timestamp", column).cast("timestamp")

    def hash_text(self, column: Col) -> Col:
        """Return the first 60 bits of MD5 as a number."""
        return F.concat(F.lit("0x"), F.substring(F.md5(column), 1, 15)).cast("bigint")

    def to_decimal(self, column: Col, precision: int, scale: int) -> Col:
        """Cast text to decimal, null on overflow; DuckDB rounds half away from zero here."""
        return _try_cast(_call(_PLAIN, column), f"decimal({precision},{scale})")

    def round_half_up(self, column: Col, digits: int) -> Col:
        """Round the number's shortest decimal text, in which halves are exact."""
        rounded = self.to_decimal(column.cast("string"), 38, digits)
        # Via text again: DuckDB converts a decimal to a double by division, which is inexact.
        rounded = rounded.cast("string").cast("double")
        # Numbers that are not finite, or too large for a decimal, have no decimals to round.
        return F.coalesce(rounded, column.cast("double"))

    def mean(self, column: Col, digits: int) -> Col:
        """Divide the exact sum by the count in whole numbers."""
        return _call(_MEAN, F.sum(column), F.count(column), F.lit(digits))

    def percentile(self, column: Col, share: float) -> Col:
        """Aggregate to a quantile."""
        return _call("quantile_cont", column, F.lit(share))

    def proportion(self, total: Col, part: Col, whole: Col) -> Col:
        """Multiply and divide 128-bit whole numbers."""
        return _call(_PROPORTION, total, part, whole)


def _call(function: str, column: Col, *arguments: Any) -> Col:
    """Call a DuckDB function that the PySpark API does not have."""
    from sqlframe.duckdb import Column

    rest = [F.lit(a) if isinstance(a, str) else a for a in arguments]
    return Column.invoke_anonymous_function(column, function, *rest)


def _try_cast(column: Col, type_name: str) -> Col:
    """Cast to a type, null where the value does not fit."""
    from sqlframe.duckdb import Column
    from sqlglot import exp

    return Column(
        exp.TryCast(
            this=column.column_expression, to=exp.DataType.build(type_name, dialect="duckdb")
        )
    )


def _strptime(java_pattern: str) -> str:
    directives = {"yyyy": "%Y", "M": "%m", "d": "%d"}
    return re.sub(
        "yyyy|M+|d+", lambda m: directives[m[0] if m[0] == "yyyy" else m[0][0]], java_pattern
    )
