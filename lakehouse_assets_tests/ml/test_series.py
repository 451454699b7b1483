"""Kusto's functions of time series: printed examples, edge cases, and planted anomalies."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import series as s
from lakehouse_assets.sample.retail.device_world import DeviceConfig, World

GAP, INF = np.nan, np.inf
DAY = 1440
HOURS = 7 * 24


def test_gaps_are_filled_as_the_manual_prints_it() -> None:
    row = [GAP, 111.0, GAP, 36.0, 41.0, GAP, GAP, 16.0, 61.0, 33.0, GAP, GAP]
    filled = [111.0, 111.0, 73.5, 36.0, 41.0, 32.667, 24.333, 16.0, 61.0, 33.0, 33.0, 33.0]
    found = s.series_fill_linear([row, [GAP] * 12])
    assert found[0] == pytest.approx(filled, abs=5e-4)
    assert found[1].tolist() == [0.0] * 12
    kept = s.series_fill_linear(row, fill_edges=False)
    assert kept == pytest.approx([GAP, *filled[1:10], GAP, GAP], abs=5e-4, nan_ok=True)


def test_outliers_have_the_scores_that_kusto_printed() -> None:
    """The values and scores are those of question 75264555 on Stack Overflow."""
    row = [-3, 2.4, 15, 3.9, 5, 6, 4.5, 5.2, 3, 4, 5, 16, 7, 5, 5, 4]
    printed = np.zeros(16)
    printed[[0, 1, 2, 11]] = (
        -1.9040785483608571, -0.10021466044004519, 1.3361954725339347, 1.6702443406674186,
    )  # fmt: skip
    assert s.series_outliers(row, unit="kusto") == pytest.approx(printed, abs=1e-14)
    # Unless told otherwise, the score is the distance in ranges: here from 2.7 to 11.
    ranges = s.series_outliers(row)
    assert ranges[[0, 11]] == pytest.approx([-5.7 / 8.3, 5 / 8.3])
    assert s.series_outliers(row, "tukey", unit="kusto") == pytest.approx(
        s.series_outliers(row, "tukey")
    )


def test_the_period_of_the_manual_is_found() -> None:
    row = [
        80, 139, 87, 110, 68, 54, 50, 51, 53, 133, 86, 141, 97, 156, 94, 149, 95, 140, 77, 61, 50,
        54, 47, 133, 72, 152, 94, 148, 105, 162, 101, 160, 87, 63, 53, 55, 54, 151, 103, 189, 108,
        183, 113, 175, 113, 178, 90, 71, 62, 62, 65, 165, 109, 181, 115, 182, 121, 178, 114, 170,
    ]  # fmt: skip
    period, score = s.series_periods_detect(row)
    assert period == 14
    assert score > 0.6
    assert s.series_decompose(row).period == 14


def test_the_line_of_the_manual_is_found() -> None:
    row = [2, 5, 6, 8, 11, 15, 17, 18, 25, 26, 30, 30]
    line = [1.064, 3.7945, 6.526, 9.256, 11.987, 14.718]
    line += [17.449, 20.180, 22.910, 25.641, 28.371, 31.102]
    parts = s.series_decompose(row, 0, "linefit")
    assert parts.trend == pytest.approx(line, abs=1e-3)
    assert parts.residual == pytest.approx(np.subtract(row, line), abs=1e-3)
    # The line goes on through what is forecast.
    ahead = s.series_decompose_forecast([*row, GAP, GAP], 2, 0, "linefit")
    assert ahead[:12] == pytest.approx(line, abs=1e-3)
    assert np.diff(ahead) == pytest.approx([2.7308] * 13, abs=1e-3)


@pytest.mark.parametrize("unit", ["range", "kusto"])
def test_the_outliers_of_the_manuals_week_are_found(unit: s.Unit) -> None:
    t = np.arange(1, 24 * 7 * 5 + 1)
    noise = 2 * np.random.default_rng(0).random(len(t))
    row = noise + np.where((t // 24) % 7 >= 5, 10, 15) - ((t % 24) / 10) ** 2
    dips, spikes = np.isin(t, [150, 200, 780]), np.isin(t, [300, 400, 600])
    row = row - 8.0 * dips + 8.0 * spikes
    found = s.series_decompose_anomalies(row, unit=unit)
    assert s.series_decompose(row).period == HOURS
    assert (found.flag[dips] == -1).all()
    assert (found.flag[spikes] == 1).all()
    # In Kusto's unit 1.5 is a narrow fence: a little of the noise is beyond it.
    assert np.count_nonzero(found.flag) - 6 <= (0 if unit == "range" else 15)


def test_a_season_comes_first_and_the_trend_is_what_it_leaves() -> None:
    season = np.array([0.0, 10.0, 20.0, 5.0])
    row = np.tile(season, 5) + np.repeat([0.0, 1.0, 2.0, 3.0, 4.0], 4)
    parts = s.series_decompose(row, 4)
    # The median of each phase is the middle cycle's.
    assert parts.seasonal.tolist() == np.tile(season + 2, 5).tolist()
    assert parts.trend == pytest.approx(np.zeros(20))
    assert parts.residual == pytest.approx(np.repeat([-2.0, -1.0, 0.0, 1.0, 2.0], 4))
    none = s.series_decompose(row, 0, "none")
    assert none.baseline.tolist() == [0.0] * 20
    assert none.residual.tolist() == row.tolist()


@pytest.mark.parametrize(
    ("step", "periods"),
    [(timedelta(minutes=1), (60, 1440, 10080)), (timedelta(minutes=5), (12, 288, 2016)),
     (timedelta(hours=1), (24, 168)), (timedelta(hours=7), (24,)), (timedelta(days=1), (7,))],
)  # fmt: skip
def test_calendar_periods_are_whole_numbers_of_steps(
    step: timedelta, periods: tuple[int, ...]
) -> None:
    assert s.calendar_periods(step) == periods


def test_a_detected_period_is_snapped_to_the_calendar() -> None:
    minutes = np.arange(3 * DAY)
    rhythm = np.sin(2 * np.pi * minutes / DAY)
    noise = np.random.default_rng(5).normal(0, 0.3, (20, 3 * DAY))
    rows = np.vstack([rhythm + noise, noise])
    free, scores = s.series_periods_detect(rows)
    assert len({*free[:20].tolist()}) > 1
    assert (scores[:20] > 0.6).all()
    assert (scores[20:] < 0.6).all()
    calendar = s.calendar_periods(timedelta(minutes=1))
    parts = s.series_decompose(rows, calendar=calendar)
    assert parts.period.tolist() == [DAY] * 20 + [0] * 20


def test_nothing_is_learned_from_test_points() -> None:
    rng = np.random.default_rng(3)
    row = np.tile([0.0, 4.0, 8.0, 4.0], 20) + rng.normal(0, 0.1, 80)
    wild = row.copy()
    wild[-8:] += 100
    known, found = (
        s.series_decompose_anomalies(r, seasonality=4, test_points=8) for r in (row, wild)
    )
    assert found.baseline.tolist() == known.baseline.tolist()
    assert found.score[:-8].tolist() == known.score[:-8].tolist()
    assert found.flag[-8:].tolist() == [1] * 8
    assert s.series_decompose_forecast(wild, 8, 4).tolist() == known.baseline.tolist()


@pytest.mark.parametrize(
    ("row", "flags", "baseline"),
    [
        ([GAP] * 6, [0] * 6, [GAP] * 6),
        ([5.0] * 6, [0] * 6, [5.0] * 6),
        ([3.0], [0], [3.0]),
        ([], [], []),
        # Without any spread, whatever differs is an anomaly, but not what rounding leaves.
        ([5.0] * 19 + [6.0], [0] * 19 + [1], [5.05] * 20),
        ([0.1 + 0.7 * n for n in range(30)], [0] * 30, None),
        ([INF, 2, 1, 3, -INF, 2, 1, 3], [1, 0, 0, 0, -1, 0, 0, 0], [GAP, 2, 1, 3] * 2),
        (
            [GAP, 1, 2, 1, 2, 1, GAP, 1, 2, 1, 2, 90, GAP, 1, GAP],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
            None,
        ),
        # A season of which not even two are there is not used.
        ([1, 9, 1, 9, 1], [0] * 5, [4.2] * 5),
        ([0.0] * 5, [0] * 5, [0.0] * 5),
    ],
)
def test_edges(row: list[float], flags: list[int], baseline: list[float] | None) -> None:
    trend: s.Trend = "linefit" if len(row) == 30 else "avg"
    found = s.series_decompose_anomalies(row, seasonality=4, trend=trend)
    assert found.flag.tolist() == flags
    assert not np.isnan(found.score).any()
    if baseline is not None:
        assert found.baseline == pytest.approx(np.array(baseline, float), nan_ok=True)
    # Several series at once are each what they are alone.
    both = s.series_decompose_anomalies([row, row], seasonality=4, trend=trend)
    assert both.flag.tolist() == [flags, flags]


def test_a_phase_without_points_has_no_baseline() -> None:
    found = s.series_decompose_anomalies([1, GAP, 3, 4] * 3, seasonality=4)
    assert found.baseline == pytest.approx([1, GAP, 3, 4] * 3, nan_ok=True)
    assert found.flag.tolist() == [0] * 12


def test_a_long_series_is_decomposed() -> None:
    row = np.tile(np.sin(np.arange(1000) / 1000 * 2 * np.pi), 200)
    row[123_456] += 5
    found = s.series_decompose_anomalies(row)
    assert np.flatnonzero(found.flag).tolist() == [123_456]


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda: s.series_decompose([1.0], trend="mean"), "trend 'mean' is unknown; use avg or"),  # type: ignore[arg-type]
        (lambda: s.series_decompose([1.0], -2), "Seasonality -2 with 0 test points"),
        (lambda: s.series_decompose_forecast([1.0], -1), "with -1 test points"),
        (lambda: s.series_outliers([1.0], "iqr"), "method 'iqr' is unknown; use tukey or"),  # type: ignore[arg-type]
        (lambda: s.series_outliers([1.0], unit="sd"), "unit 'sd' is unknown"),  # type: ignore[arg-type]
        (lambda: s.series_outliers(np.zeros((1, 1, 1))), "Series have 3 dimensions"),
    ],
)
def test_what_is_not_possible_is_refused(call, fault: str) -> None:
    with pytest.raises(LakehouseError, match=re.escape(fault)):
        call()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.floats(-1e4, 1e4),
    st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3),
    st.sampled_from(["avg", "linefit"]),
    st.sampled_from(["tukey", "ctukey"]),
)
def test_flags_do_not_depend_on_the_unit_of_the_series(
    seed: int, shift: float, scale: float, trend: s.Trend, method: s.Method
) -> None:
    rng = np.random.default_rng(seed)
    row = rng.normal(0, 1, 240) + np.tile(rng.normal(0, 3, 24), 10)
    row[rng.random(240) < 0.03] += 9
    row[rng.random(240) < 0.05] = GAP
    known = s.series_decompose_anomalies(row, 1.5, 24, trend, method=method)
    moved = s.series_decompose_anomalies(row * scale + shift, 1.5, 24, trend, method=method)
    assert moved.score == pytest.approx(known.score * np.sign(scale), abs=1e-5)
    near = np.abs(np.abs(known.score) - 1.5) < 1e-5
    assert (moved.flag == known.flag * np.sign(scale))[~near].all()


def test_raw_uniform_readings_are_never_flagged() -> None:
    """The reference draws temperatures evenly from 60 to 74, so its readings have no outliers."""
    rows = np.round(np.random.default_rng(2).uniform(60, 74, (20, 2000)), 1)
    assert not s.series_decompose_anomalies(rows, 1.0, 0).flag.any()


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_anomalies_are_found_and_little_else_is_flagged(seed: int) -> None:
    config = DeviceConfig(seed=seed, hours=72, interval=60)
    world = World(config)
    hours = [world.hour(hour) for hour in range(config.first_hour, config.first_hour + 72)]
    devices = [device.device_id for device in hours[0].devices]
    rows = np.vstack([np.where(hour.sent, hour.temperature, GAP) for hour in hours]).T
    found = s.series_decompose_anomalies(s.series_fill_linear(rows), 1.5, DAY)
    start = np.datetime64(config.start)
    planted = np.zeros(rows.shape, np.int64)
    for hour in hours:
        for anomaly in hour.anomalies:
            minute = int((anomaly.minute - start) / np.timedelta64(1, "m"))
            planted[devices.index(anomaly.device_id), minute] = anomaly.sign
    here = (planted != 0) & ~np.isnan(rows)
    assert np.count_nonzero(here) > 200
    assert np.mean(found.flag[here] == planted[here]) >= 0.98
    assert np.mean(found.flag[~here & ~np.isnan(rows)] != 0) <= 0.001
