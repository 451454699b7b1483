"""Making of centres that were found where the rows are the model that scikit-learn would make.

Does not belong here: finding centres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lakehouse_assets.ml.batch_work import nearest
from lakehouse_assets.ml.clustering import ClusteringConfig, ClusteringResult, SweepPoint
from lakehouse_assets.ml.in_place import Placed, Treatment
from lakehouse_assets.ml.silhouettes import FloatArray, silhouettes_euclidean

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class InPlaceFit:
    """What training where the rows are found.

    Attributes:
        feature_names: The features.
        treatment: How they are treated.
        models: For each k its centres, sizes and inertia over all rows.
        silhouettes: For each k the squared-Euclidean silhouette over all rows.
        starts: For each k the starts of which the best was kept.
        sample: Rows in original units for the Euclidean silhouette.
        trained_by: What found the starts, and on which rows.
    """

    feature_names: tuple[str, ...]
    treatment: Treatment
    models: Mapping[int, Placed]
    silhouettes: Mapping[int, float]
    starts: Mapping[int, int]
    sample: FloatArray
    trained_by: str


def clustering_result(fit: InPlaceFit, config: ClusteringConfig) -> ClusteringResult:
    """Return the fit as `fit_clusters` would; it holds no label of any row."""
    rows = fit.treatment.apply(fit.sample)
    # A cluster without a row of the sample has no silhouette there and counts for nothing.
    labelings = [nearest(rows, model.centres)[0].astype(np.int32) for model in fit.models.values()]
    points = {
        k: SweepPoint(
            k=k,
            n_init=fit.starts[k],
            inertia=model.inertia,
            silhouette_squared_euclidean=fit.silhouettes[k],
            silhouette_euclidean=euclidean,
        )
        for (k, model), euclidean in zip(
            fit.models.items(), silhouettes_euclidean(rows, labelings), strict=True
        )
    }
    chosen, best = fit.models[config.k], points[config.k]
    return ClusteringResult(
        pipeline=_pipeline(fit, chosen, config),
        feature_names=fit.feature_names,
        labels=None,
        centres=chosen.centres * fit.treatment.scales + fit.treatment.means,
        centres_standardised=chosen.centres,
        sizes=chosen.sizes,
        inertia=best.inertia,
        silhouette_squared_euclidean=best.silhouette_squared_euclidean,
        silhouette_euclidean=best.silhouette_euclidean,
        silhouette_sample_rows=len(fit.sample),
        sweep=tuple(points[k] for k in sorted(config.sweep) if k in points),
        trained_by=fit.trained_by,
    )


def _pipeline(fit: InPlaceFit, chosen: Placed, config: ClusteringConfig) -> Pipeline:
    """Fit scikit-learn's steps to the centres alone, and give them what was found on all rows."""
    from sklearn.cluster import KMeans
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    treatment = fit.treatment
    scaler = StandardScaler().fit(chosen.centres)
    scaler.mean_, scaler.var_, scaler.scale_ = (
        treatment.means, treatment.variances, treatment.scales,
    )  # fmt: skip
    scaler.n_samples_seen_ = np.int64(treatment.count)
    scaler.feature_names_in_ = np.asarray(fit.feature_names, dtype=object)
    kmeans = KMeans(
        n_clusters=config.k,
        random_state=config.seed,
        n_init=config.n_init,
        max_iter=config.max_iter,
    ).fit(chosen.centres)
    kmeans.cluster_centers_ = np.ascontiguousarray(chosen.centres)
    kmeans.labels_ = np.arange(config.k, dtype=np.int32)
    kmeans.inertia_ = chosen.inertia
    return Pipeline([("scaler", scaler), ("kmeans", kmeans)])
