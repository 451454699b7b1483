"""The embedded engine, and small stored tables to scan with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets_tests.engine.small import INTERPRETED


@pytest.fixture
def spark_engine(spark_engine: Engine) -> Iterator[Engine]:
    """Spark as it is for users: it writes code for expressions and compiles it."""
    settings = spark_engine.session.conf
    for name in INTERPRETED:
        settings.unset(name)
    yield spark_engine
    for name, value in INTERPRETED.items():
        settings.set(name, value)


@pytest.fixture
def engine() -> Iterator[Engine]:
    started = start_engine()
    with started.scope():
        yield started


@pytest.fixture
def scan(engine: Engine, tmp_path: Path) -> Callable[..., Any]:
    """Store whole numbers as a Delta table and scan it."""

    def store(name: str, columns: dict[str, list[int]], lake: str = "lake") -> Any:
        uri = str(tmp_path / lake / name)
        write_deltalake(uri, pa.table(columns), mode="append")
        declared = [Column(column, "bigint", "A number.") for column in columns]
        return engine.scan_delta(uri, 0, name, declared)

    return store
