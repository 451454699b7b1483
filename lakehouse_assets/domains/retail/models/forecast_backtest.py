"""The backtest of the sales forecast: rolling origins, simple methods, and the choice.

At each origin, every method knows the sales up to it and forecasts the weeks after it. A forecast
is calibrated with forecasts of earlier origins whose weeks are over, so that nothing after the
origin affects it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.domains.retail.models.forecast import (
    HORIZONS,
    STATES,
    TAIL,
    Features,
    ForecastSettings,
    Panel,
    calibrate,
    fit_trees,
    predict_trees,
)
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    from lakehouse_assets.domains.retail.models.forecast import Ints

Method: TypeAlias = "Callable[[Features, int], Callable[[int], FloatArray]]"
"""Fits on features up to an origin; returns what forecasts all series in a week."""

BIAS_ALLOWED: Final = 0.2
"""Share of the volume by which a method may be wrong before it counts against it."""

CALIBRATED_WITH: Final = 8
"""Number of earlier origins whose forecasts calibrate a forecast."""

# Least and greatest share of weeks that an interval may leave out on either side; and the fewest
# weeks of a state that move its bounds.
_TAILS: Final = (0.02, 0.14)
_FEWEST_BEYOND: Final = 20
_YEAR: Final = 52
_SMOOTHING: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
_TREND: Final = (0.0, 0.05, 0.15)
_DAMPING: Final = 0.9
# The reference's forest is fitted on draws of this many rows per tree, to be quick.
_DRAWN: Final = 2_000


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What a method forecast, one entry per origin, week and series that had sales.

    Attributes:
        origin: Last week whose sales were known.
        week: The week, counted from the panel's first as the origin is.
        state: Promotion state, a place in `STATES`.
        units: What was sold.
        scale: How far the series was from its week before on average, up to the origin; NaN if
            unknown.
        forecast: What was forecast.
    """

    origin: Ints
    week: Ints
    state: Ints
    units: FloatArray
    scale: FloatArray
    forecast: FloatArray

    @classmethod
    def joined(cls, parts: Sequence[Forecasts]) -> Forecasts:
        """Return the entries of all parts."""
        import numpy as np

        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def where(self, chosen: Any) -> Forecasts:
        """Return the chosen entries."""
        return Forecasts(*(values[chosen] for values in vars(self).values()))


def backtest(features: Features, method: Method, origins: Sequence[int]) -> Forecasts:
    """Forecast the `HORIZONS` from each origin, as if nothing after it were known but plans.

    Weeks without sales, or for which the method has no forecast, are left out.
    """
    import numpy as np

    panel = features.panel
    parts = []
    for origin in origins:
        forecast = method(features, origin)
        scale = naive_scale(panel, origin)
        for week in (origin + horizon for horizon in HORIZONS):
            if week >= panel.weeks:
                continue
            units, said = panel.units[:, :, week].ravel(), forecast(week)
            series = np.flatnonzero((units > 0) & np.isfinite(said))
            constant = np.ones(len(series), np.int64)
            parts.append(
                Forecasts(
                    origin * constant, week * constant, panel.states(week)[series],
                    units[series], scale[series], np.maximum(said[series], 1e-9),
                )
            )  # fmt: skip
    return Forecasts.joined(parts)


