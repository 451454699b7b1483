"""K-means: fitting with a sweep over k, silhouettes, and finding the nearest centre of a row.

Functions import scikit-learn and NumPy themselves, so that a Dagster code location that imports
this module for its constants loads quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.sampling import FloatArray, some_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from sklearn.cluster import KMeans
    from sklearn.pipeline import Pipeline

IntArray: TypeAlias = "npt.NDArray[np.int32]"

PIPELINE_TYPES: Final = frozenset(
    {
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.cluster._kmeans.KMeans",
    }
)
"""What a saved pipeline is made of; a file that holds anything else is not loaded."""

SWEEP_N_INIT: Final = 3
"""Starts per k in the sweep: it only compares values of k, the chosen k gets the full n_init."""

SILHOUETTE_SAMPLE_ROWS: Final = 5_000
"""Upper bound of the rows in the Euclidean silhouette, whose cost is quadratic.

With 5,000 rows its standard error is about 0.003; 10,000 would take four times as long.
"""

# Nearly always holds more distinct rows than there are clusters.
_FIRST_ROWS: Final = 1_000
_MAX_SEED: Final = 2**32 - 1
# Rows whose distances are in memory at once.
_BLOCK_ROWS: Final = 16_384


@dataclass(frozen=True)
class ClusteringConfig:
    """Settings of one clustering.

    Attributes:
        k: Number of clusters, at least 2.
        seed: Seed for the starts and the sample of the silhouette, 0 to 2**32 - 1.
        n_init: Random starts, of which the best is kept; at least 1.
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
        given = [
            ("k", self.k, 2), ("seed", self.seed, 0), ("n_init", self.n_init, 1),
            ("max_iter", self.max_iter, 1), *(("each k of the sweep", k, 2) for k in self.sweep),
        ]  # fmt: skip
        for name, value, low in given:
            # A bool is refused, too.
            if type(value) is not int or not low <= value <= _MAX_SEED:
                upper = f" and at most {_MAX_SEED}" if name == "seed" else ""
                raise LakehouseError(
                    f"The clustering setting {name} is {value!r}; it must be a whole number of at "
                    f"least {low}{upper}."
                )
        if len(set(self.sweep)) != len(self.sweep):
            msg = f"The sweep {self.sweep} lists a k twice; list each k once."
            raise LakehouseError(msg)


@dataclass(frozen=True)
class SweepPoint:
    """Quality of one k.

    `metrics` has the inertia in squared standard deviations, and silhouettes from -1 to 1: the
    squared-Euclidean one, over all rows, is what Spark's ClusteringEvaluator reports; the Euclidean
    one, over a sample, is scikit-learn's.
    """

    k: int
    n_init: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class ClusteringResult:
    """The result of one fit.

    Attributes:
        pipeline: The fitted scikit-learn pipeline of `scaler` and `kmeans`; it takes rows in
            original units. Numbers of clusters are arbitrary until `ranked` is applied.
        centres: One centre per cluster in original units, shape (k, d).
        quality: Figures of the chosen k.
        silhouette_sample_rows: Rows that the Euclidean silhouettes used.
        sweep: One entry per feasible k, ascending.
    """

    pipeline: Pipeline
    centres: FloatArray
    quality: SweepPoint
    silhouette_sample_rows: int
    sweep: tuple[SweepPoint, ...]

    @property
    def labels(self) -> IntArray:
        """Cluster id per row, in the order of the rows."""
        return cast("IntArray", self.pipeline["kmeans"].labels_)

    @property
    def centres_standardised(self) -> FloatArray:
        """The centres in standard deviations from the mean."""
        return cast("FloatArray", self.pipeline["kmeans"].cluster_centers_)

    @property
    def sizes(self) -> list[int]:
        """Rows per cluster."""
        import numpy as np

        return [*map(int, np.bincount(self.labels, minlength=len(self.centres)))]


