"""Compares two models on the same rows with 95 % intervals: DeLong's for AUC, else bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy.typing as npt

    Values: TypeAlias = npt.NDArray[Any]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2_000
FEWEST_RESAMPLES: Final = 200
FEWEST_OF_A_SLICE: Final = 100
"""Fewest rows of a slice that is compared; with fewer, the interval is too wide."""

# Bounds the work: with more rows there are fewer resamples.
_MOST_DRAWS: Final = 20_000_000
_SEED: Final = 20_140_331


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


Estimate: TypeAlias = "Callable[[Values, Values, Values | None], Interval]"
"""Returns the metric of predictions; or, given other predictions, by how much the first are better.

Labels and predictions are arrays of numbers or text. A difference is positive if the first are
better, also for a metric of which less is better.
"""


@dataclass(frozen=True, eq=False)
class Comparison:
    """How a fit is compared with the champion, on rows that neither was fitted on.

    Attributes:
        metric: Name of the metric.
        prediction: Column of the spec's `scored` that is compared.
        estimate: Estimates the metric and its difference.
        not_worse_by: The fit replaces the champion unless it may be worse by more than this: the
            lower bound of the difference must exceed its negative. None: it must be better, with
            the lower bound above 0.
        slices: Features. The fit must not be clearly worse among the rows with any of their values.
    """

    metric: str
    prediction: str
    estimate: Estimate
    not_worse_by: float | None = None
    slices: tuple[str, ...] = ()

    @property
    def bound(self) -> float:
        """The value that the lower bound of the difference must exceed."""
        return 0.0 if self.not_worse_by is None else -self.not_worse_by

    @property
    def rule(self) -> str:
        """The rule in words."""
        if self.not_worse_by is None:
            return f"better in {self.metric} (the interval of the difference is above 0)"
        return (
            f"not worse by more than {self.not_worse_by:g} in {self.metric} (the interval of the "
            f"difference is above {self.bound:g})"
        )


def by_auc(
    prediction: str, *, not_worse_by: float | None = None, slices: tuple[str, ...] = ()
) -> Comparison:
    """Compare probabilities by the area under the ROC curve, with DeLong's intervals.

    The labels are 0 and 1, or booleans.
    """
    return Comparison("auc", prediction, auc_interval, not_worse_by, slices)


def by_metric(
    metric: str,
    function: Callable[[Values, Values, FloatArray], float],
    prediction: str,
    *,
    lower_is_better: bool = False,
    not_worse_by: float | None = None,
    slices: tuple[str, ...] = (),
) -> Comparison:
    """Compare predictions by any metric, with intervals of a counting bootstrap.

    Args:
        metric: Name of the metric.
        function: Returns it for labels, predictions, and how often each row is counted.
        prediction: Column of the spec's `scored` that is compared.
        lower_is_better: Whether it is an error.
        not_worse_by: As for `Comparison`.
        slices: As for `Comparison`.
    """
    estimate = partial(bootstrap_interval, function, lower_is_better=lower_is_better)
    return Comparison(metric, prediction, estimate, not_worse_by, slices)


def auc_interval(labels: Values, predictions: Values, others: Values | None = None) -> Interval:
    """Estimate an AUC, or the difference of two on the same rows (DeLong, DeLong 1988).

    Raises:
        LakehouseError: there are not at least two labels of either kind.
    """
    import numpy as np
    from scipy.stats import norm, rankdata

    ones = np.asarray(labels).astype(bool)
    count, zeros = int(ones.sum()), int((~ones).sum())
    if min(count, zeros) < 2:
        raise LakehouseError(
            f"An AUC needs at least two rows of each label, but there are {count} of label 1 and "
            f"{zeros} of label 0; give more labelled rows."
        )
    areas, of_ones, of_zeros = [], [], []
    for scores in [predictions] if others is None else [predictions, others]:
        ranks = rankdata(scores)
        # The share of rows with the other label that each row is ranked right against.
        right = (ranks[ones] - rankdata(scores[ones])) / zeros
        areas.append(float(right.mean()))
        of_ones.append(right)
        of_zeros.append(1.0 - (ranks[~ones] - rankdata(scores[~ones])) / count)
    value, first, second = areas[0], of_ones[0], of_zeros[0]
    if others is not None:
        value -= areas[1]
        first, second = first - of_ones[1], second - of_zeros[1]
    variance = np.var(first, ddof=1) / count + np.var(second, ddof=1) / zeros
    reach = float(norm.ppf((1.0 + CONFIDENCE) / 2.0) * np.sqrt(variance))
    return Interval(value, value - reach, value + reach)


def bootstrap_interval(
    function: Callable[[Values, Values, FloatArray], float],
    labels: Values,
    predictions: Values,
    others: Values | None = None,
    *,
    lower_is_better: bool = False,
) -> Interval:
    """Estimate a metric, or by how much it is better than for other predictions on the same rows.

    Rows are drawn with replacement, by counting how often each is drawn, the same ones for both
    models. The draws are seeded. Draws for which the metric is undefined are left out.
    """
    import numpy as np

    def estimate(counts: FloatArray) -> float:
        found = function(labels, predictions, counts)
        if others is None:
            return found
        gain = found - function(labels, others, counts)
        return -gain if lower_is_better else gain

    rows = len(labels)
    resamples = min(RESAMPLES, max(FEWEST_RESAMPLES, _MOST_DRAWS // max(rows, 1)))
    random = np.random.default_rng(_SEED)
    draws = (random.integers(rows, size=rows) for _ in range(resamples))
    found = [estimate(np.bincount(drawn, minlength=rows).astype(np.float64)) for drawn in draws]
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.nanquantile(found, [tail, 1.0 - tail])
    return Interval(estimate(np.ones(rows)), float(low), float(high))


def worse_slices(
    comparison: Comparison,
    features: Sequence[Values],
    labels: Values,
    predictions: Values,
    others: Values,
) -> dict[str, Interval]:
    """Return the slices in which predictions are clearly worse than others, with the difference.

    A slice is the rows with one value of a feature. It is clearly worse if the whole interval of
    its difference is below the comparison's bound.

    Args:
        comparison: The comparison.
        features: Values of each of its `slices`.
        labels: Labels.
        predictions: The predictions to judge.
        others: The predictions to compare them with.
    """
    found = {}
    for name, rows in _slices(comparison, features, labels):
        difference = comparison.estimate(labels[rows], predictions[rows], others[rows])
        if difference.high < comparison.bound:
            found[name] = difference
    return found


def estimates_by_slice(
    comparison: Comparison, features: Sequence[Values], labels: Values, predictions: Values
) -> dict[str, Interval]:
    """Return the metric of predictions for all rows and for each slice, with its interval."""
    found = {"all": comparison.estimate(labels, predictions, None)}
    for name, rows in _slices(comparison, features, labels):
        found[name] = comparison.estimate(labels[rows], predictions[rows], None)
    return found


def _slices(
    comparison: Comparison, features: Sequence[Values], labels: Values
) -> Iterator[tuple[str, Values]]:
    """Yield the names of slices that have enough rows and labels, and which rows they have."""
    import numpy as np

    for name, values in zip(comparison.slices, features, strict=True):
        for value in np.unique(values):
            rows = values == value
            if rows.sum() >= FEWEST_OF_A_SLICE and len(np.unique(labels[rows])) > 1:
                yield f"{name} {value}", rows
