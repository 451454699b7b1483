"""The MLflow model that `export-model` writes: rows in pandas, scores of the batch.

MLflow runs this file when it loads such a model; nothing else imports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd
import pyarrow as pa

from lakehouse_assets.domains import MODELS
from lakehouse_assets.ml.model_files import load_model


class ExportedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no types
    """A model of `MODELS`, whose files are checked again when they are loaded."""

    def load_context(self, context: Any) -> None:
        """Load the files."""
        config = context.model_config
        self._spec = MODELS[config["name"]]
        files = Path(context.artifacts["files"])
        what = f"Version {config['version']} of the model {self._spec.name}"
        model = load_model(files, config["digest"], self._spec.types, what)
        self._score = self._spec.scorer(model)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a column for each column of scores."""
        texts = self._spec.texts
        columns = [
            pa.array(
                model_input[name], pa.string() if name in texts else pa.float64(), from_pandas=True
            )
            for name in self._spec.features
        ]
        rows = pa.RecordBatch.from_arrays(columns, names=list(self._spec.features))
        return self._score(rows).to_pandas()


mlflow.models.set_model(ExportedModel())
