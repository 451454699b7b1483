"""The embedded engine for tests of the engine boundary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    started = start_engine()
    with started.scope():
        yield started
