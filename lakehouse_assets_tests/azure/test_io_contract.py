"""The IO manager's contract once more, every line of it, with the lake in a store.

The tests are those of `lake/test_io_manager.py`, whose root is a location here instead of a folder.
"""

from __future__ import annotations

import pytest

from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.azure.cloud import ACCOUNT
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT
from lakehouse_assets_tests.lake import test_io_manager
from lakehouse_assets_tests.lake.test_io_manager import *  # noqa: F403 - its tests

# The others are about a disk, or need no lake.
assert test_io_manager.__doc__


@pytest.fixture(autouse=True)
def _as_the_application(cloud, monkeypatch):
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)


@pytest.fixture
def tmp_path(folder):
    """The root that the tests are given."""
    return CloudLocation.adls(ACCOUNT, "lake", folder)


@pytest.fixture(autouse=True)
def engine(engine):
    """The embedded engine for every test; the parameter names no other."""
    return engine


@pytest.fixture
def lake(tmp_path, engine):
    """An empty lake, as those tests have it."""
    return test_io_manager.lake_at(tmp_path)
