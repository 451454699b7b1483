"""Where MLflow keeps artefacts in ADLS or OneLake, and the credentials of its clients."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse_assets.storage.access import Access, mlflow_uri
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import LocationError, parse_location


def artifact_address(root: str) -> str:
    """Return MLflow's address of a root; what is no folder, ADLS or OneLake is MLflow's own."""
    try:
        location = parse_location(root)
    except LocationError:
        return root
    return location.as_uri() if isinstance(location, Path) else mlflow_uri(location)


def set_azure_credentials(root: str, identity: Identity) -> None:
    """Set the credentials of MLflow's Azure clients in this process, if the root is in a store.

    Raises:
        LakehouseError: a secret is missing, or MLflow has no such identity.
    """
    try:
        location = parse_location(root)
    except LocationError:
        return
    if not isinstance(location, Path):
        # MLflow makes these clients itself, and they ask the environment and nothing else.
        os.environ.update(Access(location, identity).mlflow())
