"""Exports a champion as a folder that any MLflow server serves, with the scores of the batch."""

from __future__ import annotations

import tempfile
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lakehouse_assets
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.model_files import digest_of_files, input_schema
from lakehouse_assets.ml.model_registry import TrackedModel, export_champion
from lakehouse_assets.ml.spec import ModelSpec
from lakehouse_assets.ml.tracking import MlflowTracking

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

# Requirements of the exported folder besides the libraries of the model.
_REQUIREMENTS: Final = ("mlflow", "numpy", "pandas", "pyarrow", "skops")


def export(spec: ModelSpec, tracking: MlflowTracking, folder: Path) -> TrackedModel:
    """Check the champion's files, and write them with this project's code into a new folder.

    The folder is an MLflow model (`python_function`): Azure ML, Databricks and `mlflow models
    serve` score with it as the batch does, and load the checked files only if they are unchanged.

    Raises:
        LakehouseError: There is no champion, its files are refused, or the folder exists.
    """
    import mlflow.pyfunc

    if folder.exists():
        raise LakehouseError(f"{folder} exists already; name a folder that does not.")
    package = Path(lakehouse_assets.__file__).parent
    names = dict.fromkeys([*_REQUIREMENTS, *spec.libraries])
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch, "files")
        exported = export_champion(tracking, spec, files)
        with warnings.catch_warnings():
            # It asks for an example of the input, which would be somebody's row.
            warnings.filterwarnings("ignore", ".*input example", UserWarning)
            mlflow.pyfunc.save_model(
                str(folder),
                python_model=str(package / "serving" / "exported.py"),
                artifacts={"files": str(files)},
                code_paths=[str(package)],
                signature=_signature(spec),
                pip_requirements=[f"{name}=={installed_version(name)}" for name in names],
                model_config={
                    "name": spec.name,
                    "version": exported.model_version,
                    "digest": digest_of_files(files),
                },
            )
    return exported


def _signature(spec: ModelSpec) -> ModelSignature:
    """Return the columns that MLflow's servers take and give; any may be null."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    kinds: dict[str, Any] = {
        "int": DataType.integer, "bigint": DataType.long, "double": DataType.double,
        "string": DataType.string,
    }  # fmt: skip
    return ModelSignature(
        input_schema(spec),
        Schema([ColSpec(kinds[kind], name) for name, kind in spec.scored.items()]),
    )
