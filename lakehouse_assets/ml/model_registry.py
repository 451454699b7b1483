"""The model registry: versions with an identity, whose files are checked before they are loaded."""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.decisions import CHAMPION, aliases_of
from lakehouse_assets.ml.model_files import (
    MODEL_FILES,
    MOST_BYTES,
    check_files,
    load_model,
    save_model,
)
from lakehouse_assets.ml.tracking import MlflowTracking, unless_it_exists

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from lakehouse_assets.ml.spec import ModelSpec

INPUT_DIGEST_TAG: Final = "input_digest"
CONFIG_DIGEST_TAG: Final = "config_digest"
FILES_DIGEST_TAG: Final = "files_digest"
"""Digest of a version's files, written with the version and compared before they are loaded."""

SCHEMA_TAG: Final = "schema"
"""The columns of a version's model, as `ModelSpec.schema` has them."""

_IDENTITY_TAGS: Final = (INPUT_DIGEST_TAG, CONFIG_DIGEST_TAG)
# Characters that are safe inside the quoted values of a registry search's filter.
_FILTER_SAFE: Final = re.compile(r"[A-Za-z0-9_.:|/+\-]+")


@dataclass(frozen=True)
class TrackedModel:
    """A model version in the registry and the run that produced it.

    `model_uri` is `models:/<name>/<version>`. `reused` is whether the version already existed.
    """

    run_id: str
    model_version: int
    model_uri: str
    reused: bool


def find_version(
    tracking: MlflowTracking, identity: Mapping[str, str], name: str
) -> TrackedModel | None:
    """Return the newest version with the given input digest and config digest, or None.

    Versions without a digest of their files are skipped, because they could not be loaded.

    Args:
        tracking: The MLflow store.
        identity: Mapping with at least the keys `input_digest` and `config_digest`; other keys are
            not compared.
        name: Registered model.

    Raises:
        LakehouseError: If a key is missing, a value cannot be used in a filter, or MLflow fails.
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
    tracking: MlflowTracking, run_id: str, spec: ModelSpec, model: Any, tags: Mapping[str, str]
) -> TrackedModel:
    """Save a model with its run and register it, unless it is already registered.

    `save_model` writes its files, and their digest becomes a tag of the version. If a version with
    the same input digest and config digest exists, it is reused and nothing is written.
    Two processes that register the same identity at the same moment may both write a version; from
    then on the newest one is found.

    Args:
        tracking: The MLflow store.
        run_id: Run that produced the model.
        spec: The model's declaration; a registered model of its name is created on first use.
        model: Fitted scikit-learn estimator.
        tags: Tags of the version. `input_digest` and `config_digest` are its identity.

    Raises:
        LakehouseError: If an identity tag is missing, the model contains a type that is not
            declared, or MLflow fails.
    """
    existing = find_version(tracking, tags, spec.name)
    if existing is not None:
        return existing
    client = tracking.client()
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    with tracking.plain_errors(), tempfile.TemporaryDirectory() as scratch:
        logged = client.create_logged_model(
            tracking.experiment_id(), name=spec.name, source_run_id=run_id, tags=dict(tags)
        )
        folder = Path(scratch) / "model"
        # The steps of mlflow.sklearn.log_model, without looking up the active run, the git commit
        # and the installed packages, and without the global tracking URI.
        description = Model(
            artifact_path=logged.artifact_location,
            run_id=run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        )
        digest = save_model(spec, model, folder, description)
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        with unless_it_exists():
            client.create_registered_model(spec.name)
        # The source is the folder, not `models:/<model id>`, which the SQL registry would look up
        # at MLflow's global address.
        created = client.create_model_version(
            spec.name,
            logged.artifact_location,
            run_id,
            tags={**tags, FILES_DIGEST_TAG: digest},
            model_id=logged.model_id,
        )
    return _tracked(created, reused=False)


def load_version(tracking: MlflowTracking, spec: ModelSpec, version: int) -> Any:
    """Load the model of a version for scoring; its files are checked first.

    Raises:
        LakehouseError: It was fitted on other columns than the code declares, its files are not
            those that were registered or not in our format, or MLflow fails.
    """
    found = _version(tracking, spec.name, version)
    with _fetched(tracking, spec, found) as (folder, digest, what):
        return load_model(folder, digest, spec.types, what)


def export_champion(tracking: MlflowTracking, spec: ModelSpec, folder: Path) -> TrackedModel:
    """Check the champion's files as for loading, and copy them to a new folder for a model server.

    Raises:
        LakehouseError: As for `load_version` and `required_champion`.
    """
    current = required_champion(tracking, spec.name)
    with _fetched(tracking, spec, current) as (fetched, digest, what):
        check_files(fetched, digest, spec.types, what)
        shutil.copytree(fetched, folder)
    return _tracked(current, reused=True)


def champion_of(tracking: MlflowTracking, name: str) -> ModelVersion | None:
    """Return the champion's version; None if the model or its alias does not exist."""
    number = aliases_of(tracking, name).get(CHAMPION)
    return None if number is None else _version(tracking, name, number)


def _version(tracking: MlflowTracking, name: str, number: int) -> ModelVersion:
    with tracking.plain_errors():
        return tracking.client().get_model_version(name, str(number))


def required_champion(tracking: MlflowTracking, name: str) -> ModelVersion:
    """Return the champion's version.

    Raises:
        LakehouseError: There is none, or MLflow fails.
    """
    current = champion_of(tracking, name)
    if current is None:
        msg = f"The model {name} has no {CHAMPION} yet; run its asset to train one."
        raise LakehouseError(msg)
    return current


def _called(version: ModelVersion) -> str:
    return f"Version {version.version} of the model {version.name}"


@contextmanager
def _fetched(
    tracking: MlflowTracking, spec: ModelSpec, version: ModelVersion
) -> Iterator[tuple[Path, str, str]]:
    """Copy a version's files into a temporary folder; yield it, their digest, and a name."""
    if version.tags.get(SCHEMA_TAG, spec.schema) != spec.schema:
        raise LakehouseError(
            f"{_called(version)} was fitted on other columns than the code declares now; run the "
            "model's asset, and promote the new version with `lakehouse models promote "
            f"{spec.name}`."
        )
    digest = version.tags.get(FILES_DIGEST_TAG)
    if digest is None:
        raise LakehouseError(
            f"{_called(version)} is not loaded: the registry has no tag {FILES_DIGEST_TAG} to "
            "compare its files with. Run its asset again, which registers a version that has one."
        )
    with tempfile.TemporaryDirectory() as scratch:
        _fetch_files(tracking, version, Path(scratch))
        yield Path(scratch), digest, _called(version)


def _fetch_files(tracking: MlflowTracking, version: ModelVersion, folder: Path) -> None:
    """Copy a version's files by their fixed names; refuse other files, or too many bytes."""
    import mlflow.artifacts

    with tracking.plain_errors():
        # The path of the files, not `models:/...`, which MLflow resolves at its global address even
        # if another is passed here, and for which it creates a stray mlflow.db.
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
    """Return whether a local file is not a link, pipe or device; stores have only files."""
    parts = urlsplit(place)
    if parts.scheme not in ("", "file"):
        return True
    folder = url2pathname(parts.path) if parts.scheme else place
    return stat.S_ISREG((Path(folder) / name).lstat().st_mode)


def _tracked(version: ModelVersion, *, reused: bool) -> TrackedModel:
    """Convert a registry entry to a `TrackedModel`."""
    return TrackedModel(
        run_id=str(version.run_id),
        model_version=int(version.version),
        model_uri=f"models:/{version.name}/{version.version}",
        reused=reused,
    )
