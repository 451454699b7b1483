"""MLflow's artefact addresses in ADLS or OneLake, and the credentials of its clients."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse_assets.storage.access import Access, mlflow_uri
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import LocationError, parse_location


def artifact_address(root: str) -> str:
    """Return MLflow's address for a root; anything but a folder, ADLS or OneLake is unchanged."""
    try:
        location = parse_location(root)
    except LocationError:
        return root
    return location.as_uri() if isinstance(location, Path) else mlflow_uri(location)


def set_azure_credentials(root: str, identity: Identity) -> None:
    """Set the credentials of MLflow's Azure clients in this process, if the root is in a store.

    Raises:
        LakehouseError: a secret is missing, or MLflow does not support the identity.
    """
    try:
        location = parse_location(root)
    except LocationError:
        return
    if not isinstance(location, Path):
        # MLflow creates these clients itself, and they read only the environment.
        os.environ.update(Access(location, identity).mlflow())
