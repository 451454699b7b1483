"""K-means clustering of members held in memory, with its quality figures.

Does not
belong here: silhouettes (`silhouettes.py`), rows that are too many for arrays (`in_place.py`),
reading tables, naming segments, tracking, Dagster.

scikit-learn is imported inside the functions, so that a Dagster code location which imports this
module for its constants loads quickly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.silhouettes import (
    FloatArray,
    IntArray,
    silhouette_squared_euclidean,
    silhouettes_euclidean,
)

if TYPE_CHECKING:
    from sklearn.cluster import KMeans
    from sklearn.pipeline import Pipeline

SEGMENT_FEATURES: Final[tuple[str, ...]] = (
    "age",
    "total_flights",
    "total_km_flown",
    "total_loyalty_points",
    "days_since_last_flight",
    "total_spent",
    "transaction_count",
    "recency_score",
    "frequency_score",
    "monetary_score",
)
"""The ten features of the airline specification's section 5, in its order."""

PIPELINE_TYPES: Final = frozenset(
    {
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.cluster._kmeans.KMeans",
    }
)
"""What a saved pipeline is made of; a file that holds anything else is not loaded."""

TRAINED_IN_MEMORY: Final = "scikit-learn on all rows"
"""What `fit_clusters` says of itself."""

SWEEP_N_INIT: Final = 3
"""Starts per k in the sweep: it only compares values of k, the chosen k gets the full n_init."""

SILHOUETTE_SAMPLE_ROWS: Final = 5_000
"""Upper bound of the rows in the Euclidean silhouette, whose cost is quadratic.

With 5,000 rows its standard error is about 0.003; 10,000 would take four times as long.
"""

# Enough rows to hold more distinct ones than anyone asks for clusters.
_FIRST_ROWS: Final = 1_000

_MAX_SEED: Final = 2**32 - 1


@dataclass(frozen=True)
class ClusteringConfig:
    """Settings of one clustering (specification section 5).

    Attributes:
        k: Number of clusters, at least 2.
        seed: Seed of the starts and of the silhouette's sample, 0 to 2**32 - 1.
        n_init: Starts of which the best is kept, at least 1.
        max_iter: Iterations per start, at least 1.
        sweep: Values of k to compare, each at least 2 and listed once; may be empty.

    Raises:
        LakehouseError: If a value is out of its range or not a whole number.
    """

    k: int = 5
    seed: int = 42
    n_init: int = 10
    max_iter: int = 300
    sweep: tuple[int, ...] = (3, 4, 5, 6, 7)

    def __post_init__(self) -> None:
        """Reject settings that scikit-learn would refuse later or misread silently."""
        _require_whole("k", self.k, low=2)
        _require_whole("seed", self.seed, low=0, high=_MAX_SEED)
        _require_whole("n_init", self.n_init, low=1)
        _require_whole("max_iter", self.max_iter, low=1)
        for k in self.sweep:
            _require_whole("each k of the sweep", k, low=2)
        if len(set(self.sweep)) != len(self.sweep):
            msg = f"The sweep {self.sweep} lists a k twice; list each k once."
            raise LakehouseError(msg)


@dataclass(frozen=True)
class SweepPoint:
    """Quality of one k: inertia in squared standard deviations, silhouettes from -1 to 1."""

    k: int
    n_init: int
    inertia: float
    silhouette_squared_euclidean: float
    silhouette_euclidean: float


@dataclass(frozen=True, eq=False)
class ClusteringResult:
    """What one fit produced.

    Attributes:
        pipeline: The fitted scikit-learn pipeline of `scaler` and `kmeans`; it takes rows in
            original units, in the order of `feature_names`.
        feature_names: Names of the columns.
        labels: Cluster id per row, in the order of the rows; the ids are arbitrary until `ranked`.
            None where the rows stayed where they are, and are labelled there.
        centres: One centre per cluster in original units, shape (k, d).
        centres_standardised: The same in standard deviations from the mean.
        sizes: Rows per cluster; they sum to the number of rows.
        inertia: Sum of squared standardised distances to the nearest centre.
        silhouette_squared_euclidean: Over all rows; what Spark's ClusteringEvaluator reports.
        silhouette_euclidean: What scikit-learn reports, over `silhouette_sample_rows` rows.
        silhouette_sample_rows: Rows that the Euclidean silhouette used, here and in the sweep.
        sweep: One entry per feasible k, ascending.
        trained_by: What found the centres, and on which rows.
    """

    pipeline: Pipeline
    feature_names: tuple[str, ...]
    labels: IntArray | None
    centres: FloatArray
    centres_standardised: FloatArray
    sizes: tuple[int, ...]
    inertia: float
    silhouette_squared_euclidean: float
    silhouette_euclidean: float
    silhouette_sample_rows: int
    sweep: tuple[SweepPoint, ...]
    trained_by: str


