"""The Dagster resource for the sources of streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ConfigDict

from lakehouse_assets.orchestration.stream_reader import open_source
from lakehouse_assets.storage.identity import Identity, IdentityFields
from lakehouse_assets.storage.location import landing_root

if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings
    from lakehouse_assets.sources.messages import MessageSource


class StreamsResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """The sources of streams; their addresses are read from variables when they are opened.

    Attributes:
        landing: The landing zone, which may hold streams without a broker.
        identity: Identity that asks for tokens: its `kind` and its fields.
    """

    # Errors do not show inputs, which may be secrets in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    landing: str
    identity: IdentityFields = {"kind": "default"}  # noqa: RUF012

    @classmethod
    def of(cls, settings: Settings) -> StreamsResource:
        """Make the resource from settings."""
        return cls(landing=str(settings.landing), identity=settings.identity.fields())

    def open(self, source: str) -> MessageSource | None:
        """Open a source; None if it has no address and no folder in the landing zone."""
        identity = Identity.model_validate(self.identity)
        return open_source(source, landing_root(self.landing), identity)
