"""The sales forecast: what it may know, its intervals, its baselines, and files that it refuses."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakehouse_assets.domains.retail.models.forecast import (
    STATES,
    Features,
    ForecastSettings,
    Panel,
    calibrate,
)
from lakehouse_assets.domains.retail.models.forecast_backtest import (
    BASELINES,
    Forecasts,
    Method,
    backtest,
    calibrated,
    errors,
    lab_regression,
    loss,
    trees,
)
from lakehouse_assets.domains.retail.models.forecast_evaluation import (
    FORECAST_EVALUATION,
    read_sales,
)
from lakehouse_assets.errors import LakehouseError

WEEKS = 95
QUICK = trees(ForecastSettings(trees=10))
ORIGINS = (70, 72, 74)
Row = dict[str, Any]


def sales(weeks: int = WEEKS, stores: int = 4, brands: int = 3, seed: int = 1) -> list[Row]:
    """Generate sales that follow price and promotion, with weeks without a row."""
    rng = np.random.default_rng(seed)
    rows = []
    for store in range(2, 2 + stores):
        for brand in range(1, 1 + brands):
            level = rng.normal(8.0, 0.7)
            for week in range(40, 40 + weeks):
                feature = int(rng.random() < 0.15)
                deal = int(feature or rng.random() < 0.2)
                price = 0.04 * (1.0 - 0.25 * deal) * rng.uniform(0.97, 1.03)
                logarithm = level - 2.5 * np.log(price / 0.04) + 0.8 * feature
                units = int(np.exp(logarithm + rng.normal(0.0, 0.15 + 0.15 * feature))) + 1
                if rng.random() > 0.04:
                    rows.append(
                        {"store": store, "brand": brand, "week": week, "units": units,
                         "price_per_oz": round(price, 6), "deal": deal, "feat": feature}
                    )  # fmt: skip
    return rows


def written(folder: Path, rows: list[Row], name: str = "orange_juice_weekly.csv") -> Path:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    data = "\n".join(lines).encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return read_sales(written(tmp_path_factory.mktemp("oj"), sales()))


def test_json_is_one_object_with_the_metrics(
    lakehouse: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """It forecasts better than every simple method, and its intervals cover what they say."""
    folder = written(tmp_path, sales(), "orange_juice_weekly.csv.gz")
    code, out, said = lakehouse("models", "evaluate", "forecast", "--data", str(folder), "--json")
    assert code == 0, said
    assert len(out.splitlines()) == 1
    found = json.loads(out)
    assert found["mape"] < 25.0
    assert abs(found["bias"]) < 0.2
    assert 0.6 < found["coverage_80"] < 0.95
    assert 0.5 < found["coverage_80_feature"] <= 1.0
    assert len(found["rounds"]) == 12
    assert found["chosen"] == "trees"
    for name in BASELINES:
        assert found["wape"] < 0.7 * found["models"][name]["wape"], name
        assert found["mase"] < found["models"][name]["mase"], name


def changed(panel: Panel, after: int) -> Panel:
    """Return the panel with other sales after a week, and the same plans."""
    units = panel.units.copy()
    units[:, :, after + 1 :] *= np.random.default_rng(3).uniform(0.1, 9.0, units.shape)[
        :, :, after + 1 :
    ]
    return replace(panel, units=units)


@pytest.mark.parametrize("method", [QUICK, *BASELINES.values()], ids=["trees", *BASELINES])
def test_sales_after_the_origin_change_no_forecast(panel: Panel, method: Method) -> None:
    """Neither forecasts nor their factors and intervals know what was sold after the origin."""
    last = ORIGINS[-1]
    found = [
        calibrated(backtest(Features(p), method, ORIGINS), last)
        for p in (panel, changed(panel, last))
    ]
    (first, *bounds), (second, *others) = found
    np.testing.assert_array_equal(first.forecast, second.forecast)
    np.testing.assert_array_equal(bounds, others)
    assert (first.units != second.units).any()


def test_the_labs_regression_leaks_the_week_that_it_forecasts(panel: Panel) -> None:
    """Its features hold the quantity, so its revenue follows sales that no forecast can know."""
    last = ORIGINS[-1]
    other = changed(panel, last)
    leaking, honest = (
        [backtest(Features(p), lab_regression(leaks=leaks), [last]) for p in (panel, other)]
        for leaks in (True, False)
    )
    assert (leaking[0].forecast != leaking[1].forecast).mean() > 0.5
    assert (honest[0].forecast == honest[1].forecast).all()


def test_without_its_leak_the_labs_regression_explains_nothing() -> None:
    """On quantities and prices as the reference's, drawn at random, R2 falls from .8 to nothing."""
    rng = np.random.default_rng(5)
    shape = (10, 3, 60)
    price, quantity = rng.uniform(1.9, 2.69, shape), rng.uniform(9_000, 20_226, shape)
    panel = Panel(0, quantity, price, np.zeros(shape), np.ones(shape))
    explained = []
    for leaks in (True, False):
        found = backtest(Features(panel), lab_regression(leaks=leaks), (40, 48, 56))
        paid = price.reshape(30, -1)[np.arange(len(found.week)) % 30, found.week]
        revenue, said = found.units * paid, found.forecast * paid
        explained.append(
            1.0 - ((revenue - said) ** 2).sum() / ((revenue - revenue.mean()) ** 2).sum()
        )
    assert 0.7 < explained[0] < 0.9
    assert explained[1] < 0.1


