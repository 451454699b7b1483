"""The embedded engine and a landing zone for tests of ingestion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ingest.landing import LandingZone


@pytest.fixture
def engine() -> Iterator[Engine]:
    started = start_engine()
    with started.scope():
        yield started


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    """An empty landing zone in a folder."""
    root = tmp_path / "landing"
    root.mkdir()
    return LandingZone(root)
