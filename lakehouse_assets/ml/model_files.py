"""A segmentation model as files: the scikit-learn flavour of MLflow in skops format.

Does
not belong here: where the folder goes and what it is called (`model_registry.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from mlflow.models import Model
    from sklearn.pipeline import Pipeline

# What a saved model needs at loading time; skops is its file format. Naming them explicitly
# saves MLflow's inference, which loads the model in a fresh process and takes many seconds.
_REQUIREMENTS: Final = ("mlflow", "numpy", "scikit-learn", "skops")


def save_pipeline(
    pipeline: Pipeline, feature_names: Sequence[str], folder: Path, description: Model
) -> None:
    """Write a pipeline with a signature of named doubles, pinned requirements and skops files.

    Skops, unlike pickle, runs no code when it is loaded.

    Args:
        pipeline: Fitted scaler and k-means.
        feature_names: Names of the input columns in their order.
        folder: Folder to make.
        description: What MLflow knows of the model: its id and run.
    """
    import mlflow.sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    mlflow.sklearn.save_model(
        pipeline,
        str(folder),
        mlflow_model=description,
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        signature=ModelSignature(
            inputs=Schema([ColSpec(DataType.double, column) for column in feature_names]),
            outputs=Schema([ColSpec(DataType.integer)]),
        ),
        pip_requirements=[f"{p}=={installed_version(p)}" for p in _REQUIREMENTS],
    )


def load_pipeline(folder: str) -> Any:
    """Read a pipeline that `save_pipeline` wrote."""
    import mlflow.sklearn

    return mlflow.sklearn.load_model(folder)


def score(pipeline: Pipeline, features: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Cluster id of each row, by a fitted or loaded pipeline.

    Args:
        pipeline: From `load_champion` or a clustering result.
        features: Rows in original units, columns in the order of the training.

    Raises:
        LakehouseError: If the number of columns differs or a value is missing or infinite.
    """
    width = len(pipeline["scaler"].mean_)
    if features.ndim != 2 or features.shape[1] != width or not np.isfinite(features).all():
        msg = (
            f"Scoring needs rows of {width} finite values, got shape {features.shape}; leave "
            "incomplete rows out."
        )
        raise LakehouseError(msg)
    # Step by step: the scaler knows its column names and would warn about an array without any.
    scaled = (features - pipeline["scaler"].mean_) / pipeline["scaler"].scale_
    return np.asarray(pipeline["kmeans"].predict(scaled), dtype=np.int32)
