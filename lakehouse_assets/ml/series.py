"""Anomalies and forecasts of time series with the functions and meaning of Kusto (KQL), on NumPy.

Series are given as one row each of a two-dimensional array, or alone as a one-dimensional one, at
equal steps of time. NaN is a gap; infinite values are not learned from. Results have the shape of
the input. `engine/series.py` computes the same from DataFrames.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args

import numpy as np
import numpy.typing as npt

from lakehouse_assets.engine.series import FENCES, NEGLIGIBLE
from lakehouse_assets.errors import LakehouseError

Array: TypeAlias = npt.NDArray[np.float64]
Trend = Literal["avg", "linefit", "none"]
Method = Literal["tukey", "ctukey"]
Unit = Literal["range", "kusto"]
_Scalar = TypeVar("_Scalar", bound=np.generic)

KUSTO_FACTORS: Final = {"tukey": 1.0, "ctukey": 2.772605605507915}
"""Kusto's score by range: for normal residuals both methods then mean the same by 1.5.

Kusto's manual does not give them. They follow from scores that it printed for a known series.
"""

FEWEST_PER_PERIOD: Final = 4
"""Shortest period that is detected."""

AUTODETECT: Final = -1
"""Seasonality: the period is detected."""

_SNAP = 0.05
# A lag is taken instead of a longer one with a slightly higher score, such as its own double.
_ALIKE, _NEAR = 0.9, 1.25


class Decomposition(NamedTuple):
    """The parts of series: `baseline` is `seasonal` + `trend`, `residual` is what it leaves.

    `period` has the period of each series in points, 0 if it has none.
    """

    baseline: Array
    seasonal: Array
    trend: Array
    residual: Array
    period: npt.NDArray[np.int64]


class Anomalies(NamedTuple):
    """`flag` is 1 for points above what is normal, -1 below, else 0; `score` says how far."""

    flag: npt.NDArray[np.int64]
    score: Array
    baseline: Array


def calendar_periods(step: timedelta) -> tuple[int, ...]:
    """Return an hour, a day and a week in steps, as far as they are whole numbers of 4 or more."""
    spans = (timedelta(hours=1), timedelta(days=1), timedelta(weeks=1))
    return tuple(s // step for s in spans if not s % step and s // step >= FEWEST_PER_PERIOD)


def series_fill_linear(series: npt.ArrayLike, *, fill_edges: bool = True) -> Array:
    """Fill gaps on a straight line between their neighbours.

    Args:
        series: The series.
        fill_edges: Whether gaps at the start and the end get the nearest value instead of staying.

    Returns:
        The series without gaps; 0 everywhere if it has no finite value.
    """
    rows, alone = _rows(series)
    known = np.isfinite(rows)
    places = np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    before = np.maximum.accumulate(np.where(known, places, -1), axis=1)
    last = rows.shape[1]
    after = np.minimum.accumulate(np.where(known, places, last)[:, ::-1], axis=1)[:, ::-1]
    first_of = np.where(before < 0, after, before).clip(0, max(last - 1, 0))
    last_of = np.where(after == last, before, after).clip(0, max(last - 1, 0))
    left = np.take_along_axis(rows, first_of, axis=1)
    right = np.take_along_axis(rows, last_of, axis=1)
    between = (places - first_of) / np.maximum(last_of - first_of, 1)
    inside = (before >= 0) & (after < last)
    with np.errstate(invalid="ignore"):
        filled = np.where(inside, left + (right - left) * between, left)
    empty = ~known.any(axis=1, keepdims=True)
    gaps = np.isnan(rows) & (inside | empty | fill_edges)
    return _like(np.where(gaps, np.where(empty, 0.0, filled), rows), alone)


def series_periods_detect(
    series: npt.ArrayLike, calendar: Sequence[int] = ()
) -> tuple[npt.NDArray[np.int64], Array]:
    """Find the most significant period of each series.

    The score is the correlation of the series, without its straight line, with itself that many
    points later, where it peaks after it was negative. How Kusto computes its score is not
    published.

    Args:
        series: The series; gaps are filled.
        calendar: Periods in points; one that is within 5 % of the one found replaces it, because
            noise moves the peak by a few points.

    Returns:
        Periods of 4 points up to half of the series, and scores from 0 to 1; 0 without a period.
    """
    rows, alone = _rows(series)
    count, points = rows.shape
    longest = points // 2
    if longest < FEWEST_PER_PERIOD:
        return _like(np.zeros(count, np.int64), alone), _like(np.zeros(count), alone)
    filled = series_fill_linear(np.where(np.isinf(rows), np.nan, rows))
    similar = _self_similarity(filled - _line(filled), longest + 2, filled)
    # A period is never before the first lag at which the series is unlike itself.
    unlike = np.logical_or.accumulate(similar < 0, axis=1)[:, 1:-1]
    inner = similar[:, 1:-1]
    peaks = unlike & (inner >= similar[:, :-2]) & (inner > similar[:, 2:])
    peaks[:, : FEWEST_PER_PERIOD - 1] = False
    heights = np.where(peaks, np.minimum(inner, 1.0), 0.0)
    # The highest peak near the first one that is about as high as any.
    first = np.argmax(heights >= _ALIKE * heights.max(axis=1, keepdims=True), axis=1) + 1
    near = np.arange(1, longest + 1) <= _NEAR * first[:, None]
    found = np.argmax(heights * near, axis=1)
    scores = heights[np.arange(count), found]
    periods = np.where(scores > 0, found + 1, 0)
    for period in calendar:
        periods[np.abs(periods - period) <= _SNAP * period] = period
    return _like(periods, alone), _like(scores, alone)


def series_decompose(
    series: npt.ArrayLike,
    seasonality: int = AUTODETECT,
    trend: Trend = "avg",
    test_points: int = 0,
    seasonality_threshold: float = 0.6,
    calendar: Sequence[int] = (),
) -> Decomposition:
    """Decompose series into a seasonal part, a trend and the residual, in this order.

    The seasonal part is the median of the points of the same phase. The trend is made of what it
    leaves. A phase without any point has no baseline.

    Args:
        series: The series.
        seasonality: Period in points; 0 for none; -1 to detect it. A period of which the learned
            points do not have two is not used.
        trend: `avg` for the mean, `linefit` for the regression line, or `none`.
        test_points: Number of points at the end that nothing is learned from.
        seasonality_threshold: Lowest score of a detected period.
        calendar: Periods that replace close detected ones, see `series_periods_detect`.

    Raises:
        LakehouseError: an argument is not one of those allowed.
    """
    _check("trend", trend, get_args(Trend))
    if seasonality < AUTODETECT or test_points < 0:
        raise LakehouseError(
            f"Seasonality {seasonality} with {test_points} test points is not possible; give a "
            "period, 0 or -1, and 0 or more test points."
        )
    rows, alone = _rows(series)
    count, points = rows.shape
    learned = _learned(rows, test_points)
    periods = np.full(count, seasonality, np.int64)
    if seasonality == AUTODETECT:
        periods, scores = series_periods_detect(learned, calendar)
        periods[scores < seasonality_threshold] = 0
    periods[periods * 2 > learned.shape[1]] = 0
    seasonal = np.zeros_like(rows)
    for period in np.unique(periods[periods > 0]):
        mine = periods == period
        cycles = -(-points // period)
        seasonal[mine] = np.tile(_phases(learned[mine], period), cycles)[:, :points]
    left = learned - seasonal[:, : learned.shape[1]]
    level = np.zeros_like(rows)
    if trend == "avg":
        level += _mean(left)[:, None]
    elif trend == "linefit":
        level = _line(left, points)
    baseline = seasonal + level
    return Decomposition(
        _like(baseline, alone),
        _like(seasonal, alone),
        _like(level, alone),
        _like(rows - baseline, alone),
        _like(periods, alone),
    )


def series_outliers(
    series: npt.ArrayLike, kind: Method = "ctukey", *, unit: Unit = "range"
) -> Array:
    """Score each point by its distance from the fences of its series.

    Points between the quantiles (25 and 75 % for `tukey`, 10 and 90 % for `ctukey`, by linear
    interpolation) have the score 0. Others have their distance from the nearer one divided by the
    range between them, negative below. Gaps have 0, infinite points an infinite score.

    Args:
        series: The series.
        kind: The fences.
        unit: `range` leaves the score as it is, so that a threshold is Tukey's k. `kusto`
            multiplies that of `ctukey` by 2.77, as Kusto does.

    Raises:
        LakehouseError: an argument is not one of those allowed.
    """
    rows, alone = _rows(series)
    return _like(_scores(rows, rows, kind, unit, rows), alone)


def series_decompose_anomalies(
    series: npt.ArrayLike,
    threshold: float = 1.5,
    seasonality: int = AUTODETECT,
    trend: Trend = "avg",
    test_points: int = 0,
    method: Method = "ctukey",
    seasonality_threshold: float = 0.6,
    calendar: Sequence[int] = (),
    *,
    unit: Unit = "range",
) -> Anomalies:
    """Flag the points whose residual is an outlier: `series_outliers` of `series_decompose`.

    The fences are learned like everything else without the test points, which Kusto's manual leaves
    open.

    Args:
        series: The series.
        threshold: Lowest absolute score of an anomaly.
        seasonality: See `series_decompose`, as for the following arguments.
        trend: The trend.
        test_points: Number of points at the end that nothing is learned from.
        method: The fences, see `series_outliers`.
        seasonality_threshold: Lowest score of a detected period.
        calendar: Periods that replace close detected ones.
        unit: Unit of the score and of the threshold, see `series_outliers`.

    Raises:
        LakehouseError: an argument is not one of those allowed.
    """
    rows, alone = _rows(series)
    parts = series_decompose(
        rows, seasonality, trend, test_points, seasonality_threshold, calendar
    )  # fmt: skip
    score = _scores(parts.residual, _learned(parts.residual, test_points), method, unit, rows)
    flag = np.where(np.abs(score) >= threshold, np.sign(score), 0).astype(np.int64)
    return Anomalies(_like(flag, alone), _like(score, alone), _like(parts.baseline, alone))


def series_decompose_forecast(
    series: npt.ArrayLike,
    points: int,
    seasonality: int = AUTODETECT,
    trend: Trend = "avg",
    seasonality_threshold: float = 0.6,
    calendar: Sequence[int] = (),
) -> Array:
    """Forecast the last points of series, which are not learned from and may be gaps.

    Args:
        series: The series, with a place for each point to forecast.
        points: Number of points at the end to forecast.
        seasonality: See `series_decompose`, as for the following arguments.
        trend: The trend.
        seasonality_threshold: Lowest score of a detected period.
        calendar: Periods that replace close detected ones.

    Returns:
        The baseline of every point, the forecast ones included.

    Raises:
        LakehouseError: an argument is not one of those allowed.
    """
    return series_decompose(
        series, seasonality, trend, points, seasonality_threshold, calendar
    ).baseline


def _rows(series: npt.ArrayLike) -> tuple[Array, bool]:
    """Return the series as rows, and whether there was one alone."""
    given = np.asarray(series, np.float64)
    if given.ndim not in (1, 2):
        raise LakehouseError(
            f"Series have {given.ndim} dimensions; give one, or two with a series per row."
        )
    return np.atleast_2d(given), given.ndim == 1


def _like(result: npt.NDArray[_Scalar], alone: bool) -> npt.NDArray[_Scalar]:
    """Return a result in the shape of the input."""
    return cast("npt.NDArray[_Scalar]", result[0]) if alone else result


def _learned(rows: Array, test_points: int) -> Array:
    """Return the points that are learned from; infinite ones are gaps."""
    kept = rows[:, : max(rows.shape[1] - test_points, 0)]
    return np.where(np.isfinite(kept), kept, np.nan)


def _quantiles(rows: Array, *shares: float) -> list[Array]:
    """Return quantiles along the last axis, interpolated linearly; NaN where all are gaps."""
    if not rows.shape[-1]:
        return [np.full(rows.shape[:-1], np.nan) for _ in shares]
    ordered = np.sort(rows, axis=-1)
    last = np.count_nonzero(~np.isnan(rows), axis=-1) - 1
    found = []
    for share in shares:
        place = share * last
        low = np.floor(place).astype(np.int64)
        one, other = (
            np.take_along_axis(ordered, index.clip(0)[..., None], axis=-1)[..., 0]
            for index in (low, np.minimum(low + 1, last))
        )
        found.append(one + (other - one) * (place - low))
    return found


def _self_similarity(rows: Array, lags: int, series: Array) -> Array:
    """Return the correlation of rows with themselves some points later, for lags from 0.

    It is 0 for rows whose spread is a rounding error beside the values of `series`.
    """
    points = rows.shape[1]
    spectrum = np.fft.rfft(rows, 1 << (points + lags - 1).bit_length())
    products = np.fft.irfft(np.abs(spectrum) ** 2)[:, :lags]
    left = points - np.arange(lags)

    def parts(values: Array) -> tuple[Array, Array]:
        """Add up all but the last points, and all but the first, by lag."""
        sums = np.cumsum(values, axis=1)
        return sums[:, left - 1], np.cumsum(values[:, ::-1], axis=1)[:, left - 1]

    (one, other), (one_squared, other_squared) = parts(rows), parts(rows**2)
    spread = np.sqrt(
        np.maximum(one_squared - one**2 / left, 0) * np.maximum(other_squared - other**2 / left, 0)
    )
    noise = NEGLIGIBLE * np.max(np.abs(series), axis=1, initial=0.0)
    found: Array = (products - one * other / left) / np.where(spread > 0, spread, np.inf)
    return np.where(spread > left * noise[:, None] ** 2, found, 0.0)


def _phases(learned: Array, period: int) -> Array:
    """Return the median of each phase, as rows of a period."""
    count, points = learned.shape
    cycles = -(-points // period)
    padded = np.full((count, cycles * period), np.nan)
    padded[:, :points] = learned
    (middle,) = _quantiles(padded.reshape(count, cycles, period).swapaxes(1, 2), 0.5)
    return middle


def _mean(rows: Array) -> Array:
    """Return the mean of each row; NaN where all are gaps."""
    number = np.count_nonzero(~np.isnan(rows), axis=1)
    total: Array = np.nansum(rows, axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _line(rows: Array, points: int | None = None) -> Array:
    """Return each row's regression line over its points, or over that many; level if it has one."""
    places = np.arange(rows.shape[1], dtype=np.float64)
    at = np.where(np.isnan(rows), np.nan, places)
    centre, mean = _mean(at), _mean(rows)
    away = at - centre[:, None]
    spread = np.nansum(away**2, axis=1)
    slope = np.nansum(away * (rows - mean[:, None]), axis=1) / np.where(spread > 0, spread, 1.0)
    whole = np.arange(rows.shape[1] if points is None else points, dtype=np.float64)
    line: Array = mean[:, None] + slope[:, None] * (whole - centre[:, None])
    return line


def _scores(rows: Array, learned: Array, kind: Method, unit: Unit, series: Array) -> Array:
    """Score rows by fences that are learned; `series` says how large values are."""
    _check("method", kind, get_args(Method))
    _check("unit", unit, get_args(Unit))
    low, high = _quantiles(np.where(np.isfinite(learned), learned, np.nan), *FENCES[kind])
    largest = np.max(np.where(np.isfinite(series), np.abs(series), 0.0), axis=1, initial=0.0)
    width = np.fmax(high - low, NEGLIGIBLE * largest)
    width[width == 0] = 1.0
    over = np.maximum(rows - high[:, None], 0) + np.minimum(rows - low[:, None], 0)
    factor = KUSTO_FACTORS[kind] if unit == "kusto" else 1.0
    score: Array = over / width[:, None] * factor
    return np.where(np.isinf(series), series, np.where(np.isnan(score), 0.0, score))


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise LakehouseError(f"The {name} {value!r} is unknown; use {' or '.join(allowed)}.")
