"""Kafka as a source on a real broker: logins, restarts, gaps and transactions."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.kafka import KafkaSource
from lakehouse_assets.sources.kafka_address import KafkaAddress
from lakehouse_assets.sources.messages import MessageSource, RetentionGapError, open_stream
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets_tests.streams.broker import CONNECTION_STRING, SECRET, Broker

VARIABLE = "LAKEHOUSE_STREAM_DEVICES"


@pytest.fixture
def source(broker: Broker) -> Iterator[KafkaSource]:
    opened = KafkaSource(KafkaAddress(VARIABLE, "kafka", broker.address))
    yield opened
    opened.close()


@pytest.fixture
def event_hubs(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """The broker as Event Hubs: TLS by its own authority, the string as password."""
    monkeypatch.setenv(VARIABLE, f"eventhubs://localhost:{broker.encrypted}")
    monkeypatch.setenv(f"{VARIABLE}_PASSWORD", CONNECTION_STRING)
    monkeypatch.setenv("SSL_CERT_FILE", str(broker.certificates.authority))
    return broker


def texts(*numbers: int) -> list[bytes]:
    return [str(number).encode() for number in numbers]


def until(source: MessageSource, most: int, seconds: float = 20) -> list[bytes]:
    return [message.value for message in source.poll(most, seconds)]


def test_event_hubs_are_read_with_a_connection_string(event_hubs: Broker) -> None:
    event_hubs.make_topic("hub", partitions=2)
    event_hubs.send("hub", texts(1, 2, 3))
    source = open_stream("devices")
    assert source.partitions("hub") == [0, 1]
    assert source.app_id("hub", 0) == "eventhubs-MkU3OEVBNTcwNTJENDM2Qg:lakehouse:hub:0"
    source.assign("hub", {0: None, 1: None})
    assert until(source, 3) == texts(1, 2, 3)
    assert SECRET not in repr(source)
    source.close()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            f"{VARIABLE}_PASSWORD", CONNECTION_STRING.replace(SECRET, f"x{SECRET}"),
            f"rejects the stream's login; correct {VARIABLE}_PASSWORD.",
        ),
        ("SSL_CERT_FILE", None, "is not trusted, .*; set SSL_CERT_FILE to the certificate of its "
         "authority."),
    ],
)  # fmt: skip
def test_what_connecting_again_does_not_mend_is_said_at_once(
    event_hubs: Broker, monkeypatch: pytest.MonkeyPatch, variable, value, sentence: str
) -> None:
    # Longer than a test may take: the error has to come before.
    monkeypatch.setenv("LAKEHOUSE_REQUEST_TIMEOUT", "3600")
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    source = open_stream("devices")
    with pytest.raises(LakehouseError, match=sentence) as caught:
        source.partitions("hub")
    assert not caught.value.transient
    assert SECRET not in str(caught.value)
    source.close()


class _Entra(BaseHTTPRequestHandler):
    """The endpoint of a hosted app's identity, whose tokens are not signed."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        now = int(time.time())
        parts = ({"alg": "none"}, {"sub": "lake", "iat": now, "exp": now + 3600})
        coded = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
        answer = {"access_token": b".".join([*coded, b""]).decode(), "expires_on": now + 3600}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_event_hubs_are_read_with_tokens_of_the_lake_s_identity(
    event_hubs: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{VARIABLE}_PASSWORD")
    event_hubs.make_topic("tokens")
    event_hubs.send("tokens", texts(1))
    with HTTPServer(("127.0.0.1", 0), _Entra) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        source = open_stream("devices", Identity(kind="managed_identity"))
        source.assign("tokens", {0: None})
        assert until(source, 1) == texts(1)
        source.close()
        server.shutdown()
    assert [path.partition("resource=")[2] for path in _Entra.asked] == ["https://localhost"]


def test_an_identity_without_a_token_is_one_sentence(
    event_hubs: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{VARIABLE}_PASSWORD")
    monkeypatch.setenv("LAKEHOUSE_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    with pytest.raises(LakehouseError, match="No token for managed_identity"):
        open_stream("devices", Identity(kind="managed_identity", client_id="none"))


def test_a_broker_that_stays_away_is_given_up(
    broker: Broker, source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.make_topic("away")
    source.assign("away", {0: None})
    # Only now: a busy broker may take longer to answer.
    monkeypatch.setenv("LAKEHOUSE_REQUEST_TIMEOUT", "1")
    broker.kill()
    try:
        with pytest.raises(
            LakehouseError, match=r"does not answer\. Check that it is running"
        ) as caught:
            source.poll(1, 60)
        assert caught.value.transient
    finally:
        broker.start()


def test_messages_that_are_gone_are_counted(
    broker: Broker, source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.make_topic("gaps")
    broker.send("gaps", texts(*range(10)))
    broker.delete_before("gaps", 0, 7)
    with pytest.raises(RetentionGapError, match="3 offsets of topic gaps, partition 0 are gone"):
        source.assign("gaps", {0: 4})
    source.assign("gaps", {0: None})
    assert until(source, 3) == texts(7, 8, 9)
    # As if they had been deleted between the look at the partition and the first fetch.
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse_assets.sources.kafka.check_offset", lambda *_: None)
        source.assign("gaps", {0: 5})
    with pytest.raises(RetentionGapError) as caught:
        source.poll(1, 20)
    assert (caught.value.wanted, caught.value.first) == (5, 7)
    assert not caught.value.transient


def test_only_committed_transactions_are_read_and_their_marks_are_no_gap(
    broker: Broker, source: KafkaSource
) -> None:
    broker.make_topic("transactions")
    sender = broker.producer(transactional_id="t")
    sender.init_transactions()
    for number, commit in ((1, True), (2, False), (3, True), (4, False)):
        sender.begin_transaction()
        sender.produce("transactions", str(number).encode())
        sender.flush()
        (sender.commit_transaction if commit else sender.abort_transaction)()
    source.assign("transactions", {0: None})
    found = source.poll(2, 20)
    # Eight offsets: four messages and four marks.
    while source.positions() != {("transactions", 0): 8}:
        found += source.poll(1, 0.1)
    assert [(m.offset, m.value) for m in found] == [(0, b"1"), (4, b"3")]
    assert source.ends() == {("transactions", 0): 8}
    sender.begin_transaction()
    sender.produce("transactions", b"5")
    sender.flush()
    assert source.poll(1, 1) == []
    assert source.ends() == {("transactions", 0): 8}
    sender.commit_transaction()
    assert until(source, 1) == texts(5)
    broker.delete_before("transactions", 0, 8)
    source.assign("transactions", {0: 8})
    assert until(source, 1) == texts(5)


def test_a_topic_that_is_made_again_under_its_name_is_another_one(broker: Broker) -> None:
    found = []
    for group in ("lakehouse", "lakehouse", "test"):
        source = KafkaSource(KafkaAddress(VARIABLE, "kafka", broker.address), group)
        if group == "lakehouse":
            broker.make_topic("again", partitions=2)
        found.append(source.app_id("again", 1))
        source.close()
        if len(found) == 1:
            broker.delete_topic("again")
    first, second, of_test = found
    assert first.endswith(":lakehouse:again:1")
    assert first != second
    assert of_test == second.replace(":lakehouse:", ":test:")
