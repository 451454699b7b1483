"""The forecast of weekly sales by store and brand: boosted trees, calibrated by promotion.

A forecast starts from what the series sold in earlier weeks with a similar price and promotion,
with more weight on recent weeks; trees predict how much the week will differ from that. The factor
of a forecast and its interval come from earlier forecasts, by promotion state, because promoted
weeks are far less certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

STATES: Final = ("none", "deal", "feature")
"""Promotion states of a week: the brand is advertised, else reduced, else neither."""

TAIL: Final = 0.095
"""Share of the weeks beyond either bound of an interval: 80 % are within it, and a little more
because sales change."""

BIAS_GUARD: Final = 0.1
"""Most of a state's volume that a factor below 1 may leave out of its forecasts."""

HORIZONS: Final = (2, 3)
"""Numbers of weeks ahead that trees learn to forecast, as in the public protocol."""

FIRST_TARGET: Final = 26
"""Number of the first week that trees learn from: earlier ones have too little history."""

_RECENT: Final = 8
_HALF_YEAR: Final = 26
_YEAR: Final = 52
# How fast a past week counts less: with its age in weeks, the difference of logarithms of the
# price, and the difference of feature (deal counts half); for each of two views of the past.
_LIKENESS: Final = ((40.0, 0.08, 1.5), (12.0, 0.15, 1.0))
# With fewer earlier forecasts of a state than this, those of all states calibrate it: the quantiles
# of so few are not far enough out.
_FEWEST_CALIBRATED: Final = 10


@dataclass(frozen=True, eq=False)
class Panel:
    """Weekly sales of series; the arrays are stores by brands by weeks, without gaps in the weeks.

    Attributes:
        first_week: Number of the first week.
        units: Units sold; NaN in weeks without a row.
        price: Price per unit, also of weeks ahead; NaN if unknown.
        deal: 1 if the price was reduced, else 0; NaN if unknown.
        feature: Share of the week in which the brand was advertised; NaN if unknown.
    """

    first_week: int
    units: FloatArray
    price: FloatArray
    deal: FloatArray
    feature: FloatArray

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Panel:
        """Arrange rows, each a store, brand and week: weeks without a row become NaN.

        Args:
            columns: `store`, `brand`, `week` (whole number), `units`, `price`, `deal`, `feature`.
        """
        import numpy as np

        stores, store = np.unique(np.asarray(columns["store"]), return_inverse=True)
        brands, brand = np.unique(np.asarray(columns["brand"]), return_inverse=True)
        week = np.asarray(columns["week"], np.int64)
        first = int(week.min())
        shape = (len(stores), len(brands), int(week.max()) - first + 1)

        def cube(name: str) -> FloatArray:
            found = np.full(shape, np.nan)
            found[store, brand, week - first] = columns[name]
            return found

        cubes = (cube(name) for name in ("units", "price", "deal", "feature"))
        return cls(first, *cubes)

    @property
    def weeks(self) -> int:
        """Number of weeks, from the first to the last."""
        return int(self.units.shape[2])

    def states(self, week: int) -> Ints:
        """Return the promotion state of each series in a week, as places in `STATES`."""
        import numpy as np

        featured, reduced = self.feature[:, :, week] > 0, self.deal[:, :, week] > 0
        return np.where(featured, 2, np.where(reduced, 1, 0)).ravel()


@dataclass(frozen=True)
class ForecastSettings:
    """Settings of a fit.

    Attributes:
        seed: Seed of the trees.
        trees: Number of trees.
        learning_rate: Their learning rate.
        depth: Their depth.
    """

    seed: int = 1
    trees: int = 100
    learning_rate: float = 0.1
    depth: int = 6


