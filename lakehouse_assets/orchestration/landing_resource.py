"""The Dagster resource for the landing zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ConfigDict

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.orchestration.identity_config import (
    ConfiguredIdentity,
    DefaultIdentity,
    configured,
    declared,
)
from lakehouse_assets.storage.location import landing_root

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings


class LandingResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """Where sources deliver.

    Attributes:
        root: The landing zone: a folder, or a location in ADLS or OneLake.
        identity: As whom a store is entered, told apart by `kind`.
    """

    # Errors do not show inputs, which may be secrets in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    root: str
    identity: ConfiguredIdentity = DefaultIdentity()

    @classmethod
    def of(cls, settings: Settings) -> LandingResource:
        """Make the resource of some settings."""
        return cls(root=str(settings.landing), identity=configured(settings.zone_identity))

    def open(self) -> LandingZone:
        """Return the landing zone."""
        return LandingZone(landing_root(self.root), declared(self.identity))
