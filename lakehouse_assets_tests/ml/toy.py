"""A second model, written as somebody would add one: loyalty points from flights and distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.comparison import by_metric
from lakehouse_assets.ml.model_registry import load_version, required_champion
from lakehouse_assets.ml.sampling import feature_matrix
from lakehouse_assets.ml.spec import Evidence, Fitted, Gate, ModelSpec, Variant
from lakehouse_assets.ml.tracking import MlflowTracking

FEATURES = ("flights", "km", "km_per_flight")


@dataclass(frozen=True)
class PointsSettings:
    """Settings: strengths of the penalty to compare, and the one that is used."""

    alpha: float = 1.0
    others: tuple[float, ...] = (100.0,)


def champion_of(tracking: MlflowTracking, spec: ModelSpec) -> Any:
    """Return a champion's fitted model."""
    return load_version(tracking, spec, int(required_champion(tracking, spec.name).version))


def with_distance_per_flight(members: DataFrame) -> DataFrame:
    """Add the feature that is not delivered."""
    return members.withColumn("km_per_flight", F.col("km") / F.col("flights"))


def fit_points(rows: pa.Table, settings: PointsSettings) -> Fitted:
    """Fit a ridge regression, tested on rows that it did not see."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold, cross_val_predict

    features, points = feature_matrix(rows.select(FEATURES)), rows["points"].to_numpy()

    def predicted(alpha: float) -> Any:
        folds = KFold(4, shuffle=True, random_state=0)
        return cross_val_predict(Ridge(alpha=alpha), features, points, cv=folds)

    def errors(found: Any) -> dict[str, float]:
        error = rmse(points, found, np.ones(len(points)))
        return {"rmse": error, "r2": 1.0 - error**2 / float(points.var())}

    held_out = predicted(settings.alpha)
    return Fitted(
        model=Ridge(alpha=settings.alpha).fit(features, points),
        run_name="Ridge",
        metrics=errors(held_out),
        variants=[
            Variant(f"Ridge_{a}", {"alpha": a}, errors(predicted(a))) for a in settings.others
        ],
        documents={"features": list(FEATURES)},
        held_out=pa.table({"label": points, "prediction": held_out}),
    )


def points_scorer(model: Any) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Predict points of a batch; null where a feature is missing."""
    weights, intercept = np.asarray(model.coef_), float(model.intercept_)

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = feature_matrix(batch) @ weights + intercept
        column = pa.array(found, pa.float64(), mask=~np.isfinite(found))
        return pa.RecordBatch.from_arrays([column], names=["expected_points"])

    return score


def describe_points(engine: Engine, members: DataFrame) -> Evidence:
    """Count the members, and draw nothing of interest."""
    from matplotlib.figure import Figure

    (found,) = engine.rows(members.agg(F.count(F.lit(1)).alias("n")))
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    return Evidence({"members": float(found["n"])}, {"points": figure})


def rmse(points: Any, expected: Any, counts: Any) -> float:
    """Return the error, with how often each row is counted."""
    return float(np.sqrt(((points - expected) ** 2 * counts).sum() / counts.sum()))


POINTS = ModelSpec(
    name="points",
    experiment="Points",
    key="member",
    features=FEATURES,
    target="points",
    settings=PointsSettings(),
    fit=fit_points,
    types=frozenset({"sklearn.linear_model._ridge.Ridge"}),
    scored={"expected_points": "double"},
    scorer=points_scorer,
    gates=(Gate("points_are_explained", "r2", 0.5, "Half of the variance is explained."),),
    fewest=lambda _settings: 20,
    prepare=with_distance_per_flight,
    describe=describe_points,
    comparison=by_metric("rmse", rmse, "expected_points", lower_is_better=True, not_worse_by=50.0),
)
