"""How far a partition is from those before it: its rows, and the distribution of watched columns.

Belongs here: the two measures and their bounds. Not here: reading tables (`log_assets.py`).

The population stability index compares shares per bin: the sum of (p - q) ln(p / q). By the rule of
thumb of credit scoring, up to 0.1 nothing has changed and above 0.25 the population is another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from lakehouse_assets.engine import Col, F
from lakehouse_assets.lake.registry import Column

# How many partitions before one it is compared with, and how few are too few to know what is usual.
TRAILING = {"day": 28, "month": 6}
FEWEST = {"day": 5, "month": 3}
LEAST_RATIO, MOST_RATIO = 0.5, 2.0
MOST_PSI = 0.25
# Below this, shares jump by chance.
FEWEST_ROWS = 200
_NULL = "(null)"
_OTHER = "(other)"
_MOST_BINS = 50
_STEPS = (1, 2, 5)
_POWERS = range(10)


@dataclass(frozen=True)
class Drift:
    """One measure of one partition; columns as declared for `quality_drift`."""

    partition: date
    measure: str
    value: float | None
    current_rows: int
    reference_rows: int
    usual: bool | None


def bin_of(column: Column) -> Col:
    """Sort a column's values into bins: numbers by the series 1, 2, 5, 10 ..., text by itself."""
    value = F.col(column.name)
    if column.type in {"string", "boolean"}:
        return F.coalesce(value.cast("string"), F.lit(_NULL))
    edges = [step * 10**power for power in _POWERS for step in _STEPS]
    label = F.when(value.isNull(), F.lit(_NULL)).when(value < F.lit(0), F.lit("< 0"))
    for edge in edges:
        label = label.when(value < F.lit(edge), F.lit(f"< {edge}"))
    return label.otherwise(F.lit(f">= {edges[-1]}"))


def stability_index(current: Mapping[str, int], reference: Mapping[str, int]) -> float:
    """Compare two distributions by their counts per bin; an empty bin counts as half a row."""
    current, reference = _fewer(current, reference)
    bins = current.keys() | reference.keys()
    here = sum(current.values()) + 0.5 * len(bins)
    there = sum(reference.values()) + 0.5 * len(bins)
    total = 0.0
    # In a fixed order, so that the sum is the same to the last digit.
    for name in sorted(bins):
        p = (current.get(name, 0) + 0.5) / here
        q = (reference.get(name, 0) + 0.5) / there
        total += (p - q) * math.log(p / q)
    return total


def volume_drift(rows: Mapping[date, int], partition: date, grain: str) -> Drift:
    """Compare a partition's rows with the median of those before it."""
    before = _before(sorted(rows), partition, grain)
    counts = [rows[day] for day in before]
    middle = median(counts) if len(counts) >= FEWEST[grain] else 0
    value = rows[partition] / middle if middle else None
    usual = None if value is None else LEAST_RATIO <= value <= MOST_RATIO
    return Drift(partition, "rows", value, rows[partition], sum(counts), usual)


def distribution_drift(
    bins: Mapping[date, Mapping[str, int]], partition: date, grain: str, column: str
) -> Drift:
    """Compare a column's distribution with that of the partitions before it, taken together."""
    current = bins.get(partition, {})
    reference: dict[str, int] = {}
    for day in _before(sorted(bins), partition, grain):
        for name, number in bins[day].items():
            reference[name] = reference.get(name, 0) + number
    here, there = sum(current.values()), sum(reference.values())
    if min(here, there) < FEWEST_ROWS:
        return Drift(partition, column, None, here, there, None)
    value = stability_index(current, reference)
    return Drift(partition, column, value, here, there, value <= MOST_PSI)


def _before(days: Sequence[date], partition: date, grain: str) -> list[date]:
    return [day for day in days if day < partition][-TRAILING[grain] :]


def _fewer(
    current: Mapping[str, int], reference: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Keep the reference's largest bins apart and put the others together."""
    largest = sorted(reference, key=lambda name: (-reference[name], name))[:_MOST_BINS]
    sides = []
    for side in (current, reference):
        found: dict[str, int] = {}
        for name, number in side.items():
            key = name if name in largest or name == _NULL else _OTHER
            found[key] = found.get(key, 0) + number
        sides.append(found)
    return sides[0], sides[1]
