"""The Dagster resource for the landing zone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ConfigDict, Field

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.storage.identity import Identity, IdentityFields
from lakehouse_assets.storage.location import landing_root

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings


class LandingResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """The landing zone, where sources deliver files.

    Attributes:
        root: The landing zone: a folder, or a location in ADLS or OneLake.
        identity: Identity that accesses cloud storage: its `kind` and its fields.
        limits: Limits on delivered files, by name; the others keep their defaults.
    """

    # Errors do not show inputs, which may be secrets in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    root: str
    identity: IdentityFields = {"kind": "default"}  # noqa: RUF012
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
        identity = Identity.model_validate(self.identity)
        return LandingZone(landing_root(self.root), identity, limits)