def calibrated(found: Forecasts, origin: int) -> tuple[Forecasts, FloatArray, FloatArray]:
    """Calibrate an origin's forecasts with those of earlier origins.

    If more of the weeks of those were beyond a bound than should have been, the bound moves out by
    as much, so that intervals follow sales that become less certain; and in, the other way round.

    Returns:
        Its forecasts, and the lower and the upper bounds of their intervals.
    """
    import numpy as np

    known, now = _earlier(found, origin), found.where(found.origin == origin)
    beyond: list[tuple[Ints, Any]] = []
    for one in np.unique(known.origin):
        before, own = _earlier(found, one), known.where(known.origin == one)
        if len(before.week):
            factors = calibrate(before.units, before.forecast, before.state)[own.state]
            bounds = own.forecast[:, None] * factors[:, 1:]
            beyond.append((own.state, own.units[:, None] * (1, -1) < bounds * (1, -1)))
    tails = np.full((len(STATES), 2), TAIL)
    if beyond:
        states, out = (np.concatenate(parts) for parts in zip(*beyond, strict=True))
        for state in range(len(STATES)):
            if (states == state).sum() >= _FEWEST_BEYOND:
                tails[state] = 2.0 * TAIL - out[states == state].mean(0)
    factors = calibrate(
        known.units, known.forecast, known.state, np.clip(tails, *_TAILS)
    )[now.state]  # fmt: skip
    point, low, high = (now.forecast * factors[:, place] for place in range(3))
    return replace(now, forecast=point), low, high


def _earlier(found: Forecasts, origin: int) -> Forecasts:
    """Return the forecasts of the origins before one, of weeks that are over by then."""
    import numpy as np

    earlier = np.unique(found.origin[found.origin < origin])[-CALIBRATED_WITH:]
    return found.where(np.isin(found.origin, earlier) & (found.week <= origin))


def naive_scale(panel: Panel, origin: int) -> FloatArray:
    """Return how far each series is from its week before on average, up to an origin."""
    import numpy as np

    known = panel.units[:, :, : origin + 1]
    steps = np.abs(np.diff(known, axis=2))
    missing = np.isnan(steps)
    count = (~missing).sum(2)
    mean = np.where(missing, 0.0, steps).sum(2) / np.maximum(count, 1)
    return np.where((count > 0) & (mean > 0), mean, np.nan).ravel()


def errors(found: Forecasts) -> dict[str, float]:
    """Return MAPE in percent, MASE, WAPE and bias (shares of the volume) of forecasts.

    MASE is the mean absolute error over that of the naive forecast of one week in the part before
    the origin, of each series.
    """
    import numpy as np

    missed, there = found.forecast - found.units, found.units > 0
    scaled = (np.abs(missed) / found.scale)[np.isfinite(found.scale)]
    volume = max(float(found.units.sum()), 1e-9)
    return {
        "mape": float(100.0 * np.abs(missed[there] / found.units[there]).mean())
        if there.any()
        else 0.0,
        "mase": float(scaled.mean()) if len(scaled) else float("nan"),
        "wape": float(np.abs(missed).sum() / volume),
        "bias": float(missed.sum() / volume),
    }


def loss(found: Mapping[str, float]) -> float:
    """Return the figure by which methods are chosen: WAPE plus the bias beyond the allowed one."""
    return found["wape"] + max(abs(found["bias"]) - BIAS_ALLOWED, 0.0)


def choose(found: Mapping[str, Forecasts]) -> str:
    """Return the method with the least `loss`."""
    return min(found, key=lambda name: loss(errors(found[name])))


def trees(settings: ForecastSettings) -> Method:
    """Return the boosted trees as a method."""

    def fit(features: Features, origin: int) -> Callable[[int], FloatArray]:
        fitted = fit_trees(features, origin, settings)
        return lambda week: predict_trees(fitted, features, week, origin)

    return fit


def naive(features: Features, origin: int) -> Callable[[int], FloatArray]:
    """Forecast the last known week."""
    last = _last_known(features.panel.units[:, :, : origin + 1])
    return lambda _week: last


def seasonal_naive(features: Features, origin: int) -> Callable[[int], FloatArray]:
    """Forecast the same week of the year before; without it, the last known week."""
    import numpy as np

    units = features.panel.units
    last = naive(features, origin)(origin)

    def forecast(week: int) -> FloatArray:
        if week < _YEAR:
            return last
        before = units[:, :, week - _YEAR].ravel()
        return np.where(np.isnan(before), last, before)

    return forecast


def mean_of_logs(features: Features, origin: int) -> Callable[[int], FloatArray]:
    """Forecast the mean of the logarithms of all known weeks."""
    import numpy as np

    known = features.sold[:, :, : origin + 1]
    there = ~np.isnan(known)
    total = np.where(there, known, 0.0).sum(2)
    mean = np.where(there.any(2), total / np.maximum(there.sum(2), 1), np.nan)
    return lambda _week: np.expm1(mean).ravel()


