"""The Dagster resource for MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ConfigDict

from lakehouse_assets.ml.mlflow_address import redact_uri
from lakehouse_assets.ml.tracking import DEFAULT_EXPERIMENT, MlflowTracking
from lakehouse_assets.storage.identity import Identity, IdentityFields

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings


class MlflowResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """Where models are tracked and registered.

    Attributes:
        tracking_uri: `sqlite:///path/to/mlflow.db` (its folder is created), a database URL, or the
            http(s) address of a tracking server. Pass an address with credentials as
            `dg.EnvVar`; it is never printed.
        experiment: Name of the experiment; it is created on first use.
        artifact_root: Folder or object store URL for the artefacts of a new experiment.
        identity: Identity that accesses artefacts in cloud storage: its `kind` and its fields.
    """

    # Errors do not show inputs, which may be secrets in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    tracking_uri: str
    experiment: str = DEFAULT_EXPERIMENT
    artifact_root: str | None = None
    identity: IdentityFields = {"kind": "default"}  # noqa: RUF012

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
        identity = Identity.model_validate(self.identity)
        return MlflowTracking(self.tracking_uri, self.experiment, self.artifact_root, identity)
