"""Types, units, labels and expectations shared by the datasets of the domain."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from lakehouse_assets.catalog.datasets import Dataset, Field, Rule
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

DOMAIN = "retail"
OWNER = "team:retail"
CURRENCY = "US dollars"
MONEY = "decimal(18,2)"
# Sources deliver up to three decimals, followed by floating-point noise.
FINE = "decimal(18,4)"
UNKNOWN = "Unknown"
# What sources write for "not given", in lower case.
NOTHING = ("null", "na", "n/a", "none", "unknown", "#n/a", "#name?", "#null!")
# Date formats of the sources.
DAYS = ("M/d/yyyy",)
dataset = partial(Dataset, domain=DOMAIN, owner=OWNER, nothing=NOTHING)
"""Declares a dataset of the domain."""
EVERYBODY = "All generations"
# Labels by the beginning of the delivered ones, in lower case and without blanks. The sources have
# a ? in place of the dash.
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


def label_by_beginning(lower: Col, labels: Mapping[str, str]) -> Col:
    """Return the label whose key a lower-case text starts with; null if there is none."""
    return v.first_of(*((lower.startswith(start), label) for start, label in labels.items()))


def generation(label: Col) -> Col:
    """Return the generations that a label lists, oldest first; null if it lists anything else.

    Several are joined by `; `; all of them become "All generations".
    """
    listed = F.regexp_replace(v.lower(label), r"[ ]+|;[ ]*\z", "")
    parts = F.split(listed, ";")
    named = F.transform(parts, lambda part: label_by_beginning(part, _GENERATIONS))
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


def generation_or_label(label: Col) -> Col:
    """Return the generations that a label lists; other labels are kept."""
    return F.coalesce(generation(label), label)


def count(name: str, description: str, source: str, unit: str = "count") -> Field:
    """Declare a count that fits a 32-bit integer, so that sums cannot overflow."""
    return Field(
        name, "bigint", description, source, parse=v.small_number, not_negative=True, unit=unit
    )


def label(
    name: str,
    description: str,
    source: str | None = None,
    labels: tuple[str, ...] = (),
    **declared: Any,
) -> Field:
    """Declare a label that is Unknown if it is not given."""
    return Field(name, "string", description, source, missing=UNKNOWN, labels=labels, **declared)


def with_day_of(moment: str, text: str, day: str) -> Rule:
    """Return the rule that adds the UTC day of a time as a column, read from its text."""

    def rule(frame: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
        date = v.parse_date(F.substring(F.col(text), 1, 10), "yyyy-MM-dd")
        known = F.when(F.col(moment).isNotNull(), date)
        return frame.select(*frame.columns, known.alias(day))

    return rule


def yes_no(given: Col) -> Col:
    """Normalise yes and no to Yes and No; anything else stays as delivered."""
    truth = v.boolean(given)
    return v.first_of((truth, "Yes"), (~truth, "No"), otherwise=given)


def _is_generation() -> Col:
    segment = F.col("customer_segment")
    return (
        (segment == F.lit(UNKNOWN))
        | (segment == F.lit(EVERYBODY))
        | (generation(segment) == segment)
    )


def _revenue_fits() -> Col:
    difference = F.abs(F.col("revenue") - F.col("quantity") * F.col("price"))
    # Sources store amounts as doubles, so their products are exact only to the cent.
    return difference <= F.lit("0.01").cast("decimal(18,4)")


SEGMENT_IS_KNOWN = Expectation(
    "customer_segment_is_known",
    "warn",
    f"customer_segment is one or more of {', '.join(GENERATIONS)}; {EVERYBODY}; or Unknown. Rows "
    "with other values are kept.",
    _is_generation,
)
REVENUE_FITS = Expectation(
    "revenue_is_quantity_times_price",
    "warn",
    "revenue equals quantity times price, to the cent.",
    _revenue_fits,
)
