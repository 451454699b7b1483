"""The endpoint of a small lake, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse_assets.lake.delta import Lake
from lakehouse_assets_tests.azure.authority import Certificates, make_certificates
from lakehouse_assets_tests.endpoint.served import Served, lake_at, serving


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake, only to be read."""
    return lake_at(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate of this machine, by an authority of its own."""
    return make_certificates(tmp_path_factory.mktemp("tls"), ())


@pytest.fixture(scope="module")
def served(lake: Lake) -> Iterator[Served]:
    """Its endpoint."""
    with serving(lake) as running:
        yield running