class Features:
    """The inputs of the trees.

    They know a series' sales up to a forecast's origin, and the price, deal and feature of the week
    that is forecast.
    """

    def __init__(self, panel: Panel) -> None:
        """Compute what all weeks share."""
        import numpy as np

        self.panel = panel
        sold = self.sold = np.log1p(panel.units)
        self.price = np.log(panel.price)
        featured, reduced = panel.feature > 0, panel.deal > 0
        self._means = [_mean(sold, weeks) for weeks in (_RECENT, 4, 13, _HALF_YEAR, _YEAR)]
        self._means += [
            _mean(np.where(chosen, sold, np.nan), weeks)
            for chosen, weeks in (
                (~featured, _HALF_YEAR),
                (featured, _YEAR),
                (reduced & ~featured, _YEAR),
                (~reduced & ~featured, _HALF_YEAR),
            )
        ]
        self._usual_price = _mean(self.price, _HALF_YEAR)
        self._above = sold - self._means[4]
        self._known: dict[tuple[int, int], tuple[FloatArray, FloatArray]] = {}

    def of(self, week: int, origin: int) -> tuple[FloatArray, FloatArray]:
        """Return the features of all series in a week, and the logarithms that they start from.

        Args:
            week: The week to forecast, counted from the panel's first.
            origin: The last week whose sales are known.

        Returns:
            One row per series (stores by brands) and column; and a start per series, which is NaN
            for a series that sold nothing recently or has no plan for the week.
        """
        found = self._known.get((week, origin))
        if found is None:
            found = self._known[week, origin] = self._of(week, origin)
        return found

    def _of(self, week: int, origin: int) -> tuple[FloatArray, FloatArray]:
        """Compute what `of` returns."""
        import numpy as np

        panel = self.panel
        shape = panel.units.shape[:2]
        recent, *means = (mean[:, :, origin] for mean in self._means)
        like, weights = self._like(week, origin, _LIKENESS[0])
        newer, _ = self._like(week, origin, _LIKENESS[1])
        above = self._above[:, :, : origin + 1]
        pooled = _ratio(
            (weights * np.nan_to_num(above)).sum((0, 2)),
            np.where(np.isnan(above), 0.0, weights).sum((0, 2)),
        )
        price = self.price[:, :, week]
        change = price - self._usual_price[:, :, origin]
        feature, deal = panel.feature[:, :, week], panel.deal[:, :, week]
        level = self.sold[:, :, origin] - self._means[3][:, :, origin]
        lately = self.sold[:, :, max(origin - 3, 0) : origin + 1] - self._means[3][:, :, [origin]]
        columns = [
            *(mean - recent for mean in means),
            recent,
            like - recent,
            newer - recent,
            pooled[None] + self._means[4][:, :, origin] - recent,
            np.log(weights.sum(2) + 1e-6),
            price,
            change,
            deal,
            feature,
            _lowest(change),
            _average(change, 1),
            price - _average(price, 1),
            price - _lowest(price),
            np.nansum(feature, 1, keepdims=True),
            np.nansum(deal, 1, keepdims=True),
            *(change[:, [brand]] for brand in range(shape[1])),
            _average(level, 0),
            _average(lately.reshape(shape[0], -1), 1),
            np.arange(shape[0])[:, None],
            np.arange(shape[1])[None],
            np.full((1, 1), week - origin),
        ]
        stacked = np.stack([np.broadcast_to(column, shape) for column in columns], -1)
        start = np.where(np.isnan(like), recent, like).ravel()
        return stacked.reshape(start.size, -1).astype(np.float32), start

    def _like(
        self, week: int, origin: int, likeness: tuple[float, float, float]
    ) -> tuple[FloatArray, FloatArray]:
        """Return the mean of each series' past, by how alike its weeks are; and their weights."""
        import numpy as np

        age, price, promotion = likeness
        past = slice(origin + 1)
        panel = self.panel

        def apart(values: FloatArray) -> FloatArray:
            return np.abs(values[:, :, [week]] - values[:, :, past])

        unlike = (
            np.arange(origin, -1, -1) / age
            + apart(self.price) / price
            + promotion * (apart(panel.feature) + apart(panel.deal) / 2.0)
        )
        sold = self.sold[:, :, past]
        weights = np.where(np.isnan(sold), 0.0, np.nan_to_num(np.exp(-unlike)))
        return _ratio((weights * np.nan_to_num(sold)).sum(2), weights.sum(2)), weights


def _mean(values: FloatArray, weeks: int) -> FloatArray:
    """Return the mean of the last weeks up to each week; weeks without a value do not count."""
    import numpy as np

    known = ~np.isnan(values)
    sums = [np.cumsum(np.where(known, values, 0.0), -1), np.cumsum(known, -1, dtype=np.float64)]
    for total in sums:
        total[..., weeks:] -= total[..., :-weeks].copy()
    return _ratio(*sums)


def _ratio(total: FloatArray, weight: FloatArray) -> FloatArray:
    """Return total / weight; NaN where nothing counts."""
    import numpy as np

    found: FloatArray = np.full(total.shape, np.nan)
    np.divide(total, weight, out=found, where=weight > 0)
    return found


