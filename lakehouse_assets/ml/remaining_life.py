"""How long machines will go on: window features of their readings, and boosted trees on them.

A machine's readings up to an hour, or cycle, give the features of a row. What is left of its life
is learnt up to a cap, because a machine that has hardly worn does not show when it will fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.ml.sampling import FloatArray
from lakehouse_assets.ml.trees import Trees, from_xgboost

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[Any]

# Readings count as whole multiples of this part of their unit, whose sums are exact in any order.
_PARTS: Final = 10_000
_DEPTH: Final = 3
# The number of trees is chosen among multiples of this.
_STEP: Final = 25
# How much larger than the least error that of a setting with less risk may be.
_TOLERANCE: Final = 1.01


@dataclass(frozen=True)
class Windows:
    """Windows that the features of a reading summarise, in units of time.

    Attributes:
        means: Lengths of the windows over which readings are averaged.
        slope: Length of the window of the trend.
        change: The change is the mean over this window less that of the machine's first `first`
            units; None for no such feature.
        first: See `change`.
        age: Whether the time since the machine's first reading is a feature.
    """

    means: tuple[int, ...]
    slope: int
    change: int | None = None
    first: int = 10
    age: bool = False

    def features(self, sensors: Sequence[str]) -> dict[str, str]:
        """Return the names of all features, each with the sensor it is about, or `age`."""
        found = {
            f"{sensor}{suffix}": sensor
            for sensor in sensors
            for suffix in (
                "", *(f"_mean_{length}" for length in self.means), f"_slope_{self.slope}",
                *(["_change"] if self.change else []),
            )
        }  # fmt: skip
        return found | ({"age": "age"} if self.age else {})


def window_features(
    readings: DataFrame, unit: Sequence[str], time: str, sensors: Sequence[str], windows: Windows
) -> DataFrame:
    """Add the features to readings, from what is known of each machine at the time.

    All sums are of whole numbers, so that each engine has the same features, to the last bit.

    Args:
        readings: One row per machine and time.
        unit: Columns of the machine.
        time: Column of the time: a whole number that rises by one from reading to reading; where
            readings are missing, windows have fewer.
        sensors: Columns of readings, which count in ten-thousandths.
        windows: The features.
    """
    start = f"_start_{time}"
    machine = W.partitionBy(*unit)
    readings = readings.withColumn(
        start, F.col(time).cast("bigint") - F.min(F.col(time).cast("bigint")).over(machine)
    )
    parts = {s: F.floor(F.col(s) * F.lit(_PARTS) + F.lit(0.5)).cast("bigint") for s in sensors}
    readings = v.staged(readings.withColumns({f"_{s}": part for s, part in parts.items()}))

    def summed(column: Col, length: int | None) -> Col:
        past = W.unboundedPreceding if length is None else 1 - length
        ordered = machine.orderBy(F.col(start).asc_nulls_last())
        return F.sum(column).over(ordered.rangeBetween(past, W.currentRow)).cast("double")

    def mean(column: Col, length: int | None) -> Col:
        return v.ratio(summed(column, length), summed(_known(column), length) * F.lit(_PARTS))

    found: dict[str, Col] = {}
    for sensor in sensors:
        given, when = F.col(f"_{sensor}"), F.col(start)
        found |= {f"{sensor}_mean_{length}": mean(given, length) for length in windows.means}
        known, times = _known(given), F.when(given.isNotNull(), when)
        count, moments = summed(known, windows.slope), summed(times, windows.slope)
        rise = count * summed(times * given, windows.slope) - moments * summed(given, windows.slope)
        spread = count * summed(times * times, windows.slope) - moments * moments
        slope = v.ratio(rise, spread * F.lit(_PARTS))
        # A single reading has no trend.
        found[f"{sensor}_slope_{windows.slope}"] = F.when(
            count > F.lit(0), F.coalesce(slope, F.lit(0.0))
        )
        if windows.change:
            first = mean(F.when(when < F.lit(windows.first), given), None)
            found[f"{sensor}_change"] = mean(given, windows.change) - first
    if windows.age:
        found["age"] = (F.col(start) + F.lit(1)).cast("double")
    names = [n for n in readings.columns if not n.startswith("_")]
    return v.staged(readings.withColumns(found).select(*names, *found))


def _known(column: Col) -> Col:
    return F.when(column.isNotNull(), F.lit(1))


@dataclass(frozen=True)
class LifeSettings:
    """Settings of a fit.

    Attributes:
        cap: The most that is predicted; a machine with more left counts as if it had this.
        horizon: "Fails soon" means that no more than this is left.
        seed: Seed of the folds and of the trees.
        folds: Folds of machines within those that are fitted.
        trees: Most trees; their number is chosen.
        cap_weights: Weights to choose from for rows at the cap, of which a machine has most.
        shifts: By how much to predict less than the trees say, to choose from.
    """

    cap: float
    horizon: float
    seed: int = 0
    folds: int = 4
    trees: int = 400
    cap_weights: tuple[float, ...] = (1.0, 0.25)
    shifts: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class LifeModel:
    """A fitted model as plain numbers; it needs NumPy only.

    Attributes:
        trees: Trees whose margin is what is left.
        cap: The most that is predicted.
        shift: Subtracted from the trees' margin.
        slope: The logit of failing soon is `slope` times what is predicted, plus `intercept`.
        intercept: See `slope`.
    """

    trees: Trees
    cap: float
    shift: float
    slope: float
    intercept: float

    def predict(self, features: FloatArray) -> FloatArray:
        """Return what is left of each row; NaN for a row that lacks a feature."""
        import numpy as np

        known = np.isfinite(features).all(axis=1)
        found = np.full(len(features), np.nan)
        found[known] = _within(self.trees.margins(features[known]) - self.shift, self.cap)
        return found

    def fails_soon(self, remaining: FloatArray) -> FloatArray:
        """Return the probability of failing within the horizon, given what is predicted."""
        import numpy as np

        return 1.0 / (1.0 + np.exp(-(self.slope * remaining + self.intercept)))


@dataclass(frozen=True, eq=False)
class FittedLife:
    """A fit.

    Attributes:
        model: The model.
        held_out: Prediction for each row by a fit on other machines.
        chosen: The chosen number of trees, weight at the cap, and shift.
        trials: Error and risk of each number of trees and weight, out of fold.
    """

    model: LifeModel
    held_out: FloatArray
    chosen: dict[str, float]
    trials: list[dict[str, float]]


def phm_score(remaining: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return the penalty of each prediction in the data challenge PHM08.

    A prediction that is too late counts more: exp(d / 10) - 1, with d what is predicted less what
    is left; one that is too early counts exp(-d / 13) - 1.
    """
    import numpy as np

    late = predicted - remaining
    # Beyond this, a sum of penalties would be infinite.
    return np.expm1(np.minimum(np.where(late < 0.0, late / -13.0, late / 10.0), 500.0))