def fit_clusters(
    features: FloatArray,
    config: ClusteringConfig,
    feature_names: Sequence[str] = SEGMENT_FEATURES,
) -> ClusteringResult:
    """Standardise the rows and cluster them with K-means (specification section 5).

    Deterministic to the byte for the same rows in the same order: the caller sorts them by key,
    and native threads are capped to one, because parallel sums depend on their scheduling; the
    fits of different k, which share nothing, run side by side.
    A k of the sweep with fewer distinct rows than clusters is left out of the result's sweep.

    Args:
        features: Rows by columns in original units, float64.
        config: Settings.
        feature_names: Name of each column, used in messages and stored with the model.

    Returns:
        The fitted pipeline, labels, centres and quality figures.

    Raises:
        LakehouseError: If the shape is wrong, a value is missing or infinite, or there are fewer
            distinct rows than clusters. A constant column is legal: it tells nobody apart.
    """
    # Loaded before the cap: threadpool_limits reaches only the libraries that are loaded.
    import sklearn.cluster  # noqa: F401
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    names = tuple(feature_names)
    distinct_rows = _check_features(features, names, config.k, max(config.k, *config.sweep, 0))
    with threadpool_limits(limits=1):
        scaler = StandardScaler()
        scaled: FloatArray = scaler.fit_transform(features)
        fits = _fit_each(scaled, starts_of_each_k(config, distinct_rows), config)
        sample = _sample_rows(len(scaled), config.seed)
        points = {
            k: SweepPoint(
                k=k,
                n_init=int(model.n_init),
                inertia=float(model.inertia_),
                silhouette_squared_euclidean=silhouette_squared_euclidean(scaled, model.labels_),
                silhouette_euclidean=euclidean,
            )
            for (k, model), euclidean in zip(
                fits.items(),
                silhouettes_euclidean(
                    scaled[sample], [model.labels_[sample] for model in fits.values()]
                ),
                strict=True,
            )
        }
        chosen = fits[config.k]
        centres: FloatArray = scaler.inverse_transform(chosen.cluster_centers_)
    # The names make the saved model refuse a table whose columns come in another order.
    scaler.feature_names_in_ = np.asarray(names, dtype=object)
    best = points[config.k]
    return ClusteringResult(
        pipeline=Pipeline([("scaler", scaler), ("kmeans", chosen)]),
        feature_names=names,
        labels=chosen.labels_,
        centres=centres,
        centres_standardised=chosen.cluster_centers_,
        sizes=tuple(int(n) for n in np.bincount(chosen.labels_, minlength=config.k)),
        inertia=best.inertia,
        silhouette_squared_euclidean=best.silhouette_squared_euclidean,
        silhouette_euclidean=best.silhouette_euclidean,
        silhouette_sample_rows=len(sample),
        sweep=tuple(points[k] for k in sorted(config.sweep) if k in points),
        trained_by=TRAINED_IN_MEMORY,
    )


def ranked(result: ClusteringResult, feature: str) -> ClusteringResult:
    """Number the clusters by the falling mean of a feature, in the result and in its pipeline.

    Equal means are decided by the other features in their order, so that the numbers depend on
    the centres alone. Means are compared to six decimals: what is below is rounding noise.
    """
    place = result.feature_names.index(feature)
    rounded = np.round(result.centres, 6)
    order = np.lexsort([*rounded.T[::-1], rounded[:, place]])[::-1]
    rank = np.argsort(order).astype(np.int32)
    labels = None if result.labels is None else rank[result.labels]
    standardised = np.ascontiguousarray(result.centres_standardised[order])
    model = result.pipeline["kmeans"]
    model.cluster_centers_ = standardised
    model.labels_ = rank[model.labels_]
    return replace(
        result,
        labels=labels,
        centres=result.centres[order],
        centres_standardised=standardised,
        sizes=tuple(result.sizes[i] for i in order),
    )


def starts_of_each_k(config: ClusteringConfig, distinct_rows: int) -> dict[int, int]:
    """Say how many starts the chosen k and each feasible k of the sweep get."""
    # The chosen k takes longest, so it starts first.
    starts = {config.k: config.n_init}
    for k in sorted(config.sweep):
        if k <= distinct_rows and k != config.k:
            starts[k] = min(SWEEP_N_INIT, config.n_init)
    return starts


