"""Kafka as a source, on the cluster that librdkafka itself imitates, and addresses of streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.kafka import KafkaSource
from lakehouse_assets.sources.kafka_address import KafkaAddress, parse
from lakehouse_assets.sources.messages import MessageSource, open_stream
from lakehouse_assets.storage.identity import DEFAULT, Identity

SECRET = "b25l"  # noqa: S105 - of nobody
STRING = f"Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=r;SharedAccessKey={SECRET}"
VARIABLE = "LAKEHOUSE_STREAM_DEVICES"


def quiet(options: dict[str, str]) -> Producer:
    log = logging.getLogger("confluent_kafka.test")
    log.addHandler(logging.NullHandler())
    return Producer(options, logger=log)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a cluster of one broker, whose topics have four partitions."""
    holder = quiet({"bootstrap.servers": "none", "test.mock.num.brokers": "1"})
    broker = next(iter(holder.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    del holder


@pytest.fixture
def send(cluster: str) -> Callable[..., None]:
    """Send texts to a partition of a topic, which is made by it."""
    producer = quiet({"bootstrap.servers": cluster})

    def sending(topic: str, partition: int, *texts: str | None) -> None:
        for text in texts:
            producer.produce(topic, text, partition=partition, timestamp=1_600_000_000_250)
        assert producer.flush(10) == 0

    return sending


@pytest.fixture
def source(cluster: str) -> Iterator[KafkaSource]:
    opened = KafkaSource(KafkaAddress(VARIABLE, "kafka", cluster))
    yield opened
    opened.close()


def offsets(source: MessageSource, most: int, seconds: float = 10) -> list[int]:
    return sorted(message.offset for message in source.poll(most, seconds))


def test_messages_are_read_from_the_reader_s_own_offsets(source, send) -> None:
    send("events", 0, "a", "b", None)
    send("events", 1, "c")
    assert source.partitions("events") == [0, 1, 2, 3]
    source.assign("events", {0: None})
    first = source.poll(1, 10)[0]
    assert first[:4] == ("events", 0, 0, b"a")
    assert first.enqueued_at.isoformat() == "2020-09-13T12:26:40.250000+00:00"
    assert source.positions() == {("events", 0): 1}
    rest = source.poll(2, 10)
    assert [(m.offset, m.value) for m in rest] == [(1, b"b"), (2, b"")]
    # Another partition comes along, and the first begins again.
    source.assign("events", {1: 0, 0: 2})
    assert offsets(source, 2) == [0, 2]
    assert source.positions() == source.ends() == {("events", 0): 3, ("events", 1): 1}
    send("events", 1, "d")
    assert offsets(source, 1) == [1]
    assert source.poll(1, 0) == []


def test_an_offset_beyond_the_end_and_a_missing_topic_are_one_sentence(source, send) -> None:
    send("short", 0, "a")
    with pytest.raises(LakehouseError, match="ends at offset 1, but the lake has read up to"):
        source.assign("short", {0: 2})
    with pytest.raises(LakehouseError, match=f"has no topic none, or .* correct {VARIABLE}"):
        source.partitions("none")


def test_a_broker_that_is_away_is_given_up_after_the_limit(source, send, monkeypatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_REQUEST_TIMEOUT", "1")
    nobody = KafkaSource(KafkaAddress(VARIABLE, "kafka", "127.0.0.1:9"))
    with pytest.raises(LakehouseError, match=r"Kafka at 127\.0\.0\.1:9 does not answer") as caught:
        nobody.partitions("events")
    nobody.close()
    assert caught.value.transient


@pytest.mark.parametrize(
    ("address", "password", "place", "options"),
    [
        ("kafka://a:1,b:2", None, "Kafka at a:1,b:2", {"security.protocol": "PLAINTEXT"}),
        ("kafka+ssl://a:1/", None, "Kafka at a:1", {"security.protocol": "SSL"}),
        (
            "kafka+ssl://u@a:1?mechanism=SCRAM-SHA-512", SECRET, "Kafka at a:1",
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
             "sasl.username": "u", "sasl.password": SECRET},
        ),
        (
            "eventhubs://n.servicebus.windows.net", STRING,
            "Event Hubs at n.servicebus.windows.net:9093",
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
             "sasl.username": "$ConnectionString", "sasl.password": STRING},
        ),
    ],
)  # fmt: skip
def test_addresses_say_how_to_log_in(address, password, place, options, monkeypatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    found = parse(VARIABLE, address, password, DEFAULT)
    assert found.place == place
    told = found.options(lambda _: None)
    assert told.pop("bootstrap.servers") == place.rpartition(" ")[2]
    assert told == options
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("address", "password", "sentence"),
    [
        ("kafka://u:b25l@a:1", None, "is not valid; write it as kafka://host:port"),
        ("https://a/b25l", None, "is not valid"),
        ("kafka://u@a:1", None, f"the password in {VARIABLE}_PASSWORD"),
        ("kafka+ssl://a:1", SECRET, "needs a user and a password"),
        ("kafka://u@a:1", SECRET, r"unencrypted; begin it with kafka\+ssl://"),
        ("kafka+ssl://u@a:1?mechanism=GSSAPI", SECRET, "use one of PLAIN, SCRAM"),
        ("eventhubs://n.servicebus.windows.net", SECRET, "is not an Event Hubs connection string"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_sentence(
    address, password, sentence, monkeypatch
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    if password:
        monkeypatch.setenv(f"{VARIABLE}_PASSWORD", password)
    with pytest.raises(LakehouseError, match=sentence) as caught:
        open_stream("devices")
    assert SECRET not in str(caught.value)


def test_spark_logs_in_with_a_password_only() -> None:
    hub = "eventhubs://n.servicebus.windows.net"
    options = parse(VARIABLE, hub, STRING, DEFAULT).spark_options()
    assert options["kafka.security.protocol"] == "SASL_SSL"
    assert options["kafka.sasl.jaas.config"] == (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="$ConnectionString" password="{STRING}";'
    )
    with pytest.raises(LakehouseError, match=f"set {VARIABLE}_PASSWORD, or read the stream with"):
        parse(VARIABLE, hub, None, Identity(kind="azure_cli")).spark_options()


def test_a_key_of_a_store_is_no_login_for_event_hubs() -> None:
    with pytest.raises(LakehouseError, match="does not accept an identity of kind account_key"):
        parse(VARIABLE, "eventhubs://n.servicebus.windows.net", None, Identity(kind="account_key"))
    assert parse(VARIABLE, "kafka://a:1", None, DEFAULT).identity is None
