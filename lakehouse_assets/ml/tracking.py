"""Experiment tracking and model registry on MLflow.

Belongs here: the Dagster resource around `MlflowClient`, what a segmentation run records, and the
rules for reusing, promoting and loading model versions. Does not belong here: fitting, naming,
drawing, tables.

MLflow and scikit-learn are imported inside functions only: together they take about two seconds,
and Dagster loads this module whenever it loads the definitions. All calls name their run
explicitly; MLflow's "active run" and global tracking URI are left alone, so that several
resources and threads can live in one process.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import dagster as dg
import numpy as np
import numpy.typing as npt
from pydantic import PrivateAttr

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.personas import Persona

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.pipeline import Pipeline

    from lakehouse_assets.ml.clustering import ClusteringConfig, ClusteringResult

DEFAULT_EXPERIMENT: Final = "Customer_Segmentation_Experiment"
"""Experiment name of the airline specification's section 5."""

DEFAULT_MODEL_NAME: Final = "airline_customer_segments"
"""Registered model that holds one version per partition, input and configuration."""

CHAMPION: Final = "champion"
"""Alias of the version that scores; see `MlflowTracking.promote`."""

PARTITION_TAG: Final = "partition"
INPUT_DIGEST_TAG: Final = "input_digest"
CONFIG_DIGEST_TAG: Final = "config_digest"
PERSONAS_TAG: Final = "personas"

_IDENTITY_TAGS: Final = (PARTITION_TAG, INPUT_DIGEST_TAG, CONFIG_DIGEST_TAG)
# What a saved model needs at loading time; skops is its file format. Naming them explicitly
# saves MLflow's inference, which loads the model in a fresh process and takes many seconds.
_REQUIREMENTS: Final = ("mlflow", "numpy", "scikit-learn", "skops")
# These values travel inside a quoted filter of the registry's search.
_FILTER_SAFE: Final = re.compile(r"[A-Za-z0-9_.:|/+\-]+")
_LOG: Final = logging.getLogger(__name__)


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
    """The model that scores, with the persona of each of its cluster ids in their order."""

    pipeline: Pipeline
    model_version: int
    partition: str
    personas: tuple[Persona, ...]


