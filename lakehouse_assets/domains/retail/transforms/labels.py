"""Labels and counts as several sources of the domain write them, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality import fields

UNKNOWN = "Unknown"
# What sources write for "nothing", in lower case: section 3.1 counts the literals NULL and NA.
NOTHING = ("null", "na", "n/a", "none", "unknown", "#n/a", "#name?", "#null!")
# Days as the sources write them.
DAYS = ("M/d/yyyy",)
EVERYBODY = "All generations"
# What begins a delivered label, in lower case and without blanks, and the label; the source's ?
# stands for a dash.
_GENERATIONS = {
    "boomer": "Baby Boomers (45\u201360s)",
    "babyboomer": "Baby Boomers (45\u201360s)",
    "genx": "Gen X (60\u201380s)",
    "geny": "Gen Y (80\u20132000s)",
    "genz": "Gen Z (2000s\u2013now)",
}
GENERATIONS = tuple(dict.fromkeys(_GENERATIONS.values()))
REGIONS = {
    "USA": "North & Central America",
    "Germany": "Europe",
    "Japan": "Asia Pacific",
    "Brazil": "South America",
}
"""The region of each country in which the domain sells."""


def begun_by(small: Col, labels: Mapping[str, str]) -> Col:
    """Find the label whose beginning a text in small letters has; null if there is none."""
    found = F.lit(None).cast("string")
    for beginning, label in labels.items():
        found = F.when(small.startswith(beginning), F.lit(label)).otherwise(found)
    return found


def generation(label: Col) -> Col:
    """Name the generations that a label lists, in their order; null if it lists anything else.

    One has its name, several are joined by `; `, and all of them are "All generations".
    """
    listed = F.regexp_replace(v.lower(label), r"[ ]+|;[ ]*\z", "")
    parts = F.split(listed, ";")
    named = F.transform(parts, lambda part: begun_by(part, _GENERATIONS))
    found = [F.array_contains(named, name) for name in GENERATIONS]
    several = F.array_join(
        F.array_compact(
            F.array(*[F.when(c, F.lit(n)) for c, n in zip(found, GENERATIONS, strict=True)])
        ),
        "; ",
    )
    everybody = found[0]
    for condition in found[1:]:
        everybody = everybody & condition
    known = F.size(F.array_compact(named)) == F.size(parts)
    return F.when(known, F.when(everybody, F.lit(EVERYBODY)).otherwise(several))


def is_generation(column: Col) -> Col:
    """Say whether a typed label names generations, or is Unknown."""
    return (
        (column == F.lit(UNKNOWN)) | (column == F.lit(EVERYBODY)) | (generation(column) == column)
    )


def count(text: Col) -> Col:
    """Read a count as bigint; null beyond two billion, so that adding up cannot overflow."""
    return v.small_number(text).cast("bigint")


def given(text: Col) -> Col:
    """Return a label as delivered; null if it stands for nothing."""
    return fields.given(text, NOTHING)


def labelled(text: Col) -> Col:
    """Return a label as delivered; Unknown if it stands for nothing."""
    return F.coalesce(given(text), F.lit(UNKNOWN))


def yes_no(text: Col) -> Col:
    """Write what says yes or no as Yes or No; anything else as delivered, null for nothing."""
    truth = v.boolean(text)
    return F.when(truth, F.lit("Yes")).when(~truth, F.lit("No")).otherwise(given(text))
