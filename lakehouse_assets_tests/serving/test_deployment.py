"""Requests for Databricks and files for Azure ML; neither service is called."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from databricks.sdk import WorkspaceClient
from mlflow import MlflowClient

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.serving.databricks import point_endpoint, register_exported
from lakehouse_assets.serving.export import export
from lakehouse_assets_tests.ml.toy import POINTS
from lakehouse_assets_tests.operations.services import DEPLOY

ENDPOINTS = "/api/2.0/serving-endpoints"
MISSING = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Endpoint does not exist."}
FORBIDDEN = {"error_code": "PERMISSION_DENIED", "message": "No permission to manage it."}
READY = {"name": "churn", "state": {"ready": "READY", "config_update": "NOT_UPDATING"}}
SERVED = [
    {
        "entity_name": "main.lakehouse.churn", "entity_version": "7", "workload_size": "Small",
        "scale_to_zero_enabled": True,
    }
]  # fmt: skip


@pytest.fixture
def workspace() -> Iterator[SimpleNamespace]:
    """Answer as Databricks documents it, and record what is asked."""
    found = SimpleNamespace(answers={}, asked=[])

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            if path.startswith("/api"):
                found.asked.append((self.command, path, json.loads(body) if body else None))
            status, answer = found.answers.get((self.command, path), (404, MISSING))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    found.client = WorkspaceClient(host=address, token="t", auth_type="pat")  # noqa: S106
    yield found
    server.shutdown()
    server.server_close()


def test_an_endpoint_is_made_and_later_pointed_at_another_version(
    workspace: SimpleNamespace,
) -> None:
    one, config = f"{ENDPOINTS}/churn", {"name": "churn", "served_entities": SERVED}
    workspace.answers[("POST", ENDPOINTS)] = (200, READY)
    point_endpoint(workspace.client, "churn", "main.lakehouse.churn", "7")
    assert workspace.asked == [
        ("GET", one, None),
        ("POST", ENDPOINTS, {"name": "churn", "config": config}),
    ]
    workspace.asked.clear()
    workspace.answers |= {("GET", one): (200, READY), ("PUT", f"{one}/config"): (200, READY)}
    point_endpoint(workspace.client, "churn", "main.lakehouse.churn", "7")
    assert workspace.asked == [
        ("GET", one, None), ("PUT", f"{one}/config", {"served_entities": SERVED})
    ]  # fmt: skip
    workspace.answers["PUT", f"{one}/config"] = (403, FORBIDDEN)
    with pytest.raises(LakehouseError, match=r"version 7 of main.* \(No permission to manage it"):
        point_endpoint(workspace.client, "churn", "main.lakehouse.churn", "7")


def test_an_exported_champion_is_registered_elsewhere(
    two_versions: MlflowTracking, tmp_path: Path
) -> None:
    export(POINTS, two_versions, tmp_path / "served")
    registry = f"sqlite:///{tmp_path}/other.db"
    for version in ("1", "2"):
        assert register_exported(tmp_path / "served", "churn", registry) == version
    found = MlflowClient(registry, registry).get_model_version("churn", "2")
    assert found.source == str(tmp_path / "served")
    with pytest.raises(LakehouseError, match=r"a/b could not be registered .*DATABRICKS_HOST"):
        register_exported(tmp_path / "served", "a/b", registry)


def test_azure_ml_is_told_of_the_exported_folder_and_of_nothing_secret() -> None:
    folder = DEPLOY / "azureml"
    endpoint, deployment = (
        yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))
        for name in ("endpoint", "deployment")
    )
    assert endpoint == {"name": "lakehouse-churn", "auth_mode": "key"}
    assert deployment["endpoint_name"] == endpoint["name"]
    assert deployment["model"] == {"path": "../../served", "type": "mlflow_model"}
    assert set(deployment) == {
        "name", "endpoint_name", "model", "instance_type", "instance_count"
    }  # fmt: skip
