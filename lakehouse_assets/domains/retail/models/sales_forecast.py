"""The model of `gold_sales_forecast`: the best of four ways to carry a series on, calibrated.

A forecast is read from a row alone, so that the champion can forecast later months: the row says
what the series sold up to the forecast's origin. Every delivered week is forecast from one to ten
weeks before, which is a backtest with rolling origins: it chooses the method and calibrates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.gold.forecast import (
    GOLD_SALES_FORECAST,
    GOLD_STORE_WEEKS,
    RECENT,
    WEEKS_AHEAD,
)
from lakehouse_assets.domains.retail.models.forecast import STATES, calibrate
from lakehouse_assets.domains.retail.models.forecast_backtest import loss
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.comparison import by_metric
from lakehouse_assets.ml.sampling import FloatArray, feature_matrix
from lakehouse_assets.ml.spec import Evidence, Fitted, Gate, ModelSpec, ModelTable, Variant

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

METHODS: Final = ("recent", "last_week", "year_before", "similar")
FEATURES: Final = ("advert", "reduced", *METHODS)
TARGET: Final = "sold"
FEWEST_ROWS: Final = 20

_YEAR: Final = 52
_REDUCED: Final = 0.95
_SCORED: Final = {
    "promotion": "string", "method": "string", "forecast_p10": "double",
    "forecast_p50": "double", "forecast_p90": "double",
}  # fmt: skip
_SERIES: Final = ("store", "brand")


@dataclass(frozen=True)
class SalesForecastSettings:
    """Settings of a fit.

    Attributes:
        method: One of `METHODS`, or best for that with the least error in the backtest.
    """

    method: str = "best"


@dataclass(frozen=True)
class SalesForecastModel:
    """The chosen method and its calibration.

    Attributes:
        method: One of `METHODS`.
        factors: Of each of `STATES`: factors of the forecast and of its lower and upper bound.
    """

    method: str
    factors: list[list[float]]

    def predict(self, rows: pa.RecordBatch) -> list[float | None]:
        """Return the forecast of each row; None without a history."""
        found: list[float | None] = (
            sales_forecast_scorer(self)(rows).column("forecast_p50").to_pylist()
        )
        return found


def with_history(weeks: DataFrame) -> DataFrame:
    """Describe what is known of each week at the origin of its forecast.

    Args:
        weeks: The month's rows of `gold_store_weeks`.

    Returns:
        One row per week ahead, and ten per delivered week, forecast from 1 to 10 weeks before; with
        a key, `FEATURES` and `TARGET`. Weeks without a row are gaps, and not skipped.
    """
    weeks = v.staged(weeks)
    delivered = weeks.filter(F.col("weeks_ahead") == F.lit(0))
    asked = reduce(
        lambda one, other: one.unionByName(other),
        [
            weeks.filter(F.col("weeks_ahead") == F.lit(0)).withColumn("horizon", F.lit(horizon))
            for horizon in range(1, WEEKS_AHEAD + 1)
        ],
        weeks.filter(F.col("weeks_ahead") > F.lit(0)).withColumn("horizon", F.col("weeks_ahead")),
    )
    asked = v.staged(asked)
    past = delivered.select(
        F.col("store").alias("past_store"),
        F.col("brand").alias("past_brand"),
        F.col("week_number").alias("past_week"),
        F.col("quantity").cast("double").alias("past_sold"),
        F.col("price").alias("past_price"),
        F.col("advert").alias("past_advert"),
    )
    origin = F.col("week_number") - F.col("horizon")
    age = origin - F.col("past_week")
    known = v.staged(
        asked.join(
            past,
            (F.col("store") == F.col("past_store"))
            & (F.col("brand") == F.col("past_brand"))
            & (F.col("past_week") <= origin),
            "left",
        )
    )
    change = F.abs(F.col("past_price") / F.col("price") - F.lit(1.0))
    likeness = F.lit(1.0) / (
        (F.lit(1.0) + age.cast("double") / F.lit(6.0))
        * (F.lit(1.0) + F.lit(10.0) * F.coalesce(change, F.lit(1.0)))
        * (F.lit(1.0) + F.lit(2.0) * F.abs(F.col("past_advert") - F.col("advert")).cast("double"))
    )
    near = age < F.lit(RECENT)
    # Weights are whole numbers, so that sums do not depend on the order of rows.
    weight = F.when(
        F.col("past_sold").isNotNull(), F.floor(likeness * F.lit(1_000_000.0)).cast("bigint")
    )
    rows = known.groupBy(*asked.columns).agg(
        v.mean(F.when(near, F.col("past_sold").cast("bigint")), 4).alias("recent_mean"),
        v.mean(F.when(near, F.col("past_price").cast("decimal(18,6)")), 6).alias("usual_price"),
        F.max(F.when(age == F.lit(0), F.col("past_sold"))).alias("sold_last"),
        F.max(
            F.when(F.col("past_week") == F.col("week_number") - F.lit(_YEAR), F.col("past_sold"))
        ).alias("sold_year_before"),
        v.ratio(v.total(weight * F.col("past_sold").cast("bigint")), v.total(weight)).alias(
            "similar_mean"
        ),
    )
    recent = F.col("recent_mean")
    reduced = F.col("price") < F.lit(_REDUCED) * F.col("usual_price")
    return v.staged(rows).withColumns(
        {
            "row_key": v.hash_key(
                *(F.col(name) for name in (*_SERIES, "week_start", "weeks_ahead", "horizon"))
            ),
            TARGET: F.col("quantity").cast("double"),
            "reduced": F.when(reduced, F.lit(1)).otherwise(F.lit(0)),
            "recent": recent,
            "last_week": F.coalesce(F.col("sold_last"), recent),
            "year_before": F.coalesce(F.col("sold_year_before"), recent),
            "similar": F.when(recent.isNotNull(), F.coalesce(F.col("similar_mean"), recent)),
        }
    )


def _states(features: FloatArray) -> Any:
    """Return the promotion state of rows, as places in `STATES`."""
    import numpy as np

    return np.where(features[:, 0] > 0, 2, np.where(features[:, 1] > 0, 1, 0))


def fit_sales_forecast(rows: pa.Table, settings: SalesForecastSettings) -> Fitted:
    """Choose the method with the least WAPE and little bias in the backtest, and calibrate it."""
    import numpy as np
    import pyarrow as pa

    features, sold = feature_matrix(rows.select(FEATURES)), rows[TARGET].to_numpy()
    states, judged = _states(features), sold > 0
    forecasts = {name: np.maximum(features[:, 2 + n], 1e-9) for n, name in enumerate(METHODS)}
    found = {name: _errors(sold, said) for name, said in forecasts.items()}
    method = settings.method
    if method not in METHODS:
        method = min(METHODS, key=lambda name: loss(found[name]))
    said = forecasts[method]
    factors = np.array(
        [
            (one.factor, one.low, one.high)
            for one in calibrate(sold[judged], said[judged], states[judged])
        ]
    )
    point = said * factors[states, 0]
    return Fitted(
        model=SalesForecastModel(method, factors.tolist()),
        run_name=f"sales_forecast_{method}",
        metrics=_errors(sold, point),
        params={"method": method},
        variants=[Variant(name, {"method": name}, values) for name, values in found.items()],
        held_out=pa.table({"label": sold, "prediction": point}),
    )


def wape(sold: FloatArray, said: FloatArray, counted: FloatArray) -> float:
    """Return the sum of absolute errors as a share of the volume."""
    import numpy as np

    volume = float((counted * sold).sum())
    return float((counted * np.abs(said - sold)).sum()) / max(volume, 1e-9)


def _errors(sold: FloatArray, said: FloatArray) -> dict[str, float]:
    """Return MAPE in percent of weeks with sales, and WAPE and bias as shares of the volume."""
    import numpy as np

    there = sold > 0
    return {
        "mape": float(100.0 * np.abs(said[there] / sold[there] - 1.0).mean())
        if there.any()
        else 0.0,
        "wape": wape(sold, said, np.ones(len(sold))),
        "bias": float((said - sold).sum() / max(sold.sum(), 1e-9)),
    }


def sales_forecast_scorer(
    model: SalesForecastModel,
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that forecasts a batch of rows; see `ModelSpec.scorer`."""
    method, factors = model.method, model.factors

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        features = feature_matrix(batch)
        states = _states(features)
        said = features[:, 2 + METHODS.index(method)]
        unknown = ~np.isfinite(said)
        # A forecast says no more than tenths of a piece.
        numbers = [
            np.round(np.nan_to_num(said * np.array(factors)[states, place]), 1)
            for place in (1, 0, 2)
        ]
        names = np.array(STATES, object)[states]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(names, pa.string()),
                pa.array(np.full(len(states), method, object), pa.string(), mask=unknown),
                *(pa.array(column, pa.float64(), mask=unknown) for column in numbers),
            ],
            names=list(_SCORED),
        )

    return score


