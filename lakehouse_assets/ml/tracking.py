"""Experiment tracking with MLflow: the store, its experiment, and its runs.

MLflow and scikit-learn are imported only inside functions: together they take about two seconds,
and Dagster imports this module whenever it loads the definitions. All calls name their run
explicitly. MLflow's "active run" and global tracking URI are not used, so that one process can use
several stores and threads.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.mlflow_address import check_uri, redact_uri, sqlite_path, without_secrets
from lakehouse_assets.storage.access import Access, mlflow_uri
from lakehouse_assets.storage.identity import DEFAULT, Identity
from lakehouse_assets.storage.location import CloudLocation, LocationError, parse_location
from lakehouse_assets.storage.transient import is_transient, is_unanswered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lakehouse_assets.settings import Settings

DEFAULT_EXPERIMENT: Final = "Customer_Segmentation_Experiment"
"""Experiment name of the airline specification's section 5."""

DAGSTER_RUN_TAG: Final = "dagster_run_id"
"""Tag of a run with the Dagster run that made it."""

# Tables and columns in which MLflow stores absolute paths of artefacts.
_PLACES: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_AT_ONCE: Final = 1_000
# Most characters of a dataset's digest in MLflow.
_DIGEST_CHARACTERS: Final = 36
_LOG: Final = logging.getLogger(__name__)


@dataclass
class _Opened:
    """Cached client and experiment id; creating a client checks the whole database."""

    client: Any = None
    experiment_id: str | None = None


