"""The simulator of thermostats and visitor counters: messages of both hubs, to a folder or Kafka.

A message is one JSON array with a reading of each device, as the reference lab sends it every five
seconds. If a fault of `DeviceConfig` makes a store's readings late, they are a separate message.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from lakehouse_assets import clock
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sample.command import add_options
from lakehouse_assets.sample.retail.device_world import (
    STORES,
    Anomaly,
    DeviceConfig,
    HourReadings,
    Whole,
    World,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.sample.retail.device_kafka import KafkaSink

Hub = Literal["thermostat", "occupancy"]
SAMPLE = DeviceConfig(
    seed=1752, hours=72, interval=120, per_store=1, life_days=200.0, broken=0.002, unknown=0.002,
    celsius=0.01, silent=0.01,
)  # fmt: skip
"""The three days of one device per store in `data/streams/devices`; one device fails at night."""
_File: TypeAlias = BufferedWriter | gzip.GzipFile
HUBS: tuple[Hub, ...] = ("thermostat", "occupancy")
UNKNOWN_DEVICE = '{"DeviceId":"TH999","City":"Redmond","StoreID":"S999","EnqueuedTimeUTC":"'
_LATEST = 1800
_PAUSE = 0.1
_STATE = "simulated.json"
# Hours of a simulation that is interrupted sometime: a century.
_FOREVER = 876_600
_NEVER = 2**62
_TENTHS = [f"{tenths / 10:.1f}" for tenths in range(1001)]


@dataclass(frozen=True)
class Messages:
    """Messages of one hub, in the order of their arrival.

    Attributes:
        hub: The hub, which is also the topic.
        arrivals: When each arrives, in milliseconds since 1970.
        values: Their JSON text.
        faults: How often each fault was injected, by the name of its rate in `DeviceConfig`.
    """

    hub: Hub
    arrivals: Whole
    values: list[bytes]
    faults: dict[str, int]


def hour_messages(world: World, hub: Hub, readings: HourReadings) -> Messages:
    """Return the messages of an hour's readings; up to an hour later than the hour's end."""
    import pyarrow as pa
    import pyarrow.compute as pc

    config, ticks = world.config, readings.ticks
    rng = config.random(hub, int(ticks[0]) // 3600)
    count = len(ticks)
    # Message numbers: one per tick, and one per tick and store for what comes late.
    stores = np.array([device.store for device in readings.devices])
    late = rng.random((count, STORES)) < config.late
    number = np.where(
        late[:, stores],
        count + np.arange(count)[:, None] * STORES + stores,
        np.arange(count)[:, None],
    )
    texts, owners = _reading_texts(world, hub, readings), number[readings.sent]
    strangers = np.flatnonzero(rng.random(count) < config.unknown)
    if len(strangers):
        texts = pa.concat_arrays([texts, _stranger_texts(texts, owners, strangers, ticks)])
        owners = np.concatenate([owners, strangers])
    order = np.argsort(owners, kind="stable")
    present, sizes = np.unique(owners, return_counts=True)
    lists = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32()), texts.take(pa.array(order))
    )
    joined = pc.binary_join_element_wise("[", pc.binary_join(lists, ","), "]", "")
    values = np.array([value.encode() for value in joined.to_pylist()], dtype=object)
    tick = np.where(present < count, present, (present - count) // STORES)
    delayed = np.where(present < count, 0.2, rng.uniform(1, _LATEST, len(present)))
    swapped = rng.random(len(present)) < config.swapped
    delayed = delayed + swapped * rng.uniform(0, 3 * config.interval, len(present))
    arrivals = np.round((ticks[tick] + delayed) * 1000).astype(np.int64)
    # Whole minutes are sent again, and some messages have a copy before them that is cut off.
    minutes = rng.random(60) < config.replayed
    again = np.flatnonzero(minutes[(ticks[tick] // 60) % 60])
    cut = np.flatnonzero(rng.random(len(present)) < config.broken)
    halves = [value[: rng.integers(1, len(value))] for value in values[cut]]
    arrivals = np.concatenate(
        [arrivals, arrivals[again] + rng.integers(1000, _LATEST * 1000), arrivals[cut] - 1]
    )
    values = np.concatenate([values, values[again], np.array(halves, dtype=object)])
    order = np.argsort(arrivals, kind="stable")
    faults = {
        "late": int((present >= count).sum()),
        "replayed": len(again),
        "swapped": int(swapped.sum()),
        "broken": len(cut),
        "unknown": len(strangers),
        "celsius": int((readings.celsius & readings.sent).sum()),
        "skewed": int(((readings.clocks != ticks[:, None]) & readings.sent).sum()),
        "silent": int((~readings.sent).sum()),
    }
    return Messages(hub, arrivals[order], values[order].tolist(), faults)


def _reading_texts(world: World, hub: Hub, readings: HourReadings) -> pa.StringArray:
    """Return the JSON objects of the readings that are sent, by time and device."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sent = readings.sent
    heads = pa.array(
        [
            f'{{"DeviceId":"{device.device_id}","City":"{world.cities[device.store]}",'
            f'"StoreID":"{device.store_id}","EnqueuedTimeUTC":"'
            for device in readings.devices
        ]
    )
    clocks, place = np.unique(readings.clocks[sent], return_inverse=True)
    moments = pa.array(np.datetime_as_string(clocks.astype("datetime64[s]"), timezone="UTC"))
    parts: list[Any] = [
        heads.take(pa.array(np.nonzero(sent)[1])),
        moments.take(pa.array(place)),
        '","BatteryLevel":',
        _text(readings.battery[sent]),
    ]
    if hub == "thermostat":
        celsius = readings.celsius[sent]
        degrees = readings.temperature[sent]
        degrees = np.where(celsius, (degrees - 32) / 1.8, degrees)
        tenths = np.round(degrees * 10).astype(np.int64)
        units = pa.array([',"Temp_UoM":"F"}', ',"Temp_UoM":"C"}'])
        parts += [
            ',"Temp":',
            pa.array(_TENTHS).take(pa.array(tenths)),
            units.take(pa.array(celsius.astype(np.int64))),
        ]
    else:
        fields = {
            "visitors_cnt": readings.visitors,
            "visitors_in": readings.entered,
            "visitors_out": readings.gone,
            "avg_aisle_time_spent": readings.aisle,
            "avg_dwell_time": readings.dwell,
        }
        for name, values in fields.items():
            parts += [f',"{name}":', _text(values[sent])]
        parts.append("}")
    return pc.binary_join_element_wise(*parts, "")