def only_ahead(rows: DataFrame) -> DataFrame:
    """Keep the weeks ahead; columns as declared for `gold_sales_forecast`."""
    return rows.filter(F.col("weeks_ahead") > F.lit(0)).select(*GOLD_SALES_FORECAST.column_names)


def describe_sales_forecast(engine: Engine, forecast: DataFrame) -> Evidence:
    """Draw the revenue that is expected in each of the weeks ahead."""
    bounds = ("p10", "p50", "p90")
    sums = [F.sum(F.col(f"forecast_{b}") * F.col("price")).alias(b) for b in bounds]
    found = engine.rows(forecast.groupBy("weeks_ahead", "week_start").agg(*sums))
    points = sorted(
        (row["weeks_ahead"], row["week_start"], *(float(row[b] or 0.0) for b in bounds))
        for row in found
    )
    metrics = {"weeks_ahead": float(len(points))}
    return Evidence(metrics, {"revenue_after_campaign": revenue_figure(points)} if points else {})


def revenue_figure(points: list[tuple[int, date, float, float, float]]) -> Figure:
    """Draw expected revenue by week, with its bounds.

    Args:
        points: Weeks ahead, first day, lower bound, forecast and upper bound of each week.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    ahead, _, low, middle, high = (list(column) for column in zip(*points, strict=True))
    axes.fill_between(ahead, low, high, alpha=0.2, label="sum of the stores' 80 % intervals")
    axes.plot(ahead, middle, marker="o", label="forecast")
    axes.set(xlabel="weeks ahead", ylabel="revenue of all stores", ylim=(0, None))
    axes.set_title(f"Expected revenue of the weeks from {points[0][1]:%Y-%m-%d}")
    axes.legend()
    return figure


SALES_FORECAST: Final = ModelSpec(
    name="forecast",
    experiment="Sales_Forecast_Experiment",
    key="row_key",
    features=FEATURES,
    target=TARGET,
    settings=SalesForecastSettings(),
    fit=fit_sales_forecast,
    types=frozenset({f"{SalesForecastModel.__module__}.{SalesForecastModel.__qualname__}"}),
    scored=_SCORED,
    scorer=sales_forecast_scorer,
    fewest=lambda _settings: FEWEST_ROWS,
    gates=(
        Gate(
            "forecast_is_not_biased", "bias", -0.2, below=0.2,
            description="In the backtest, less than a fifth of the volume is forecast too much or "
            "too little.",
            also_shown=("wape", "mape"),
        ),
    ),
    comparison=by_metric("wape", wape, "forecast_p50", lower_is_better=True, not_worse_by=0.02),
    prepare=with_history,
    finish=only_ahead,
    describe=describe_sales_forecast,
    limits=(
        "Price and advert of the weeks ahead are assumed to stay as they are.",
        "Intervals do not widen with the weeks ahead, and sums of bounds are wider than 80 %.",
        "`lakehouse models evaluate forecast` judges boosted trees, which need a year and a half "
        "of weeks; this table uses the best of four simple methods, however few weeks there are.",
    ),
)  # fmt: skip

SALES_FORECAST_TABLE: Final = ModelTable(SALES_FORECAST, GOLD_SALES_FORECAST, GOLD_STORE_WEEKS)
