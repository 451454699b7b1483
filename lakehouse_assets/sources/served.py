"""Text as databases write it, in the one form that bronze has (`ingest/exact_text.py`).

Belongs here: what differs between databases in the text of one value. Not here: typed values.

Only text of the expected shape is rewritten; anything else (`infinity`, a year before Christ, the
day 0000-00-00) stays as it was served, and silver judges it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse_assets.ingest.exact_text import short_fraction, without_exponents
from lakehouse_assets.sources.dialects import Kind

if TYPE_CHECKING:
    import pyarrow as pa

_CLOCK = r"\d{2}:\d{2}:\d{2}(?:\.\d+)?"
_UTC = r"(?:Z|[+-]00(?::?00)?)?"
_TRUE, _FALSE = ("t", "1", "y", "true"), ("f", "0", "n", "false")


def in_one_form(values: pa.Array, kind: Kind) -> pa.Array:
    """Rewrite the text of values of one kind."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def rewritten(pattern: str, replacement: str) -> pa.Array:
        return pc.replace_substring_regex(values, pattern, replacement)

    if kind in {"decimal", "real"}:
        # Oracle and Teradata leave out the zero before the point.
        values = without_exponents(rewritten(r"^(-?)(\.\d)", r"\10\2"))
        for pattern, word in (("(?i)^nan$", "nan"), ("(?i)^(-?)inf(?:inity)?$", r"\1inf")):
            values = rewritten(pattern, word)
    elif kind == "boolean":
        lower = pc.utf8_lower(values)
        for words, word in ((_TRUE, "true"), (_FALSE, "false")):
            fits = pc.fill_null(pc.is_in(lower, pa.array(words)), False)
            values = pc.if_else(fits, word, values)
    elif kind == "bytes":
        values = pc.utf8_lower(rewritten(r"^\\x", ""))
    elif kind == "time":
        values = _short(values, rf"^{_CLOCK}$")
    elif kind in {"moment", "zoned"}:
        zone = _UTC if kind == "zoned" else ""
        values = rewritten(rf"^(\d{{4,}}-\d{{2}}-\d{{2}})[ T]({_CLOCK}){zone}$", r"\1T\2")
        shape = rf"^\d{{4,}}-\d{{2}}-\d{{2}}T{_CLOCK}$"
        fits = pc.fill_null(pc.match_substring_regex(values, shape), False)
        values = _short(values, shape)
        if kind == "zoned":
            values = pc.if_else(fits, pc.binary_join_element_wise(values, "Z", ""), values)
    return values


def _short(values: pa.Array, shape: str) -> pa.Array:
    import pyarrow.compute as pc

    fits = pc.fill_null(pc.match_substring_regex(values, shape), False)
    return pc.if_else(fits, short_fraction(values), values)
