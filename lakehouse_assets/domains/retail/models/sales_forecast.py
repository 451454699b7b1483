"""The model of `gold_sales_forecast`: boosted trees or a simple method, calibrated.

A forecast needs only one row, which says what the series sold up to the forecast's origin, so the
champion can forecast later months. Every delivered week is forecast from one to ten weeks before.
This backtest with rolling origins chooses the method and calibrates it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.gold.forecast import (
    GOLD_SALES_FORECAST,
    GOLD_STORE_WEEKS,
    RECENT,
    WEEKS_AHEAD,
)
from lakehouse_assets.domains.retail.models.forecast import (
    STATES,
    ForecastSettings,
    boost,
    calibrate,
)
from lakehouse_assets.domains.retail.models.forecast_backtest import Forecasts, choose, errors
from lakehouse_assets.engine import DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.comparison import by_metric
from lakehouse_assets.ml.model_files import types_of
from lakehouse_assets.ml.sampling import FloatArray, feature_matrix
from lakehouse_assets.ml.spec import Evidence, Fitted, Gate, ModelSpec, ModelTable, Variant
from lakehouse_assets.ml.trees import Trees, from_xgboost

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

SIMPLE: Final = ("recent", "last_week", "year_before", "similar", "smoothed")
METHODS: Final = (*SIMPLE, "trees")
FEATURES: Final = ("advert", "reduced", "price_change", "horizon", *SIMPLE)
FITTED_WITH: Final = ("week_number", "usual_step")
TARGET: Final = "sold"
FEWEST_ROWS: Final = 20

_YEAR: Final = 52
_REDUCED: Final = 0.95
# Share of the level that a week takes over from the weeks before it, in exponential smoothing.
_KEPT: Final = 0.7
# The trees learn from the weeks before each of so many origins, to be compared on those after it;
# with fewer rows to learn from, or to be compared on, they are left out.
_ORIGINS: Final = 4
_FEWEST_LEARNT: Final = 200
# With fewer steps from week to week, a series has no MASE.
_FEWEST_STEPS: Final = 4
# Where the trees start from, and what they add to, in `FEATURES`.
_START: Final = FEATURES.index("similar")
_SCORED: Final = {
    "promotion": "string", "method": "string", "forecast_p10": "double",
    "forecast_p50": "double", "forecast_p90": "double",
}  # fmt: skip
_SERIES: Final = ("store", "brand")


@dataclass(frozen=True)
class SalesForecastSettings(ForecastSettings):
    """Settings of a fit.

    Attributes:
        method: One of `METHODS`, or best for that with the least error in the backtest.
    """

    trees: int = 60
    depth: int = 3
    method: str = "best"


@dataclass(frozen=True, eq=False)
class SalesForecastModel:
    """The chosen method and its calibration.

    Attributes:
        method: One of `METHODS`.
        factors: Of each of `STATES`: factors of the forecast and of its lower and upper bound.
        trees: The boosted trees, if they are the method.
    """

    method: str
    factors: FloatArray
    trees: Trees | None

    def forecasts(self, features: FloatArray) -> FloatArray:
        """Return the uncalibrated forecast of each row of features; NaN without a history."""
        import numpy as np

        if self.trees is None:
            return features[:, FEATURES.index(self.method)]
        start = np.log1p(features[:, _START])
        added = self.trees.margins(np.nan_to_num(_columns(features)))
        return np.asarray(np.expm1(start + added), np.float64)

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
    every = F.explode(F.sequence(F.lit(1), F.lit(WEEKS_AHEAD)))
    again = delivered.select(*weeks.columns, every.alias("horizon"))
    ahead = weeks.filter(F.col("weeks_ahead") > F.lit(0)).withColumn(
        "horizon", F.col("weeks_ahead")
    )
    asked = v.staged(ahead.unionByName(again.withColumn("horizon", F.col("horizon").cast("int"))))
    series = W.partitionBy(*_SERIES).orderBy("week_number")
    past = delivered.select(
        F.col("store").alias("past_store"),
        F.col("brand").alias("past_brand"),
        F.col("week_number").alias("past_week"),
        F.col("quantity").cast("double").alias("past_sold"),
        F.col("price").alias("past_price"),
        F.col("advert").alias("past_advert"),
        F.when(
            F.col("week_number") - F.lag("week_number").over(series) == F.lit(1),
            F.abs(F.col("quantity") - F.lag("quantity").over(series)),
        ).alias("past_step"),
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
    change = F.abs(v.ratio(F.col("past_price"), F.col("price")) - F.lit(1.0))
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
    kept = F.pow(F.lit(_KEPT), age.cast("double"))
    smoothing = F.when(
        F.col("past_sold").isNotNull(), F.floor(kept * F.lit(1_000_000.0)).cast("bigint")
    )
    rows = known.groupBy(*asked.columns).agg(
        v.mean(F.when(near, F.col("past_sold").cast("bigint")), 4).alias("recent_mean"),
        v.mean(F.when(near, F.col("past_price").cast("decimal(24,6)")), 6).alias("usual_price"),
        F.max(F.when(age == F.lit(0), F.col("past_sold"))).alias("sold_last"),
        F.max(
            F.when(F.col("past_week") == F.col("week_number") - F.lit(_YEAR), F.col("past_sold"))
        ).alias("sold_year_before"),
        v.ratio(v.total(weight * F.col("past_sold").cast("bigint")), v.total(weight)).alias(
            "similar_mean"
        ),
        v.ratio(v.total(smoothing * F.col("past_sold").cast("bigint")), v.total(smoothing)).alias(
            "smoothed_mean"
        ),
        v.mean(F.col("past_step").cast("bigint"), 4).alias("step_mean"),
        F.count("past_step").alias("steps"),
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
            "price_change": F.coalesce(v.ratio(F.col("price"), F.col("usual_price")), F.lit(1.0)),
            "usual_step": F.when(
                F.col("steps") >= F.lit(_FEWEST_STEPS), F.col("step_mean").cast("double")
            ).otherwise(F.lit(0.0)),
            "recent": recent,
            "last_week": F.coalesce(F.col("sold_last"), recent),
            "year_before": F.coalesce(F.col("sold_year_before"), recent),
            "similar": F.when(recent.isNotNull(), F.coalesce(F.col("similar_mean"), recent)),
            "smoothed": F.when(recent.isNotNull(), F.coalesce(F.col("smoothed_mean"), recent)),
        }
    )


def _states(features: FloatArray) -> Any:
    """Return the promotion state of rows, as places in `STATES`."""
    import numpy as np

    return np.where(features[:, 0] > 0, 2, np.where(features[:, 1] > 0, 1, 0))


def _columns(features: FloatArray) -> FloatArray:
    """Return the columns of the trees: plans, the level, and how methods differ from the start."""
    import numpy as np

    known = np.log1p(features[:, -len(SIMPLE) :])
    start = known[:, [SIMPLE.index("similar")]]
    return np.column_stack([features[:, : -len(SIMPLE)], start, known - start])


def _boosted(features: FloatArray, sold: FloatArray, settings: ForecastSettings) -> Trees:
    """Fit trees to what rows sold beyond their start."""
    import numpy as np

    gains = np.log1p(sold) - np.log1p(features[:, _START])
    return from_xgboost(boost(_columns(features), gains, settings), settings.depth)


def fit_sales_forecast(rows: pa.Table, settings: SalesForecastSettings) -> Fitted:
    """Choose the method with the least WAPE and little bias in the backtest, and calibrate it.

    The trees are fitted on the weeks before each of some origins, and forecast those after it; all
    methods are compared on these. If there are too few weeks for that, simple methods are compared
    on all rows.
    """
    import numpy as np
    import pyarrow as pa

    features, sold = feature_matrix(rows.select(FEATURES)), rows[TARGET].to_numpy()
    week, step = (rows[name].to_numpy() for name in FITTED_WITH)
    origin = week - features[:, FEATURES.index("horizon")]
    said = {name: features[:, FEATURES.index(name)] for name in SIMPLE}
    said["trees"] = np.full(len(sold), np.nan)
    weeks = np.unique(week)
    ends = weeks[len(weeks) // 2 :: max(len(weeks) // 2 // _ORIGINS, 1)]
    for end, following in zip(ends, [*ends[1:], np.inf], strict=True):
        learnt, asked = week <= end, (origin >= end) & (origin < following)
        if learnt.sum() >= _FEWEST_LEARNT and asked.any():
            trees = _boosted(features[learnt], sold[learnt], settings)
            model = SalesForecastModel("trees", np.empty(0), trees)
            said["trees"][asked] = model.forecasts(features[asked])
    compared = np.isfinite(said["trees"])
    if compared.sum() < _FEWEST_LEARNT:
        compared[:] = True
        del said["trees"]

    def forecasts(name: str, chosen: Any) -> Forecasts:
        scale = np.where(step > 0, step, np.nan)
        found = (origin, week, _states(features), sold, scale, said[name])
        return Forecasts(*(values[chosen] for values in found))

    found = {name: forecasts(name, compared) for name in said}
    method = settings.method if settings.method in said else choose(found)

    def measured(found: Forecasts) -> dict[str, float]:
        # In the first weeks there is no step from week to week, and so no MASE.
        return {name: value for name, value in errors(found).items() if np.isfinite(value)}

    there = np.isfinite(said[method])
    known = forecasts(method, there & (sold > 0))
    factors = calibrate(known.units, np.maximum(known.forecast, 1e-9), known.state)
    point = said[method] * factors[_states(features), 0]
    final = _boosted(features, sold, settings) if method == "trees" else None
    return Fitted(
        model=SalesForecastModel(method, factors, final),
        run_name=f"sales_forecast_{method}",
        metrics=measured(replace(forecasts(method, there), forecast=point[there])),
        params={"method": method, "compared_rows": int(compared.sum())},
        variants=[Variant(n, {"method": n}, measured(one)) for n, one in found.items()],
        held_out=pa.table({"label": sold, "prediction": pa.array(point, from_pandas=True)}),
    )


def wape(sold: FloatArray, said: FloatArray, counted: FloatArray) -> float:
    """Return the sum of absolute errors as a share of the volume."""
    import numpy as np

    volume = float((counted * sold).sum())
    return float((counted * np.abs(said - sold)).sum()) / max(volume, 1e-9)


def sales_forecast_scorer(
    model: SalesForecastModel,
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that forecasts a batch of rows; see `ModelSpec.scorer`."""

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        features = feature_matrix(batch)
        states = _states(features)
        said = model.forecasts(features)
        unknown = ~np.isfinite(said)
        # A forecast says no more than tenths of a piece.
        numbers = [
            np.round(np.nan_to_num(said * model.factors[states, place]), 1) for place in (1, 0, 2)
        ]
        names = np.array(STATES, object)[states]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(names, pa.string()),
                pa.array(np.full(len(states), model.method, object), pa.string(), mask=unknown),
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
    types=types_of(SalesForecastModel, Trees),
    fitted_with=FITTED_WITH,
    scored=_SCORED,
    scorer=sales_forecast_scorer,
    fewest=lambda _settings: FEWEST_ROWS,
    gates=(
        Gate(
            "forecast_is_not_biased", "bias", -0.2, below=0.2,
            description="Bias in the backtest below 0.2: forecasts are off by less than a fifth of "
            "the volume in total.",
            also_shown=("wape", "mape"),
        ),
    ),
    comparison=by_metric("wape", wape, "forecast_p50", lower_is_better=True, not_worse_by=0.02),
    prepare=with_history,
    finish=only_ahead,
    describe=describe_sales_forecast,
    limits=(
        "Price and advert are assumed to stay the same in the weeks ahead.",
        "Intervals do not widen with the weeks ahead, and sums of bounds cover more than 80 %.",
        "Trees use a series' own past only; those of `lakehouse models evaluate forecast` also use "
        "other brands and stores.",
    ),
    libraries=("scikit-learn", "xgboost-cpu"),
)  # fmt: skip

SALES_FORECAST_TABLE: Final = ModelTable(SALES_FORECAST, GOLD_SALES_FORECAST, GOLD_STORE_WEEKS)
