"""The catalog over HTTP: what it says, whom it answers, and DuckDB that attaches it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from lakehouse_assets.cli.main import app
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.engine.duckdb_readers import UNCHECKED, load
from lakehouse_assets_tests.airline.samples import SampleRun, variables_of

TOKEN = "t" * 32


@pytest.fixture(scope="module")
def server(sample: SampleRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `lakehouse serve catalog` on the sample's lake."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse_assets", "serve", "catalog", "--port", "0"],
        env={**clean, "NO_COLOR": "1", **variables_of(sample.house),
             "LAKEHOUSE_SERVING_TOKEN": TOKEN},
        cwd=tmp_path_factory.mktemp("server"), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("Catalog lake: http://127.0.0.1:"), said + process.stderr.read()
    yield said.removeprefix("Catalog lake: ").strip()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    process.stderr.close()


def ask(address: str, token: str | None = TOKEN, method: str = "GET") -> tuple[int, dict]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(address, headers=headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_answers_whoever_shows_the_token_and_changes_nothing(server: str) -> None:
    assert ask(f"{server}/catalogs")[1]["catalogs"][0]["name"] == "lake"
    for token in (None, "x" * 32):
        status, body = ask(f"{server}/catalogs", token)
        assert (status, body["error_code"]) == (401, "UNAUTHENTICATED")
    for method in ("POST", "DELETE", "PATCH"):
        assert ask(f"{server}/tables", method=method)[0] == 405
    for path in ("/tables/lake.airline.nothing", "/catalogs/main", "/schemas/lake.none", "/x"):
        status, body = ask(f"{server}{path}")
        assert (status, body["error_code"]) == (404, "NOT_FOUND")
    assert ask(f"{server}/temporary-table-credentials", method="POST")[0] == 404
    assert ask(f"{server}/schemas?catalog_name=other")[1]["schemas"] == []


def test_it_describes_what_is_declared(server: str, sample: SampleRun) -> None:
    schemas = ask(f"{server}/schemas?catalog_name=lake")[1]["schemas"]
    assert {schema["name"] for schema in schemas} == {table.domain for table in REGISTRY}
    lake, declared = sample.house.lake, REGISTRY["kpi_customer_value"]
    tables = ask(f"{server}/tables?catalog_name=lake&schema_name=airline")[1]["tables"]
    assert {table["name"] for table in tables} == {
        t.name for t in REGISTRY if t.domain == "airline" and lake.version(t) is not None
    }
    (table,) = [table for table in tables if table["name"] == declared.name]
    assert table == ask(f"{server}/tables/lake.airline.kpi_customer_value")[1]
    assert table["storage_location"] == Path(lake.uri(declared)).as_uri()
    columns = {column["name"]: column for column in table["columns"]}
    assert [*columns] == [*declared.column_names]
    assert columns["total_spent"]["type_name"] == "DECIMAL"
    assert columns["customer_key"]["comment"].endswith("Personal data: identifier.")


def test_duckdb_attaches_it_and_reads_the_tables(server: str, sample: SampleRun) -> None:
    for name in ("unity_catalog", "httpfs"):
        if find_spec(f"duckdb_extension_{name}") is None:
            pytest.skip(f"the wheel duckdb-extension-{name.replace('_', '-')} is not installed")
    client = duckdb.connect(config={**UNCHECKED, "autoinstall_known_extensions": False})
    for name in ("delta", "httpfs", "unity_catalog"):
        load(client, name)
    host = server.removesuffix("/api/2.1/unity-catalog")
    client.execute(f"CREATE SECRET (TYPE uc, TOKEN '{TOKEN}', ENDPOINT '{host}')")
    client.execute("ATTACH 'lake' AS lake (TYPE uc_catalog)")
    lake = sample.house.lake
    for table in (
        REGISTRY["kpi_customer_value"],
        REGISTRY["fact_sales"],
        REGISTRY["silver_tweets"],
    ):
        (count,) = client.execute(f"SELECT count(*) FROM lake.{table.full_name}").fetchone()  # noqa: S608
        assert count == sum(lake.rows_by_partition(table).values())
    shown = client.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'lake' AND "
        "table_name = 'fact_flights' ORDER BY column_index"
    ).fetchall()
    assert [name for (name,) in shown] == [*REGISTRY["fact_flights"].column_names]
    with pytest.raises(duckdb.Error):
        client.execute("CREATE TABLE lake.airline.mine (a INTEGER)")


def test_without_a_token_it_does_not_start(tmp_path: Path) -> None:
    given = {"LAKEHOUSE_ROOT": str(tmp_path), "LAKEHOUSE_SERVING_TOKEN": ""}
    done = CliRunner().invoke(app, ["serve", "catalog"], env=given)
    said = "The server needs a token; make one with `openssl rand -hex 32`"
    assert said in str(done.exception)
