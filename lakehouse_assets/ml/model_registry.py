"""The registry of models: versions with an identity, the champion, and who may replace it.

Does not belong here:
the store (`tracking.py`), a model's files (`model_files.py`), fitting, tables.
"""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.clustering import PIPELINE_TYPES
from lakehouse_assets.ml.model_files import (
    MODEL_FILES,
    MOST_BYTES,
    check_files,
    load_model,
    save_model,
)
from lakehouse_assets.ml.tracking import MlflowTracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.pipeline import Pipeline

DEFAULT_MODEL_NAME: Final = "airline_customer_segments"
"""Registered model that holds one version per partition, input and configuration."""

CHAMPION: Final = "champion"
"""Alias of the version that scores; see `promote_version`."""

PARTITION_TAG: Final = "partition"
INPUT_DIGEST_TAG: Final = "input_digest"
CONFIG_DIGEST_TAG: Final = "config_digest"
FILES_DIGEST_TAG: Final = "files_digest"
"""Digest of a version's files, written with the version and compared before they are loaded."""

_IDENTITY_TAGS: Final = (PARTITION_TAG, INPUT_DIGEST_TAG, CONFIG_DIGEST_TAG)
# These values travel inside a quoted filter of the registry's search.
_FILTER_SAFE: Final = re.compile(r"[A-Za-z0-9_.:|/+\-]+")


@dataclass(frozen=True)
class TrackedModel:
    """A model version in the registry and the run that produced it.

    `model_uri` is `models:/<name>/<version>`. `reused` says that the version existed already.
    """

    run_id: str
    model_version: int
    model_uri: str
    reused: bool


@dataclass(frozen=True, eq=False)
class Champion:
    """The model that scores; its cluster 0 is the most valuable."""

    pipeline: Pipeline
    model_version: int
    partition: str


def find_version(
    tracking: MlflowTracking, identity: Mapping[str, str], name: str = DEFAULT_MODEL_NAME
) -> TrackedModel | None:
    """The newest model version with the given partition, input digest and config digest.

    A version without a digest of its files is passed over, since it could not be loaded.

    Args:
        tracking: The store.
        identity: Mapping with at least the keys `partition`, `input_digest` and
            `config_digest`; other keys are not compared.
        name: Registered model.

    Raises:
        LakehouseError: If a key is missing, a value cannot stand in a filter, or MLflow
            fails.
    """
    wanted = {key: identity.get(key, "") for key in _IDENTITY_TAGS}
    for what, value in {"name": name, **wanted}.items():
        if not _FILTER_SAFE.fullmatch(value):
            msg = (
                f"The model {what} is {value!r}; it must be set and consist of letters, "
                "digits and _ . : | / + - only."
            )
            raise LakehouseError(msg)
    filters = [f"name = '{name}'", *(f"tags.`{key}` = '{v}'" for key, v in wanted.items())]
    with tracking.plain_errors():
        found = tracking.client().search_model_versions(
            " and ".join(filters), order_by=["version_number DESC"]
        )
    usable = [version for version in found if FILES_DIGEST_TAG in version.tags]
    return _tracked(usable[0], reused=True) if usable else None


def register(
    tracking: MlflowTracking,
    run_id: str,
    pipeline: Pipeline,
    feature_names: Sequence[str],
    tags: Mapping[str, str],
    name: str = DEFAULT_MODEL_NAME,
) -> TrackedModel:
    """Save the pipeline as a model of the run and register it, unless it is there already.

    Its files are those of `save_model`, and their digest becomes a tag of the version. A version
    with the same partition, input digest and config digest is reused and nothing is written. Two
    processes which register the same identity at the same moment may both write one; the newest
    is then the one that is found.

    Args:
        tracking: The store.
        run_id: Run that produced the model.
        pipeline: Fitted scaler and k-means.
        feature_names: Names of the input columns in their order.
        tags: Tags of the version. `partition`, `input_digest` and `config_digest` are its
            identity; add the Dagster run id and the versions of the source tables.
        name: Registered model; it is made on first use.

    Raises:
        LakehouseError: If an identity tag is missing or MLflow fails.
    """
    existing = find_version(tracking, tags, name)
    if existing is not None:
        return existing
    client = tracking.client()
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    with tracking.plain_errors(), tempfile.TemporaryDirectory() as scratch:
        logged = client.create_logged_model(
            tracking.experiment_id(), name=name, source_run_id=run_id, tags=dict(tags)
        )
        folder = Path(scratch) / "model"
        # The steps of mlflow.sklearn.log_model without its look-ups of the active run, the
        # git commit and the installed packages, and without the global tracking URI.
        description = Model(
            artifact_path=logged.artifact_location,
            run_id=run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        )
        digest = save_model(pipeline, feature_names, "integer", PIPELINE_TYPES, folder, description)
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # The source is the folder, not `models:/<model id>`: the SQL registry would look
        # that up under MLflow's global address.
        created = client.create_model_version(
            name,
            logged.artifact_location,
            run_id,
            tags={**tags, FILES_DIGEST_TAG: digest},
            model_id=logged.model_id,
        )
    return _tracked(created, reused=False)