def _text(values: Whole) -> pa.StringArray:
    import pyarrow as pa

    return pa.array(values).cast(pa.string())


def _stranger_texts(
    texts: pa.StringArray, owners: Whole, strangers: Whole, ticks: Whole
) -> pa.StringArray:
    """Return readings of an unknown device: those of another one under its name."""
    import pyarrow as pa

    found = []
    for message in strangers:
        moment = np.datetime_as_string(ticks[message].astype("datetime64[s]"), timezone="UTC")
        same = np.flatnonzero(owners == message)
        model = texts[int(same[0]) if len(same) else 0].as_py()
        found.append(f"{UNKNOWN_DEVICE}{moment}{model[model.index(chr(34) + ',', 80) :]}")
    return pa.array(found)


def hourly_messages(world: World, first: int | None = None) -> Iterator[list[Messages]]:
    """Generate the messages of the configured hours, by the hour in which they arrive.

    The last list holds what arrives after the last hour.

    Args:
        world: The stores and devices.
        first: The first hour, counted from 1970; the configured one by default.
    """
    first = world.config.first_hour if first is None else first
    last = first + world.config.hours
    waiting = {hub: Messages(hub, np.empty(0, np.int64), [], {}) for hub in HUBS}
    for hour in range(first, last):
        readings = world.hour(hour)
        found = []
        for hub in HUBS:
            made, before = hour_messages(world, hub, readings), waiting[hub]
            arrivals = np.concatenate([before.arrivals, made.arrivals])
            values = before.values + made.values
            order = np.argsort(arrivals, kind="stable").tolist()
            arrivals, values = arrivals[order], [values[place] for place in order]
            due = int(np.searchsorted(arrivals, (hour + 1) * 3_600_000))
            found.append(Messages(hub, arrivals[:due], values[:due], made.faults))
            waiting[hub] = Messages(hub, arrivals[due:], values[due:], {})
        yield found
    yield list(waiting.values())


