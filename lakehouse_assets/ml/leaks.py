"""Find out whether an evaluation saw answers: leaking columns, resampled rows, implausible results.

Each finding is a sentence. Honest evaluations have none; one that has any is not to be believed
until it is explained.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lakehouse_assets.ml.sampling import FloatArray, some_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

REVEALING_AUC: Final = 0.95
"""A column that alone separates the labels this well is taken for a copy of them."""

PERFECT_AUC: Final = 0.98
"""A result this good is taken for a leak that no single column explains."""

# Standard errors. Honest splits of the reference's customers reach 2.6 for neighbours, oversampled
# or edited ones begin at 7; random forests on oversampled rows gain 9 on a logistic regression.
_NEIGHBOURS: Final = 5.0
_GAIN: Final = 4.0
_LUCK: Final = 3.0
# On few rows, a model as good as this may have any AUC.
_PLAUSIBLE_AUC: Final = 0.9
# Bounds of the work; more rows than these are sampled.
_MOST_HELD_OUT: Final = 2_000
_MOST_TRAINED: Final = 100_000
_BINS: Final = 20
# Text with more values than these is no category; it is left out of distances.
_MOST_VALUES: Final = 100


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A split: rows as tables of numbers and text, and labels of 0 and 1.

    Attributes:
        trained: Rows that models were fitted on.
        trained_labels: Their labels.
        rows: Rows that models are tested on.
        labels: Their labels.
    """

    trained: pa.Table
    trained_labels: npt.NDArray[np.int64]
    rows: pa.Table
    labels: npt.NDArray[np.int64]


def revealing_columns(rows: pa.Table, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return the columns that alone nearly determine the labels, with their AUC.

    A column predicts each half of the rows by the mean label of its values, or of twenty quantiles
    if it has numbers, in the other half; so identifiers reveal nothing.

    Args:
        rows: Columns of text or numbers; text is read as numbers if all of it can be.
        labels: Labels of 0 and 1.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    half = np.random.default_rng(0).permutation(len(labels)) % 2
    found = {}
    for name in rows.column_names:
        codes = _codes(rows[name])
        predicted = np.empty(len(labels))
        for side in (0, 1):
            given, asked = half != side, half == side
            counts = np.bincount(codes[given], minlength=codes.max() + 1)
            ones = np.bincount(codes[given], labels[given], minlength=codes.max() + 1)
            # Shrunk towards the mean, which values that the other half has not get.
            means = (ones + labels[given].mean()) / (counts + 1.0)
            predicted[asked] = means[codes[asked]]
        area = float(roc_auc_score(labels, predicted))
        if area >= REVEALING_AUC:
            found[name] = area
    return found


def neighbour_excess(split: HeldOut, probabilities: FloatArray, identical: bool = False) -> float:
    """Return by how much the labels of neighbours agree beyond what a smooth model explains.

    Each held-out row is compared with the nearest row that models were fitted on. In an honest
    split the label of that row says no more than the probability does. It does if rows were
    repeated, synthesised or edited by their neighbours before the split.

    Args:
        split: The split.
        probabilities: Probabilities of label 1 of the held-out rows, by a model too smooth to
            memorise single rows.
        identical: Whether to compare only rows that have an identical one.

    Returns:
        The excess in standard errors; 0 if there are no such rows.
    """
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    held = some_rows(len(split.labels), _MOST_HELD_OUT)
    seen = some_rows(len(split.trained_labels), _MOST_TRAINED)
    points = _points(split.trained.take(seen), split.rows.take(held))
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points[: len(seen)])
    distance, nearest = search.kneighbors(points[len(seen) :])
    # Bounded, so that no single pair of rows is evidence enough.
    expected = np.clip(probabilities[held], 0.05, 0.95)
    weight = split.trained_labels[seen][nearest[:, 0]] - expected
    if identical:
        weight = np.where(distance[:, 0] < 1e-6, weight, 0.0)
    variance = float((expected * (1.0 - expected) * weight**2).sum())
    surplus = float(((split.labels[held] - expected) * weight).sum())
    return surplus / math.sqrt(variance) if variance else 0.0


