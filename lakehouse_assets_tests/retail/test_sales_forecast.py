"""The forecast of the lake: what a row knows of its past, and the choice of a method."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.domains.retail.datasets.store_sales import SILVER_STORE_SALES
from lakehouse_assets.domains.retail.gold.forecast import (
    GOLD_SALES_FORECAST,
    WEEKS_AHEAD,
    demand_forecast,
    post_campaign_revenue,
    store_weeks,
)
from lakehouse_assets.domains.retail.models.sales_forecast import (
    FEATURES,
    FITTED_WITH,
    SALES_FORECAST,
    SIMPLE,
    TARGET,
    SalesForecastSettings,
    fit_sales_forecast,
    only_ahead,
    revenue_figure,
    with_history,
)
from lakehouse_assets.engine import DataFrame, F, current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.ml.lifecycle import score_rows
from lakehouse_assets.ml.sampling import fetch_sample

MONTH = date(2022, 9, 1)
FIRST = date(2021, 7, 5)


def sold(
    engine: Engine,
    weeks: dict[int, int],
    store: int = 1,
    brand: str = "BrandA",
    prices: dict[int, float] | None = None,
) -> DataFrame:
    """Return sales of a store's brand, by number of the week; the price is 2 if none is given."""
    paid = [(prices or {}).get(week, 2.0) for week in weeks]
    schema = arrow_schema(SILVER_STORE_SALES)
    made: dict[str, list[Any]] = {name: [None] * len(weeks) for name in schema.names}
    made |= {
        "sale_id": [f"{store}{brand}{week}" for week in weeks],
        "week_starting": [FIRST + timedelta(weeks=week) for week in weeks],
        "store": [store] * len(weeks),
        "brand": [brand] * len(weeks),
        "quantity": list(weeks.values()),
        "advert": [0] * len(weeks),
        "price": paid,
        "revenue": [p * quantity for p, quantity in zip(paid, weeks.values(), strict=True)],
    }
    columns = {
        name: pa.array(made[name]).cast(schema.field(name).type)
        for name in ("sale_id", "week_starting", "store", "brand", "quantity", "advert")
    } | {
        name: pa.array([str(value) for value in made[name]]).cast(schema.field(name).type)
        for name in ("price", "revenue")
    }
    return engine.from_arrow(pa.table(columns))


