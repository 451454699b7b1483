"""One segmentation from features to a tracked model, as the worker process does it.

Belongs here: the pieces of work, training (or adopting what was trained where the rows are) and
tracking, and what passes between them and the asset. Not here: the clustering, personas, figure
and MLflow themselves, and reading tables.

The fitted model stays in the worker between the two: the asset needs labels or centres only, and
would have to import scikit-learn to hold the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import uuid4

from lakehouse_assets.ml.abandoned import end_abandoned_runs
from lakehouse_assets.ml.adoption import InPlaceFit, clustering_result
from lakehouse_assets.ml.clustering import (
    ClusteringConfig,
    ClusteringResult,
    fit_clusters,
)
from lakehouse_assets.ml.model_registry import TrackedModel, promote_version
from lakehouse_assets.ml.personas import Persona, assign_personas
from lakehouse_assets.ml.recording import log_segmentation
from lakehouse_assets.ml.silhouettes import FloatArray, IntArray
from lakehouse_assets.ml.tracking import MlflowTracking

# A model whose run failed before it was tracked is dropped when so many newer ones are waiting.
_MOST_WAITING = 4
_waiting: OrderedDict[str, tuple[ClusteringResult, ClusteringConfig]] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What training found.

    Attributes:
        ticket: Name under which the model waits in the worker.
        labels: Cluster id per row, in the order of the rows; None where they stayed elsewhere.
        personas: The persona of each cluster, in the order of the cluster ids.
        inertia: Sum of squared standardised distances to the nearest centre.
        silhouette_squared_euclidean: What Spark's ClusteringEvaluator reports.
        silhouette_euclidean: What scikit-learn reports.
        trained_by: What found the centres, and on which rows.
    """

    ticket: str
    labels: IntArray | None
    personas: tuple[Persona, ...]
    inertia: float
    silhouette_squared_euclidean: float
    silhouette_euclidean: float
    trained_by: str


@dataclass(frozen=True)
class Tracked:
    """A registered model, and whether it became the champion."""

    model: TrackedModel
    promoted: bool


def open_store(tracking: MlflowTracking) -> None:
    """Open a store ahead of its first model: a new one takes seconds to make its tables.

    Raises:
        LakehouseError: MLflow fails.
    """
    _opened(tracking).experiment_id()


def end_abandoned(tracking: MlflowTracking, active: Collection[str], before: datetime) -> list[str]:
    """End MLflow runs whose Dagster run has ended; see `end_abandoned_runs`.

    Raises:
        LakehouseError: MLflow fails.
    """
    return end_abandoned_runs(_opened(tracking), active, before)


def train(
    features: FloatArray, feature_names: Sequence[str], config: ClusteringConfig
) -> Segmentation:
    """Cluster rows and name the clusters; `track` takes the model from there.

    Raises:
        LakehouseError: as for `fit_clusters` and `assign_personas`.
    """
    return _waiting_for_track(fit_clusters(features, config, feature_names), config)


def adopt(fit: InPlaceFit, config: ClusteringConfig) -> Segmentation:
    """Name the clusters of a fit that was made where the rows are, as `train` does.

    Raises:
        LakehouseError: as for `assign_personas`.
    """
    return _waiting_for_track(clustering_result(fit, config), config)


def _waiting_for_track(result: ClusteringResult, config: ClusteringConfig) -> Segmentation:
    ticket = uuid4().hex
    _waiting[ticket] = (result, config)
    while len(_waiting) > _MOST_WAITING:
        _waiting.popitem(last=False)
    return Segmentation(
        ticket=ticket,
        labels=result.labels,
        personas=tuple(assign_personas(result.centres, result.feature_names)),
        inertia=result.inertia,
        silhouette_squared_euclidean=result.silhouette_squared_euclidean,
        silhouette_euclidean=result.silhouette_euclidean,
        trained_by=result.trained_by,
    )


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

    result, config = _waiting.pop(segmentation.ticket)
    tracking = _opened(tracking)
    model = log_segmentation(
        tracking,
        result,
        config,
        segmentation.personas,
        segment_figure(profile),
        tags=tags,
        partition=partition,
        input_digest=input_digest,
        feature_names=result.feature_names,
    )
    return Tracked(model, promote and promote_version(tracking, model.model_version, partition))


@lru_cache(maxsize=4)
def _opened(tracking: MlflowTracking) -> MlflowTracking:
    """Return the tracking of the same store that is open already, if one is."""
    return tracking