def promote_version(
    tracking: MlflowTracking, version: int, partition: str, name: str = DEFAULT_MODEL_NAME
) -> bool:
    """Make a version the champion unless the champion belongs to a later partition.

    A re-run of January thus replaces January's champion but never March's. Partition keys
    are compared as text, which orders ISO dates and months correctly.

    Args:
        tracking: The store.
        version: Model version.
        partition: Its partition key.
        name: Registered model.

    Returns:
        Whether the version is the champion now.

    Raises:
        LakehouseError: If the champion has no partition tag, the version does not exist, or
            MLflow fails.
    """
    current = _champion_version(tracking, name)
    if current is not None:
        if PARTITION_TAG not in current.tags:
            msg = (
                f"The champion of {name}, version {current.version}, has no tag "
                f"{PARTITION_TAG}; tag it or move the alias {CHAMPION} by hand."
            )
            raise LakehouseError(msg)
        if current.tags[PARTITION_TAG] > partition:
            return False
    with tracking.plain_errors():
        tracking.client().set_registered_model_alias(name, CHAMPION, str(version))
    return True


def load_champion(tracking: MlflowTracking, name: str = DEFAULT_MODEL_NAME) -> Champion:
    """The champion's pipeline, for scoring, from files that are checked before they are loaded.

    Raises:
        LakehouseError: If there is no champion, its files are not those that were registered or
            not of our format, or MLflow fails.
    """
    current = _required_champion(tracking, name)
    with tempfile.TemporaryDirectory() as scratch:
        folder, digest, what = Path(scratch), _digest_of(current), _called(current)
        _fetch_files(tracking, current, folder)
        pipeline = load_model(folder, digest, PIPELINE_TYPES, what)
    return Champion(
        pipeline=pipeline,
        model_version=int(current.version),
        partition=current.tags.get(PARTITION_TAG, ""),
    )


def export_champion(
    tracking: MlflowTracking, folder: Path, name: str = DEFAULT_MODEL_NAME
) -> TrackedModel:
    """Write the champion's files, checked as for loading, to a new folder for a server of models.

    Raises:
        LakehouseError: As for `load_champion`, or the folder exists.
    """
    current = _required_champion(tracking, name)
    if folder.exists():
        raise LakehouseError(f"{folder} exists already; name a folder that does not.")
    with tempfile.TemporaryDirectory() as scratch:
        _fetch_files(tracking, current, Path(scratch))
        check_files(Path(scratch), _digest_of(current), PIPELINE_TYPES, _called(current))
        shutil.copytree(scratch, folder)
    return _tracked(current, reused=True)


def _required_champion(tracking: MlflowTracking, name: str) -> ModelVersion:
    current = _champion_version(tracking, name)
    if current is None:
        msg = f"The model {name} has no {CHAMPION} yet; run the segmentation first."
        raise LakehouseError(msg)
    return current


def _called(version: ModelVersion) -> str:
    return f"Version {version.version} of the model {version.name}"


def _digest_of(version: ModelVersion) -> str:
    digest = version.tags.get(FILES_DIGEST_TAG)
    if digest is None:
        raise LakehouseError(
            f"{_called(version)} is not loaded: the registry has no tag {FILES_DIGEST_TAG} to "
            "compare its files with. Run its asset again, which registers a version that has one."
        )
    return str(digest)


def _fetch_files(tracking: MlflowTracking, version: ModelVersion, folder: Path) -> None:
    """Copy a version's files, by their fixed names, if there is nothing else and not too much."""
    import mlflow.artifacts

    with tracking.plain_errors():
        # The place of the files, not `models:/...`: MLflow resolves that form with its
        # global address whatever it is told here, and makes a stray mlflow.db for it.
        place = tracking.client().get_model_version_download_uri(version.name, str(version.version))
        listed = mlflow.artifacts.list_artifacts(
            artifact_uri=place, tracking_uri=tracking.tracking_uri
        )
        found = {PurePosixPath(file.path).name: file for file in listed}
        odd = sorted(
            name
            for name, file in found.items()
            if name not in MODEL_FILES or file.is_dir or not _is_regular(place, name)
        )
        size = sum(file.file_size or 0 for file in listed)
        if odd or len(found) != len(listed) or size > MOST_BYTES:
            raise LakehouseError(
                f"{_called(version)} is not loaded: its folder holds "
                f"{', '.join(odd) or 'other files'} ({size:,} bytes in all), which do not belong "
                "to a model. Restore its files from a copy, or delete the version and run its "
                "asset again."
            )
        for name in sorted(found):
            mlflow.artifacts.download_artifacts(
                artifact_uri=f"{place.rstrip('/')}/{name}",
                dst_path=str(folder),
                tracking_uri=tracking.tracking_uri,
            )


def _is_regular(place: str, name: str) -> bool:
    """Say whether a file on this machine is no link, pipe or device; elsewhere there are none."""
    parts = urlsplit(place)
    if parts.scheme not in ("", "file"):
        return True
    folder = url2pathname(parts.path) if parts.scheme else place
    return stat.S_ISREG((Path(folder) / name).lstat().st_mode)


def _champion_version(tracking: MlflowTracking, name: str) -> ModelVersion | None:
    """The version behind the alias; None without a model or alias of that name."""
    client = tracking.client()
    from mlflow.exceptions import MlflowException

    with tracking.plain_errors():
        try:
            return client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            # A missing alias is an "invalid parameter" to some stores.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def _tracked(version: ModelVersion, *, reused: bool) -> TrackedModel:
    """A registry entry in this module's terms."""
    return TrackedModel(
        run_id=str(version.run_id),
        model_version=int(version.version),
        model_uri=f"models:/{version.name}/{version.version}",
        reused=reused,
    )
