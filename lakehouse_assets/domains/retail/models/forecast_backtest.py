"""The backtest of the sales forecast: rolling origins, simple methods beside it, and the choice.

At each origin every method knows the sales up to it and forecasts weeks after it. A forecast is
calibrated with the forecasts of earlier origins whose weeks are over, so that nothing after the
origin affects it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.domains.retail.models.forecast import (
    STATES,
    Features,
    ForecastSettings,
    Panel,
    calibrate,
    fit_trees,
    predict_trees,
)
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.domains.retail.models.forecast import Ints

Method: TypeAlias = "Callable[[Features, int, Sequence[int]], Callable[[int], FloatArray]]"
"""Fits on features up to an origin, for horizons; returns what forecasts all series in a week."""

BIAS_ALLOWED: Final = 0.2
"""Share of the volume by which a method may be wrong before it counts against it."""

CALIBRATED_WITH: Final = 8
"""Number of earlier origins whose forecasts calibrate a forecast."""

ROUNDS: Final = 12
HORIZONS: Final = (2, 3)
STEP: Final = 2
"""Rounds, weeks ahead, and weeks from round to round of the public protocol."""

FEWEST_WEEKS: Final = 90
_YEAR: Final = 52
_FILE: Final = "orange_juice_weekly.csv"
_COLUMNS: Final = ("store", "brand", "week", "units", "price_per_oz", "deal", "feat")
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
        series: The series, as its place among stores by brands.
        state: Promotion state, a place in `STATES`.
        units: What was sold.
        forecast: What was forecast.
    """

    origin: Ints
    week: Ints
    series: Ints
    state: Ints
    units: FloatArray
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


def backtest(
    features: Features, method: Method, origins: Sequence[int], horizons: Sequence[int]
) -> Forecasts:
    """Forecast from each origin, as if nothing after it were known but plans.

    Weeks without sales, or for which the method has no forecast, are left out.
    """
    import numpy as np

    panel = features.panel
    parts = []
    for origin in origins:
        forecast = method(features, origin, horizons)
        for week in (origin + horizon for horizon in horizons):
            if week >= panel.weeks:
                continue
            units, said = panel.units[:, :, week].ravel(), forecast(week)
            series = np.flatnonzero((units > 0) & np.isfinite(said))
            constant = np.ones(len(series), np.int64)
            parts.append(
                Forecasts(
                    origin * constant, week * constant, series, panel.states(week)[series],
                    units[series], np.maximum(said[series], 1e-9),
                )
            )  # fmt: skip
    return Forecasts.joined(parts)


def calibrated(found: Forecasts, origin: int) -> tuple[Forecasts, FloatArray, FloatArray]:
    """Calibrate an origin's forecasts with those of earlier origins.

    Returns:
        Its forecasts, and the lower and the upper bounds of their intervals.
    """
    import numpy as np

    earlier = np.unique(found.origin[found.origin < origin])[-CALIBRATED_WITH:]
    known = found.where(np.isin(found.origin, earlier) & (found.week <= origin))
    factors = np.array(
        [(c.factor, c.low, c.high) for c in calibrate(known.units, known.forecast, known.state)]
    )
    now = found.where(found.origin == origin)
    point, low, high = (now.forecast * factors[now.state, place] for place in range(3))
    return replace(now, forecast=point), low, high


def naive_scale(panel: Panel, origin: int) -> FloatArray:
    """Return how far each series is from its week before on average, up to an origin."""
    import numpy as np

    known = panel.units[:, :, : origin + 1]
    steps = np.abs(np.diff(known, axis=2))
    missing = np.isnan(steps)
    count = (~missing).sum(2)
    mean = np.where(missing, 0.0, steps).sum(2) / np.maximum(count, 1)
    return np.where((count > 0) & (mean > 0), mean, np.nan).ravel()


def errors(found: Forecasts, panel: Panel) -> dict[str, float]:
    """Return MAPE in percent, MASE, WAPE and bias (shares of the volume) of forecasts.

    MASE is the mean absolute error over that of the naive forecast of one week in the part before
    the origin, of each series.
    """
    import numpy as np

    missed = found.forecast - found.units
    scales = {int(origin): naive_scale(panel, int(origin)) for origin in np.unique(found.origin)}
    scale = np.array([scales[o][s] for o, s in zip(found.origin, found.series, strict=True)])
    volume = found.units.sum()
    return {
        "mape": float(100.0 * np.abs(missed / found.units).mean()),
        "mase": float(np.nanmean(np.abs(missed) / scale)),
        "wape": float(np.abs(missed).sum() / volume),
        "bias": float(missed.sum() / volume),
    }


def loss(found: Mapping[str, float]) -> float:
    """Return by what methods are chosen: WAPE, and what the bias exceeds the allowed one by."""
    return found["wape"] + max(abs(found["bias"]) - BIAS_ALLOWED, 0.0)