def planted_anomalies(config: DeviceConfig) -> tuple[Anomaly, ...]:
    """Return the planted anomalies of the configured span, by hour and device."""
    world = World(config)
    hours = range(config.first_hour, config.first_hour + config.hours)
    return tuple(anomaly for hour in hours for anomaly in world.hour(hour).anomalies)


class FolderSink:
    """Writes messages as files of lines: `<folder>/<hub>/<partition>/<first offset>.jsonl[.gz]`.

    Messages go to the partitions in turn. A folder that has messages already is continued.

    Args:
        folder: The folder.
        partitions: Partitions of each hub.
        compressed: Whether to write one complete `.gz` file in the end, instead of lines that can
            be read as soon as they are flushed, a new file after each 10,000 messages.
    """

    _LINES = 10_000

    def __init__(self, folder: Path, partitions: int = 1, *, compressed: bool = False) -> None:
        self._partitions = partitions
        self._compressed = compressed
        self._folder = folder
        self._ends: dict[tuple[Hub, int], int] = {}
        self._files: dict[tuple[Hub, int], tuple[Path, int, _File]] = {}
        self._sent = dict.fromkeys(HUBS, 0)
        for hub in HUBS:
            for partition in range(partitions):
                self._ends[hub, partition] = _end_of(folder / hub / str(partition))

    def send(self, hub: Hub, values: Sequence[bytes]) -> None:
        """Write messages."""
        turn = self._sent[hub]
        for partition in range(self._partitions):
            mine = values[(partition - turn) % self._partitions :: self._partitions]
            if mine:
                self._write(hub, partition, mine)
        self._sent[hub] += len(values)

    def _write(self, hub: Hub, partition: int, values: Sequence[bytes]) -> None:
        end = self._ends[hub, partition]
        opened = self._files.get((hub, partition))
        if opened is None or (not self._compressed and end - opened[1] >= self._LINES):
            if opened is not None:
                opened[2].close()
            opened = self._files[hub, partition] = self._open(hub, partition, end)
        opened[2].write(b"".join(value + b"\n" for value in values))
        self._ends[hub, partition] = end + len(values)

    def _open(self, hub: Hub, partition: int, first: int) -> tuple[Path, int, _File]:
        folder = self._folder / hub / str(partition)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{first:020}.jsonl"
        if not self._compressed:
            return path, first, path.open("ab")
        # Without the time, so that equal messages give equal bytes.
        return path, first, gzip.GzipFile(path.with_suffix(".tmp"), "wb", 9, mtime=0)

    def flush(self) -> None:
        """Make the lines that were written readable."""
        for _, _, file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Complete the files."""
        for path, _, file in self._files.values():
            file.close()
            if isinstance(file, gzip.GzipFile):
                path.with_suffix(".tmp").replace(path.with_suffix(".jsonl.gz"))
        self._files.clear()


def _end_of(folder: Path) -> int:
    """Return the offset after the last message of a partition's folder."""
    files = sorted(folder.glob("*.jsonl*")) if folder.is_dir() else []
    if not files:
        return 0
    content = files[-1].read_bytes()
    if files[-1].suffix == ".gz":
        content = gzip.decompress(content)
    elif not content.endswith(b"\n"):
        # A process that was killed has left half a line.
        with files[-1].open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
    return int(files[-1].name.split(".")[0]) + content.count(b"\n")


