"""A broker for all tests of this folder, which ends with the last of them; plans made once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse_assets.engine.duckdb import DuckDBEngine
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


@pytest.fixture(scope="module")
def shared_plans() -> Iterator[None]:
    """Readers share their plans, which take longer to make than the readers take to read."""
    prepared, made = DuckDBEngine.prepared, dict[Any, Any]()

    def once(engine: DuckDBEngine, transform: Any) -> Any:
        key = (engine, transform.func, transform.args)
        if key not in made:
            made[key] = prepared(engine, transform)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckDBEngine, "prepared", once)
        yield