def choose(found: Mapping[str, Forecasts], panel: Panel, until: int) -> str:
    """Return the method with the least `loss` in the weeks up to an origin."""
    known = {name: one.where(one.week <= until) for name, one in found.items()}
    return min(known, key=lambda name: loss(errors(known[name], panel)))


def trees(settings: ForecastSettings) -> Method:
    """Return the boosted trees as a method."""

    def fit(
        features: Features, origin: int, horizons: Sequence[int]
    ) -> Callable[[int], FloatArray]:
        fitted = fit_trees(features, origin, horizons, settings)
        return lambda week: predict_trees(fitted, features, week, origin)

    return fit


def naive(features: Features, origin: int, _horizons: Sequence[int]) -> Callable[[int], FloatArray]:
    """Forecast the last known week."""
    last = _last_known(features.panel.units[:, :, : origin + 1])
    return lambda _week: last


def seasonal_naive(
    features: Features, origin: int, horizons: Sequence[int]
) -> Callable[[int], FloatArray]:
    """Forecast the same week of the year before; without it, the last known week."""
    import numpy as np

    units = features.panel.units
    last = naive(features, origin, horizons)(origin)

    def forecast(week: int) -> FloatArray:
        if week < _YEAR:
            return last
        before = units[:, :, week - _YEAR].ravel()
        return np.where(np.isnan(before), last, before)

    return forecast


def mean_of_logs(
    features: Features, origin: int, _horizons: Sequence[int]
) -> Callable[[int], FloatArray]:
    """Forecast the mean of the logarithms of all known weeks."""
    import numpy as np

    known = features.sold[:, :, : origin + 1]
    there = ~np.isnan(known)
    total = np.where(there, known, 0.0).sum(2)
    mean = np.where(there.any(2), total / np.maximum(there.sum(2), 1), np.nan)
    return lambda _week: np.expm1(mean).ravel()


def ets(features: Features, origin: int, _horizons: Sequence[int]) -> Callable[[int], FloatArray]:
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
    """Return the reference's random forest as a method.

    It predicts the revenue of a week from Quantity, Advert, Price and Brand of the same week. The
    revenue is quantity times price, so its features hold the answer, and no forecast can have them.

    Args:
        leaks: Whether it is given the quantity of the week that it forecasts, as in the reference;
            otherwise it is given that of the last known week.
    """

    def fit(
        features: Features, origin: int, horizons: Sequence[int]
    ) -> Callable[[int], FloatArray]:
        import numpy as np
        from sklearn.ensemble import RandomForestRegressor

        panel = features.panel
        last = naive(features, origin, horizons)(origin)
        brands = np.broadcast_to(np.arange(len(panel.brands))[None], panel.units.shape[:2]).ravel()

        def rows(week: int, quantity: FloatArray) -> FloatArray:
            advert, price = panel.feature[:, :, week].ravel(), panel.price[:, :, week].ravel()
            return np.column_stack([quantity, advert, price, brands])

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
"""Methods without settings; the reference's regression as it can be used, without its leak."""


def _last_known(units: FloatArray) -> FloatArray:
    """Return the last value of each series; NaN if it has none."""
    import numpy as np

    back = np.argmax(~np.isnan(units[:, :, ::-1]), axis=2)
    return np.take_along_axis(units[:, :, ::-1], back[:, :, None], 2).ravel()


def read_sales(folder: Path) -> Panel:
    """Read weekly sales from a folder with `orange_juice_weekly.csv`, plain or `.gz`.

    Raises:
        LakehouseError: the file is missing, lacks a column, has a value that cannot be used or two
            rows of a store, brand and week, or too few weeks.
    """
    import numpy as np
    import pyarrow.compute as pc

    from lakehouse_assets.ml.data_files import read_csv

    folder = folder.expanduser().resolve()
    path = next((p for p in (folder / _FILE, folder / f"{_FILE}.gz") if p.is_file()), None)
    if path is None:
        raise LakehouseError(
            f"{folder} has no file {_FILE} or {_FILE}.gz; give the folder that holds it."
        )
    text = read_csv(path, _COLUMNS, ())
    store, brand = text["store"], text["brand"]
    for name, column in (("store", store), ("brand", brand)):
        if column.null_count:
            raise _unusable(path, text, pc.is_null(column).to_numpy(), name, "write its number")
    week = _numbers(path, text, "week", lambda w: (w == np.floor(w)) & (w >= 0) & (w < 1e6))
    columns = {
        "store": _by_number(store),
        "brand": _by_number(brand),
        "week": week,
        "units": _numbers(path, text, "units", lambda units: units > 0),
        "price": _numbers(path, text, "price_per_oz", lambda price: price > 0),
        "deal": _numbers(path, text, "deal", lambda deal: (deal == 0) | (deal == 1)),
        "feature": _numbers(path, text, "feat", lambda share: (share >= 0) & (share <= 1)),
    }
    weeks = int(week.max() - week.min()) + 1 if len(week) else 0
    if weeks < FEWEST_WEEKS:
        raise LakehouseError(
            f"{path} has sales of {weeks} weeks; give {FEWEST_WEEKS} or more, because "
            f"{ROUNDS} rounds are forecast after a year and a half of history."
        )
    keys = np.rec.fromarrays([columns["store"], columns["brand"], week])
    if len(np.unique(keys)) < len(keys):
        raise LakehouseError(
            f"{path} has several rows of a store, brand and week; add them up to one."
        )
    return Panel.of(columns)