def test_lags_count_weeks_not_rows() -> None:
    """A missing week is a gap: the same week of the year before stays 52 weeks away."""
    weeks = [week for week in range(80) if week not in (20, 60, 61)]
    columns = {
        "store": np.ones(77, int), "brand": np.ones(77, int), "week": np.array(weeks),
        "units": np.array(weeks) + 100.0, "price": np.ones(77), "deal": np.zeros(77),
        "feature": np.zeros(77),
    }  # fmt: skip
    features = Features(Panel.of(columns))
    forecast = BASELINES["seasonal_naive"](features, 61)
    assert forecast(64)[0] == 112.0
    # Week 20 is missing, so that the last known week is used: 59, not the gap before the origin.
    assert forecast(72)[0] == 159.0


def test_intervals_and_factors_are_those_of_the_state() -> None:
    """Noisy feature weeks have wider intervals, and each state covers 80 % of new weeks."""
    rng = np.random.default_rng(7)
    states = rng.integers(0, 3, 9_000)
    forecasts = rng.uniform(100, 1_000, 9_000)
    units = forecasts * np.exp(rng.normal(0, np.array([0.1, 0.2, 0.6])[states]))
    found = calibrate(units[:6_000], forecasts[:6_000], states[:6_000])
    for state in range(len(STATES)):
        new = states[6_000:] == state
        ratio = (units / forecasts)[6_000:][new]
        assert 0.76 < ((ratio >= found[state, 1]) & (ratio <= found[state, 2])).mean() < 0.84
        factor, low, high = found[state]
        assert low < factor < high
    width = found[:, 2] / found[:, 1]
    assert width[0] < width[1] < width[2]


def test_intervals_follow_sales_that_become_less_certain() -> None:
    """At least 80 % stay within the bounds, where bounds of the past alone lose a tenth."""
    rng = np.random.default_rng(11)
    origins, series = 30, 300
    noise = np.repeat(np.linspace(0.1, 0.5, origins), series)
    origin = np.repeat(np.arange(origins), series)
    forecast = rng.uniform(100, 1_000, len(origin))
    found = Forecasts(
        origin, origin + 1, np.zeros(len(origin), int),
        forecast * np.exp(rng.normal(0.0, 1.0, len(origin)) * noise), np.ones(len(origin)),
        forecast,
    )  # fmt: skip
    inside, plain = [], []
    for one in range(15, origins):
        point, low, high = calibrated(found, one)
        inside.append((point.units >= low) & (point.units <= high))
        before = found.where((found.origin < one) & (found.origin >= one - 8))
        _, below, above = calibrate(before.units, before.forecast, before.state)[0]
        now = found.where(found.origin == one)
        ratio = now.units / now.forecast
        plain.append((ratio >= below) & (ratio <= above))
    assert 0.76 < np.mean(inside) < 0.88
    assert np.mean(plain) < 0.75 < np.mean(inside) - 0.04


def test_a_factor_must_not_leave_out_more_volume() -> None:
    """MAPE alone would shrink these forecasts, which are too low already."""
    rng = np.random.default_rng(9)
    forecasts = np.full(2_000, 100.0)
    units = forecasts * np.exp(rng.normal(0, 0.9, 2_000))
    factor = calibrate(units, forecasts, np.zeros(2_000, int))[0, 0]
    assert (forecasts.sum() - units.sum()) / units.sum() < -0.2
    assert factor == 1.0
    mape = [np.abs(k * forecasts / units - 1.0).mean() for k in (0.7, factor)]
    assert mape[0] < mape[1]


def test_a_method_that_is_biased_is_not_chosen(panel: Panel) -> None:
    """A lower WAPE does not outweigh leaving out a third of the volume."""
    found = backtest(Features(panel), BASELINES["ets"], ORIGINS)
    low = errors(replace(found, forecast=found.units * 0.65))
    even = errors(
        replace(
            found, forecast=found.units * np.tile([0.6, 1.4], len(found.units))[: len(found.units)]
        )
    )
    assert low["wape"] < even["wape"]
    assert loss(low) > loss(even)


def _without(row: Row, name: str) -> Row:
    return {column: value for column, value in row.items() if column != name}


def _first(**values: object) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [rows[0] | values, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [_without(row, "deal") for row in rows], "lacks the column"),
        (_first(units=0), "record 1: units is '0'"),
        (_first(units="many"), "record 1: units is 'many'"),
        (_first(price_per_oz=-1), "price_per_oz is '-1'"),
        (_first(deal=2), "deal is '2'"),
        (_first(feat=""), "feat is empty"),
        (_first(week=40.5), "week is '40.5'"),
        (_first(store=""), "store is empty"),
        (lambda rows: [*rows, rows[0]], "several rows for a store, brand and week"),
        (lambda rows: [r for r in rows if r["week"] < 100], "of 60 weeks; provide at least 90"),
        (lambda rows: [dict.fromkeys(r, "") for r in rows[:1]], "record 1"),
    ],
    ids=[
        "column", "zero", "text", "price", "deal", "empty", "fraction", "store", "twice", "short",
        "blank",
    ],
)  # fmt: skip
def test_files_that_cannot_be_evaluated(
    tmp_path: Path, change: Callable[[list[Row]], list[Row]], said: str
) -> None:
    folder = written(tmp_path, change(sales(stores=2, brands=2)))
    with pytest.raises(LakehouseError, match=said) as error:
        FORECAST_EVALUATION.run({"data": folder}, lambda _: None)
    assert len(str(error.value).splitlines()) == 1


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="has no file orange_juice_weekly"):
        FORECAST_EVALUATION.run({"data": tmp_path}, lambda _: None)
