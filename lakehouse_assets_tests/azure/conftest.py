"""Azurite, the stub of Entra and the proxy, started once; every test finds them as they began."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from lakehouse_assets.engine import start
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.duckdb import DuckDBEngine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.storage import tokens
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets_tests.azure.cloud import Cloud, MissingError, running_cloud
from lakehouse_assets_tests.azure.entra import CLIENT, SECRET, TENANT

_NO_PARAMETERS = SimpleNamespace(id="")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out Spark: its driver asks the DFS endpoint, which Azurite does not have."""
    left_out = [
        item
        for item in items
        if "azure" in item.path.parts[-2:]
        and "spark" in getattr(item, "callspec", _NO_PARAMETERS).id
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The processes, and the environment in which every client finds them."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            with running_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
                for name in list(os.environ):
                    if name.startswith(("AZURE_", "IDENTITY_")):
                        patch.delenv(name)
                for name, value in cloud.variables.items():
                    patch.setenv(name, value)
                patch.setenv("AZURE_CLIENT_SECRET", SECRET)
                for container in ("lake", "landing", "models"):
                    cloud.container(container)
                cloud.container("sales", "onelake")
                yield cloud
        except MissingError as error:
            pytest.skip(f"{error}; npm and Node.js are what it takes.")


@pytest.fixture
def cloud(running: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The cloud, with nothing counted, nothing broken, no token cached and no engine started."""
    running.reset()
    monkeypatch.setattr(tokens, "_tokens", {})
    # An engine renews the secrets of every store that it has opened.
    monkeypatch.setattr(start, "_started", {})
    # MLflow's clients get their identity from the environment.
    before = dict(os.environ)
    yield running
    os.environ.clear()
    os.environ.update(before)
    running.reset()


@pytest.fixture
def engine(cloud: Cloud) -> Iterator[Engine]:
    """The embedded engine."""
    started = start_engine("duckdb", "1GB", 2)
    assert isinstance(started, DuckDBEngine)
    with started.scope():
        yield started


@pytest.fixture
def principal() -> Identity:
    """The application that the stub of Entra knows, by its secret."""
    return Identity(kind="service_principal", tenant_id=TENANT, client_id=CLIENT)


@pytest.fixture
def folder() -> str:
    """A folder of a container that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"