class MlflowTracking(dg.ConfigurableResource):  # type: ignore[type-arg]
    """MLflow experiment tracking and model registry.

    Attributes:
        tracking_uri: `sqlite:///path/to/mlflow.db` (its folder is made), a database URL, or the
            http(s) address of a tracking server. Give an address with credentials as
            `dg.EnvVar`; it is never printed.
        experiment: Name of the experiment; it is made on first use.
        artifact_root: Folder or object store URL for the artefacts of a new experiment. Without
            one, SQLite keeps them in the folder `artifacts` beside the database, and everything
            else uses the server's own. MLflow stores the place with the experiment, so a
            later change does not move it.
    """

    tracking_uri: str
    experiment: str = DEFAULT_EXPERIMENT
    artifact_root: str | None = None

    _client: Any = PrivateAttr(default=None)
    _experiment_id: str | None = PrivateAttr(default=None)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The fields as repr and str show them: without the credentials of the address."""
        for name, value in super().__repr_args__():
            yield name, self.redacted_uri if name == "tracking_uri" else value

    @property
    def redacted_uri(self) -> str:
        """The tracking address without user, password and query, fit for logs and metadata."""
        return redact_uri(self.tracking_uri)

    def client(self) -> MlflowClient:
        """The MLflow client of this address; a new SQLite store gets its tables here.

        Raises:
            LakehouseError: If the address is a file store, in memory, or cannot be opened.
        """
        if self._client is None:
            _check_uri(self.tracking_uri)
            path = _sqlite_path(self.tracking_uri)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            _prepare_environment()
            from mlflow import MlflowClient

            with self._plain_errors():
                self._client = MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)
            _LOG.info("MLflow tracking at %s", self.redacted_uri)
        client: MlflowClient = self._client
        return client

    def experiment_id(self) -> str:
        """Id of the experiment, which is made on first use.

        Raises:
            LakehouseError: If the experiment was deleted or MLflow fails.
        """
        if self._experiment_id is None:
            client = self.client()
            from mlflow.exceptions import MlflowException

            with self._plain_errors():
                found = client.get_experiment_by_name(self.experiment)
                if found is None:
                    try:
                        client.create_experiment(self.experiment, self._artifact_location())
                    except MlflowException as error:
                        # Another process may have made it in between.
                        if error.error_code != "RESOURCE_ALREADY_EXISTS":
                            raise
                    found = client.get_experiment_by_name(self.experiment)
            if found is None or found.lifecycle_stage != "active":
                msg = (
                    f"The MLflow experiment {self.experiment} is deleted; restore it with "
                    "`mlflow experiments restore` or configure another name."
                )
                raise LakehouseError(msg)
            self._experiment_id = str(found.experiment_id)
        return self._experiment_id

    @contextmanager
    def run(
        self, name: str, tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> Iterator[str]:
        """Record a run; its id is the value of the `with` statement.

        The run ends FINISHED, FAILED on an exception, or KILLED on an interrupt of the process
        (KeyboardInterrupt, SystemExit and Dagster's own interrupt are no `Exception`). It stays
        RUNNING only if the process gets no chance to act, as with SIGKILL.

        Args:
            name: Run name.
            tags: Tags of the run.
            parent_run_id: Run under which the user interface nests this one.

        Raises:
            LakehouseError: If MLflow fails.
        """
        nesting = {} if parent_run_id is None else {"mlflow.parentRunId": parent_run_id}
        experiment_id = self.experiment_id()
        with self._plain_errors():
            created = self.client().create_run(
                experiment_id, tags={**tags, **nesting}, run_name=name
            )
        run_id = str(created.info.run_id)
        try:
            yield run_id
        except Exception as error:
            self._terminate_after(run_id, "FAILED", error)
            raise
        except BaseException as error:
            self._terminate_after(run_id, "KILLED", error)
            raise
        with self._plain_errors():
            self.client().set_terminated(run_id, "FINISHED")

    def log_batch(
        self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]
    ) -> None:
        """Write parameters and metrics in one request: one by one, each costs a commit.

        Raises:
            LakehouseError: If MLflow fails, for instance because a parameter has another value.
        """
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        with self._plain_errors():
            self.client().log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in params.items()],
                metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
                synchronous=True,
            )

    def log_files(self, run_id: str, folder: Path) -> None:
        """Store every file of a folder as an artefact of the run.

        Raises:
            LakehouseError: If MLflow or the artefact store fails.
        """
        with self._plain_errors():
            self.client().log_artifacts(run_id, str(folder))

    def find_version(
        self, identity: Mapping[str, str], name: str = DEFAULT_MODEL_NAME
    ) -> TrackedModel | None:
        """The newest model version with the given partition, input digest and config digest.

        Args:
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
        with self._plain_errors():
            found = self.client().search_model_versions(
                " and ".join(filters), order_by=["version_number DESC"], max_results=1
            )
        if not found:
            return None
        return _tracked(found[0], reused=True)

    def register(
        self,
        run_id: str,
        pipeline: Pipeline,
        feature_names: Sequence[str],
        tags: Mapping[str, str],
        name: str = DEFAULT_MODEL_NAME,
    ) -> TrackedModel:
        """Save the pipeline as a model of the run and register it, unless it is there already.

        The model carries a signature of the named double columns, pinned requirements and the
        skops format, which, unlike pickle, runs no code when it is loaded. A version with the
        same partition, input digest and config digest is reused and nothing is written. Two
        processes which register the same identity at the same moment may both write one; the
        newest is then the one that is found.

        Args:
            run_id: Run that produced the model.
            pipeline: Fitted scaler and k-means.
            feature_names: Names of the input columns in their order.
            tags: Tags of the version. `partition`, `input_digest` and `config_digest` are its
                identity; add the Dagster run id and the versions of the source tables.
            name: Registered model; it is made on first use.

        Raises:
            LakehouseError: If an identity tag is missing or MLflow fails.
        """
        existing = self.find_version(tags, name)
        if existing is not None:
            return existing
        client = self.client()
        import mlflow.sklearn
        from mlflow.entities import LoggedModelOutput
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model, ModelSignature
        from mlflow.types import ColSpec, DataType, Schema

        signature = ModelSignature(
            inputs=Schema([ColSpec(DataType.double, column) for column in feature_names]),
            outputs=Schema([ColSpec(DataType.integer)]),
        )
        with self._plain_errors(), tempfile.TemporaryDirectory() as scratch:
            logged = client.create_logged_model(
                self.experiment_id(), name=name, source_run_id=run_id, tags=dict(tags)
            )
            folder = Path(scratch) / "model"
            # The steps of mlflow.sklearn.log_model without its look-ups of the active run, the
            # git commit and the installed packages, and without the global tracking URI.
            mlflow.sklearn.save_model(
                pipeline,
                str(folder),
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    run_id=run_id,
                    model_uuid=logged.model_id,
                    model_id=logged.model_id,
                ),
                serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
                signature=signature,
                pip_requirements=[f"{p}=={installed_version(p)}" for p in _REQUIREMENTS],
            )
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
                name, logged.artifact_location, run_id, tags=dict(tags), model_id=logged.model_id
            )
        return _tracked(created, reused=False)

    def promote(self, version: int, partition: str, name: str = DEFAULT_MODEL_NAME) -> bool:
        """Make a version the champion unless the champion belongs to a later partition.

        A re-run of January thus replaces January's champion but never March's. Partition keys
        are compared as text, which orders ISO dates and months correctly.

        Args:
            version: Model version.
            partition: Its partition key.
            name: Registered model.

        Returns:
            Whether the version is the champion now.

        Raises:
            LakehouseError: If the champion has no partition tag, the version does not exist, or
                MLflow fails.
        """
        current = self._champion_version(name)
        if current is not None:
            if PARTITION_TAG not in current.tags:
                msg = (
                    f"The champion of {name}, version {current.version}, has no tag "
                    f"{PARTITION_TAG}; tag it or move the alias {CHAMPION} by hand."
                )
                raise LakehouseError(msg)
            if current.tags[PARTITION_TAG] > partition:
                return False
        with self._plain_errors():
            self.client().set_registered_model_alias(name, CHAMPION, str(version))
        return True

    def load_champion(self, name: str = DEFAULT_MODEL_NAME) -> Champion:
        """The champion's pipeline and the persona of each of its clusters, for scoring.

        Raises:
            LakehouseError: If there is no champion, it carries no personas, or MLflow fails.
        """
        current = self._champion_version(name)
        if current is None:
            msg = f"The model {name} has no {CHAMPION} yet; run the segmentation first."
            raise LakehouseError(msg)
        if PERSONAS_TAG not in current.tags:
            msg = (
                f"Version {current.version} of {name} names no personas; run the segmentation "
                f"again or move the alias {CHAMPION} to a version that it wrote."
            )
            raise LakehouseError(msg)
        import mlflow.artifacts
        import mlflow.sklearn

        with self._plain_errors(), tempfile.TemporaryDirectory() as scratch:
            # The place of the files, not `models:/...`: MLflow resolves that form with its
            # global address whatever it is told here, and makes a stray mlflow.db for it.
            place = self.client().get_model_version_download_uri(name, str(current.version))
            folder = mlflow.artifacts.download_artifacts(
                artifact_uri=place, dst_path=scratch, tracking_uri=self.tracking_uri
            )
            pipeline = mlflow.sklearn.load_model(folder)
        return Champion(
            pipeline=pipeline,
            model_version=int(current.version),
            partition=current.tags.get(PARTITION_TAG, ""),
            personas=tuple(Persona(**entry) for entry in json.loads(current.tags[PERSONAS_TAG])),
        )

    def _champion_version(self, name: str) -> ModelVersion | None:
        """The version behind the alias; None without a model or alias of that name."""
        client = self.client()
        from mlflow.exceptions import MlflowException

        with self._plain_errors():
            try:
                return client.get_model_version_by_alias(name, CHAMPION)
            except MlflowException as error:
                # A missing alias is an "invalid parameter" to some stores.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def _artifact_location(self) -> str | None:
        """Where a new experiment keeps its artefacts; None leaves the choice to the server."""
        root = self.artifact_root
        path = _sqlite_path(self.tracking_uri)
        if root is None and path is not None:
            root = str(path.parent / "artifacts")
        if root is None:
            return None
        if "://" not in root:
            root = Path(root).resolve().as_uri()
        return f"{root.rstrip('/')}/{self.experiment}"

    def _terminate_after(self, run_id: str, status: str, error: BaseException) -> None:
        """End a broken run; a failure to do so must not hide what broke it."""
        try:
            with self._plain_errors():
                self.client().set_terminated(run_id, status)
        except LakehouseError as second:
            error.add_note(f"The MLflow run {run_id} could not be ended as {status}: {second}")

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Turn MLflow's errors into plain ones that never show the address's credentials."""
        try:
            yield
        except _store_errors() as error:
            text = _without_secrets(f"{type(error).__name__}: {error}", self.tracking_uri)
            msg = (
                f"MLflow at {self.redacted_uri} failed; check the address and that the store can "
                f"be reached. {text}"
            )
            # With credentials in the address, the original may show them in the traceback.
            cause = error if self.redacted_uri == self.tracking_uri else None
            raise LakehouseError(msg) from cause


def log_segmentation(
    tracking: MlflowTracking,
    result: ClusteringResult,
    config: ClusteringConfig,
    personas: Sequence[Persona],
    figure: Figure,
    tags: Mapping[str, str],
    partition: str,
    input_digest: str,
    feature_names: Sequence[str],
) -> TrackedModel:
    """Record one segmentation: a run, its sweep as child runs, and the registered model.

    The run is named `KMeans_<k>_Clusters` and holds the parameters n_clusters, algorithm,
    random_state, n_init, max_iter and features, the metrics inertia, both silhouettes and the
    size of each segment (`size_segment_<code>`), the files `segment_analysis.png` and
    `centres.json`, and the model (specification section 5). If a version with the same
    partition, input digest and configuration is registered already, nothing is written: no new
    run appears and the earlier run and version are returned. Ask
    `tracking.find_version(segmentation_tags(...))` first to save fitting and drawing as well.

    Args:
        tracking: The resource.
        result: The fit.
        config: Its settings.
        personas: The persona of each cluster, in the order of the cluster ids.
        figure: Picture of the segments.
        tags: Further tags for the run and the version: Dagster run id, source table versions.
        partition: Partition key, a text that sorts by time.
        input_digest: Digest of the rows that were clustered.
        feature_names: Names of the columns in their order.

    Raises:
        LakehouseError: If MLflow fails or a digest cannot stand in a filter.
    """
    identity = segmentation_tags(partition, input_digest, config, feature_names)
    existing = tracking.find_version(identity)
    if existing is not None:
        return existing
    run_tags = {**tags, **identity}
    with tracking.run(f"KMeans_{config.k}_Clusters", run_tags) as run_id:
        tracking.log_batch(
            run_id,
            params={
                "n_clusters": config.k,
                "algorithm": f"KMeans ({result.pipeline['kmeans'].algorithm})",
                "random_state": config.seed,
                "n_init": config.n_init,
                "max_iter": config.max_iter,
                "features": ",".join(feature_names),
                "silhouette_sample_rows": result.silhouette_sample_rows,
            },
            metrics={
                "inertia": result.inertia,
                "silhouette_squared_euclidean": result.silhouette_squared_euclidean,
                "silhouette_euclidean": result.silhouette_euclidean,
                "rows": float(sum(result.sizes)),
                **{
                    f"size_segment_{persona.code}": float(size)
                    for persona, size in zip(personas, result.sizes, strict=True)
                },
            },
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            figure.savefig(folder / "segment_analysis.png")
            centres = json.dumps(_centres(result, personas, feature_names), indent=2)
            (folder / "centres.json").write_text(centres, encoding="utf-8")
            tracking.log_files(run_id, folder)
        for point in result.sweep:
            with tracking.run(f"KMeans_{point.k}_Clusters_sweep", identity, run_id) as child_id:
                tracking.log_batch(
                    child_id,
                    params={"n_clusters": point.k, "n_init": point.n_init},
                    metrics={
                        "inertia": point.inertia,
                        "silhouette_squared_euclidean": point.silhouette_squared_euclidean,
                        "silhouette_euclidean": point.silhouette_euclidean,
                    },
                )
        names = json.dumps([dataclasses.asdict(persona) for persona in personas])
        return tracking.register(
            run_id, result.pipeline, feature_names, {**run_tags, PERSONAS_TAG: names}
        )


def segmentation_tags(
    partition: str, input_digest: str, config: ClusteringConfig, feature_names: Sequence[str]
) -> dict[str, str]:
    """The tags that identify a segmentation: partition, input digest and config digest.

    The config digest covers the settings, the features and scikit-learn's version, because
    another version may find other clusters.
    """
    settings = {
        "config": dataclasses.asdict(config),
        "features": list(feature_names),
        "scikit-learn": installed_version("scikit-learn"),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return {
        PARTITION_TAG: partition,
        INPUT_DIGEST_TAG: input_digest,
        CONFIG_DIGEST_TAG: digest,
    }


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


def import_libraries() -> None:
    """Import the libraries of training and tracking, which takes seconds, ahead of their use."""
    _prepare_environment()
    for name in ("sklearn.cluster", "mlflow.sklearn", "skops.io", "matplotlib.figure"):
        import_module(name)


def redact_uri(uri: str) -> str:
    """The address without user, password and query values, so that it may be printed.

    When in doubt more is hidden: with an @ inside the query nothing but the scheme remains.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    base, question, query = rest.partition("?")
    if "@" in query:
        return f"{scheme}://***"
    if "@" in base and not scheme.startswith("sqlite"):
        base = f"***@{base.rpartition('@')[2]}"
    return f"{scheme}://{base}{'?***' if question else ''}"


