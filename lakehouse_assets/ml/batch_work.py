"""What models do with the rows of an Arrow batch, beside the rows, with NumPy and PyArrow alone.

Does not belong here: passing them to an engine, anything of scikit-learn
or of this project that its workers would need.

Sums are exact: engines add up parts of a table in the order in which they come, and a sum of
rounded sums would come out a little different every time. Everything else is worked out row by
row, in a fixed order of the features, so that it does not depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from lakehouse_assets.ml.silhouettes import FloatArray, silhouette_of_rows

if TYPE_CHECKING:
    import pyarrow as pa

Codes: TypeAlias = npt.NDArray[np.intp]
Measure: TypeAlias = Callable[[FloatArray], Iterable[tuple[Codes, FloatArray]]]
"""Of some rows, one pair for each table of sums: the group of each row, and what to add up."""

SUM_UNIT: Final = 2.0**-60
"""Exact sums are whole multiples of this; smaller parts of a number are dropped."""

# So many rows of distances are in memory at once. The sums below rely on it.
_ROWS: Final = 16_384
# A number is cut into three whole ones of 35 bits, the first worth 2^10: 16,384 of them add up to
# less than 2^53, below which doubles hold every whole number.
_DIGITS: Final = 3
_DIGIT_BITS: Final = 35
_FIRST_UNIT: Final = 2.0**10


def feature_matrix(batch: pa.RecordBatch) -> FloatArray:
    """Return a batch of numbers of any type as doubles; what is null is not a number."""
    import pyarrow
    from pyarrow import compute

    features = np.empty((batch.num_rows, batch.num_columns))
    for place, column in enumerate(batch.columns):
        # Text between, because a decimal is not always made a double to the nearest.
        if pyarrow.types.is_decimal(column.type):
            column = column.cast(pyarrow.string())
        numbers = column.cast(pyarrow.float64(), safe=False)
        features[:, place] = compute.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False)
    return features


def nearest(rows: FloatArray, centres: FloatArray) -> tuple[Codes, FloatArray]:
    """Return the nearest centre of each row, the first of equal ones, and its squared distance."""
    codes = np.zeros(len(rows), dtype=np.intp)
    found = np.zeros(len(rows))
    for start in range(0, len(rows), _ROWS):
        block = slice(start, start + _ROWS)
        part = rows[block]
        distances = np.zeros((len(part), len(centres)))
        for place in range(rows.shape[1]):
            distances += (part[:, place, None] - centres[None, :, place]) ** 2
        codes[block] = distances.argmin(axis=1)
        found[block] = distances.min(axis=1)
    return codes, found


def adding_up(
    names: Sequence[str], shapes: Sequence[tuple[int, int]], measure: Measure, result: pa.Schema
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Make a function that adds up exactly what is measured on the rows of batches.

    It raises a ValueError if a row lacks a number.

    Args:
        names: The columns of a batch, for the message.
        shapes: Groups and columns of each table of sums.
        measure: What to add up.
        result: One column of text: the sums in units of `SUM_UNIT`, blanks between.
    """
    columns = list(names)

    def add(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow

        totals: list[Any] = [np.full(shape, 0, dtype=object) for shape in shapes]
        for batch in batches:
            features = feature_matrix(batch)
            finite = np.isfinite(features).all(axis=0)
            if not finite.all():
                bad = ", ".join(columns[place] for place in np.flatnonzero(~finite))
                raise ValueError(f"{bad}: missing or infinite values")
            for start in range(0, len(features), _ROWS):
                tables = measure(features[start : start + _ROWS])
                for place, (codes, values) in enumerate(tables):
                    totals[place] = totals[place] + exact_sums(codes, values, len(totals[place]))
        text = " ".join(str(number) for total in totals for number in total.ravel())
        yield pyarrow.RecordBatch.from_arrays([pyarrow.array([text])], schema=result)

    return add


def exact_sums(codes: Codes, values: FloatArray, groups: int) -> npt.NDArray[np.object_]:
    """Add up the rows of each group, in units of `SUM_UNIT`; at most 16,384 rows below 2^44."""
    indicator = np.zeros((groups, len(codes)))
    indicator[codes, np.arange(len(codes))] = 1.0
    left = values / _FIRST_UNIT
    total = np.full((groups, values.shape[1]), 0, dtype=object)
    for _ in range(_DIGITS):
        # Taking the whole part off and moving the point are exact.
        whole = np.trunc(left)
        digit = (indicator @ whole).astype(np.int64).astype(object)
        total = total * 2**_DIGIT_BITS + digit
        left = (left - whole) * 2.0**_DIGIT_BITS
    # The first digit was worth 2^10, the last one 2^-60.
    return total


def moments(lows: FloatArray, units: FloatArray) -> Measure:
    """Measure, of numbers made small, one, themselves and their squares; all rows are one group."""

    def measure(rows: FloatArray) -> Iterable[tuple[Codes, FloatArray]]:
        small = (rows - lows) * units
        ones = np.ones((len(rows), 1))
        yield np.zeros(len(rows), dtype=np.intp), np.hstack([ones, small, small * small])

    return measure


def tallies(means: FloatArray, scales: FloatArray, models: Sequence[FloatArray]) -> Measure:
    """Measure, by nearest centre of each model, one, the row, its square and its distance."""

    def measure(rows: FloatArray) -> Iterable[tuple[Codes, FloatArray]]:
        treated = (rows - means) / scales
        squares = _squares(treated)
        for centres in models:
            codes, distances = nearest(treated, centres)
            ones = np.ones(len(rows))
            yield codes, np.column_stack([ones, treated, squares, distances])

    return measure


def separations(
    means: FloatArray,
    scales: FloatArray,
    models: Sequence[tuple[FloatArray, FloatArray, FloatArray, FloatArray]],
) -> Measure:
    """Measure each row's squared-Euclidean silhouette in each model; all rows are one group.

    A model is its centres, and of each cluster, in their order, the number of rows (at least one),
    their mean and their mean square.
    """

    def measure(rows: FloatArray) -> Iterable[tuple[Codes, FloatArray]]:
        treated = (rows - means) / scales
        squares = _squares(treated)
        everyone = np.zeros(len(rows), dtype=np.intp)
        for centres, sizes, middles, mean_squares in models:
            codes, _ = nearest(treated, centres)
            distances = squares[:, None] + mean_squares - 2.0 * _products(treated, middles)
            # Rounding can push the distance between equal rows just below zero.
            np.maximum(distances, 0.0, out=distances)
            yield everyone, silhouette_of_rows(distances * sizes, codes, sizes)[:, None]

    return measure


def _squares(rows: FloatArray) -> FloatArray:
    total = np.zeros(len(rows))
    for place in range(rows.shape[1]):
        total += rows[:, place] * rows[:, place]
    return total


def _products(rows: FloatArray, others: FloatArray) -> FloatArray:
    total = np.zeros((len(rows), len(others)))
    for place in range(rows.shape[1]):
        total += rows[:, place, None] * others[None, :, place]
    return total