def fit_clusters(
    features: FloatArray, config: ClusteringConfig, feature_names: Sequence[str]
) -> ClusteringResult:
    """Standardise the rows and cluster them with K-means.

    The result is the same to the byte for the same rows in the same order: the caller sorts them by
    key, and native threads are limited to one because parallel sums depend on scheduling. The
    result's sweep omits values of k that exceed the number of distinct rows.

    Args:
        features: Rows by columns in original units, float64.
        config: Settings.
        feature_names: Name of each column, used in messages and stored with the model.

    Raises:
        LakehouseError: A value is missing or infinite, or there are fewer distinct rows than
            clusters. A constant column is allowed.
    """
    import numpy as np

    # Imported first: threadpool_limits affects only libraries that are already loaded.
    import sklearn.cluster  # noqa: F401
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    distinct = _check_features(features, feature_names, config)
    feasible = sorted({k for k in config.sweep if k <= distinct} | {config.k})
    with threadpool_limits(limits=1):
        scaler = StandardScaler()
        scaled: FloatArray = scaler.fit_transform(features)
        sample = some_rows(len(scaled), SILHOUETTE_SAMPLE_ROWS, config.seed)
        fits: dict[int, KMeans] = {}
        points: dict[int, SweepPoint] = {}
        for k in feasible:
            starts = config.n_init if k == config.k else min(SWEEP_N_INIT, config.n_init)
            fits[k] = _fit(scaled, k, starts, config)
            labels = fits[k].labels_
            points[k] = SweepPoint(
                k,
                starts,
                {
                    "inertia": float(fits[k].inertia_),
                    "silhouette_squared_euclidean": silhouette_squared_euclidean(scaled, labels),
                    "silhouette_euclidean": _silhouette_euclidean(scaled[sample], labels[sample]),
                },
            )
        chosen = fits[config.k]
        centres: FloatArray = scaler.inverse_transform(chosen.cluster_centers_)
    # With the names, the saved model refuses a table whose columns are in another order.
    scaler.feature_names_in_ = np.asarray(feature_names, dtype=object)
    return ClusteringResult(
        pipeline=Pipeline([("scaler", scaler), ("kmeans", chosen)]),
        centres=centres,
        quality=points[config.k],
        silhouette_sample_rows=len(sample),
        sweep=tuple(points[k] for k in sorted(config.sweep) if k in points),
    )


def ranked(result: ClusteringResult, feature: str) -> ClusteringResult:
    """Number the clusters by descending mean of a feature, in the result and in its pipeline.

    The other features break ties, in their order, so that the numbers depend on the centres only.
    Means are compared to six decimals; further digits are rounding noise.
    """
    import numpy as np

    place = [*result.pipeline["scaler"].feature_names_in_].index(feature)
    rounded = np.round(result.centres, 6)
    order = np.lexsort([*rounded.T[::-1], rounded[:, place]])[::-1]
    rank = np.argsort(order).astype(np.int32)
    model = result.pipeline["kmeans"]
    model.cluster_centers_ = np.ascontiguousarray(model.cluster_centers_[order])
    model.labels_ = rank[model.labels_]
    return replace(result, centres=result.centres[order])


def unscaled_centres(features: FloatArray, config: ClusteringConfig) -> FloatArray:
    """Cluster rows without standardising them, as the reference lab's two-feature model does.

    Args:
        features: Rows by columns in original units, float64, at least one row.
        config: Settings; the sweep is ignored. With fewer distinct rows than k, there is one
            cluster per distinct row.

    Returns:
        The centres in ascending order of their last column, so that a number means the same after
        each training.
    """
    import numpy as np
    import sklearn.cluster  # noqa: F401 - imported first
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        model = _fit(features, _distinct_rows(features, config.k), config.n_init, config)
    centres: FloatArray = model.cluster_centers_
    return centres[np.argsort(centres[:, -1], kind="stable")]


