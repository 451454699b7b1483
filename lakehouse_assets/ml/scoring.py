"""Giving rows the cluster of a trained model, on every engine.

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
from lakehouse_assets.ml.silhouettes import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.model_registry import Champion

ADDED = "cluster"


@dataclass(frozen=True, eq=False)
class Centres:
    """What of a model is needed to score.

    Attributes:
        means: What is taken from each feature.
        scales: What it is divided by then.
        standardised: One centre per cluster, of features treated so.
    """

    means: FloatArray
    scales: FloatArray
    standardised: FloatArray


def centres_of(champion: Champion) -> Centres:
    """Return what of a registered model is needed to score."""
    scaler, kmeans = champion.pipeline["scaler"], champion.pipeline["kmeans"]
    return Centres(scaler.mean_, scaler.scale_, kmeans.cluster_centers_)


def score_frame(
    engine: Engine,
    frame: DataFrame,
    champion: Champion | Centres,
    feature_names: Sequence[str] = SEGMENT_FEATURES,
) -> DataFrame:
    """Add `cluster` to rows; it is null where a feature is missing. No row is fetched.

    Args:
        engine: The engine of the frame.
        frame: Rows with a column for each feature, of any type of number.
        champion: The model, as the registry or a training gives it.
        feature_names: The features, in the order of the training.

    Returns:
        The rows, kept until the engine's scope ends.

    Raises:
        LakehouseError: the frame lacks a feature or has a cluster already, or the model has
            another number of features.
    """
    import pyarrow as pa

    centres = champion if isinstance(champion, Centres) else centres_of(champion)
    names = list(frame.columns)
    missing = [name for name in feature_names if name not in names]
    if missing or ADDED in names or len(feature_names) != len(centres.means):
        raise LakehouseError(
            f"Scoring needs the {len(centres.means)} features of the model and adds {ADDED}; the "
            f"call names {len(feature_names)} features, the rows lack "
            f"{', '.join(missing) or 'none'} of them and have "
            f"{ADDED if ADDED in names else 'no cluster'} already. Select the columns, or choose "
            "another model."
        )
    added = pa.schema([(ADDED, pa.int32())])
    return engine.add_columns(frame, feature_names, added, _scoring(centres, added))


def _scoring(centres: Centres, added: pa.Schema) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Make the function that scores a batch; it holds arrays and plain values only."""
    means, scales, standardised = centres.means, centres.scales, centres.standardised

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow

        features = feature_matrix(batch)
        complete = np.isfinite(features).all(axis=1)
        features[~complete] = 0.0
        found, _ = nearest((features - means) / scales, standardised)
        clusters = pyarrow.array(found, pyarrow.int32(), mask=~complete)
        return pyarrow.RecordBatch.from_arrays([clusters], schema=added)

    return score
