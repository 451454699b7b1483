"""Sending simulated messages to Kafka or Azure Event Hubs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.project import variables
from lakehouse_assets.sources.connection import secret_of
from lakehouse_assets.sources.kafka_address import KafkaAddress, parse
from lakehouse_assets.sources.messages import variable_of
from lakehouse_assets.storage.identity import DEFAULT

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

_PATIENCE = 30
# What librdkafka reports of a login or certificate that it would try again for ever.
_REFUSED = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL"})


class KafkaSink:
    """Sends messages to the partitions of the topics `thermostat` and `occupancy` in turn.

    Args:
        address: The broker.
        partitions: Partitions of each topic that are used.
    """

    def __init__(self, address: KafkaAddress, partitions: int = 1) -> None:
        from confluent_kafka import Producer

        self._address, self._partitions = address, partitions
        self._failed: LakehouseError | None = None
        self._sent = Counter[str]()
        self._producer = Producer(
            {
                **address.options(self._fail),
                "enable.idempotence": True,
                "linger.ms": 50,
                "message.timeout.ms": _PATIENCE * 1000,
                "error_cb": self._on_error,
            },
            logger=logging.getLogger(__name__),
        )

    def send(self, hub: str, values: Sequence[bytes]) -> None:
        """Send messages, in order within each partition.

        Raises:
            LakehouseError: the broker does not take them.
        """
        for value in values:
            partition = self._sent[hub] % self._partitions
            self._sent[hub] += 1
            while True:
                self._producer.poll(0)
                self._check()
                try:
                    self._producer.produce(
                        hub, value, partition=partition, on_delivery=self._on_delivery
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)

    def flush(self) -> None:
        """Return when the broker has all messages.

        Raises:
            LakehouseError: it does not take them.
        """
        while self._producer.flush(0.5):
            self._check()
        self._check()

    def close(self) -> None:
        """Deliver what is still waiting, unless the broker takes nothing."""
        if self._failed is None:
            self.flush()
        self._producer.purge()

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._on_error(error, lost=True)

    def _on_error(self, error: KafkaError, lost: bool = False) -> None:
        """Note errors that waiting does not fix; the client retries all others."""
        if lost or error.name() in _REFUSED:
            self._fail(
                LakehouseError(
                    f"{self._address.place} does not accept messages ({error.name()}). Check "
                    f"{self._address.variable} and its password, and that the topics exist and the "
                    "user may write to them."
                )
            )

    def _fail(self, error: LakehouseError) -> None:
        self._failed = self._failed or error

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed


def kafka_sink(partitions: int = 1) -> KafkaSink:
    """Open the broker whose address is in `LAKEHOUSE_STREAM_DEVICES`, with its password.

    Raises:
        LakehouseError: the variable has no address of a broker.
    """
    variable, given = variable_of("devices"), variables()
    address: Any = secret_of(given, variable)
    if address is None or "://" not in address:
        raise LakehouseError(
            f"Set {variable} to the broker to send messages to: kafka://host:port or "
            "eventhubs://<namespace>.servicebus.windows.net."
        )
    password = secret_of(given, f"{variable}_PASSWORD")
    return KafkaSink(parse(variable, address, password, DEFAULT), partitions)
