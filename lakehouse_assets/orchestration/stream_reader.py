"""Opens streams, one reader each, for Dagster's assets and for `lakehouse stream`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse_assets import clock
from lakehouse_assets.catalog.streams import Stream, bronze_events
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import STREAMS
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.local_lock import claim
from lakehouse_assets.lake.log import open_table
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import Location

# Imported where a stream is read, because few processes that load the definitions read one.
if TYPE_CHECKING:
    from lakehouse_assets.settings import Settings
    from lakehouse_assets.sources.messages import MessageSource
    from lakehouse_assets.streams.ingest import Ingest


class StreamTakenError(LakehouseError):
    """Another process reads the stream."""

    def __init__(self, stream: Stream, who: str) -> None:
        super().__init__(
            f"The stream {stream.path} is being read by {who}; a stream has one reader, so wait "
            "for it to end, or stop it first."
        )


def folder_of(source: str, landing: Location) -> Path | None:
    """Return the folder of a stream's source in the landing zone; None in cloud storage."""
    return landing / STREAMS / source if isinstance(landing, Path) else None


def simulated_folder(settings: Settings, source: str) -> Path:
    """Return the folder of simulated messages, unless the source's address is one."""
    return settings.dagster_home.parent / STREAMS / source


def open_source(source: str, landing: Location, identity: Identity) -> MessageSource | None:
    """Open a stream's source; None if it has no address and no folder in the landing zone.

    Args:
        source: Name of the source, such as `devices`.
        landing: The landing zone.
        identity: Identity for which tokens are requested.

    Raises:
        LakehouseError: the address cannot be used.
    """
    from lakehouse_assets.sources.messages import address_of, open_stream

    folder = folder_of(source, landing)
    if address_of(source) is None and not (folder and folder.is_dir()):
        return None
    return open_stream(source, identity, folder)


@contextmanager
def reading(
    stream: Stream, source: MessageSource, lake: Lake, run_id: str, who: str
) -> Iterator[Ingest]:
    """Read a stream from where its tables end, as its only reader; closes the source at the end.

    Args:
        stream: The stream.
        source: The source of its messages.
        lake: The lake.
        run_id: The run that is recorded in the tables' histories.
        who: The reader, named in the message to others who want to read.

    Raises:
        StreamTakenError: another process reads it.
        LakehouseError: the source or the lake cannot be used.
    """
    bronze = bronze_events(stream)
    lake.ensure(bronze)
    text = f"{who} (process {os.getpid()} on {socket.gethostname()}, since {clock.now():%H:%M} UTC)"
    with closing(source), claim(lake.uri(bronze), text) as taken:
        if taken is not None:
            raise StreamTakenError(stream, taken)
        yield _opened(stream, source, lake, run_id)


def _opened(stream: Stream, source: MessageSource, lake: Lake, run_id: str) -> Ingest:
    """Open a stream; if Spark is the engine, it reads a broker itself."""
    from lakehouse_assets.sources.folder_stream import FolderSource
    from lakehouse_assets.streams.ingest import Ingest

    if lake.engine.name == "spark" and not isinstance(source, FolderSource):
        from lakehouse_assets.sources.kafka import KafkaSource
        from lakehouse_assets.streams.spark import SparkIngest

        if isinstance(source, KafkaSource):
            return SparkIngest(stream, source, lake, run_id)
    return Ingest(stream, source, lake, run_id)


@dataclass(frozen=True)
class Position:
    """How far a partition of a stream's topic has been read.

    Attributes:
        partition: Number of the partition.
        offset: Next offset.
        end: Offset behind the last message.
    """

    partition: int
    offset: int
    end: int

    @property
    def lag(self) -> int:
        """Messages not read yet."""
        return self.end - self.offset


def positions_of(stream: Stream, source: MessageSource, root: LakeRoot) -> list[Position]:
    """Return how far a stream has been read, from the logs of its tables.

    Raises:
        LakehouseError: the source does not answer, or messages are gone.
    """
    topic, bronze = stream.topic, open_table(root.table(bronze_events(stream)))
    partitions = source.partitions(topic)
    read = {p: bronze and bronze.transaction_version(source.app_id(topic, p)) for p in partitions}
    source.assign(topic, read)
    positions, ends = source.positions(), source.ends()
    return [Position(p, positions[topic, p], ends[topic, p]) for p in partitions]
