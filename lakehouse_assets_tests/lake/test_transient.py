"""Faults that pass are tried again, with growing pauses; mistakes fail at once."""

from __future__ import annotations

import errno
import socket
import sqlite3
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import deltalake
import deltalake.exceptions
import duckdb
import obstore
import psycopg.errors
import pymssql
import pymysql
import pytest
import requests
import sqlalchemy as sa
from azure.storage.blob import BlobClient
from mlflow.exceptions import MlflowException
from obstore.store import AzureStore

from lakehouse_assets import timeouts
from lakehouse_assets.catalog.datasets import bronze_table, rejects_table
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta_rs import DeltaRsWriter
from lakehouse_assets.lake.writer import OvertakenError, broken_rules
from lakehouse_assets.orchestration.retries import retry_transient
from lakehouse_assets.storage.transient import is_transient
from lakehouse_assets.timeouts import STEP_PAUSES
from lakehouse_assets_tests.airline.samples import House, purchase

TABLES = (bronze_table(TRANSACTIONS), rejects_table(TRANSACTIONS))
# What people deliver ends up in sentences and in texts of databases.
WORDS = "503 Service Unavailable: connection refused, timed out (os error 28)"


class Answer(BaseHTTPRequestHandler):
    """A server whose answer to everything is the status that the path begins with."""

    def answer(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    found = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


@pytest.fixture(scope="module")
def closed() -> str:
    """An address at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/503"


def azure(address: str) -> dict[str, str]:
    return {
        "azure_storage_account_name": "a",
        "azure_storage_account_key": "YQ==",
        "azure_storage_endpoint": address,
    }


def by_delta_rs(address: str) -> None:
    options = azure(address) | {"allow_http": "true", "max_retries": "0"}
    deltalake.DeltaTable("az://c/t", storage_options=options)


def by_obstore(address: str) -> None:
    store = AzureStore(
        "c",
        config=azure(address),  # type: ignore[arg-type]
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},  # type: ignore[typeddict-item]
    )
    obstore.get(store, "x")


def by_azure(address: str) -> None:
    client = BlobClient(address, "c", "b", credential="YQ==", retry_total=0)  # type: ignore[arg-type]
    with client:
        client.download_blob()


def by_requests(address: str) -> None:
    requests.get(address, timeout=60).raise_for_status()


def by_urllib(address: str) -> None:
    try:
        urllib.request.urlopen(address).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        raise


CLIENTS = [by_delta_rs, by_obstore, by_azure, by_requests, by_urllib]


def raised(attempt: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        attempt()
    return caught.value


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("status", "passes"), [(503, True), (429, True), (403, False)])
def test_the_status_decides(client, status: int, passes: bool, server: str) -> None:
    error = raised(lambda: client(f"{server}/{status}"))
    assert is_transient(error) == passes, repr(error)


@pytest.mark.parametrize("client", CLIENTS)
def test_nobody_listens(client, closed: str) -> None:
    assert is_transient(raised(lambda: client(closed)))


def in_use(folder: Path, use: Callable[[str], Any]) -> Exception:
    """Return what a statement meets in a database of SQLite that somebody has locked."""
    file = str(folder / "held.db")
    holder = sqlite3.connect(file, isolation_level=None)
    try:
        holder.execute("CREATE TABLE held (value)")
        holder.execute("BEGIN EXCLUSIVE")
        return raised(lambda: use(file))
    finally:
        holder.close()


def by_sqlite(file: str, statement: str = "INSERT INTO held VALUES (1)") -> None:
    connection = sqlite3.connect(file, timeout=0)
    try:
        connection.execute(statement)
    finally:
        connection.close()


def by_sqlalchemy(file: str) -> None:
    made = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
    try:
        with made.begin() as connection:
            connection.execute(sa.text("INSERT INTO held VALUES (1)"))
    except sa.exc.OperationalError as error:
        # As MLflow's store says it, whatever the database's reason.
        raise MlflowException(str(error), 3) from error
    finally:
        made.dispose()


@pytest.mark.parametrize("use", [by_sqlite, by_sqlalchemy])
def test_a_database_that_is_in_use(use, tmp_path: Path) -> None:
    assert is_transient(in_use(tmp_path, use))


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        duckdb.IOException('IO Error: Could not write file "/dev/full": No space left on device'),
        deltalake.exceptions.DeltaError("External: Unable to copy: Disk full (os error 28)"),
        OSError("Generic LocalFileSystem error\n  Unable to copy data to file (os error 28)\n"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        ConnectionResetError("gone"),
        TimeoutError(),
        OvertakenError(DIM_DATE),
        LakehouseError("The source is not there.", transient=True),
        caused(LakehouseError("The table cannot be written."), OSError(errno.EIO, "I/O error")),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.AdminShutdown(),
        pymysql.OperationalError(1205, "Lock wait timeout exceeded"),
        pymysql.OperationalError(2003, "Can't connect to MySQL server"),
        pymssql.OperationalError((20002, b"TDS server connection failed")),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_faults_that_may_pass(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        LakehouseError(WORDS),
        broken_rules(DIM_DATE, "503"),
        caused(LakehouseError(WORDS), ValueError(WORDS)),
        PermissionError(errno.EACCES, WORDS),
        FileNotFoundError(errno.ENOENT, WORDS),
        ValueError(WORDS),
        deltalake.exceptions.SchemaMismatchError(WORDS),
        deltalake.exceptions.DeltaError(f"2 rows failed validation check: {WORDS} is null"),
        raised(lambda: duckdb.sql(f"SELECT CAST('{WORDS}' AS INT)").fetchall()),
        raised(lambda: duckdb.sql("FROM '/nowhere/503 Service Unavailable.parquet'")),
        raised(lambda: by_sqlite(":memory:", 'SELECT * FROM "timed out"')),
        psycopg.errors.InvalidTextRepresentation(WORDS),
        pymysql.OperationalError(1045, "Access denied for user 'timed out'"),
        pymssql.OperationalError((18456, b"Login failed. TDS server connection failed")),
        caused(OSError(WORDS), ssl.SSLCertVerificationError(1, "certificate verify failed")),
        MlflowException(WORDS, 1),
        None,
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_mistakes(error: Exception | None) -> None:
    assert not is_transient(error)


def test_pauses_grow_and_end() -> None:
    asked = []
    for attempt in range(len(STEP_PAUSES)):
        with pytest.raises(dg.RetryRequested) as caught, retry_transient(attempt):
            raise TimeoutError
        asked.append(caught.value.seconds_to_wait)
    assert all(0.7 * p < s < 1.3 * p for p, s in zip(STEP_PAUSES, asked, strict=True))
    with pytest.raises(TimeoutError), retry_transient(len(STEP_PAUSES)):
        raise TimeoutError


def failing(monkeypatch: pytest.MonkeyPatch, times: int, error: Exception) -> list[str]:
    """Let the first writes fail; return the tables of all attempts."""
    attempts: list[str] = []
    real: Callable[..., Any] = DeltaRsWriter.apply

    def replace(self: DeltaRsWriter, target: Any, change: Any) -> Any:
        attempts.append(target.table.name)
        if len(attempts) <= times:
            raise error
        return real(self, target, change)

    monkeypatch.setattr(DeltaRsWriter, "apply", replace)
    monkeypatch.setattr(timeouts, "STEP_PAUSES", (0.01, 0.01, 0.01))
    return attempts


def test_a_full_disk_is_tried_again_and_the_run_heals(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = failing(monkeypatch, 2, OSError(errno.ENOSPC, "No space left on device"))
    house.deliver_purchases("2014-03-05", [purchase("A")])
    result = house.materialise("airline_daily", "2014-03-05", *TABLES)
    assert result.success
    assert attempts[:3] == ["bronze_transactions"] * 3
    assert len([e for e in result.all_events if e.is_step_up_for_retry]) == 2
    assert house.count(bronze_table(TRANSACTIONS)) == 1


def test_a_fault_that_stays_ends_the_run_with_its_own_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = failing(monkeypatch, 99, OSError(errno.ENOSPC, "No space left on device"))
    house.deliver_purchases("2014-03-05", [purchase("A")])
    result = house.materialise("airline_daily", "2014-03-05", *TABLES)
    assert not result.success
    assert len(attempts) == 4
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert "No space left on device" in str(failure.step_failure_data.error)


def test_a_mistake_fails_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = failing(monkeypatch, 99, LakehouseError("The rows do not fit; change them."))
    house.deliver_purchases("2014-03-05", [purchase("A")])
    result = house.materialise("airline_daily", "2014-03-05", *TABLES)
    assert not result.success
    assert len(attempts) == 1
