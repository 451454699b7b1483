"""Dagster's resources: the lake, the landing zone and MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ConfigDict, Field

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.ml.mlflow_address import redact_uri
from lakehouse_assets.ml.tracking import DEFAULT_EXPERIMENT, MlflowTracking
from lakehouse_assets.orchestration.open_lake import open_lake
from lakehouse_assets.storage.identity import Identity, IdentityFields
from lakehouse_assets.storage.location import lake_root, landing_root
from lakehouse_assets.storage.store import files_at

if TYPE_CHECKING:
    from lakehouse_assets.catalog.datasets import Dataset
    from lakehouse_assets.ingest.removal import Removal
    from lakehouse_assets.settings import Settings


class _Resource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """What an identity accesses.

    Attributes:
        identity: Identity that accesses cloud storage: its `kind` and its fields.
    """

    # Errors do not show inputs, which may be secrets in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    identity: IdentityFields = {"kind": "default"}  # noqa: RUF012

    @property
    def login(self) -> Identity:
        """The identity."""
        return Identity.model_validate(self.identity)


class LakeResource(_Resource):
    """Location of the lake and its engine; opened once per process.

    Attributes:
        root: The lake: a folder, or a location in ADLS or OneLake.
        engine: Name of the engine.
        memory_limit: Memory the embedded engine may use.
        threads: Threads of the embedded engine; 0 means every core.
        spark_master: Spark on this machine, or a standalone master.
        spark_remote: Spark Connect server; its token is read from the environment when it is used.
        spark_tls: Whether to use TLS with the Connect server.
        spark_databricks: `serverless` or the id of a Databricks cluster.
        spark_jars: Folder of Spark's jars.
        spark_memory: Memory of Spark's driver; by default a third of the machine's.
        spark_options: Further Spark options.
        audit: Folder of the query records that the audit log reads.
        audit_days: Days that the audit log keeps its records.
    """

    root: str
    engine: str = "duckdb"
    memory_limit: str = "4GB"
    threads: int = 0
    spark_master: str = "local[*]"
    spark_remote: str | None = None
    spark_tls: bool = False
    spark_databricks: str | None = None
    spark_jars: str = ".lakehouse/spark-jars"
    spark_memory: str | None = None
    spark_options: dict[str, str] = Field(default_factory=dict)
    audit: str = ".lakehouse/audit"
    audit_days: int = 400

    @classmethod
    def of(cls, settings: Settings) -> LakeResource:
        """Make the resource from settings."""
        fields = {name: getattr(settings, name) for name in cls.model_fields}
        places = {name: str(fields[name]) for name in ("root", "spark_jars", "audit")}
        return cls(**fields | places | {"identity": settings.identity.fields()})

    def open(self, *, any_format: bool = False) -> Lake:
        """Start the engine if it is not running and return the lake; see `open_lake`."""
        return open_lake(self, registry=self.registry(), any_format=any_format)

    def logs(self) -> LakeRoot:
        """Return the root of the tables, whose logs can be read without an engine."""
        return LakeRoot(lake_root(self.root), self.login)

    @property
    def _on_databricks(self) -> bool:
        return self.engine == "spark" and self.spark_databricks is not None

    def check_reads_files(self) -> None:
        """Check that the engine can read delivered files.

        Raises:
            LakehouseError: the engine is Databricks, which has no access to this machine's files.
        """
        if self._on_databricks:
            raise LakehouseError(
                "Databricks cannot read files of this machine, where delivered files are read; "
                "load bronze with LAKEHOUSE_ENGINE=duckdb, then run the other steps with "
                "Databricks."
            )

    def removal(self, dataset: Dataset) -> Removal | None:
        """Return what recognises the dataset's records of forgotten people; None if there are none.

        Raises:
            LakehouseError: there are some, and LAKEHOUSE_FORGET_KEY is missing or has changed.
        """
        from lakehouse_assets.domains import DOMAINS
        from lakehouse_assets.ingest.removal import Kind, removal_for
        from lakehouse_assets.settings import load_settings

        (domain,) = (domain for domain in DOMAINS if domain.name == dataset.domain)
        fields = {
            Kind(domain.name, subject): dataset.field_of(subject.identified_by[dataset.name])
            for subject in domain.subjects
            if dataset.name in subject.identified_by
        }
        if not fields or self._on_databricks:
            return None
        root, identity = lake_root(self.root), self.login
        # Dagster would show a key in the resource's configuration.
        return removal_for(files_at(root, identity), fields, lambda: load_settings().forget_key)

    def registry(self) -> Registry:
        """Return the declared tables of the project."""
        from lakehouse_assets.domains import REGISTRY

        return REGISTRY


class LandingResource(_Resource):
    """The landing zone, where sources deliver files.

    Attributes:
        root: The landing zone: a folder, or a location in ADLS or OneLake.
        limits: Limits on delivered files, by name; the others keep their defaults.
    """

    root: str
    limits: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> LandingResource:
        """Make the resource from settings."""
        return cls(
            root=str(settings.landing),
            identity=settings.zone_identity.fields(),
            limits=asdict(settings.file_limits),
        )

    def open(self) -> LandingZone:
        """Return the landing zone."""
        limits = FileLimits(**self.limits)
        identity = self.login
        return LandingZone(landing_root(self.root), identity, limits)


class MlflowResource(_Resource):
    """Where models are tracked and registered.

    Attributes:
        tracking_uri: `sqlite:///path/to/mlflow.db` (its folder is created), a database URL, or the
            http(s) address of a tracking server. Pass an address with credentials as
            `dg.EnvVar`; it is never printed.
        experiment: Name of the experiment; it is created on first use.
        artifact_root: Folder or object store URL for the artefacts of a new experiment.
    """

    tracking_uri: str
    experiment: str = DEFAULT_EXPERIMENT
    artifact_root: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> MlflowResource:
        """Make the resource from settings."""
        tracking = MlflowTracking.of(settings)
        return cls(
            tracking_uri=tracking.tracking_uri,
            artifact_root=tracking.artifact_root,
            identity=tracking.identity.fields(),
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields for repr and str, without the credentials in the address."""
        for name, value in super().__repr_args__():
            yield name, redact_uri(self.tracking_uri) if name == "tracking_uri" else value

    def open(self) -> MlflowTracking:
        """Return the tracking; MLflow itself is opened on first use."""
        identity = self.login
        return MlflowTracking(self.tracking_uri, self.experiment, self.artifact_root, identity)