@dataclass(frozen=True)
class MlflowTracking:
    """MLflow experiment tracking and model registry.

    Attributes:
        tracking_uri: `sqlite:///path/to/mlflow.db` (its folder is created), a database URL, or the
            http(s) address of a tracking server; it may contain a password and is never printed.
        experiment: Name of the experiment, which is created on first use.
        artifact_root: Folder or object store URL for the artefacts of a new experiment. By default
            they are in the folder `artifacts` next to an SQLite database, or at the server's
            own location. MLflow stores the location with the experiment, so later changes of
            this setting do not move it.
        identity: Identity that accesses artefacts in a store.
    """

    tracking_uri: str
    experiment: str = DEFAULT_EXPERIMENT
    artifact_root: str | None = None
    identity: Identity = DEFAULT
    _opened: _Opened = field(default_factory=_Opened, compare=False)

    @classmethod
    def of(cls, settings: Settings) -> MlflowTracking:
        """Return the store that the settings configure."""
        root = settings.mlflow_artifacts
        return cls(
            tracking_uri=settings.mlflow_uri,
            artifact_root=None if root is None else str(root),
            identity=settings.identity,
        )

    def __repr__(self) -> str:
        """Show the address without its credentials."""
        return f"MlflowTracking({self.redacted_uri!r}, {self.experiment!r})"

    @property
    def redacted_uri(self) -> str:
        """The tracking address without user, password and query, for logs and metadata."""
        return redact_uri(self.tracking_uri)

    def client(self) -> MlflowClient:
        """Return the MLflow client for this address; this creates a new SQLite store's tables.

        Raises:
            LakehouseError: If the address is a file store or in memory, or cannot be opened.
        """
        if self._opened.client is None:
            check_uri(self.tracking_uri)
            path = sqlite_path(self.tracking_uri)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self.bring_home()
            _prepare_environment()
            if self.artifact_root is not None:
                _set_azure_credentials(self.artifact_root, self.identity)
            from mlflow import MlflowClient

            with self.plain_errors():
                self._check_database()
                self._opened.client = MlflowClient(
                    self.tracking_uri, registry_uri=self.tracking_uri
                )
            _LOG.info("MLflow tracking at %s", self.redacted_uri)
        client: MlflowClient = self._opened.client
        return client

    def _check_database(self) -> None:
        """Connect to a database once, since MLflow would retry for minutes if it is down."""
        import sqlalchemy as sa

        if not re.match(r"(postgresql|mysql|mssql)(\+|:)", self.tracking_uri):
            return
        limits = timeouts.database(sa.make_url(self.tracking_uri).get_dialect().driver)
        engine = sa.create_engine(self.tracking_uri, poolclass=sa.NullPool, connect_args=limits)
        engine.connect().close()

    def in_experiment(self, experiment: str) -> MlflowTracking:
        """Return the same store with another experiment, sharing the client."""
        if experiment == self.experiment:
            return self
        return replace(self, experiment=experiment, _opened=_Opened(self.client()))

    def bring_home(self) -> None:
        """Use the artefacts next to an SQLite store that was moved or copied with them.

        MLflow stores absolute paths from when it created an experiment, and would go on writing
        artefacts there.

        Raises:
            LakehouseError: the store cannot be read or written.
        """
        path, here = sqlite_path(self.tracking_uri), self._artifact_location()
        if self.artifact_root is not None or path is None or here is None or not path.is_file():
            return
        try:
            with closing(sqlite3.connect(path)) as store, store:
                _move_artifacts(store, self.experiment, here)
        except sqlite3.Error as error:
            raise LakehouseError(
                f"The MLflow store {path} cannot be used ({error}); restore it from a copy, or "
                "move it away to begin a new one."
            ) from None

    def experiment_id(self) -> str:
        """Return the id of the experiment, which is created on first use.

        Raises:
            LakehouseError: If the experiment was deleted or MLflow fails.
        """
        if self._opened.experiment_id is None:
            client = self.client()
            with self.plain_errors():
                found = client.get_experiment_by_name(self.experiment)
                if found is None:
                    with unless_it_exists():
                        client.create_experiment(self.experiment, self._artifact_location())
                    found = client.get_experiment_by_name(self.experiment)
            if found is None or found.lifecycle_stage != "active":
                msg = (
                    f"The MLflow experiment {self.experiment} is deleted; restore it with "
                    "`mlflow experiments restore` or configure another name."
                )
                raise LakehouseError(msg)
            self._opened.experiment_id = str(found.experiment_id)
        return self._opened.experiment_id

    @contextmanager
    def run(
        self, name: str, tags: Mapping[str, str], parent_run_id: str | None = None
    ) -> Iterator[str]:
        """Record a run for the time of a `with` block, which gets its id.

        The run ends as FINISHED, as FAILED on an exception, or as KILLED if the process is
        interrupted (KeyboardInterrupt, SystemExit and Dagster's own interrupt are not subclasses of
        `Exception`). It stays RUNNING only if the process cannot react, as with SIGKILL.

        Args:
            name: Run name.
            tags: Tags of the run.
            parent_run_id: Run under which the user interface nests this one.

        Raises:
            LakehouseError: If MLflow fails.
        """
        nesting = {} if parent_run_id is None else {"mlflow.parentRunId": parent_run_id}
        experiment_id = self.experiment_id()
        with self.plain_errors():
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
        with self.plain_errors():
            self.client().set_terminated(run_id, "FINISHED")

    def log_batch(
        self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]
    ) -> None:
        """Log parameters and metrics in one request, since separate ones would be a commit each.

        Raises:
            LakehouseError: If MLflow fails, for instance because a parameter has another value.
        """
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        with self.plain_errors():
            self.client().log_batch(
                run_id,
                params=[Param(key, str(value)) for key, value in params.items()],
                metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
                synchronous=True,
            )

    def log_tables(self, run_id: str, versions: Mapping[str, int], digest: str) -> None:
        """Log the Delta tables that a model was fitted on as the run's datasets.

        Args:
            run_id: The run.
            versions: Delta version of each table.
            digest: Digest of the fitted rows.

        Raises:
            LakehouseError: If MLflow fails.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=name,
                    digest=digest[:_DIGEST_CHARACTERS],
                    source_type="delta_table",
                    source=json.dumps(
                        {"delta_table_name": name, "delta_table_version": str(version)}
                    ),
                ),
                [InputTag("mlflow.data.context", "training")],
            )
            for name, version in versions.items()
        ]
        if inputs:
            with self.plain_errors():
                self.client().log_inputs(run_id, inputs)

    def metrics(self, run_id: str) -> dict[str, float]:
        """Return the newest metrics of a run.

        Raises:
            LakehouseError: If MLflow fails.
        """
        with self.plain_errors():
            return dict(self.client().get_run(run_id).data.metrics)

    def fetch_file(self, run_id: str, name: str, folder: Path) -> Path:
        """Copy an artefact of a run into a folder; return the copy.

        Raises:
            LakehouseError: If there is no such file, or MLflow or the artefact store fails.
        """
        with self.plain_errors():
            return Path(self.client().download_artifacts(run_id, name, str(folder)))

    def page(self, path: str) -> str | None:
        """Return the address of a page of the MLflow UI, without credentials.

        Args:
            path: The part after the `#`, such as `/models/<name>/versions/1`.

        Returns:
            The address; None if the store is a database, which has no server.
        """
        parts = urlsplit(self.tracking_uri)
        if parts.scheme not in ("http", "https"):
            return None
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path.rstrip('/')}/#{path}"

    def end_orphaned_runs(self, active: Collection[str], before: datetime) -> list[str]:
        """End the runs that are still RUNNING although their Dagster run has ended.

        A process that was killed could not end them. A run whose model is registered lacked only
        its end and becomes FINISHED; others become KILLED. Runs that no Dagster run started are not
        touched, nor are those that started after `before`.

        Args:
            active: Ids of the Dagster runs that are alive.
            before: When `active` was read.

        Returns:
            The ids of the runs that were ended.

        Raises:
            LakehouseError: If MLflow fails.
        """
        client = self.client()
        ended: list[str] = []
        with self.plain_errors():
            experiments = [found.experiment_id for found in client.search_experiments()]
            running = client.search_runs(
                experiments, "attributes.status = 'RUNNING'", max_results=_AT_ONCE
            )
            for run in running:
                run_id, owner = str(run.info.run_id), run.data.tags.get(DAGSTER_RUN_TAG)
                young = run.info.start_time >= before.timestamp() * 1000
                if owner is None or owner in active or young:
                    continue
                complete = client.search_model_versions(f"run_id = '{run_id}'", max_results=1)
                client.set_terminated(run_id, "FINISHED" if complete else "KILLED")
                ended.append(run_id)
        return ended

    def newest_experiment(self) -> str | None:
        """Return the id of the experiment with the newest run; None if there is no run.

        Raises:
            LakehouseError: If MLflow fails.
        """
        client = self.client()
        with self.plain_errors():
            ids = [experiment.experiment_id for experiment in client.search_experiments()]
            runs = client.search_runs(ids, order_by=["attributes.start_time DESC"], max_results=1)
        return str(runs[0].info.experiment_id) if runs else None

    @contextmanager
    def files(self, run_id: str) -> Iterator[Path]:
        """Store the files that a `with` block writes into a folder as artefacts of the run.

        Raises:
            LakehouseError: If MLflow or the artefact store fails.
        """
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
            if any(Path(scratch).iterdir()):
                with self.plain_errors():
                    self.client().log_artifacts(run_id, scratch)

    def _artifact_location(self) -> str | None:
        """Return the location for a new experiment's artefacts; None lets the server choose."""
        root = self.artifact_root
        path = sqlite_path(self.tracking_uri)
        if root is None and path is not None:
            root = str(path.parent / "artifacts")
        if root is None:
            return None
        return f"{_artifact_address(root).rstrip('/')}/{self.experiment}"

    def _terminate_after(self, run_id: str, status: str, error: BaseException) -> None:
        """End a failed run; an error while doing so must not hide the original one.

        After a transient error the store is not called again, because it may still not answer; a
        later run ends this one.
        """
        if isinstance(error, LakehouseError) and error.transient:
            return
        try:
            with self.plain_errors():
                self.client().set_terminated(run_id, status)
        except LakehouseError as second:
            error.add_note(f"The MLflow run {run_id} could not be ended as {status}: {second}")

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Turn MLflow's errors into plain ones that do not show the address's credentials."""
        try:
            yield
        except _store_errors() as error:
            text = without_secrets(f"{type(error).__name__}: {error}", self.tracking_uri)
            msg = (
                f"MLflow at {self.redacted_uri} failed ({text}); check the address and that the "
                "store can be reached."
            )
            if is_unanswered(error):
                msg = (
                    f"MLflow at {self.redacted_uri} does not answer; start it, or correct "
                    "LAKEHOUSE_MLFLOW_URI, then run again."
                )
            # If the address has credentials, the original error may show them in the traceback.
            cause = error if self.redacted_uri == self.tracking_uri else None
            raise LakehouseError(msg, transient=is_transient(error)) from cause


@contextmanager
def unless_it_exists() -> Iterator[None]:
    """Create something in MLflow that another process may have created."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _move_artifacts(store: sqlite3.Connection, experiment: str, here: str) -> None:
    """Replace the stored artefact paths of an experiment by another location."""
    tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
    if "experiments" not in tables:
        return
    found = store.execute(
        "SELECT artifact_location FROM experiments WHERE name = ? AND artifact_location LIKE ?",
        (experiment, f"%/artifacts/{experiment}"),
    ).fetchone()
    # A location that is not of the default form was configured on purpose and is kept.
    if found is None or found[0] == here:
        return
    for table, column in _PLACES:
        if table in tables:
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - ours
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (here, len(found[0]) + 1, found[0], len(found[0]) + 1, f"{found[0]}/"),
            )
    _LOG.warning("MLflow kept artefacts in %s; they are looked for in %s now.", found[0], here)


