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
# What begins a delivered label, in small letters, and the label; the source's ? stands for a dash.
GENERATIONS = {
    "boomer;": EVERYBODY,
    "baby boomers": "Baby Boomers (45\u201360s)",
    "gen x": "Gen X (60\u201380s)",
    "gen y": "Gen Y (80\u20132000s)",
    "gen z": "Gen Z (2000s\u2013now)",
}
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