def _by_number(column: pa.ChunkedArray) -> Any:
    """Return names that sort as numbers, if they are numbers."""
    import numpy as np

    values = column.to_numpy().astype(str)
    try:
        return values.astype(np.int64)
    except ValueError:
        return values


def _numbers(
    path: Path, text: pa.Table, name: str, allowed: Callable[[FloatArray], Any]
) -> FloatArray:
    """Return a column as numbers, all of which are allowed."""
    import numpy as np

    def number(value: str | None) -> float:
        try:
            return float(value or "nan")
        except ValueError:
            return float("nan")

    values = np.array([number(value) for value in text[name].to_pylist()], np.float64)
    wrong = ~(np.isfinite(values) & allowed(values))
    if wrong.any():
        raise _unusable(path, text, wrong, name, _ALLOWED[name])
    return values


_ALLOWED: Final = {
    "week": "write a whole number",
    "units": "write what was sold, more than 0, and leave out weeks without sales",
    "price_per_oz": "write the price, more than 0",
    "deal": "write 0 or 1",
    "feat": "write the share of stores that advertised it, from 0 to 1",
}


def _unusable(path: Path, text: pa.Table, wrong: Any, name: str, remedy: str) -> LakehouseError:
    place = int(wrong.argmax())
    value = text[name][place].as_py() or "empty"
    return LakehouseError(f"{path}, record {place + 1}: {name} is {value}; {remedy}.")


def evaluate_forecast(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluate the forecast and the simple methods on a folder; see `Evaluation.run`."""
    import time

    import numpy as np
    from threadpoolctl import threadpool_limits

    start = time.process_time()
    panel = read_sales(arguments["data"])
    features = Features(panel)
    last = panel.weeks - 1 - max(HORIZONS)
    rounds = [last - STEP * back for back in reversed(range(ROUNDS))]
    warm = [rounds[0] - STEP * back for back in range(CALIBRATED_WITH, 0, -1)]
    origins = (*warm, *rounds)
    methods = {"trees": trees(ForecastSettings()), **BASELINES}
    with threadpool_limits(limits=1):
        found = {}
        for name, method in methods.items():
            parts = []
            for number, origin in enumerate(origins, 1):
                parts.append(backtest(features, method, [origin], HORIZONS))
                if name == "trees":
                    progress(f"trees: origin {number} of {len(origins)}")
            found[name] = Forecasts.joined(parts)
        leaking = backtest(features, lab_regression(leaks=True), rounds, HORIZONS)
    chosen = choose(found, panel, rounds[0])
    progress(f"{chosen} is the best method before the first round")
    points, lows, highs = zip(
        *(calibrated(found[chosen], origin) for origin in rounds), strict=True
    )
    champion = Forecasts.joined(points)
    inside = (champion.units >= np.concatenate(lows)) & (champion.units <= np.concatenate(highs))
    return {
        "model": FORECAST_EVALUATION.name,
        **errors(champion, panel),
        "coverage_80": float(inside.mean()),
        **{
            f"coverage_80_{name}": float(inside[champion.state == state].mean())
            for state, name in enumerate(STATES)
            if (champion.state == state).any()
        },
        "chosen": chosen,
        "forecasts": len(champion.units),
        "rounds": {
            str(panel.first_week + origin): errors(point, panel)
            for origin, point in zip(rounds, points, strict=True)
        },
        "models": {
            "champion": errors(champion, panel),
            **{
                name: errors(one.where(one.origin >= rounds[0]), panel)
                for name, one in found.items()
            },
            "lab_regression_with_its_leak": errors(leaking, panel),
        },
        "cpu_seconds": round(time.process_time() - start, 1),
    }


FORECAST_EVALUATION: Final = Evaluation(
    name="forecast",
    description=(
        "Forecast the weekly sales of stores and brands by the public protocol for orange juice: "
        f"{ROUNDS} rounds, {STEP} weeks apart; each knows the sales up to a week, and the price, "
        "deal and feature of the weeks 2 and 3 after it, which it forecasts. Prints MAPE (in "
        "percent), MASE, WAPE, bias (share of the volume) and what intervals of 80 % cover; and "
        "the errors of all methods, of which the one that is best before the first round is used."
    ),
    arguments=(
        Argument(
            "data",
            f"Folder with {_FILE}, plain or .gz, with the columns {', '.join(_COLUMNS)}.",
            parse=Path,
        ),
    ),
    run=evaluate_forecast,
)
