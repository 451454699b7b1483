"""The Dagster resource through which assets and the IO manager reach the lake.

Belongs here: configuration of lake and engine as Dagster sees it. Not here: what a lake does.
"""

from __future__ import annotations

import dagster as dg
from pydantic import ConfigDict

from lakehouse_assets.lake.credentials import Credentials, LocalCredentials
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.registry import Registry


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for typing
    """Where the lake is and which engine works on it; opened once per process.

    Attributes:
        root: Folder of the lake.
        engine: Name of the engine.
        memory_limit: Memory the embedded engine may use.
        threads: Threads of the embedded engine; 0 means every core.
        credentials: How the lake's store is entered, told apart by `kind`.
    """

    # Errors do not show inputs, which may be secrets in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    root: str
    engine: str = "duckdb"
    memory_limit: str = "4GB"
    threads: int = 0
    credentials: Credentials = LocalCredentials()

    def open(self) -> Lake:
        """Start the engine if it is not running and return the lake."""
        from lakehouse_assets.engine.start import start_engine

        engine = start_engine(self.engine, self.memory_limit, self.threads)
        return Lake(self.root, engine, self.registry(), self.credentials.storage_options())

    def registry(self) -> Registry:
        """Return the declared tables of the project."""
        from lakehouse_assets.tables import REGISTRY

        return REGISTRY
