"""Databricks Model Serving: registers an exported champion there, and points an endpoint at it.

It has not been run against Databricks. Tests register with MLflow's own registry, and compare the
requests for endpoints with those that Databricks documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.ml.tracking import unless_it_exists

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

UNITY_CATALOG: Final = "databricks-uc"
"""MLflow's address of the registry in Unity Catalog."""

_SIZE: Final = "Small"


def register_exported(folder: Path, name: str, registry: str = UNITY_CATALOG) -> str:
    """Register an exported model; Unity Catalog takes its files along.

    Args:
        folder: A folder written by `export`.
        name: `<catalog>.<schema>.<model>`.
        registry: MLflow's address of the registry.

    Returns:
        The version's number there.

    Raises:
        LakehouseError: The registry refuses it or does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=registry.removesuffix("-uc"), registry_uri=registry)
    try:
        with unless_it_exists():
            client.create_registered_model(name)
        return str(client.create_model_version(name, str(folder)).version)
    except (MlflowException, OSError) as error:
        raise LakehouseError(
            f"The model {name} could not be registered ({one_line(error)}); check DATABRICKS_HOST, "
            "DATABRICKS_TOKEN and that you may create models in the schema."
        ) from None


def point_endpoint(workspace: WorkspaceClient, endpoint: str, name: str, version: str) -> None:
    """Let an endpoint serve a version; it is made if there is none.

    Databricks starts the version beside the one that serves, and then moves the requests.

    Raises:
        LakehouseError: Databricks refuses it or does not answer.
    """
    from databricks.sdk.errors import DatabricksError, NotFound
    from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput

    served = ServedEntityInput(
        entity_name=name, entity_version=version, workload_size=_SIZE, scale_to_zero_enabled=True
    )
    try:
        try:
            workspace.serving_endpoints.get(endpoint)
        except NotFound:
            config = EndpointCoreConfigInput(endpoint, served_entities=[served])
            workspace.serving_endpoints.create(endpoint, config=config)
        else:
            workspace.serving_endpoints.update_config(endpoint, served_entities=[served])
    except (DatabricksError, OSError, ValueError) as error:
        raise LakehouseError(
            f"The endpoint {endpoint} could not be pointed at version {version} of {name} "
            f"({one_line(error)}); check that you may manage it."
        ) from None
