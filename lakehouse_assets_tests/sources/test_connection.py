"""Addresses and secrets are found, kept to oneself, and errors are one plain sentence."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.connection import Source, is_configured
from lakehouse_assets.storage.transient import is_transient
from lakehouse_assets_tests.sources.samples import copied
from lakehouse_assets_tests.sources.servers import free_port

SECRET = "gehe:im/ä"  # noqa: S105 - a word
NETWORKED = ("postgresql", "mysql", "mariadb", "mssql", "oracle", "teradatasql")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for suffix in ("", "_FILE", "_PASSWORD", "_PASSWORD_FILE"):
        monkeypatch.delenv(f"LAKEHOUSE_SOURCE_SHOP{suffix}", raising=False)


def test_an_address_comes_from_the_environment_a_file_or_env(monkeypatch, tmp_path):
    assert not is_configured("shop")
    with pytest.raises(LakehouseError, match=r"set LAKEHOUSE_SOURCE_SHOP to its URL.* --demo"):
        Source.named("shop")
    Path(".env").write_text("LAKEHOUSE_SOURCE_SHOP=mysql://a@env/x\n")
    assert is_configured("shop")
    assert Source.named("shop").place == "env:3306"
    mounted = tmp_path / "url"
    mounted.write_text("oracle://a@mounted:99/x\n")
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP", "postgresql://a@variable/x")
    assert Source.named("shop").place == "variable:5432"
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP_FILE", str(mounted))
    assert Source.named("shop").place == "mounted:99"
    mounted.write_text("")
    with pytest.raises(LakehouseError, match="LAKEHOUSE_SOURCE_SHOP_FILE is missing"):
        Source.named("shop")


def test_a_password_may_come_by_itself(monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP", "postgresql://lake@host/x")
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP_PASSWORD", SECRET)
    assert Source.named("shop").parsed().password == SECRET
    mounted = tmp_path / "password"
    mounted.write_text("other\n")
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP_PASSWORD_FILE", str(mounted))
    assert Source.named("shop").parsed().password == "other"  # noqa: S105


@pytest.mark.parametrize("scheme", NETWORKED)
def test_a_refused_connection_is_told_without_secrets(scheme, monkeypatch):
    if scheme == "teradatasql":
        pytest.importorskip("teradatasqlalchemy", reason="the extra teradata is not installed")
    port = free_port()
    address = sa.URL.create(scheme, "lake", SECRET, "127.0.0.1", port, "x")
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP", address.render_as_string(hide_password=False))
    source = Source.named("shop")
    assert SECRET not in repr(source)
    with pytest.raises(LakehouseError) as error, source.connected():
        pass
    where = f"127.0.0.1:{port}" if scheme != "teradatasql" else "127.0.0.1"
    assert str(error.value) == (
        f"The source shop cannot be reached at {where}: connection refused. Check that "
        "it is running, the network, and LAKEHOUSE_SOURCE_SHOP."
    ) or (scheme == "teradatasql" and "cannot be reached at 127.0.0.1" in str(error.value))
    assert is_transient(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_host_nobody_knows():
    source = Source("shop", SecretStr(f"postgresql://lake:{'x' * 9}@nowhere.invalid/x"))
    with pytest.raises(LakehouseError, match=r"nowhere\.invalid:5432: the host is unknown"):
        source.connected().__enter__()


def test_a_server_that_says_nothing(monkeypatch):
    from lakehouse_assets.sources.dialects import DIALECTS

    monkeypatch.setitem(DIALECTS["postgresql"].arguments, "connect_timeout", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        source = Source("shop", SecretStr(f"postgresql://lake@127.0.0.1:{port}/x"))
        with pytest.raises(LakehouseError, match="the connection timed out"):
            source.connected().__enter__()


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_a_wrong_password(database):
    url = database.source.parsed().set(username="stranger", password=SECRET, database=None)
    source = Source("shop", SecretStr(url.render_as_string(hide_password=False)))
    with pytest.raises(LakehouseError, match="wrong user or pass") as error:
        source.connected().__enter__()
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("foo://a:secret@b/c", "does not name a supported database"),
        ("secret", "does not name a supported database"),
        ("postgresql://a:secret@b:port/c", "is not a database URL"),
    ],
)
def test_what_is_no_address_is_not_repeated(address, sentence):
    with pytest.raises(LakehouseError, match=sentence) as error:
        Source("shop", SecretStr(address)).parsed()
    assert "secret" not in str(error.value)


def test_a_driver_that_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(LakehouseError, match=r"needs a driver .* install lakehouse_assets\[source"):
        Source("shop", SecretStr("mysql://a@b/c")).connected().__enter__()


def test_other_errors_of_the_database_are_told_without_the_password(database, zone, tmp_path):
    with pytest.raises(LakehouseError, match=r"has no table orders, or the user may not read it"):
        copied(zone, database.__class__("sqlite", Source("shop", SecretStr("sqlite://"))))
    with closing(sqlite3.connect(tmp_path / "broken.db")) as broken:
        broken.execute("CREATE TABLE x (a)")
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    source = Source("shop", SecretStr(f"sqlite:///{tmp_path / 'broken.db'}"))
    with pytest.raises(LakehouseError, match=r"reports: file is not a database\. Check the user"):
        copied(zone, database.__class__("sqlite", source))


def test_a_mistake_of_ours_is_not_hidden():
    with (
        pytest.raises(ZeroDivisionError),
        Source("shop", SecretStr("sqlite://")).connected(),
    ):
        raise ZeroDivisionError