def send(
    config: DeviceConfig,
    sink: FolderSink | KafkaSink,
    *,
    speed: float = 0,
    start: datetime | None = None,
    stop: threading.Event | None = None,
    on_time: Callable[[datetime], None] | None = None,
) -> dict[str, int]:
    """Send the messages of the configured hours, each when it arrives.

    Args:
        config: What to simulate.
        sink: Where the messages go.
        speed: How much faster than real time; 0 sends as fast as possible.
        start: Messages that arrive earlier (UTC) are left out; with a speed, this moment is now.
        stop: Ends the sending early when it is set.
        on_time: Called with the simulated time up to which everything has been sent.

    Returns:
        The number of messages of each hub, and how often each fault was injected.
    """
    world, stop = World(config), stop or threading.Event()
    # The hour before has messages that come late.
    first = config.first_hour if start is None else int(start.timestamp()) // 3600 - 1
    begin = config.first_hour * 3_600_000 if start is None else round(start.timestamp() * 1000)
    began = time.monotonic()
    counts: dict[str, int] = dict.fromkeys(HUBS, 0)
    for number, hour in enumerate(hourly_messages(world, first), start=first):
        for messages in hour:
            for fault, times in messages.faults.items():
                counts[f"{messages.hub} {fault}"] = counts.get(f"{messages.hub} {fault}", 0) + times
        places = [int(np.searchsorted(messages.arrivals, begin)) for messages in hour]
        while any(p < len(m.values) for p, m in zip(places, hour, strict=True)):
            passed = (time.monotonic() - began) * 1000 * speed
            now = min(begin + int(passed), (number + 1) * 3_600_000 - 1) if speed else _NEVER
            for index, messages in enumerate(hour):
                due = int(np.searchsorted(messages.arrivals, now, "right"))
                if due > places[index]:
                    sink.send(messages.hub, messages.values[places[index] : due])
                    counts[messages.hub] += due - places[index]
                    places[index] = due
            if speed:
                sink.flush()
                if on_time is not None:
                    on_time(datetime.fromtimestamp((now + 1) / 1000, UTC))
                if stop.wait(_PAUSE):
                    return counts
    return counts


def simulate(folder: Path, start: datetime, speed: float, stop: threading.Event) -> None:
    """Send messages of all devices to a folder until `stop` is set; a folder is continued.

    Args:
        folder: The folder; the file `simulated.json` in it says how far it got.
        start: The simulated time (UTC) to begin with, unless the folder got further.
        speed: How much faster than real time.
        stop: Ends the simulation.
    """
    state = folder / _STATE
    start = max(start, simulated_until(folder) or start)
    sink = FolderSink(folder)

    def save(until: datetime) -> None:
        written = state.with_suffix(".tmp")
        written.write_text(json.dumps({"until": until.isoformat()}))
        written.replace(state)

    config = DeviceConfig(start=start.date(), hours=_FOREVER)
    try:
        send(config, sink, speed=speed, start=start, stop=stop, on_time=save)
    finally:
        sink.close()


def simulated_until(folder: Path) -> datetime | None:
    """Return the simulated time (UTC) that a folder has reached; None if it has no simulation."""
    state = folder / _STATE
    return (
        datetime.fromisoformat(json.loads(state.read_text())["until"]) if state.exists() else None
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lakehouse_assets.sample.retail.devices",
        description="Simulate the messages of thermostats and visitor counters; equal options give "
        f"equal messages.\n\n{DeviceConfig.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="folder of the messages")
    target.add_argument(
        "--kafka", action="store_true", help="send them to the broker in LAKEHOUSE_STREAM_DEVICES"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="begin now instead of at the start, each message at its time, until interrupted",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="with --live: default: 1.0")
    parser.add_argument(
        "--sample", action="store_true", help="make data/streams/devices; other options do nothing"
    )
    add_options(parser, DeviceConfig)
    values = vars(parser.parse_args(arguments))
    out, live, speed = values.pop("out"), values.pop("live"), values.pop("speed")
    sample = values.pop("sample")
    del values["kafka"]
    start = clock.now() if live else None
    try:
        config = SAMPLE if sample else DeviceConfig(**values)
        sink = _sink(out, config.partitions, continued=live)
    except (ValueError, FileExistsError, LakehouseError) as problem:
        parser.error(str(problem))
    if start is not None:
        config = replace(config, start=start.date(), hours=_FOREVER)
    try:
        with closing(sink):
            counts = send(config, sink, speed=speed if live else 0, start=start)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
    except LakehouseError as problem:
        parser.error(str(problem))
    else:
        sys.stdout.write(json.dumps(counts, indent=2) + "\n")


def _sink(out: Path | None, partitions: int, *, continued: bool) -> FolderSink | KafkaSink:
    """Open the folder, or the broker if there is none."""
    if out is None:
        from lakehouse_assets.sample.retail.device_kafka import kafka_sink

        return kafka_sink(partitions)
    if not continued and any((out / hub).exists() for hub in HUBS):
        raise FileExistsError(f"{out} has messages already; choose another folder")
    return FolderSink(out, partitions, compressed=not continued)


if __name__ == "__main__":
    main()
