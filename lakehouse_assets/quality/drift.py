"""Drift of a partition from earlier ones: its rows, and the distribution of watched columns.

The population stability index compares shares per bin: the sum of (p - q) ln(p / q). By a rule of
thumb from credit scoring, a value up to 0.1 means no change, and above 0.25 another population.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import TypeAlias

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine import Col, F

# Most partitions to compare one with; `FEWEST` are needed to know what is usual.
TRAILING = {"day": 28, "month": 6}
# Most partitions in one distribution; just one snapshot, since two would hold the same members.
POOLED = {"day": 28, "month": 1}
FEWEST = {"day": 5, "month": 3}
LEAST_RATIO, MOST_RATIO = 0.5, 2.0
MOST_PSI = 0.25
# For inputs and scores of models, which are sensitive to smaller changes; see `persists`.
MOST_MODEL_PSI = 0.1
# Below this, shares jump by chance.
FEWEST_ROWS = 200
_NULL = "(null)"
_OTHER = "(other)"
_MOST_BINS = 50
# With fewer expected rows in a bin, the logarithm of its share depends more on chance than change.
_LEAST_EXPECTED = 12
_POWERS = range(-2, 16)
Bucket: TypeAlias = float | str | None
Counts: TypeAlias = Mapping[Bucket, int]


@dataclass(frozen=True)
class Drift:
    """One measure of one partition; columns as declared for `quality_drift`."""

    partition: date
    measure: str
    value: float | None
    current_rows: int
    reference_rows: int
    usual: bool | None


def bucket_of(column: Column) -> Col:
    """Group a column's values: cut numbers to three significant digits, as a double.

    Text and booleans stay as they are, as text.
    """
    value = F.col(column.name)
    if column.type in {"string", "boolean"}:
        return value.cast("string")
    number = value.cast("double")
    size = F.abs(number)
    cut = F.when(number.isNull(), F.lit(None).cast("double"))
    for power in _POWERS:
        step = 10.0 ** (2 - power)
        cut = cut.when(
            size < F.lit(10.0 ** (power + 1)),
            (F.floor(size * F.lit(step)).cast("double") / F.lit(step)),
        )
    sign = F.when(number < F.lit(0.0), F.lit(-1.0)).otherwise(F.lit(1.0))
    return cut.otherwise(size) * sign


def compared(
    rows: Mapping[date, int], partition: date, grain: str
) -> tuple[list[date], list[date]]:
    """Choose the partitions of a distribution, and those that it is compared with.

    Args:
        rows: Rows by partition.
        partition: The partition in question.
        grain: `day` or `month`.

    Returns:
        The partition with as many before it as `FEWEST_ROWS` needs, and the partitions before them.
    """
    days = [day for day in sorted(rows) if day <= partition]
    number = 1
    while number < min(POOLED[grain], len(days)) and (
        sum(rows[day] for day in days[-number:]) < FEWEST_ROWS
    ):
        number += 1
    return days[-number:], days[:-number][-TRAILING[grain] :]


def stability_index(current: Mapping[str, int], reference: Mapping[str, int]) -> float:
    """Compare two distributions by their counts per bin; an empty bin counts as half a row."""
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
    counts: Mapping[date, Counts],
    partition: date,
    grain: str,
    column: str,
    most: float = MOST_PSI,
) -> Drift:
    """Compare a column's distribution with that of the partitions before it, taken together.

    Numbers are binned by the deciles of the earlier partitions. A value is unusual if it is
    above both `most` and what two samples of one population exceed in one of a thousand
    comparisons.

    Args:
        counts: By partition, how often each value of `bucket_of` occurs.
        partition: The partition in question.
        grain: `day` or `month`.
        column: Name of the column.
        most: The index up to which any number of rows is usual.
    """
    rows = {day: sum(found.values()) for day, found in counts.items()}
    days, before = compared(rows, partition, grain)
    current, reference = (_together(counts[day] for day in part) for part in (days, before))
    here, there = sum(current.values()), sum(reference.values())
    if min(here, there) < FEWEST_ROWS:
        return Drift(partition, column, None, here, there, None)
    edges = _tenths(reference)
    sides = _fewer(_labelled(current, edges), _labelled(reference, edges))
    value = stability_index(*sides)
    bound = max(most, _by_chance(len(sides[0].keys() | sides[1].keys()), here, there))
    return Drift(partition, column, value, here, there, value <= bound)


def persists(found: Sequence[Drift]) -> bool:
    """Return whether a measure is unusual in its newest partition and in one of two before it.

    A value far beyond what a model tolerates, above `MOST_PSI`, needs no second partition.

    Args:
        found: The drift of one measure, by partition.
    """
    *before, newest = sorted(found, key=lambda drift: drift.partition)[-3:]
    if newest.usual is not False:
        return False
    far = newest.value is not None and newest.value > MOST_PSI
    return far or any(drift.usual is False for drift in before)


def _together(parts: Iterable[Counts]) -> Counter[Bucket]:
    total: Counter[Bucket] = Counter()
    for part in parts:
        total.update(part)
    return total


def _tenths(counts: Counts) -> list[float]:
    """Return the deciles of the numbers: the values that separate tenths of the rows."""
    numbers = sorted((v, n) for v, n in counts.items() if isinstance(v, float))
    rows = sum(n for _, n in numbers)
    edges: list[float] = []
    reached = 0
    for value, number in numbers:
        before, reached = reached, reached + number
        if before * 10 // rows < reached * 10 // rows < 10:
            edges.append(value)
    return edges


def _labelled(counts: Counts, edges: Sequence[float]) -> dict[str, int]:
    """Count rows by bin: the decile of a number, or the text itself."""
    found: Counter[str] = Counter()
    for value, number in counts.items():
        if value is None:
            found[_NULL] += number
        elif isinstance(value, float):
            found[f"tenth {bisect_left(edges, value):02}"] += number
        else:
            found[value] += number
    return found


def _by_chance(bins: int, here: int, there: int) -> float:
    """Return what the index of two samples of one population exceeds once in a thousand cases.

    The index is then approximately chi-squared, times the sum of the samples' reciprocal sizes; the
    quantile is by Wilson and Hilferty's approximation.
    """
    freedom = bins - 1
    if freedom < 1:
        return 0.0
    quantile = freedom * (1 - 2 / (9 * freedom) + 3.0902 * math.sqrt(2 / (9 * freedom))) ** 3
    return quantile * (1 / here + 1 / there)


def _before(days: Sequence[date], partition: date, grain: str) -> list[date]:
    return [day for day in days if day < partition][-TRAILING[grain] :]


def _fewer(
    current: Mapping[str, int], reference: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Keep the bins in which enough rows are expected, and merge the others into one."""
    share = min(sum(current.values()) / max(sum(reference.values()), 1), 1.0)
    expected = [name for name in reference if reference[name] * share >= _LEAST_EXPECTED]
    largest = set(sorted(expected, key=lambda name: (-reference[name], name))[:_MOST_BINS])
    sides = []
    for side in (current, reference):
        found: dict[str, int] = {}
        for name, number in side.items():
            key = name if name in largest or name == _NULL else _OTHER
            found[key] = found.get(key, 0) + number
        sides.append(found)
    return sides[0], sides[1]
