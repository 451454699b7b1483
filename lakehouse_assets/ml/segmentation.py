"""One segmentation from features to a tracked model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakehouse_assets.ml.adoption import InPlaceFit, clustering_result
from lakehouse_assets.ml.clustering import ClusteringConfig, ClusteringResult, fit_clusters, ranked
from lakehouse_assets.ml.model_registry import TrackedModel, promote_version
from lakehouse_assets.ml.personas import VALUE
from lakehouse_assets.ml.recording import log_segmentation
from lakehouse_assets.ml.silhouettes import FloatArray
from lakehouse_assets.ml.tracking import MlflowTracking


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What training found.

    Attributes:
        result: The fitted model, its labels and figures; cluster 0 is the most valuable.
        config: The settings that it was fitted with.
    """

    result: ClusteringResult
    config: ClusteringConfig


@dataclass(frozen=True)
class Tracked:
    """A registered model, and whether it became the champion."""

    model: TrackedModel
    promoted: bool


def train(
    features: FloatArray, feature_names: Sequence[str], config: ClusteringConfig
) -> Segmentation:
    """Cluster rows and rank the clusters by value.

    Raises:
        LakehouseError: as for `fit_clusters`.
    """
    return Segmentation(ranked(fit_clusters(features, config, feature_names), VALUE), config)


def adopt(fit: InPlaceFit, config: ClusteringConfig) -> Segmentation:
    """Rank the clusters of a fit that was made where the rows are, as `train` does."""
    return Segmentation(ranked(clustering_result(fit, config), VALUE), config)


def track(
    segmentation: Segmentation,
    tracking: MlflowTracking,
    profile: Sequence[Mapping[str, object]],
    tags: Mapping[str, str],
    partition: str,
    input_digest: str,
    promote: bool,
) -> Tracked:
    """Record a trained model with its figure, register it, and promote it if asked.

    Args:
        segmentation: What `train` returned.
        tracking: Where to track.
        profile: One mapping per segment, as the figure takes them.
        tags: Further tags for the run and the version.
        partition: Partition key, a text that sorts by time.
        input_digest: Digest of the rows that were clustered.
        promote: Whether the model is good enough to become the champion.

    Raises:
        LakehouseError: MLflow fails.
    """
    from lakehouse_assets.ml.figures import segment_figure

    result = segmentation.result
    model = log_segmentation(
        tracking,
        result,
        segmentation.config,
        profile,
        segment_figure(profile),
        tags=tags,
        partition=partition,
        input_digest=input_digest,
        feature_names=result.feature_names,
    )
    return Tracked(model, promote and promote_version(tracking, model.model_version, partition))