def folds_of(units: Labels, folds: int, seed: int) -> Iterator[tuple[Labels, Labels]]:
    """Yield the rows to fit and the rows to predict, fold by fold; no machine is in both."""
    import numpy as np

    machines = np.unique(units)
    order = np.random.default_rng(seed).permutation(len(machines))
    for fold in range(min(folds, len(machines))):
        held = np.isin(units, machines[order[fold :: min(folds, len(machines))]])
        yield np.flatnonzero(~held), np.flatnonzero(held)


def fit_life(
    features: FloatArray,
    remaining: FloatArray,
    units: Labels,
    settings: LifeSettings,
    judged: FloatArray | None = None,
) -> FittedLife:
    """Fit a model; all choices are made by predictions of machines that a fit has not seen.

    The number of trees and the weight are those with the least error, together with the shift that
    has the least penalty among those whose error is no more than one per cent above it.

    Args:
        features: Rows by features, without gaps.
        remaining: Remaining life of each row.
        units: The machine of each row; at least two.
        settings: Settings.
        judged: How much each row counts in the choices; by default equally.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    weights = np.ones(len(features)) if judged is None else judged
    target = np.minimum(remaining, settings.cap)
    steps = np.arange(_STEP, settings.trees + 1, _STEP)
    splits = [*folds_of(units, settings.folds, settings.seed)]
    candidates: list[tuple[dict[str, float], FloatArray]] = []
    for weight in settings.cap_weights:
        margins = np.empty((len(steps), len(features)))
        for fitted, held in splits:
            trees = _boost(features[fitted], target[fitted], settings, weight, settings.trees)
            for place, step in enumerate(steps):
                margins[place, held] = trees.inplace_predict(
                    features[held], iteration_range=(0, int(step))
                )
        # The number of trees is the one with the least error, before any shift.
        errors = [_judge(m, target, weights, settings.cap)[0] for m in margins]
        best = int(np.argmin(errors))
        for shift in settings.shifts:
            error, risk = _judge(margins[best] - shift, target, weights, settings.cap)
            candidates.append((
                {"trees": float(steps[best]), "cap_weight": weight, "shift": shift,
                 "rmse": error, "phm": risk},
                margins[best],
            ))  # fmt: skip
    bound = min(trial["rmse"] for trial, _ in candidates) * _TOLERANCE
    chosen, margin = min(
        (found for found in candidates if found[0]["rmse"] <= bound), key=lambda f: f[0]["phm"]
    )
    held_out = _within(margin - chosen["shift"], settings.cap)
    soon = remaining <= settings.horizon
    # If all rows are alike, the probability is as near to 0 or 1 as so many of them allow.
    slope, intercept = 0.0, float(np.log1p(len(soon)) * (1.0 if soon.all() else -1.0))
    if 0.0 < soon.mean() < 1.0:
        curve = LogisticRegression(C=1e6).fit(held_out[:, None], soon)
        slope, intercept = float(curve.coef_[0, 0]), float(curve.intercept_[0])
    booster = _boost(features, target, settings, chosen["cap_weight"], int(chosen["trees"]))
    model = LifeModel(
        from_xgboost(booster, _DEPTH), settings.cap, chosen["shift"], slope, intercept
    )
    return FittedLife(model, held_out, chosen, [trial for trial, _ in candidates])


def _boost(
    features: FloatArray, target: FloatArray, settings: LifeSettings, weight: float, trees: int
) -> Any:
    import numpy as np
    import xgboost

    weights = np.where(target >= settings.cap, weight, 1.0)
    return xgboost.train(
        {
            "objective": "reg:squarederror",
            "max_depth": _DEPTH,
            "eta": 0.05,
            "subsample": 0.7,
            "colsample_bytree": 0.3,
            "min_child_weight": 5,
            "nthread": 1,
            "seed": settings.seed,
        },
        xgboost.DMatrix(features, target, weight=weights, nthread=1),
        trees,
    )


def _judge(
    margins: FloatArray, target: FloatArray, weights: FloatArray, cap: float
) -> tuple[float, float]:
    """Return the root of the mean squared error, and the mean penalty."""
    import numpy as np

    found = _within(margins, cap)
    error = np.average((found - target) ** 2, weights=weights)
    return float(np.sqrt(error)), float(np.average(phm_score(target, found), weights=weights))


def _within(remaining: FloatArray, cap: float) -> FloatArray:
    import numpy as np

    return np.clip(remaining, 0.0, cap)
