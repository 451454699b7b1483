"""Databases of every kind, each started once; a test gets a table that is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.dialects import DIALECTS
from lakehouse_assets_tests.sources.samples import Database
from lakehouse_assets_tests.sources.servers import (
    MissingError,
    running_mariadb,
    running_postgres,
    running_snowflake,
)

KINDS = ("sqlite", "postgresql", "mysql", "snowflake")
_SERVERS = {
    "postgresql": running_postgres, "mysql": running_mariadb, "snowflake": running_snowflake,
}  # fmt: skip


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Source]]:
    """Start a database when it is asked for the first time."""
    found: dict[str, Source | str] = {}
    with ExitStack() as running, pytest.MonkeyPatch.context() as patch:

        def start(kind: str) -> Source:
            if kind not in found:
                try:
                    if kind == "sqlite":
                        url = f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'shop.db'}"
                    else:
                        url = running.enter_context(_SERVERS[kind]())
                    found[kind] = Source("test", SecretStr(url))
                    if kind == "snowflake":
                        # No TLS, and a port of its own, which addresses of Snowflake do not say.
                        arguments = DIALECTS[kind].arguments
                        port = found[kind].parsed().port
                        for name, value in {"protocol": "http", "port": port}.items():
                            patch.setitem(arguments, name, value)
                except MissingError as error:
                    found[kind] = str(error)
            source = found[kind]
            if isinstance(source, str):
                pytest.skip(source)
            return source

        yield start


@pytest.fixture
def database(started: Callable[[str], Source], request: pytest.FixtureRequest) -> Database:
    """One of the databases, SQLite if the test names none."""
    kind = getattr(request, "param", "sqlite")
    return Database(kind, started(kind))


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    """An empty landing zone."""
    root = tmp_path / "landing"
    root.mkdir()
    return LandingZone(root)
