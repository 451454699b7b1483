"""Drawing values from a given distribution, and formatting dates as the sources do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Knots = Sequence[tuple[float, float]]


def day_number(day: date) -> int:
    """Return the days since 1970-01-01."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def month_after(start: date, months: int) -> date:
    """Return the first day of the month a number of months after the month of `start`."""
    index = start.year * 12 + start.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def us_date(day: date) -> str:
    """Format a date as M/d/yyyy without leading zeros, as in flight.csv."""
    return f"{day.month}/{day.day}/{day.year}"


def us_dates(days: Ints) -> pa.Array:
    """Format day numbers as M/d/yyyy, each distinct day once."""
    distinct, positions = np.unique(days, return_inverse=True)
    texts = [us_date(date(1970, 1, 1) + timedelta(days=int(day))) for day in distinct]
    return pa.array(texts, pa.string()).take(pa.array(positions))


def by_rank(scores: Floats, knots: Knots) -> Floats:
    """Map scores by rank onto the distribution given by quantile knots.

    Interpolation is logarithmic, because all these distributions are skewed to the right.
    """
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = (np.arange(len(scores)) + 0.5) / len(scores)
    shares, values = np.array(knots, dtype=np.float64).T
    spread: Floats = np.expm1(np.interp(ranks, shares, np.log1p(values)))
    return spread


def whole(values: Floats) -> Ints:
    """Round to whole numbers."""
    return np.rint(values).astype(np.int64)


def some_of(rng: np.random.Generator, size: int, share: float) -> Ints:
    """Pick a share of 0..size-1, at least one, so that small samples have rare dirt, too."""
    picked: Ints = rng.choice(size, max(1, round(size * share)), replace=False)
    return picked


def stratified(
    rng: np.random.Generator, weights: Sequence[float] | Floats, size: int
) -> NDArray[np.int16]:
    """Spread positions 0..len(weights)-1 over the size in proportion to the weights."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    # Even a small sample has the intended shares, in random order.
    even = (rng.permutation(size) + 0.5) / size
    drawn = np.searchsorted(cumulative, even * cumulative[-1], side="right")
    positions: NDArray[np.int16] = np.minimum(drawn, len(cumulative) - 1).astype(np.int16)
    return positions
