"""The engine that a test of this folder runs on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The embedded engine, or each one in turn in tests that are marked `on_both_engines`."""
    if getattr(request, "param", "duckdb") == "spark":
        yield request.getfixturevalue("spark_engine")
        return
    started = start_engine("duckdb", "1GB", 2)
    with started.scope():
        yield started
