"""What MLflow keeps of one segmentation: a run, its sweep as child runs, and the model.

Does not belong here: the store (`tracking.py`), the registry (`model_registry.py`),
fitting, drawing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse_assets.ml.clustering import TRAINED_IN_MEMORY, ClusteringConfig, ClusteringResult
from lakehouse_assets.ml.model_registry import (
    CONFIG_DIGEST_TAG,
    INPUT_DIGEST_TAG,
    PARTITION_TAG,
    TrackedModel,
    find_version,
    register,
)
from lakehouse_assets.ml.personas import PERSONAS, VALUE
from lakehouse_assets.ml.tracking import MlflowTracking

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def log_segmentation(
    tracking: MlflowTracking,
    result: ClusteringResult,
    config: ClusteringConfig,
    profile: Sequence[Mapping[str, object]],
    figure: Figure,
    tags: Mapping[str, str],
    partition: str,
    input_digest: str,
    feature_names: Sequence[str],
) -> TrackedModel:
    """Record one segmentation: a run, its sweep as child runs, and the registered model.

    The run is named `KMeans_<k>_Clusters` and holds the parameters n_clusters, algorithm,
    random_state, n_init, max_iter, features and trained_by, the metrics inertia, both silhouettes
    and the size of each cluster (`size_cluster_<id>`) and segment (`size_segment_<code>`), the
    files `segment_analysis.png`, `centres.json` and `personas.json` (the rule of each segment), and
    the model (specification section 5). If a version with the same partition,
    input digest and configuration is registered already, nothing is written: no new run appears
    and the earlier run and version are returned. Ask `find_version` for `segmentation_tags` first
    to save fitting and drawing as well.

    Args:
        tracking: The resource.
        result: The fit.
        config: Its settings.
        profile: One mapping per segment with its `segment` and `customer_count`.
        figure: Picture of the segments.
        tags: Further tags for the run and the version: Dagster run id, source table versions.
        partition: Partition key, a text that sorts by time.
        input_digest: Digest of the rows that were clustered.
        feature_names: Names of the columns in their order.

    Raises:
        LakehouseError: If MLflow fails or a digest cannot stand in a filter.
    """
    identity = segmentation_tags(partition, input_digest, config, feature_names, result.trained_by)
    existing = find_version(tracking, identity)
    if existing is not None:
        return existing
    run_tags = {**tags, **identity}
    with tracking.run(f"KMeans_{config.k}_Clusters", run_tags) as run_id:
        tracking.log_batch(
            run_id,
            params={
                "n_clusters": config.k,
                "algorithm": f"KMeans ({result.pipeline['kmeans'].algorithm})",
                "random_state": config.seed,
                "n_init": config.n_init,
                "max_iter": config.max_iter,
                "features": ",".join(feature_names),
                "trained_by": result.trained_by,
                "silhouette_sample_rows": result.silhouette_sample_rows,
            },
            metrics={
                "inertia": result.inertia,
                "silhouette_squared_euclidean": result.silhouette_squared_euclidean,
                "silhouette_euclidean": result.silhouette_euclidean,
                "rows": float(sum(result.sizes)),
                **{f"size_cluster_{id_}": float(size) for id_, size in enumerate(result.sizes)},
                **{
                    f"size_segment_{row['segment']}": float(str(row["customer_count"]))
                    for row in profile
                    if row["segment"] is not None
                },
            },
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            figure.savefig(folder / "segment_analysis.png")
            documents = {"centres": _centres(result, feature_names), "personas": _rules()}
            for name, content in documents.items():
                text = json.dumps(content, indent=2)
                (folder / f"{name}.json").write_text(text, encoding="utf-8")
            tracking.log_files(run_id, folder)
        for point in result.sweep:
            with tracking.run(f"KMeans_{point.k}_Clusters_sweep", identity, run_id) as child_id:
                tracking.log_batch(
                    child_id,
                    params={"n_clusters": point.k, "n_init": point.n_init},
                    metrics={
                        "inertia": point.inertia,
                        "silhouette_squared_euclidean": point.silhouette_squared_euclidean,
                        "silhouette_euclidean": point.silhouette_euclidean,
                    },
                )
        return register(tracking, run_id, result.pipeline, feature_names, run_tags)


def segmentation_tags(
    partition: str,
    input_digest: str,
    config: ClusteringConfig,
    feature_names: Sequence[str],
    trained_by: str = TRAINED_IN_MEMORY,
) -> dict[str, str]:
    """The tags that identify a segmentation: partition, input digest and config digest.

    The config digest covers the settings, the features, what trained, scikit-learn's version,
    because another version may find other clusters, how clusters are ranked, and the rules of the
    personas, by which the sizes and the figure go.
    """
    settings = {
        "config": dataclasses.asdict(config),
        "features": list(feature_names),
        "trained_by": trained_by,
        "ranked_by": VALUE,
        "personas": _rules(),
        "scikit-learn": installed_version("scikit-learn"),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return {
        PARTITION_TAG: partition,
        INPUT_DIGEST_TAG: input_digest,
        CONFIG_DIGEST_TAG: digest,
    }


def _rules() -> list[dict[str, object]]:
    """The personas with the rule of each."""
    return [dataclasses.asdict(persona) for persona in PERSONAS]


def _centres(result: ClusteringResult, feature_names: Sequence[str]) -> list[dict[str, object]]:
    """The centres as a table for people, one entry per cluster in the order of the ids."""
    return [
        {
            "cluster": cluster,
            "size": result.sizes[cluster],
            "centre": dict(zip(feature_names, centre.tolist(), strict=True)),
            "centre_standardised": dict(
                zip(feature_names, result.centres_standardised[cluster].tolist(), strict=True)
            ),
        }
        for cluster, centre in enumerate(result.centres)
    ]