def find_centres(
    rows: FloatArray, starts: Mapping[int, int], config: ClusteringConfig
) -> dict[int, FloatArray]:
    """Find centres for each k on rows that are standardised already, from so many starts."""
    import sklearn.cluster  # noqa: F401 - loaded before the cap
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        fits = _fit_each(rows, starts, config)
    return {k: model.cluster_centers_ for k, model in fits.items()}


def _fit_each(
    rows: FloatArray, starts: Mapping[int, int], config: ClusteringConfig
) -> dict[int, KMeans]:
    """Fit each k side by side, in the order in which they are named."""
    from sklearn.cluster import KMeans

    models = {
        k: KMeans(n_clusters=k, random_state=config.seed, n_init=n_init, max_iter=config.max_iter)
        for k, n_init in starts.items()
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fitted = pool.map(lambda model: _fit_alone(model, rows), models.values())
        return dict(zip(models, fitted, strict=True))


def _fit_alone(model: KMeans, rows: FloatArray) -> KMeans:
    """Fit in this thread alone: OpenMP's limit holds for the thread that sets it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="openmp"):
        return model.fit(rows)


def _sample_rows(count: int, seed: int) -> npt.NDArray[np.intp]:
    """Ascending row numbers for the Euclidean silhouette: all, or a seeded sample."""
    if count <= SILHOUETTE_SAMPLE_ROWS:
        return np.arange(count)
    chosen = np.random.default_rng(seed).choice(count, SILHOUETTE_SAMPLE_ROWS, replace=False)
    return np.sort(chosen)


def _check_features(features: FloatArray, names: tuple[str, ...], k: int, most: int) -> int:
    """Refuse rows that cannot be clustered; count distinct rows, up to `most`, otherwise."""
    if features.ndim != 2 or features.shape[1] != len(names) or features.dtype != np.float64:
        msg = (
            f"The features have shape {features.shape} and type {features.dtype}; pass float64 "
            f"rows with the {len(names)} columns {', '.join(names)}."
        )
        raise LakehouseError(msg)
    if len(features) < k:
        msg = f"There are {len(features)} rows for {k} clusters; lower k or load more members."
        raise LakehouseError(msg)
    finite = np.isfinite(features)
    missing = [name for column, name in enumerate(names) if not finite[:, column].all()]
    if missing:
        msg = (
            f"The columns {', '.join(missing)} hold missing or infinite values; leave such rows "
            "out of the training set."
        )
        raise LakehouseError(msg)
    distinct = _distinct_rows(features, most)
    if distinct < k:
        msg = f"There are only {distinct} distinct rows for {k} clusters; lower k."
        raise LakehouseError(msg)
    return distinct


def _distinct_rows(features: FloatArray, most: int) -> int:
    """Count distinct rows up to a number, which the first rows nearly always reach."""
    found = len(np.unique(features[:_FIRST_ROWS], axis=0))
    if found < most and len(features) > _FIRST_ROWS:
        found = len(np.unique(features, axis=0))
    return min(found, most)


def _require_whole(name: str, value: object, *, low: int, high: int | None = None) -> None:
    """Refuse anything but a whole number of the range (a bool is no number here)."""
    valid = isinstance(value, int) and not isinstance(value, bool) and value >= low
    if valid and (high is None or value <= high):  # type: ignore[operator]
        return
    upper = "" if high is None else f" and at most {high}"
    msg = (
        f"The clustering setting {name} is {value!r}; it must be a whole number of at least "
        f"{low}{upper}."
    )
    raise LakehouseError(msg)


def cluster_unscaled(features: FloatArray, config: ClusteringConfig) -> IntArray:
    """Cluster rows as they are, without standardising: the lab's two-feature model.

    Args:
        features: Rows by columns in original units, float64.
        config: Settings; the sweep is left out. With fewer distinct rows than k there are as many
            clusters as those.

    Returns:
        The cluster of each row, numbered by the rising centre of the last column, so that a
        number means the same after each training.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    if len(features) == 0:
        return np.empty(0, np.int32)
    clusters = _distinct_rows(features, config.k)
    with threadpool_limits(limits=1):
        model = KMeans(
            n_clusters=clusters,
            random_state=config.seed,
            n_init=config.n_init,
            max_iter=config.max_iter,
        ).fit(features)
    order = np.argsort(model.cluster_centers_[:, -1], kind="stable")
    rank = np.empty(clusters, dtype=np.int32)
    rank[order] = np.arange(clusters)
    by_rank: IntArray = rank[model.labels_]
    return by_rank
