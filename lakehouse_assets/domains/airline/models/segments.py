"""The model of member segments: k-means on ten features, and rules that assign personas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.airline.gold.segments import summarise, with_personas, with_scores
from lakehouse_assets.domains.airline.models.kmeans import (
    PIPELINE_TYPES,
    ClusteringConfig,
    ClusteringResult,
    fit_clusters,
    nearest,
    ranked,
)
from lakehouse_assets.domains.airline.models.personas import PERSONAS, VALUE
from lakehouse_assets.domains.airline.models.segment_figure import segment_figure
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.sampling import FloatArray, feature_matrix
from lakehouse_assets.ml.spec import Agreement, Evidence, Fitted, Gate, ModelSpec, Variant

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT_FEATURES: Final = (
    "age", "total_flights", "total_km_flown", "total_loyalty_points", "days_since_last_flight",
    "total_spent", "transaction_count", "recency_score", "frequency_score", "monetary_score",
)  # fmt: skip
"""The ten features of the reference lab, in its order."""

SEPARATED: Final = Gate(
    name="segments_are_separated",
    metric="silhouette_squared_euclidean",
    above=0.3,
    description=(
        "The squared-Euclidean silhouette, as Spark reports it, exceeds 0.3. The Euclidean "
        "silhouette of the same clusters, as scikit-learn reports it, is lower and is shown for "
        "information only."
    ),
    also_shown=("silhouette_euclidean",),
)


def same_clusters(clusters: Any, others: Any) -> float:
    """Return the adjusted Rand index of two clusterings of the same members: 1 if equal."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(clusters, others))


STABLE: Final = Agreement("segments_are_stable", "cluster", same_clusters, above=0.6)
"""A new fit may move some members, but must keep the clusters recognisable.

In the sample, fits of one month with different seeds agree by 0.98 or more, fits of consecutive
months by 0.81 or more, and fits with three or four clusters instead of five by 0.47 to 0.71.
"""


def fit_segments(rows: pa.Table, config: ClusteringConfig) -> Fitted:
    """Cluster members and number the clusters by value: 0 is the most valuable."""
    features = feature_matrix(rows.select(SEGMENT_FEATURES))
    result = ranked(fit_clusters(features, config, SEGMENT_FEATURES), VALUE)
    return Fitted(
        model=result.pipeline,
        run_name=f"KMeans_{config.k}_Clusters",
        metrics={
            **result.quality.metrics,
            **{f"size_cluster_{number}": float(n) for number, n in enumerate(result.sizes)},
        },
        params={
            "n_clusters": config.k,
            "algorithm": f"KMeans ({result.pipeline['kmeans'].algorithm})",
            "random_state": config.seed,
            "silhouette_sample_rows": result.silhouette_sample_rows,
        },
        variants=[
            Variant(
                f"KMeans_{point.k}_Clusters_sweep",
                {"n_clusters": point.k, "n_init": point.n_init},
                point.metrics,
            )
            for point in result.sweep
        ],
        documents={"centres": _centres(result), "personas": [asdict(p) for p in PERSONAS]},
    )


def cluster_scorer(pipeline: Any) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that finds the cluster of each row; null if a feature is missing."""
    scaler, kmeans = pipeline["scaler"], pipeline["kmeans"]
    return centre_scorer(scaler.mean_, scaler.scale_, kmeans.cluster_centers_)


def centre_scorer(
    means: FloatArray, scales: FloatArray, centres: FloatArray
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that standardises rows and finds the nearest centre of each."""

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import numpy
        import pyarrow

        features = feature_matrix(batch)
        complete = numpy.isfinite(features).all(axis=1)
        features[~complete] = 0.0
        found = nearest((features - means) / scales, centres)
        clusters = pyarrow.array(found, pyarrow.int32(), mask=~complete)
        return pyarrow.RecordBatch.from_arrays([clusters], names=["cluster"])

    return score


def describe_segments(engine: Engine, segments: DataFrame) -> Evidence:
    """Return the size of each segment and the figure of their profile."""
    profile = engine.rows(summarise(segments))
    sizes = {
        f"size_segment_{row['segment']}": float(row["customer_count"])
        for row in profile
        if row["segment"] is not None
    }
    return Evidence(sizes, {"segment_analysis": segment_figure(profile)})


def _centres(result: ClusteringResult) -> list[dict[str, object]]:
    """Return the centres in readable form, one entry per cluster in the order of the ids."""
    tables = {"centre": result.centres, "centre_standardised": result.centres_standardised}
    return [
        {
            "cluster": cluster,
            "size": size,
            **{
                name: dict(zip(SEGMENT_FEATURES, centres[cluster].tolist(), strict=True))
                for name, centres in tables.items()
            },
        }
        for cluster, size in enumerate(result.sizes)
    ]


SEGMENTS: Final = ModelSpec(
    name="airline_customer_segments",
    experiment="Customer_Segmentation_Experiment",
    key="customer_key",
    features=SEGMENT_FEATURES,
    settings=ClusteringConfig(),
    fit=fit_segments,
    types=PIPELINE_TYPES,
    scored={"cluster": "int"},
    scorer=cluster_scorer,
    output="integer",
    gates=(SEPARATED,),
    agreement=STABLE,
    limits=(
        "A persona describes what a member did, not why; do not refuse a service because of it.",
        "Members without an age have no cluster and are Uncategorized.",
        "Except for 0, cluster numbers are comparable only between rows that the same version "
        "scored.",
    ),
    fewest=lambda config: int(config.k),
    prepare=with_scores,
    finish=with_personas,
    describe=describe_segments,
    rules={"ranked_by": VALUE, "personas": [asdict(persona) for persona in PERSONAS]},
)
"""A fit that passes both checks replaces the champion of its own or an earlier month."""
