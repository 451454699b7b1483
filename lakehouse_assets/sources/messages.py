"""Messages of a stream's topics, and what every source of them does.

A source is Kafka, Azure Event Hubs or a folder. Its address is in the variable
`LAKEHOUSE_STREAM_<NAME>` (environment or `.env`), or in the file that `…_FILE` names:

- `kafka://host:port[,host:port]`, or `kafka+ssl://[user@]host:port[?mechanism=SCRAM-SHA-512]`;
- `eventhubs://<namespace>.servicebus.windows.net`;
- a folder.

A password, or the connection string of Event Hubs, is in `LAKEHOUSE_STREAM_<NAME>_PASSWORD` or in
the file that `…_PASSWORD_FILE` names; Event Hubs without one takes tokens of the lake's own
identity. `LAKEHOUSE_STREAM_<NAME>_GROUP` names this lake among others that read the same topics; a
new name reads them again from their beginning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.project import variables
from lakehouse_assets.sources.connection import secret_of
from lakehouse_assets.storage.identity import DEFAULT, Identity
from lakehouse_assets.storage.location import local_folder, plainly_named

GROUP: Final = "lakehouse"


class Message(NamedTuple):
    """A message of a topic.

    Attributes:
        topic: Name of the topic.
        partition: Number of its partition.
        offset: Place in the partition.
        value: Content; empty if the message has none.
        enqueued_at: When the broker or the sender stamped it, in UTC; None for a folder.
    """

    topic: str
    partition: int
    offset: int
    value: bytes
    enqueued_at: datetime | None


class MessageSource(Protocol):
    """A source of messages, read by one thread from offsets that its reader keeps."""

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions, which may become more.

        Raises:
            LakehouseError: there is no such topic, or the source does not answer.
        """
        ...

    def assign(self, topic: str, offsets: Mapping[int, int | None]) -> None:
        """Read partitions of a topic in addition to those that are read already.

        Args:
            topic: Name of the topic.
            offsets: Offset of the next message by partition; None for the first that there is. A
                partition that is read already continues at this offset.

        Raises:
            RetentionGapError: messages from that offset on are gone.
            LakehouseError: the partition ends before the offset, or the source does not answer.
        """
        ...

    def poll(self, most: int, seconds: float) -> list[Message]:
        """Return messages, those of a partition in their order.

        Args:
            most: Return as soon as there are so many.
            seconds: Return after this time with what there is; 0 for what is there now.

        Raises:
            RetentionGapError: the next messages of a partition are gone.
            LakehouseError: the source does not accept the reader, or has not answered for as long
                as `LAKEHOUSE_REQUEST_TIMEOUT` says.
        """
        ...

    def positions(self) -> dict[tuple[str, int], int]:
        """Return the next offset of each assigned partition, by topic and partition.

        It is beyond the last message that `poll` returned, and beyond offsets without a message,
        such as the control records of transactions, as far as they have been passed.
        """
        ...

    def ends(self) -> dict[tuple[str, int], int]:
        """Return the offset behind the last readable message of each assigned partition.

        Raises:
            LakehouseError: the source does not answer.
        """
        ...

    def app_id(self, topic: str, partition: int) -> str:
        """Return the id of Delta transactions whose versions are offsets of this partition.

        It says which cluster or folder it is about, so that offsets of one are never taken for
        those of another.
        """
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class RetentionGapError(LakehouseError):
    """Messages that were not read are gone from the source.

    Attributes:
        topic: Name of the topic.
        partition: Number of its partition.
        wanted: Offset of the message to read next.
        first: First offset that there is.
    """

    def __init__(self, topic: str, partition: int, wanted: int, first: int) -> None:
        super().__init__(
            f"{first - wanted} offsets of topic {topic}, partition {partition} are gone: the lake "
            f"has read up to offset {wanted}, but the first available offset is {first}. Keep "
            "messages longer than the longest pause of the stream. To continue without the lost "
            "ones, set LAKEHOUSE_STREAM_<NAME>_GROUP to a new name: the topic is then read again, "
            "and events that the lake already has become duplicates."
        )
        self.topic, self.partition, self.wanted, self.first = topic, partition, wanted, first


def check_offset(topic: str, partition: int, wanted: int, first: int, end: int) -> None:
    """Check that reading can begin at an offset.

    Args:
        topic: Name of the topic.
        partition: Number of its partition.
        wanted: Offset of the message to read next.
        first: First offset that there is.
        end: Offset behind the last message.

    Raises:
        RetentionGapError: messages before the first were not read.
        LakehouseError: the offset is beyond the end.
    """
    if wanted < first:
        raise RetentionGapError(topic, partition, wanted, first)
    if wanted > end:
        raise LakehouseError(
            f"Topic {topic}, partition {partition} ends at offset {end}, but the lake has read up "
            f"to offset {wanted}: the topic was recreated, or its broker lost messages. To read "
            "the topic from its beginning, set LAKEHOUSE_STREAM_<NAME>_GROUP to a new name; events "
            "that the lake already has become duplicates."
        )


def variable_of(name: str) -> str:
    """Return the name of the variable for a stream source's address."""
    return f"LAKEHOUSE_STREAM_{name.upper()}"


def address_of(name: str) -> str | None:
    """Return the configured address of a source; None if it has none.

    Raises:
        LakehouseError: the file with the address cannot be read.
    """
    return secret_of(variables(), variable_of(name))


def open_stream(
    name: str, identity: Identity = DEFAULT, default: Path | None = None
) -> MessageSource:
    """Open a source of messages at its configured address.

    Args:
        name: Name of the source, such as `devices`.
        identity: Identity for which tokens are requested if Event Hubs has no connection string.
        default: Folder to read if no address is configured.

    Raises:
        LakehouseError: there is no address, or it is not one of a stream, or a secret is missing.
    """
    variable, given = variable_of(name), variables()
    group = given.get(f"{variable}_GROUP") or GROUP
    if not re.fullmatch(r"[\w.-]+", group, re.ASCII):
        raise LakehouseError(
            f"{variable}_GROUP may only contain letters, digits, dots, hyphens and underscores; "
            "correct it."
        )
    address = address_of(name) or (str(default) if default else None)
    if address is None:
        raise LakehouseError(
            f"The stream {name} has no address; set {variable} to kafka://host:port, "
            "eventhubs://<namespace>.servicebus.windows.net or a folder."
        )
    if "://" in address:
        from lakehouse_assets.sources.kafka_address import parse

        try:
            from lakehouse_assets.sources.kafka import KafkaSource
        except ImportError:
            raise LakehouseError(
                f"The stream {name} needs a Kafka client; install lakehouse_assets[streams]."
            ) from None
        password = secret_of(given, f"{variable}_PASSWORD")
        return KafkaSource(parse(variable, address, password, identity), group)
    from lakehouse_assets.sources.folder_stream import FolderSource

    try:
        return FolderSource(plainly_named(local_folder(address)), group)
    except ValueError as error:
        raise LakehouseError(f"{variable} cannot be used: {error}; name another folder.") from None