def nearest(rows: FloatArray, centres: FloatArray) -> npt.NDArray[np.intp]:
    """Return the index of each row's nearest centre; ties go to the first.

    Distances are summed feature by feature in a fixed order, whatever the batch, so that every
    engine assigns a row between two centres to the same one.
    """
    import numpy as np

    found = np.zeros(len(rows), dtype=np.intp)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        distances = np.zeros((len(rows[block]), len(centres)))
        for place in range(rows.shape[1]):
            distances += (rows[block, place, None] - centres[None, :, place]) ** 2
        found[block] = distances.argmin(axis=1)
    return found


def silhouette_squared_euclidean(rows: FloatArray, labels: npt.ArrayLike) -> float:
    """Mean silhouette under the squared Euclidean distance, exact and linear in the rows.

    Spark's ClusteringEvaluator reports this metric. It differs from scikit-learn's Euclidean
    silhouette and is usually larger: always say which one is meant. The mean squared distance of x
    to a cluster of n rows follows from the cluster's sums:
    |x|^2 + (sum of |y|^2)/n - 2 x.(sum of y)/n. A row alone in its cluster counts as 0.

    Args:
        rows: Rows by columns, in the units of the distance (standardised).
        labels: Cluster id of each row, any whole numbers.

    Returns:
        The mean over all rows, from -1 to 1; NaN if there is only one cluster.
    """
    import numpy as np

    ids, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(ids) < 2:
        return float("nan")
    # Centring leaves distances unchanged and reduces cancellation errors.
    centred = rows - rows.mean(axis=0)
    squares = np.einsum("ij,ij->i", centred, centred)
    sizes = np.bincount(codes).astype(np.float64)
    at = np.arange(len(codes))
    members = np.zeros((len(codes), len(ids)))
    members[at, codes] = 1.0
    means = members.T @ centred / sizes[:, None]
    mean_squares = np.bincount(codes, weights=squares) / sizes
    # Rounding can push the distance between equal rows just below zero.
    others = np.maximum(squares[:, None] + mean_squares - 2.0 * (centred @ means.T), 0.0)
    own_size = sizes[codes]
    inner = others[at, codes] * own_size / np.maximum(own_size - 1.0, 1.0)
    others[at, codes] = np.inf
    outer = others.min(axis=1)
    larger = np.maximum(inner, outer)
    scores = np.divide(outer - inner, larger, out=np.zeros_like(larger), where=larger > 0.0)
    scores[own_size == 1.0] = 0.0
    return float(scores.mean())


def _silhouette_euclidean(rows: FloatArray, labels: IntArray) -> float:
    import numpy as np
    from sklearn.metrics import silhouette_score

    # scikit-learn refuses a single cluster and as many clusters as rows.
    if not 1 < len(np.unique(labels)) < len(rows):
        return float("nan")
    return float(silhouette_score(rows, labels))


def _fit(rows: FloatArray, k: int, n_init: int, config: ClusteringConfig) -> KMeans:
    from sklearn.cluster import KMeans

    return KMeans(
        n_clusters=k, random_state=config.seed, n_init=n_init, max_iter=config.max_iter
    ).fit(rows)


def _check_features(features: FloatArray, names: Sequence[str], config: ClusteringConfig) -> int:
    """Refuse rows that cannot be clustered; count distinct rows up to the largest k."""
    import numpy as np

    finite = np.isfinite(features)
    missing = [name for column, name in enumerate(names) if not finite[:, column].all()]
    if missing:
        msg = (
            f"The columns {', '.join(missing)} hold missing or infinite values; leave such rows "
            "out of the training set."
        )
        raise LakehouseError(msg)
    distinct = _distinct_rows(features, max(config.k, *config.sweep, 0))
    if distinct < config.k:
        msg = f"There are only {distinct} distinct rows for {config.k} clusters; lower k."
        raise LakehouseError(msg)
    return distinct


def _distinct_rows(features: FloatArray, most: int) -> int:
    """Count distinct rows, at most `most`; the first rows nearly always suffice."""
    import numpy as np

    found = len(np.unique(features[:_FIRST_ROWS], axis=0))
    if found < most and len(features) > _FIRST_ROWS:
        found = len(np.unique(features, axis=0))
    return min(found, most)