def _average(values: FloatArray, axis: int) -> FloatArray:
    """Return the mean along an axis of the values that are known; NaN where none is."""
    import numpy as np

    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis, keepdims=True)
    return _ratio(total, known.sum(axis, keepdims=True, dtype=np.float64))


def _lowest(values: FloatArray) -> FloatArray:
    """Return the least known value along axis 1; NaN where none is known."""
    import numpy as np

    lowest = np.where(np.isnan(values), np.inf, values).min(1, keepdims=True)
    return np.asarray(np.where(np.isinf(lowest), np.nan, lowest), np.float64)


def fit_trees(features: Features, origin: int, settings: ForecastSettings) -> Any:
    """Fit trees to the weeks up to an origin, each forecast from each of the `HORIZONS` before.

    Args:
        features: The features; nothing after the origin is used.
        origin: The last week whose sales are known, counted from the panel's first.
        settings: Settings.
    """
    import numpy as np

    rows, gains = [], []
    for horizon in HORIZONS:
        for week in range(FIRST_TARGET, origin + 1):
            columns, start = features.of(week, week - horizon)
            gain = features.sold[:, :, week].ravel() - start
            known = ~np.isnan(gain)
            rows.append(columns[known])
            gains.append(gain[known])
    return boost(np.concatenate(rows), np.concatenate(gains), settings)


def boost(rows: FloatArray, gains: FloatArray, settings: ForecastSettings) -> Any:
    """Fit trees by least absolute error.

    Args:
        rows: Features.
        gains: By how much the logarithm of each week's sales was above its start.
        settings: Settings.
    """
    import xgboost

    return xgboost.train(
        {
            "objective": "reg:absoluteerror",
            "max_depth": settings.depth,
            "eta": settings.learning_rate,
            "subsample": 0.7,
            "colsample_bytree": 0.5,
            "min_child_weight": 20,
            "max_bin": 64,
            "nthread": 1,
            "seed": settings.seed,
        },
        xgboost.QuantileDMatrix(rows, gains, max_bin=64, nthread=1),
        settings.trees,
    )


def predict_trees(trees: Any, features: Features, week: int, origin: int) -> FloatArray:
    """Return the units forecast for each series in a week, uncalibrated; NaN without a start."""
    import numpy as np

    columns, start = features.of(week, origin)
    return np.expm1(np.asarray(trees.inplace_predict(columns), np.float64) + start)


def calibrate(
    units: FloatArray, forecasts: FloatArray, states: Ints, tails: FloatArray | None = None
) -> FloatArray:
    """Return factors that turn forecasts into calibrated ones and their bounds.

    The bounds are quantiles of sold by forecast units. The factor has the lowest sum of MAPE and
    WAPE; it is below 1 only while the forecasts leave out less of the volume than `BIAS_GUARD`,
    because MAPE alone rewards forecasts that are too low.

    Args:
        units: Units that were sold, more than 0.
        forecasts: What had been forecast for them.
        states: The promotion state of each.
        tails: Shares of the weeks to leave below and above the interval, by state; `TAIL` if not
            given.

    Returns:
        For each of `STATES`: the factor of the forecast, of its lower and of its upper bound.
    """
    import numpy as np

    tails = np.full((len(STATES), 2), TAIL) if tails is None else tails
    found = []
    factors = np.arange(70, 131) / 100.0
    for state in range(len(STATES)):
        chosen = states == state
        if chosen.sum() < _FEWEST_CALIBRATED:
            chosen = np.ones(len(states), bool)
        sold, said = units[chosen], forecasts[chosen]
        missed = factors[:, None] * said - sold
        loss = np.abs(missed / sold).mean(1) + np.abs(missed).sum(1) / sold.sum()
        guarded = (missed.sum(1) / sold.sum() >= -BIAS_GUARD) | (factors >= 1.0)
        factor = float(factors[np.argmin(np.where(guarded, loss, np.inf))])
        # The finite-sample correction of split conformal intervals.
        reach = (1.0 + 1.0 / len(sold)) * (0.5 - tails[state])
        ends = np.clip([0.5 - reach[0], 0.5 + reach[1]], 0.0, 1.0)
        low, high = np.quantile(sold / said, ends)
        found.append((factor, min(low, factor), max(high, factor)))
    return np.array(found)