def _location(root: str) -> Path | CloudLocation | None:
    """Return a root as a folder, or in ADLS or OneLake; None if it is neither."""
    try:
        return parse_location(root)
    except LocationError:
        return None


def _artifact_address(root: str) -> str:
    """Return MLflow's address for a root; anything but a folder, ADLS or OneLake is unchanged."""
    location = _location(root)
    if location is None:
        return root
    return location.as_uri() if isinstance(location, Path) else mlflow_uri(location)


def _set_azure_credentials(root: str, identity: Identity) -> None:
    """Set the credentials of MLflow's Azure clients in this process, if the root is in a store."""
    location = _location(root)
    if isinstance(location, CloudLocation):
        # MLflow creates these clients itself, and they read only the environment.
        os.environ.update(Access(location, identity).mlflow())


def _prepare_environment() -> None:
    """Set the environment variables that MLflow reads on import.

    Telemetry would call home; messages about new tables, progress bars and run addresses are noise
    in a pipeline's log; with MLflow's own timeouts a dead server would block a run for many
    minutes. Variables that are already set take precedence.
    """
    defaults = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        **timeouts.mlflow_variables(),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _store_errors() -> tuple[type[Exception], ...]:
    """Return the errors that a store, driver, address or file can raise (OSError: requests)."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError)
