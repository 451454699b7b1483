"""Messages in memory, a lake for a stream, and its tables as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.registry import Registry, Table
from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.sources.messages import Message

START = datetime(2021, 9, 5, 23, 58, tzinfo=UTC)


class MemorySource:
    """Messages in memory, as a `MessageSource`.

    Args:
        partitions: The messages of each partition; more may be added while they are read.
        stride: Messages of a partition that are returned before those of the next one.
    """

    def __init__(self, topic: str, partitions: Sequence[list[Message]], stride: int = 1) -> None:
        self.topic, self.messages, self._stride = topic, partitions, stride
        self._next: dict[int, int] = {}

    def partitions(self, topic: str) -> list[int]:
        return list(range(len(self.messages)))

    def assign(self, topic: str, offsets: Mapping[int, int | None]) -> None:
        self._next.update({number: offset or 0 for number, offset in offsets.items()})

    def poll(self, most: int, seconds: float) -> list[Message]:
        found: list[Message] = []
        while len(found) < most:
            before = len(found)
            for number in sorted(self._next):
                take = min(self._stride, most - len(found))
                new = self.messages[number][self._next[number] :][:take]
                self._next[number] += len(new)
                found += new
            if len(found) == before:
                break
        return found

    def positions(self) -> dict[tuple[str, int], int]:
        return {(self.topic, number): offset for number, offset in self._next.items()}

    def ends(self) -> dict[tuple[str, int], int]:
        return {(self.topic, number): len(self.messages[number]) for number in self._next}

    def app_id(self, topic: str, partition: int) -> str:
        return f"memory:{topic}:{partition}"

    def close(self) -> None:
        pass


def reading(device: int = 1, seconds: float = 0, temp: Any = 67.1, **other: Any) -> dict[str, Any]:
    """Make a reading of a thermostat, `seconds` after two minutes before midnight."""
    return {
        "DeviceId": f"TH{device:03}",
        "City": "Miami",
        "StoreID": "S001",
        "EnqueuedTimeUTC": (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"),
        "BatteryLevel": 80,
        "Temp": temp,
        "Temp_UoM": "F",
    } | other


def sent(
    topic: str, values: Iterable[Any], partition: int = 0, received: datetime | None = None
) -> list[Message]:
    """Make the messages of a partition: bytes as they are, other values as JSON."""
    return [
        Message(topic, partition, offset,
                value if isinstance(value, bytes) else json.dumps(value).encode(), received)
        for offset, value in enumerate(values)
    ]  # fmt: skip


def stream_lake(root: Path | str, stream: Stream) -> Lake:
    """Open a lake of a stream's tables on the active engine."""
    return Lake(root, current.active(), Registry(stream_tables(stream)))


def rows(lake: Lake, table: Table, *names: str) -> list[tuple[Any, ...]]:
    """Read columns of a table, all but the time of ingestion by default, sorted."""
    wanted = names or tuple(n for n in table.column_names if n != "_ingested_at")
    with lake.engine.scope():
        return plain_rows(lake.engine, lake.read(table).select(*wanted))


def plain_rows(engine: Engine, frame: Any) -> list[tuple[Any, ...]]:
    """Run a frame; its rows as sorted tuples."""
    found = engine.rows(frame)
    return sorted((tuple(map(_plain, row.values())) for row in found), key=repr)


def _plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