def ets(features: Features, origin: int) -> Callable[[int], FloatArray]:
    """Forecast by exponential smoothing with a damped trend, on logarithms.

    Each series has the two weights with the least squared errors of one week ahead.
    """
    import numpy as np

    known = features.sold[:, :, : origin + 1].reshape(-1, origin + 1)
    grid = np.array([(level, trend) for level in _SMOOTHING for trend in _TREND])
    alpha, beta = grid[:, :1], grid[:, 1:]
    first = np.argmax(~np.isnan(known), axis=1)
    level = np.repeat(known[np.arange(len(known)), first][None], len(grid), 0)
    trend, squares = np.zeros_like(level), np.zeros_like(level)
    for week in range(origin + 1):
        expected = level + _DAMPING * trend
        missed = np.where(np.isnan(known[:, week]), 0.0, known[:, week] - expected)
        begun = week > first
        missed, squares = np.where(begun, missed, 0.0), squares + np.where(begun, missed, 0.0) ** 2
        level = np.where(begun, expected + alpha * missed, level)
        trend = np.where(begun, _DAMPING * trend + alpha * beta * missed, trend)
    best = np.argmin(squares, axis=0), np.arange(len(known))
    level, trend = level[best], trend[best]

    def forecast(week: int) -> FloatArray:
        ahead = sum(_DAMPING**step for step in range(1, week - origin + 1))
        return np.asarray(np.expm1(level + ahead * trend), np.float64)

    return forecast


def lab_regression(*, leaks: bool) -> Method:
    """Return the reference lab's random forest as a method.

    It predicts the revenue of a week from Quantity, Advert, Price and Brand of the same week. The
    revenue is quantity times price, so the features contain the answer, which no forecast knows.

    Args:
        leaks: Whether it is given the quantity of the week that it forecasts, as in the lab;
            otherwise it is given that of the last known week.
    """

    def fit(features: Features, origin: int) -> Callable[[int], FloatArray]:
        import numpy as np
        from sklearn.ensemble import RandomForestRegressor

        panel = features.panel
        last = naive(features, origin)(origin)
        stores, brands = panel.units.shape[:2]
        brand = np.tile(np.arange(brands), stores)

        def rows(week: int, quantity: FloatArray) -> FloatArray:
            advert, price = panel.feature[:, :, week].ravel(), panel.price[:, :, week].ravel()
            return np.column_stack([quantity, advert, price, brand])

        known = np.concatenate(
            [rows(week, panel.units[:, :, week].ravel()) for week in range(origin + 1)]
        )
        known = known[np.isfinite(known).all(1)]
        forest = RandomForestRegressor(
            n_estimators=100, max_depth=2, max_samples=min(_DRAWN, len(known)), random_state=0
        ).fit(known, known[:, 0] * known[:, 2])

        def forecast(week: int) -> FloatArray:
            asked = rows(week, panel.units[:, :, week].ravel() if leaks else last)
            complete = np.isfinite(asked).all(1)
            found = np.full(len(asked), np.nan)
            if complete.any():
                found[complete] = forest.predict(asked[complete]) / asked[complete, 2]
            return found

        return forecast

    return fit


BASELINES: Final[Mapping[str, Method]] = {
    "naive": naive,
    "seasonal_naive": seasonal_naive,
    "mean_of_logs": mean_of_logs,
    "ets": ets,
    "lab_regression": lab_regression(leaks=False),
}
"""Methods without settings, including the reference lab's regression without its leak."""


def _last_known(units: FloatArray) -> FloatArray:
    """Return the last value of each series; NaN if it has none."""
    import numpy as np

    back = np.argmax(~np.isnan(units[:, :, ::-1]), axis=2)
    return np.take_along_axis(units[:, :, ::-1], back[:, :, None], 2).ravel()
