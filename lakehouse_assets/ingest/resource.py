"""The Dagster resource for the landing zone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from lakehouse_assets.ingest.landing import LandingZone


class LandingResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """Where sources deliver.

    Attributes:
        root: Folder of the landing zone.
    """

    root: str

    def open(self) -> LandingZone:
        """Return the landing zone."""
        return LandingZone(Path(self.root))
