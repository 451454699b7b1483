"""The engine that a test of this folder runs on, and a lake on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets_tests.lake.samples import (
    DAILY,
    A,
    B,
    C,
    embedded_lake,
    make_lake,
    put,
    window,
)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The embedded engine, or each one in turn in tests that are marked `on_both_engines`."""
    if getattr(request, "param", "duckdb") == "spark":
        yield request.getfixturevalue("spark_engine")
        return
    started = start_engine("duckdb", "1GB", 2)
    with started.scope():
        yield started


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Lake:
    """An empty lake."""
    return make_lake(tmp_path, engine=engine)


@pytest.fixture
def three_days(lake: Lake) -> Lake:
    """A table that the embedded engine wrote in another process, for whichever engine goes on."""
    put(embedded_lake(lake.root), DAILY, window(1, 3), [A, B, C])
    return lake