def known(engine: Engine, sales: DataFrame) -> dict[tuple[int, int], dict[str, Any]]:
    """Return what rows know, by place of the week and weeks from origin to week."""
    rows = engine.rows(with_history(store_weeks(sales, MONTH)))
    return {((row["week_start"] - FIRST).days // 7, row["horizon"]): row for row in rows}


def test_a_row_knows_the_weeks_up_to_its_origin_and_counts_gaps(engine: Engine) -> None:
    rows = known(engine, sold(engine, {0: 100, 1: 200, 2: 300, 4: 500, 5: 600}))
    assert (rows[5, 1]["last_week"], rows[5, 1]["recent"]) == (500.0, 275.0)
    # Week 3 has no row: two weeks before week 5 nothing was sold, so that the mean stands in.
    assert (rows[5, 2]["last_week"], rows[5, 2]["recent"]) == (200.0, 200.0)
    assert rows[0, 1]["recent"] is None
    assert rows[0, 1]["similar"] is None
    ahead = {horizon: row for (week, horizon), row in rows.items() if row["weeks_ahead"]}
    assert sorted(ahead) == list(range(1, WEEKS_AHEAD + 1))
    assert {row["last_week"] for row in ahead.values()} == {600.0}
    assert {row[TARGET] for row in ahead.values()} == {None}
    assert ahead[1]["week_start"] == FIRST + timedelta(weeks=6)


def test_similar_weeks_are_those_with_the_price_and_the_year_before_is_52_weeks_ago(
    engine: Engine,
) -> None:
    quantities = {week: 900 if week % 2 else 100 for week in range(60)}
    cheap = dict.fromkeys(range(1, 60, 2), 1.5)
    rows = known(engine, sold(engine, quantities, prices=cheap))
    assert rows[58, 1]["similar"] < 400.0 < 600.0 < rows[59, 1]["similar"]
    assert rows[59, 1]["reduced"] == 1
    assert rows[58, 1]["reduced"] == 0
    assert rows[59, 1]["year_before"] == 900.0
    assert rows[58, 10]["year_before"] == 100.0


@pytest.mark.parametrize("name", ["engine", "spark_engine"])
def test_a_week_in_which_a_store_gave_all_away_is_one_of_another_price(
    name: str, request: pytest.FixtureRequest
) -> None:
    engine: Engine = request.getfixturevalue(name)
    given = {0: 0.0, 1: 0.0, 3: 99_999_999_999_999.0}
    rows = known(engine, sold(engine, dict.fromkeys(range(4), 1), prices=given))
    assert [rows[week, 1]["similar"] for week in (1, 2, 3)] == [1.0, 1.0, 1.0]
    # In the first weeks, everything was free; later, the usual price is the mean of all.
    assert [rows[week, 1]["price_change"] for week in (1, 2)] == [1.0, 1.0]
    assert [rows[week, 1]["reduced"] for week in (1, 2, 3)] == [0, 0, 0]


def test_a_brand_that_a_store_gave_up_is_not_forecast(engine: Engine) -> None:
    sales = engine.union(
        [sold(engine, dict.fromkeys(range(20), 50)), sold(engine, {0: 10, 11: 10}, store=2)]
    )
    rows = engine.rows(store_weeks(sales, MONTH).filter(F.col("weeks_ahead") > F.lit(0)))
    assert {row["store"] for row in rows} == {1}


def test_a_week_after_the_month_does_not_move_the_weeks_ahead(engine: Engine) -> None:
    sales = engine.union([sold(engine, {0: 10, 1: 10}), sold(engine, {400: 10}, store=2)])
    rows = engine.rows(store_weeks(sales, MONTH))
    assert {row["store"] for row in rows} == {1}
    assert max(row["week_start"] for row in rows) == FIRST + timedelta(weeks=1 + WEEKS_AHEAD)


def forecast(engine: Engine, weeks: int, noise: float = 0.1) -> tuple[DataFrame, Any]:
    """Forecast random sales of six series; return the table's rows, and the fit."""
    rng = np.random.default_rng(4)
    frames = [
        sold(
            engine,
            {week: int(1_000 * store * np.exp(rng.normal(0.0, noise))) for week in range(weeks)},
            store,
            brand,
        )
        for store in (1, 2, 3)
        for brand in ("BrandA", "BrandB")
    ]
    prepared = engine.checkpoint(with_history(store_weeks(engine.union(frames), MONTH)))
    sample = fetch_sample(
        engine, prepared, SALES_FORECAST.key, (*FEATURES, *FITTED_WITH, TARGET), 100_000
    )
    fitted = fit_sales_forecast(sample.rows, SalesForecastSettings())
    scored, _ = score_rows(SALES_FORECAST, engine, prepared, fitted.model, 7)
    return engine.checkpoint(only_ahead(scored)), fitted


def test_each_series_has_ten_weeks_with_bounds_that_cover_its_sales_and_they_are_added_up(
    engine: Engine,
) -> None:
    found, fitted = forecast(engine, 12)
    rows = engine.rows(found)
    assert tuple(found.columns) == GOLD_SALES_FORECAST.column_names
    assert len(rows) == 6 * WEEKS_AHEAD
    assert {row["model_version"] for row in rows} == {7}
    assert {row["method"] for row in rows} == {fitted.model.method}
    assert {row["promotion"] for row in rows} == {"none"}
    for row in rows:
        assert row["forecast_p10"] < row["forecast_p50"] < row["forecast_p90"]
        assert row["forecast_p10"] < 1_000 * row["store"] < row["forecast_p90"]
    assert abs(fitted.metrics["bias"]) < 0.05
    # Sales without a trend: a mean is better than the last week, and the runs show it.
    tried = {variant.name: variant.metrics["wape"] for variant in fitted.variants}
    assert tried["recent"] < tried["last_week"]
    assert fitted.model.method in {"recent", "similar", "year_before", "smoothed"}
    demand = {row["brand"]: row for row in engine.rows(demand_forecast(found))}
    assert set(demand) == {"BrandA", "BrandB"}
    for brand, row in demand.items():
        wanted = sum(r["forecast_p50"] for r in rows if r["brand"] == brand)
        assert float(row["demand"]) == pytest.approx(wanted)
        assert row["demand_low"] < row["demand"] < row["demand_high"]
        assert row["weeks"] == WEEKS_AHEAD
    campaigns = engine.from_arrow(
        pa.table({"last_day": pa.array([date(2021, 9, 1), date(2021, 9, 19)])})
    )
    weeks = engine.rows(post_campaign_revenue(found, campaigns))
    assert sorted(row["weeks_after_campaign"] for row in weeks) == list(range(1, 11))
    first = min(weeks, key=lambda row: row["week_start"])
    wanted = sum(
        r["forecast_p50"] * r["price"] for r in rows if r["week_start"] == first["week_start"]
    )
    assert float(first["predicted_revenue"]) == pytest.approx(wanted, abs=0.1)
    assert engine.rows(post_campaign_revenue(found, campaigns.filter(F.lit(False)))) == []


def test_trees_are_chosen_where_the_price_decides_and_know_only_weeks_before(
    engine: Engine,
) -> None:
    """A third more at a lower price, each time by another amount, is no mean of the past."""
    rng = np.random.default_rng(6)
    frames = []
    for store in range(1, 9):
        prices = dict(enumerate(map(float, rng.choice([1.5, 1.75, 2.0, 2.25, 2.5], 40))))
        quantities = {
            week: int(500 * store * (2.0 / price) ** 4 * np.exp(rng.normal(0.0, 0.05)))
            for week, price in prices.items()
        }
        frames.append(sold(engine, quantities, store, prices=prices))
    sales = engine.union(frames)
    names = (*FEATURES, *FITTED_WITH, TARGET)

    def fitted(sales: DataFrame) -> Any:
        prepared = engine.checkpoint(with_history(store_weeks(sales, MONTH)))
        rows = fetch_sample(engine, prepared, SALES_FORECAST.key, names, 100_000).rows
        return rows, fit_sales_forecast(rows, SalesForecastSettings())

    rows, found = fitted(sales)
    wape = {variant.name: variant.metrics["wape"] for variant in found.variants}
    assert found.model.method == "trees"
    assert set(wape) == {*SIMPLE, "trees"}
    assert wape["trees"] < 0.8 * min(wape[name] for name in SIMPLE)
    assert np.isfinite(found.metrics["mase"])
    score = SALES_FORECAST.scorer(found.model)
    batch = rows.select(FEATURES).combine_chunks().to_batches()[0]
    said = np.array(score(batch).column("forecast_p50").to_pylist())
    one = [score(batch.slice(n, 1)).column("forecast_p50")[0].as_py() for n in range(20)]
    assert one == said[:20].tolist()
    # In the backtest, the forecast of a week does not know it: fitted ones are nearer.
    held = found.held_out["prediction"].to_numpy()
    compared = np.isfinite(held)
    truth = rows[TARGET].to_numpy()
    assert 0.2 < compared.mean() < 0.8
    errors = [np.abs(p[compared] - truth[compared]).mean() for p in (said, held)]
    assert errors[0] < errors[1]


def test_the_figure_shows_each_week_and_its_bounds() -> None:
    points = [(n, FIRST + timedelta(weeks=n), 1.0 * n, 2.0 * n, 3.0 * n) for n in range(1, 11)]
    axes = revenue_figure(points).axes[0]
    assert list(axes.lines[0].get_ydata()) == [point[3] for point in points]
    assert "2021-07-12" in axes.get_title()


def test_a_row_of_nulls_has_no_forecast() -> None:
    score = SALES_FORECAST.scorer(_model())
    nulls = pa.RecordBatch.from_arrays(
        [pa.nulls(1, pa.float64())] * len(FEATURES), names=list(FEATURES)
    )
    (row,) = score(nulls).to_pylist()
    assert (row["method"], row["forecast_p10"], row["forecast_p50"]) == (None, None, None)


def _model() -> Any:
    rows = pa.table(dict.fromkeys((*FEATURES, *FITTED_WITH, TARGET), pa.array([100.0] * 30)))
    return fit_sales_forecast(rows, SalesForecastSettings("recent")).model


def test_both_engines_forecast_the_same(engine: Engine, spark_engine: Engine) -> None:
    """Value for value, down to the metrics of the fit; five weeks of history are enough."""
    results = []
    for one in (engine, spark_engine):
        current.activate(one)
        found, fitted = forecast(one, 5)
        results.append((sorted(map(str, one.rows(found))), fitted.metrics))
    assert results[0] == results[1]
    assert len(results[0][0]) == 6 * WEEKS_AHEAD
