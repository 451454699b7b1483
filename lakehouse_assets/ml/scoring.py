"""Giving rows the segment of a trained model, on every engine.

Belongs here: what of a model is needed to score (means, scales, centres and personas), and adding
segments to a frame. Not here: training, the registry, tables, Dagster.

Rows are scored where they are: on Spark beside its workers, on the embedded engine batch by batch.
What is sent there is a few arrays and a function of NumPy and PyArrow. A row's distances are added
up feature by feature, in the same order whatever batch it is in, so that both engines give a row
between two centres the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.types import DataFrame
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.batch_work import feature_matrix, nearest
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES
from lakehouse_assets.ml.personas import UNCATEGORIZED, Persona
from lakehouse_assets.ml.silhouettes import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.model_registry import Champion

ADDED = ("cluster", "segment", "segment_name")


@dataclass(frozen=True, eq=False)
class Centres:
    """What of a model is needed to score.

    Attributes:
        means: What is taken from each feature.
        scales: What it is divided by then.
        standardised: One centre per cluster, of features treated so.
        personas: The persona of each cluster, in the order of the centres.
    """

    means: FloatArray
    scales: FloatArray
    standardised: FloatArray
    personas: tuple[Persona, ...]


def centres_of(champion: Champion) -> Centres:
    """Return what of a registered model is needed to score."""
    scaler, kmeans = champion.pipeline["scaler"], champion.pipeline["kmeans"]
    return Centres(scaler.mean_, scaler.scale_, kmeans.cluster_centers_, champion.personas)


def score_frame(
    engine: Engine,
    frame: DataFrame,
    champion: Champion | Centres,
    feature_names: Sequence[str] = SEGMENT_FEATURES,
) -> DataFrame:
    """Add `cluster`, `segment` and `segment_name` to rows; no row is fetched.

    A row that lacks a feature has no cluster and no segment, and is Uncategorized.

    Args:
        engine: The engine of the frame.
        frame: Rows with a column for each feature, of any type of number.
        champion: The model, as the registry or a training gives it.
        feature_names: The features, in the order of the training.

    Returns:
        The rows, kept until the engine's scope ends.

    Raises:
        LakehouseError: the frame lacks a feature or has a segment already, or the model has
            another number of features.
    """
    import pyarrow as pa

    centres = champion if isinstance(champion, Centres) else centres_of(champion)
    names = list(frame.columns)
    missing = [name for name in feature_names if name not in names]
    taken = [name for name in ADDED if name in names]
    if missing or taken or len(feature_names) != len(centres.means):
        raise LakehouseError(
            f"Scoring needs the {len(centres.means)} features of the model and adds "
            f"{', '.join(ADDED)}; asked for are {len(feature_names)} features, missing from the "
            f"rows are {', '.join(missing) or 'none'} and there already are "
            f"{', '.join(taken) or 'none'}. Select the columns, or choose another model."
        )
    added = pa.schema(
        [("cluster", pa.int32()), ("segment", pa.int32()), ("segment_name", pa.string())]
    )
    return engine.add_columns(frame, feature_names, added, _scoring(centres, added))


def _scoring(centres: Centres, added: pa.Schema) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Make the function that scores a batch; it holds arrays and plain values only."""
    means, scales, standardised = centres.means, centres.scales, centres.standardised
    codes = [persona.code for persona in centres.personas]
    labels = [persona.name for persona in centres.personas]
    nobody = UNCATEGORIZED

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow
        from pyarrow import compute

        features = feature_matrix(batch)
        complete = np.isfinite(features).all(axis=1)
        features[~complete] = 0.0
        found, _ = nearest((features - means) / scales, standardised)
        clusters = pyarrow.array(found, pyarrow.int32(), mask=~complete)
        segments = pyarrow.array(codes, pyarrow.int32()).take(clusters)
        names = pyarrow.array(labels, pyarrow.string()).take(clusters)
        columns = [clusters, segments, compute.fill_null(names, nobody)]
        return pyarrow.RecordBatch.from_arrays(columns, schema=added)

    return score
