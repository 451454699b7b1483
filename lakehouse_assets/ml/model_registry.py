"""The registry of models: versions with an identity, the champion, and who may replace it."""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lakehouse_assets.errors import LakehouseError
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

CHAMPION: Final = "champion"
"""Alias of the version that scores; see `promote`."""

PARTITION_TAG: Final = "partition"
INPUT_DIGEST_TAG: Final = "input_digest"
CONFIG_DIGEST_TAG: Final = "config_digest"
FILES_DIGEST_TAG: Final = "files_digest"
"""Digest of a version's files, written with the version and compared before they are loaded."""

DECISION_TAG: Final = "decision"
"""Why a version was promoted or was not, when it was last judged."""

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


@dataclass(frozen=True)
class Decision:
    """Whether a version is the champion now, and why or why not."""

    promoted: bool
    reason: str


@dataclass(frozen=True, eq=False)
class Champion:
    """The model that scores."""

    model: Any
    model_version: int
    partition: str


def find_version(
    tracking: MlflowTracking, identity: Mapping[str, str], name: str
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
    name: str,
    model: Any,
    feature_names: Sequence[str],
    output: str,
    types: Collection[str],
    tags: Mapping[str, str],
) -> TrackedModel:
    """Save a model as one of the run and register it, unless it is there already.

    Its files are those of `save_model`, and their digest becomes a tag of the version. A version
    with the same partition, input digest and config digest is reused and nothing is written. Two
    processes which register the same identity at the same moment may both write one; the newest
    is then the one that is found.

    Args:
        tracking: The store.
        run_id: Run that produced the model.
        name: Registered model; it is made on first use.
        model: Fitted scikit-learn estimator.
        feature_names: Names of the input columns in their order.
        output: MLflow's type of what it predicts.
        types: Types that it is made of, beside plain values and arrays.
        tags: Tags of the version. `partition`, `input_digest` and `config_digest` are its
            identity.

    Raises:
        LakehouseError: If an identity tag is missing, the model holds another type, or MLflow
            fails.
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
        digest = save_model(model, feature_names, output, types, folder, description)
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


def promote(
    tracking: MlflowTracking, name: str, version: int, partition: str, objection: str | None = None
) -> Decision:
    """Make a version the champion unless something speaks against it, and record the decision.

    The champion of a later partition stays: a re-run of January replaces January's champion but
    never March's. Partition keys are compared as text, which orders ISO dates and months correctly.

    Args:
        tracking: The store.
        name: Registered model.
        version: Model version.
        partition: Its partition key.
        objection: Why it must not be the champion.

    Raises:
        LakehouseError: If the champion has no partition tag, the version does not exist, or
            MLflow fails.
    """
    current = champion_of(tracking, name)
    if current is not None and PARTITION_TAG not in current.tags:
        msg = (
            f"The champion of {name}, version {current.version}, has no tag "
            f"{PARTITION_TAG}; tag it or move the alias {CHAMPION} by hand."
        )
        raise LakehouseError(msg)
    if objection is None and current is not None and current.tags[PARTITION_TAG] > partition:
        later = current.tags[PARTITION_TAG]
        objection = f"version {current.version} is of the later partition {later}"
    if objection is not None:
        decision = Decision(promoted=False, reason=f"not the champion: {objection}")
    elif current is not None and int(current.version) == version:
        decision = Decision(promoted=True, reason=current.tags.get(DECISION_TAG, "the champion"))
    else:
        before = "the first" if current is None else f"in place of version {current.version}"
        decision = Decision(promoted=True, reason=f"champion, {before}")
    with tracking.plain_errors():
        if decision.promoted:
            tracking.client().set_registered_model_alias(name, CHAMPION, str(version))
        tracking.client().set_model_version_tag(
            name, str(version), DECISION_TAG, decision.reason[:4_000]
        )
    return decision


def load_champion(tracking: MlflowTracking, name: str, types: Collection[str]) -> Champion:
    """The champion, for scoring, from files that are checked before they are loaded.

    Args:
        tracking: The store.
        name: Registered model.
        types: Types that it may be made of, beside plain values and arrays.

    Raises:
        LakehouseError: If there is no champion, its files are not those that were registered or
            not of our format, or MLflow fails.
    """
    current = _required_champion(tracking, name)
    with _fetched(tracking, current) as (folder, digest, what):
        model = load_model(folder, digest, types, what)
    return Champion(model, int(current.version), current.tags.get(PARTITION_TAG, ""))


def load_version(tracking: MlflowTracking, name: str, version: int, types: Collection[str]) -> Any:
    """A version's model; see `load_champion`."""
    with tracking.plain_errors():
        found = tracking.client().get_model_version(name, str(version))
    with _fetched(tracking, found) as (folder, digest, what):
        return load_model(folder, digest, types, what)


def export_champion(
    tracking: MlflowTracking, name: str, types: Collection[str], folder: Path
) -> TrackedModel:
    """Write the champion's files, checked as for loading, to a new folder for a server of models.

    Raises:
        LakehouseError: As for `load_champion`, or the folder exists.
    """
    current = _required_champion(tracking, name)
    if folder.exists():
        raise LakehouseError(f"{folder} exists already; name a folder that does not.")
    with _fetched(tracking, current) as (fetched, digest, what):
        check_files(fetched, digest, types, what)
        shutil.copytree(fetched, folder)
    return _tracked(current, reused=True)


def champion_of(tracking: MlflowTracking, name: str) -> ModelVersion | None:
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


def _required_champion(tracking: MlflowTracking, name: str) -> ModelVersion:
    current = champion_of(tracking, name)
    if current is None:
        msg = f"The model {name} has no {CHAMPION} yet; run the asset that trains it first."
        raise LakehouseError(msg)
    return current


def _called(version: ModelVersion) -> str:
    return f"Version {version.version} of the model {version.name}"


@contextmanager
def _fetched(tracking: MlflowTracking, version: ModelVersion) -> Iterator[tuple[Path, str, str]]:
    """Copy a version's files into a folder of our own; give their digest and its name as well."""
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
    """Copy a version's files, by their fixed names, if there is nothing else and not too much."""
    import mlflow.artifacts

    with tracking.plain_errors():
        # The path of the files, not `models:/...`: MLflow resolves that form with its global
        # address, whatever address is passed here, and creates a stray mlflow.db for it.
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


def _tracked(version: ModelVersion, *, reused: bool) -> TrackedModel:
    """A registry entry in this module's terms."""
    return TrackedModel(
        run_id=str(version.run_id),
        model_version=int(version.version),
        model_uri=f"models:/{version.name}/{version.version}",
        reused=reused,
    )
