"""How far the streams have been read, from their tables' logs and the ends of their topics."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.streams import Stream, bronze_events, minutes
from lakehouse_assets.domains import STREAMS
from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.table_path import LakeRoot
from lakehouse_assets.orchestration.stream_reader import (
    open_source,
    positions_of,
    simulated_folder,
)
from lakehouse_assets.settings import Settings
from lakehouse_assets.sources.folder_stream import FolderSource

if TYPE_CHECKING:
    from lakehouse_assets.sources.messages import MessageSource

# A broker that does not answer must not delay the others.
_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class StreamStatus:
    """How far a partition of a stream's topic has been read.

    Attributes:
        stream: The stream, as <domain>/<name>.
        table: Its bronze table, as <domain>.<table>.
        simulated: Whether the messages are those of `lakehouse stream --simulate`.
        partition: Number of the partition; None if the source did not answer.
        offset: Offset of the next message.
        lag: Messages not read yet.
        last_event: Time of the newest event in silver.
        closed_minute: Newest minute that is closed.
        problem: Why the source did not answer.
    """

    stream: str
    table: str
    simulated: bool = False
    partition: int | None = None
    offset: int | None = None
    lag: int | None = None
    last_event: datetime | None = None
    closed_minute: datetime | None = None
    problem: str = ""


def stream_status(settings: Settings) -> list[StreamStatus]:
    """Return the status of each partition of the streams that have an address, or were read."""
    found: list[StreamStatus] = []
    root = LakeRoot(settings.root, settings.identity)
    for stream in STREAMS:
        moments = _moments(stream, root)
        folder = simulated_folder(settings, stream.source)
        given = partial(open_source, stream.source, settings.landing, settings.identity)
        opened: list[Callable[[], MessageSource | None]] = [given]
        if folder.is_dir():
            opened.append(partial(FolderSource, folder))
        for connect in opened:
            known = moments | {"simulated": connect is not given}
            found += _partitions(stream, connect, root, known)
    return found


def _partitions(
    stream: Stream,
    connect: Callable[[], MessageSource | None],
    root: LakeRoot,
    known: dict[str, Any],
) -> Iterator[StreamStatus]:
    bronze = bronze_events(stream)
    named = {"stream": stream.path, "table": bronze.full_name, **known}
    result: list[StreamStatus] = []
    problems = [f"The source did not answer within {_PATIENCE_SECONDS:.0f} seconds."]

    def ask() -> None:
        try:
            source = connect()
            if source is not None:
                with closing(source):
                    result.extend(
                        StreamStatus(**named, partition=p.partition, offset=p.offset, lag=p.lag)
                        for p in positions_of(stream, source, root)
                    )
            problems.clear()
        except LakehouseError as error:
            problems[:] = [str(error)]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    yield from [StreamStatus(**named, problem=problems[0])] if problems else result


def _moments(stream: Stream, root: LakeRoot) -> dict[str, datetime | None]:
    """Return the time of the newest event and the newest closed minute, from the logs."""
    last_event = closed = None
    try:
        silver, by_minute = (
            log.open_table(root.table(table)) for table in (silver_table(stream), minutes(stream))
        )
    except DamagedTableError:
        # The status of that table reports the damage.
        return {}
    if silver is not None:
        actions = silver.get_add_actions(flatten=True)
        name = f"max.{stream.event_time}"
        moments = actions[name].to_pylist() if name in actions.schema.names else []
        last_event = max((m.astimezone(UTC) for m in moments if m), default=None)
    written = by_minute and log.last_write(by_minute)
    if written and written.commit and written.commit.state:
        before = datetime.fromisoformat(json.loads(written.commit.state)["closed_before"])
        closed = before - timedelta(minutes=1)
    return {"last_event": last_event, "closed_minute": closed}
