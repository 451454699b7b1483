"""A broker that is started once for all tests of this folder, and ends with the last of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse_assets_tests.sources.servers import MissingError
from lakehouse_assets_tests.streams.broker import Broker, running_broker


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    """Kafka in a process of its own; tests use topics of their own."""
    try:
        running = running_broker()
        found = running.__enter__()
    except MissingError as error:
        pytest.skip(str(error))
    yield found
    running.__exit__(None, None, None)