def _without_secrets(text: str, uri: str) -> str:
    """The text with every secret part of the address blanked out."""
    if redact_uri(uri) == uri:
        return text
    rest = uri.partition("://")[2]
    user_info = rest.rpartition("@")[0]
    query = rest.partition("?")[2]
    secrets = {uri, rest, user_info, user_info.partition(":")[2], query}
    secrets |= {pair.partition("=")[2] for pair in query.split("&")}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _check_uri(uri: str) -> None:
    """Refuse addresses that MLflow 3.17 refuses, or that would forget everything."""
    if uri.startswith("file:") or ("://" not in uri and uri != "databricks"):
        msg = (
            f"The MLflow address {redact_uri(uri)} is a folder, and MLflow no longer keeps runs "
            "in folders; use sqlite:///<folder>/mlflow.db or a tracking server."
        )
        raise LakehouseError(msg)
    path = _sqlite_path(uri)
    if path is not None and path.name in ("", ":memory:"):
        msg = (
            "The MLflow address names no database file and would forget every run; use "
            "sqlite:///<folder>/mlflow.db."
        )
        raise LakehouseError(msg)


def _sqlite_path(uri: str) -> Path | None:
    """The database file of an SQLite address; None for any other address."""
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    # Three slashes: relative to the working folder; four: absolute.
    return Path(rest.partition("?")[0].removeprefix("/"))


def _prepare_environment() -> None:
    """Defaults that MLflow reads while it is imported.

    Telemetry would call home; messages about new tables and progress bars are noise in the log
    of a pipeline. A value that is set already wins.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _store_errors() -> tuple[type[Exception], ...]:
    """What a store, its driver, its address or its files can raise (requests raises OSError)."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError)


def _tracked(version: ModelVersion, *, reused: bool) -> TrackedModel:
    """A registry entry in this module's terms."""
    return TrackedModel(
        run_id=str(version.run_id),
        model_version=int(version.version),
        model_uri=f"models:/{version.name}/{version.version}",
        reused=reused,
    )


def _centres(
    result: ClusteringResult, personas: Sequence[Persona], feature_names: Sequence[str]
) -> list[dict[str, object]]:
    """The centres as a table for people, one entry per cluster in the order of the ids."""
    return [
        {
            "cluster": cluster,
            "segment": persona.code,
            "segment_name": persona.name,
            "size": result.sizes[cluster],
            "centre": dict(zip(feature_names, result.centres[cluster].tolist(), strict=True)),
            "centre_standardised": dict(
                zip(feature_names, result.centres_standardised[cluster].tolist(), strict=True)
            ),
        }
        for cluster, persona in enumerate(personas)
    ]