def findings(
    split: HeldOut,
    probabilities: Mapping[str, FloatArray],
    smooth: str,
    reference: str,
) -> list[str]:
    """Return what is suspicious about a split and the results on it, a sentence each.

    Args:
        split: The split.
        probabilities: Probabilities of label 1 of the held-out rows, by model.
        smooth: The model of these that is too smooth to memorise single rows.
        reference: The model of these that no result should exceed by far: a simple one.
    """
    from sklearn.metrics import roc_auc_score

    found = []
    for identical, what in ((True, "identical"), (False, "nearly identical")):
        excess = neighbour_excess(split, probabilities[smooth], identical)
        if excess > _NEIGHBOURS:
            found.append(
                f"held-out rows agree with {what} rows of the training part {excess:.0f} standard "
                "errors more than chance explains: rows were repeated, resampled or edited before "
                "the split"
            )
            break
    areas = {n: float(roc_auc_score(split.labels, p)) for n, p in probabilities.items()}
    limit = areas[reference] + _GAIN * auc_error(areas[reference], split.labels)
    for name, area in areas.items():
        lucky = _PLAUSIBLE_AUC + _LUCK * auc_error(_PLAUSIBLE_AUC, split.labels)
        if area >= max(PERFECT_AUC, lucky):
            found.append(f"the AUC of {name}, {area:.3f}, is too good to be true")
        elif area > limit:
            found.append(
                f"the AUC of {name}, {area:.3f}, is implausibly far above that of {reference}, "
                f"{areas[reference]:.3f}"
            )
    return found


def auc_error(area: float, labels: npt.NDArray[np.int64]) -> float:
    """Return the standard error of an AUC on one split (Hanley and McNeil)."""
    ones = int(labels.sum())
    zeros = len(labels) - ones
    both, twice = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    square = (
        area * (1.0 - area) + (ones - 1) * (both - area**2) + (zeros - 1) * (twice - area**2)
    ) / (ones * zeros)
    return math.sqrt(max(square, 0.0))


def units_in_both(trained: Collection[object], judged: Collection[object], what: str) -> list[str]:
    """Return a sentence if machines, or whatever `what` is, are in both parts of a split.

    Rows of one machine resemble each other, so a model that has seen some of them is not judged by
    the others.

    Args:
        trained: The machine of each row that models were fitted on.
        judged: The machine of each row that they were judged on.
        what: Their plural noun, such as "engines".
    """
    known = set(judged)
    both = known.intersection(trained)
    if not both:
        return []
    return [
        f"{len(both)} of {len(known)} {what} that are held out have rows in the training part, "
        f"too: split by {what}, not by rows"
    ]


def repeated(keys: Sequence[object]) -> Collection[object]:
    """Return keys that several rows have."""
    from collections import Counter

    return [key for key, count in Counter(keys).items() if key is not None and count > 1]


def _numbers(column: pa.ChunkedArray) -> FloatArray | None:
    """Return a column as numbers, with NaN for null; None if it has other text."""
    import numpy as np
    import pyarrow as pa

    try:
        values = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    numbers: FloatArray = values.to_numpy().astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return whole numbers for the values of a column: numbers by quantile, text by value."""
    import numpy as np

    numbers = _numbers(column)
    if numbers is None:
        return np.unique(column.fill_null("").to_numpy().astype(str), return_inverse=True)[1]
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return np.zeros(len(numbers), np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    # NaN is sorted behind all edges; it gets a code of its own.
    return np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, "right"))


def _points(trained: pa.Table, rows: pa.Table) -> FloatArray:
    """Return rows as points: standardised numbers, and an axis for each value of text."""
    import numpy as np
    import pyarrow as pa

    both = pa.concat_tables([trained, rows])
    axes = []
    for column in both.columns:
        numbers = None if pa.types.is_string(column.type) else _numbers(column)
        if numbers is None:
            codes = _codes(column)
            if codes.max() < _MOST_VALUES:
                axes.append(np.eye(codes.max() + 1)[codes])
            continue
        known = np.isfinite(numbers)
        middle, scale = (numbers[known].mean(), numbers[known].std()) if known.any() else (0, 1)
        axes.append(np.where(known, (numbers - middle) / (scale or 1.0), 0.0)[:, None])
    return np.hstack(axes)
