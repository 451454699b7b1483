"""Topics of Kafka and Azure Event Hubs as a source of messages.

The reader keeps the offsets, so partitions are assigned and nothing is committed to the broker.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.kafka_address import KafkaAddress
from lakehouse_assets.sources.messages import GROUP, Message, check_offset

T = TypeVar("T")

# Longest time in seconds until the process notices that the broker refuses it.
_SLICE: Final = 0.5
_BATCH: Final = 10_000
# librdkafka's names of errors; those with an underscore are its own, the others the broker's.
_REFUSED: Final = {
    "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "ILLEGAL_SASL_STATE",
    "UNSUPPORTED_SASL_MECHANISM",
}  # fmt: skip
_NOT_ALLOWED: Final = {"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}
_NO_TOPIC: Final = {
    "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_EXCEPTION"
}  # fmt: skip
_NO_ID: Final = "A" * 22
# What connecting again does not change.
_PERMANENT: Final = _REFUSED | _NOT_ALLOWED | {"_SSL", "_FATAL"}
_AWAY: Final = {
    "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE", "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT", "BROKER_NOT_AVAILABLE",
}  # fmt: skip


class KafkaSource:
    """The topics of a broker, as `sources.messages.MessageSource` describes.

    Only committed transactions are read.
    """

    def __init__(self, address: KafkaAddress, group: str = GROUP) -> None:
        self._address = address
        self._group = group
        self._failed: LakehouseError | None = None
        # Since when no broker has been reached; None while one is.
        self._away: float | None = None
        self._clusters: dict[str, str] = {}
        self._positions: dict[tuple[str, int], int] = {}
        # The partitions of which messages are fetched: those that are assigned, once `poll` is
        # called, so that looking at positions and ends fetches nothing.
        self._read: set[tuple[str, int]] = set()
        # What came and was not returned yet: messages, ends of partitions and errors.
        self._came: deque[Any] = deque()
        self._log = logging.getLogger("confluent_kafka")
        # If logging is not configured, this keeps the client's messages off stderr: ours suffices.
        self._log.addHandler(logging.NullHandler())
        options = {
            **self._connection(),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "check.crcs": True,
            "queued.max.messages.kbytes": 32 * 1024,
            # A broker answers the requests of a connection one after the other: an idle fetch
            # holds up the question where a partition ends.
            "fetch.wait.max.ms": 100,
            # Event Hubs closes connections that are idle for four minutes.
            "connections.max.idle.ms": 180_000,
            "metadata.max.age.ms": 180_000,
            "error_cb": self._on_error,
        }
        try:
            self._consumer = Consumer(options, logger=self._log)
        except KafkaException as error:
            raise self._failed or self._explained(error.args[0]) from None

    def __repr__(self) -> str:
        return f"KafkaSource({self._address.place})"

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of the topic's partitions, as the broker knows them now."""
        found = self._metadata(topic).topics[topic]
        if found.error is not None:
            raise self._explained(found.error, topic)
        return sorted(found.partitions)

    def assign(self, topic: str, offsets: Mapping[int, int | None]) -> None:
        """Read partitions from these offsets on."""
        begin: dict[tuple[str, int], int] = {}
        for partition, wanted in offsets.items():
            first, end = self.span(topic, partition)
            begin[topic, partition] = first if wanted is None else wanted
            check_offset(topic, partition, begin[topic, partition], first, end)
        if again := [TopicPartition(*place) for place in begin if place in self._read]:
            self._consumer.incremental_unassign(again)
        self._read -= begin.keys()
        self._came = deque(m for m in self._came if (m.topic(), m.partition()) not in begin)
        self._positions |= begin

    def poll(self, most: int, seconds: float) -> list[Message]:
        """Return the next messages; waits for them, unless the broker refuses the reader."""
        until = time.monotonic() + seconds
        found: list[Message] = []
        if new := self._positions.keys() - self._read:
            self._consumer.incremental_assign(
                [TopicPartition(*place, self._positions[place]) for place in new]
            )
            self._read |= new
        while True:
            while self._came and len(found) < most:
                message = self._taken(self._came.popleft())
                if message is not None:
                    found.append(message)
            left = until - time.monotonic()
            if len(found) >= most:
                return found
            if not self._receive(most - len(found), max(min(_SLICE, left), 0)):
                if left <= 0:
                    return found
                if self._away and time.monotonic() - self._away > timeouts.request_seconds():
                    # It raises unless the broker is there after all.
                    self._metadata(None)

    def positions(self) -> dict[tuple[str, int], int]:
        """Return the next offsets."""
        return dict(self._positions)

    def ends(self) -> dict[tuple[str, int], int]:
        """Return the offsets behind the last committed messages."""
        return {place: self.span(*place)[1] for place in self._positions}

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset of a partition, and the one behind its last committed message.

        Raises:
            LakehouseError: there is no such partition, or the broker does not answer.
        """
        place = TopicPartition(topic, partition)
        first, end = self._asked(
            lambda seconds: self._consumer.get_watermark_offsets(place, seconds, cached=False),
            topic,
        )
        return first, end

    def app_id(self, topic: str, partition: int) -> str:
        """Return the id of a partition's transactions, with the ids of cluster and topic.

        A topic that is deleted and made again has another id, so it is read from its beginning.
        """
        if topic not in self._clusters:
            cluster = self._metadata(topic).cluster_id or self._address.hosts
            self._clusters[topic] = cluster + self._topic_id(topic)
        return f"{self._address.kind}-{self._clusters[topic]}:{self._group}:{topic}:{partition}"

    def spark_options(self) -> dict[str, str]:
        """Return the options with which Spark reads the broker, with the secret in plain text.

        Raises:
            LakehouseError: the login is one that only this process can do.
        """
        return self._address.spark_options()

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _topic_id(self, topic: str) -> str:
        """Return a slash and the topic's id; nothing for Event Hubs and old brokers without ids."""
        if self._address.kind != "kafka":
            return ""
        admin = AdminClient(self._connection(), logger=self._log)
        found = self._asked(
            lambda seconds: admin.describe_topics(
                TopicCollection([topic]), request_timeout=max(seconds, 1)
            )[topic].result(),
            topic,
        )
        # As Kafka itself writes it, with characters of addresses.
        written = str(found.topic_id).replace("+", "-").replace("/", "_")
        return "" if written == _NO_ID else f"/{written}"

    def _connection(self) -> dict[str, Any]:
        """Return the options of every client."""
        return {
            **self._address.options(self._fail),
            **timeouts.kafka(),
            "client.id": f"lakehouse-{self._group}",
        }

    def _taken(self, came: Any) -> Message | None:
        """Convert an item from the client to a message; None for the end of a partition."""
        place, error = (came.topic(), came.partition()), came.error()
        if error is None:
            kind, stamp = came.timestamp()
            moment = None
            if kind != TIMESTAMP_NOT_AVAILABLE:
                moment = datetime.fromtimestamp(stamp / 1000, UTC)
            self._positions[place] = came.offset() + 1
            return Message(*place, came.offset(), came.value() or b"", moment)
        if error.name() == "_PARTITION_EOF":
            self._positions[place] = max(self._positions[place], came.offset())
            return None
        if error.name() == "_AUTO_OFFSET_RESET":
            check_offset(*place, self._positions[place], *self.span(*place))
        raise self._explained(error, place[0])

    def _receive(self, most: int, seconds: float) -> int:
        """Take new items from the client, and raise the error that it reported, if any."""
        came = self._consumer.consume(min(most, _BATCH), seconds)
        if self._failed is not None:
            raise self._failed
        if came:
            self._away = None
            self._came.extend(came)
        return len(came)

    def _metadata(self, topic: str | None) -> Any:
        return self._asked(lambda seconds: self._consumer.list_topics(topic, seconds), topic)

    def _asked(self, call: Callable[[float], T], topic: str | None = None) -> T:
        """Ask the broker, again until it answers or the time is over.

        The client connects again and again and says why not only when it is looked at in between.
        """
        until = time.monotonic() + timeouts.request_seconds()
        patience = _SLICE
        while True:
            try:
                answer = call(min(patience, max(until - time.monotonic(), 0.1)))
            except KafkaException as error:
                reason = error.args[0]
                self._receive(_BATCH, _SLICE)
                if reason.name() not in _AWAY or time.monotonic() >= until:
                    raise self._explained(reason, topic) from None
                patience *= 2
            else:
                self._away = None
                return answer

    def _on_error(self, error: KafkaError) -> None:
        """Note what the client reports while it goes on trying."""
        if error.name() in _PERMANENT:
            self._fail(self._explained(error))
        elif error.name() in _AWAY and self._away is None:
            self._away = time.monotonic()

    def _fail(self, error: LakehouseError) -> None:
        self._failed = self._failed or error

    def _explained(self, error: KafkaError, topic: str | None = None) -> LakehouseError:
        """Return one sentence with a remedy, without secrets."""
        name, place, variable = error.name(), self._address.place, self._address.variable
        if name in _REFUSED:
            identity = self._address.identity
            remedy = (
                f"correct {variable}_PASSWORD"
                if identity is None
                else f"assign the role Azure Event Hubs Data Receiver to the identity "
                f"({identity.kind})"
            )
            return LakehouseError(f"{place} rejects the stream's login; {remedy}.")
        if name in _NOT_ALLOWED:
            return LakehouseError(
                f"{place} does not allow the stream's user to read {topic or 'the topic'}; grant "
                "it permission to read and describe the topic (Listen in Event Hubs)."
            )
        if name == "_SSL":
            return LakehouseError(
                f"The certificate of {place} is not trusted, or belongs to another host; set "
                "SSL_CERT_FILE to the certificate of its authority."
            )
        if name in _NO_TOPIC:
            return LakehouseError(
                f"{place} has no topic {topic}, or hides it from the stream's user; create it, or "
                f"correct {variable}."
            )
        if name in _AWAY:
            return LakehouseError(
                f"{place} does not answer. Check that it is running, the network and {variable}.",
                transient=True,
            )
        return LakehouseError(
            f"{place} reports: {error.str()[:300].rstrip('.; ')}. Check {variable}.",
            transient=error.retriable(),
        )
