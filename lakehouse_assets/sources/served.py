"""Rewrite text from databases in bronze's form (see `ingest/exact_text.py`).

Only text of the expected shape is rewritten; anything else (`infinity`, a year BC, the date
0000-00-00) is kept as it is, for silver to check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse_assets.ingest.exact_text import without_exponents
from lakehouse_assets.sources.dialects import Kind

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = r"(\d{4,}-\d{2}-\d{2})"
# The time of day, and its fraction without trailing zeros.
_CLOCK = r"(\d{2}:\d{2}:\d{2})(?:(\.\d*[1-9])0*|\.0+)?"
_UTC = r"(?:Z|[+-]00(?::?00)?)?"
_TRUE, _FALSE = ("t", "1", "y", "true"), ("f", "0", "n", "false")
_IN_ONE_PASS = {
    "time": (f"^{_CLOCK}$", r"\1\2"),
    "moment": (f"^{_DAY}[ T]{_CLOCK}$", r"\1T\2\3"),
    "zoned": (f"^{_DAY}[ T]{_CLOCK}{_UTC}$", r"\1T\2\3Z"),
}


def in_one_form(values: pa.Array, kind: Kind) -> pa.Array:
    """Rewrite the text of values of one kind in bronze's form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind in _IN_ONE_PASS:
        return pc.replace_substring_regex(values, *_IN_ONE_PASS[kind])
    if kind in {"decimal", "real"}:
        return _number(values)
    if kind == "boolean":
        lower = pc.utf8_lower(values)
        for words, word in ((_TRUE, "true"), (_FALSE, "false")):
            fits = pc.fill_null(pc.is_in(lower, pa.array(words)), False)
            values = pc.if_else(fits, word, values)
    elif kind == "bytes":
        lower = pc.utf8_lower(values)
        values = pc.replace_substring_regex(lower, r"^(?:\\x|0x)?", "0x", max_replacements=1)
    return values


def _number(values: pa.Array) -> pa.Array:
    """Rewrite numbers; a search for substrings first is many times faster than the patterns."""
    import pyarrow.compute as pc

    def some(*signs: str) -> bool:
        return any(pc.any(pc.match_substring(values, sign)).as_py() for sign in signs)

    if pc.any(pc.starts_with(values, ".")).as_py() or some("-."):
        # Oracle and Teradata omit the zero before the decimal point.
        values = pc.replace_substring_regex(values, r"^(-?)(\.\d)", r"\10\2")
    if some("e", "E"):
        values = without_exponents(values)
    if some("n", "N"):
        for pattern, word in (("(?i)^nan$", "nan"), ("(?i)^(-?)inf(?:inity)?$", r"\1inf")):
            values = pc.replace_substring_regex(values, pattern, word)
    return values
