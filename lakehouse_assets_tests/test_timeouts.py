"""Every client gives up after few attempts on a peer that is silent, resets or is busy.

Attempts are counted where they arrive. The limit is one second, so that silence ends soon.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest
from deltalake import DeltaTable
from pydantic import SecretStr

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.table_path import TablePath
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.alerts import send_alert
from lakehouse_assets.orchestration.retries import retry_transient
from lakehouse_assets.settings import load_settings
from lakehouse_assets.sources.connection import Source
from lakehouse_assets.sources.kafka import KafkaSource
from lakehouse_assets.sources.kafka_address import KafkaAddress
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.store import CloudFiles
from lakehouse_assets.storage.tokens import token_of
from lakehouse_assets.storage.transient import is_transient
from lakehouse_assets_tests.peers import MANNERS, Manner, Peer, running_peer

SECRET = "b25l"  # noqa: S105 - of nobody
PLACE = CloudLocation.adls("acc01", "lake")
STORE = timeouts.RETRIES + 1
# What answers without knowing the protocol is no database, and no endpoint of identities.
MISTAKES = {("postgresql", "busy"), ("entra", "busy")}
# Nobody runs these again: the sensor's next tick does, or whoever gave the command.
ONCE = {"webhook", "mlflow's database"}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second of silence is too long."""
    monkeypatch.setenv("LAKEHOUSE_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("LAKEHOUSE_DATABASE_TIMEOUT", "1")
    monkeypatch.setenv("AZURE_STORAGE_KEY", SECRET)
    monkeypatch.setattr(timeouts, "FIRST_PAUSE", timedelta(milliseconds=10))
    for name, value in timeouts.mlflow_variables().items():
        monkeypatch.setenv(name, value)


def identity(peer: Peer) -> Identity:
    return Identity(kind="account_key", endpoint=f"{peer.address}/acc01")


def by_obstore(peer: Peer) -> None:
    CloudFiles(Access(PLACE, identity(peer))).read("x")


def by_delta_rs(peer: Peer) -> None:
    path = TablePath(PLACE, "airline/x", Access(PLACE, identity(peer)))
    options = path.options() | {"allow_http": "true"}
    try:
        DeltaTable(path.address, storage_options=options)
    except Exception as error:  # noqa: BLE001 - delta-rs has several
        raise path.explain(error) or error from None


def by_mlflow(peer: Peer) -> None:
    MlflowTracking(peer.address).experiment_id()


def by_database_of_mlflow(peer: Peer) -> None:
    MlflowTracking(f"postgresql+psycopg://u:{SECRET}@127.0.0.1:{peer.port}/d").client()


def by_webhook(peer: Peer) -> None:
    send_alert("x", SecretStr(f"{peer.address}/{SECRET}"), lambda _: None)


def by_entra(peer: Peer) -> None:
    # The endpoint of a hosted app is the one way to Entra that may speak clear text.
    os.environ["IDENTITY_ENDPOINT"] = f"{peer.address}/token"
    os.environ["IDENTITY_HEADER"] = SECRET
    try:
        token_of(Identity(kind="managed_identity"), "login.microsoftonline.com")
    finally:
        del os.environ["IDENTITY_ENDPOINT"], os.environ["IDENTITY_HEADER"]


def by_kafka(peer: Peer) -> None:
    source = KafkaSource(KafkaAddress("LAKEHOUSE_STREAM_X", "kafka", f"127.0.0.1:{peer.port}"))
    try:
        source.partitions("topic")
    finally:
        source.close()


def by_database(address: str) -> Callable[[Peer], None]:
    def enter(peer: Peer) -> None:
        with Source("crm", SecretStr(address.format(peer.port))).connected():
            pass

    return enter


CLIENTS = {
    "obstore": (by_obstore, STORE),
    "delta-rs": (by_delta_rs, STORE),
    "mlflow": (by_mlflow, timeouts.MLFLOW_RETRIES + 1),
    "mlflow's database": (by_database_of_mlflow, 1),
    "entra": (by_entra, 6),
    "webhook": (by_webhook, 1),
    # librdkafka draws the pauses between its connections at random.
    "kafka": (by_kafka, 8),
    "postgresql": (by_database("postgresql://u:b25l@127.0.0.1:{}/d"), 1),
    "mysql": (by_database("mysql://u:b25l@127.0.0.1:{}/d"), 1),
    "mssql": (by_database("mssql://u:b25l@127.0.0.1:{}/d"), 2),
    "oracle": (by_database("oracle://u:b25l@127.0.0.1:{}/?service_name=d"), 2),
}


# Oracle's driver leaves the socket of a login open that is never answered.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_peer_that_misbehaves_is_given_up(client: str, manner: Manner) -> None:
    call, most = CLIENTS[client]
    with running_peer(manner) as peer, pytest.raises(LakehouseError) as caught:
        call(peer)
    assert 1 <= peer.connections <= most
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert str(caught.value).endswith(".")
    if (client, manner) not in MISTAKES and client not in ONCE:
        assert is_transient(caught.value), "the step is run again"


def test_a_step_is_run_again_few_times_and_says_so(caplog, monkeypatch) -> None:
    monkeypatch.setattr(timeouts, "STEP_PAUSES", (0.01, 0.01, 0.01))

    @dg.op
    def track(context) -> None:
        with retry_transient(context.retry_number):
            MlflowTracking(peer.address).experiment_id()

    with running_peer("reset") as peer:
        result = dg.GraphDefinition(name="models", node_defs=[track]).execute_in_process(
            raise_on_error=False
        )
    sentence = f"MLflow at {peer.address} does not answer; start it, or correct "
    assert not result.success
    assert sentence in str(result.all_events)
    assert peer.connections == 4 * (timeouts.MLFLOW_RETRIES + 1)
    told = [
        r.getMessage() for r in caplog.records if r.name == "lakehouse_assets.orchestration.retries"
    ]
    assert [line.partition("again. ")[2] for line in told] == [
        f"Retry {number} of 3 in 0 s." for number in (1, 2, 3)
    ]
    assert all(line.startswith(sentence) for line in told)


@pytest.mark.parametrize(
    ("setting", "value"), [("REQUEST", "0"), ("REQUEST", "soon"), ("DATABASE", "-1")]
)
def test_a_limit_that_is_none_is_refused(monkeypatch, setting: str, value: str) -> None:
    monkeypatch.setenv(f"LAKEHOUSE_{setting}_TIMEOUT", value)
    with pytest.raises(LakehouseError, match=f"LAKEHOUSE_{setting}_TIMEOUT cannot be used"):
        load_settings()


def test_what_mlflow_is_told_by_the_environment_is_left_alone() -> None:
    """Set variables win; the others get our limits, before MLflow is imported."""
    script = (
        "import os; from lakehouse_assets.ml import tracking; tracking._prepare_environment();"
        "from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT as t,"
        " MLFLOW_HTTP_REQUEST_MAX_RETRIES as r; print(t.get(), r.get())"
    )
    given = {**os.environ, "MLFLOW_HTTP_REQUEST_TIMEOUT": "7"}
    del given["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    done = subprocess.run(
        [sys.executable, "-c", script], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", str(timeouts.MLFLOW_RETRIES)]
