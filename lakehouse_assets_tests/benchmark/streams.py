"""Streams: events a second, time from event to minute, a day of the lab's volume, anomalies.

python -m lakehouse_assets_tests.benchmark.streams [rate|latency|day|anomalies ...]

Each part is a process of its own, so that its memory is its own. Rates are per second of processor
time, which a busy machine changes little; `rate` reads from Kafka if `make kafka` has fetched it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.domains.retail.streams.occupancy import OCCUPANCY
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake import log
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.maintenance import maintain
from lakehouse_assets.ml.series import series_decompose_anomalies
from lakehouse_assets.orchestration.live_streams import LiveStreams
from lakehouse_assets.orchestration.signals import StopRequest
from lakehouse_assets.sample.retail.device_world import DeviceConfig, World
from lakehouse_assets.sample.retail.devices import FolderSink, hourly_messages, send
from lakehouse_assets.settings import Settings
from lakehouse_assets.sources.folder_stream import FolderSource
from lakehouse_assets.sources.messages import MessageSource
from lakehouse_assets.streams.ingest import Ingest, drain

PARTITIONS = 4
EVENTS_PER_SECOND = 40
CADENCE = 5.0


def main() -> int:
    """Measure the parts that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="parts; default: all")
    parser.add_argument("--hours", type=int, default=24, help="hours of `day`")
    parser.add_argument("--seconds", type=float, default=90.0, help="seconds of `latency`")
    given = parser.parse_args()
    if len(given.parts) == 1:
        with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
            PARTS[given.parts[0]](Path(folder), given)
        return 0
    for part in given.parts or PARTS:
        options = ["--hours", str(given.hours), "--seconds", str(given.seconds)]
        done = subprocess.run([sys.executable, "-m", __spec__.name, part, *options], check=False)
        if done.returncode:
            return done.returncode
    load = os.getloadavg()[0]
    say(f"load of the machine: {load:.1f} on {os.cpu_count()} cores")
    return 0


def rate(folder: Path, _given: argparse.Namespace) -> None:
    """Events per second of processor time, from messages of 100 devices to typed tables."""
    config = DeviceConfig(hours=6, partitions=PARTITIONS)
    with topic(folder, config) as (source, what):
        lake = lake_of(folder / "lake", THERMOSTAT)
        cpu, wall = time.process_time(), time.monotonic()
        events = read(THERMOSTAT, source, lake)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    stored = sum(lake.rows_by_partition(silver_table(THERMOSTAT)).values())
    say(
        f"rate: {events:,} events from {what} to bronze, silver and minutes ({stored:,} rows of "
        f"silver): {events / cpu:,.0f} events per second of processor time, {events / wall:,.0f} "
        f"per second of the clock, {peak()}"
    )


@contextmanager
def topic(folder: Path, config: DeviceConfig) -> Iterator[tuple[MessageSource, str]]:
    """Fill a topic of thermostats: of Kafka if it is there, otherwise of a folder."""
    from lakehouse_assets_tests.sources.servers import MissingError
    from lakehouse_assets_tests.streams.broker import running_broker

    values = [
        value
        for hour in hourly_messages(World(config))
        for messages in hour
        if messages.hub == "thermostat"
        for value in messages.values
    ]
    try:
        with running_broker() as broker:
            from lakehouse_assets.sources.messages import open_stream

            broker.make_topic("thermostat", config.partitions)
            for partition in range(config.partitions):
                broker.send("thermostat", values[partition :: config.partitions], partition)
            os.environ["LAKEHOUSE_STREAM_DEVICES"] = f"kafka://{broker.address}"
            source = open_stream("devices")
            yield source, "Kafka"
            source.close()
    except MissingError:
        sink = FolderSink(folder / "topic", config.partitions)
        sink.send("thermostat", values)
        sink.close()
        yield FolderSource(folder / "topic"), "a folder"


def latency(folder: Path, given: argparse.Namespace) -> None:
    """Seconds from an event to its minute, at the lab's rate and a cadence of five seconds."""
    topic_folder = folder / "topic" / "thermostat" / "0"
    topic_folder.mkdir(parents=True)
    stop, sent = threading.Event(), deque[float]()

    def produce() -> None:
        with (topic_folder / f"{0:020}.jsonl").open("a", encoding="utf-8") as file:
            while not stop.wait(1 / EVENTS_PER_SECOND):
                moment = clock.now()
                event = {
                    "DeviceId": f"TH{len(sent) % 100 + 1:03}", "City": "Miami", "StoreID": "S001",
                    "EnqueuedTimeUTC": moment.isoformat(),
                    "BatteryLevel": 80, "Temp": 67.1, "Temp_UoM": "F",
                }  # fmt: skip
                file.write(json.dumps(event) + "\n")
                file.flush()
                sent.append(time.monotonic())

    waits: list[float] = []

    def note(live: LiveStreams) -> None:
        read_now = live.streams[0].total.progress.get(("thermostat", 0), 0)
        now = time.monotonic()
        waits.extend(now - sent[number] for number in range(len(waits), read_now))

    settings = Settings(root=folder / "lake", dagster_home=folder / "dagster")
    lake = lake_of(folder / "lake", THERMOSTAT)
    streams = LiveStreams(
        [(THERMOSTAT, lambda: FolderSource(folder / "topic"))], settings, lake, "bench", CADENCE
    )
    producer = threading.Thread(target=produce)
    producer.start()
    try:
        streams.run(StopRequest(), note, given.seconds)
    finally:
        stop.set()
        producer.join()
    # The first round opens the tables.
    found = np.array(waits[EVENTS_PER_SECOND * 10 :])
    p50, p99 = np.percentile(found, [50, 99])
    say(
        f"latency: {len(found):,} events at {EVENTS_PER_SECOND}/s, cadence {CADENCE:.0f} s: from "
        f"event to minute p50 {p50:.2f} s, p99 {p99:.2f} s"
    )


def day(folder: Path, given: argparse.Namespace) -> None:
    """A day of both hubs: processor time, memory and files, compacted as often as in an hour."""
    config = DeviceConfig(hours=given.hours)
    generated = time.process_time()
    sink = FolderSink(folder / "topic")
    counts = send(config, sink)
    sink.close()
    generated = time.process_time() - generated
    before = peak()
    events, most, cpu, wall = 0, 0, time.process_time(), time.monotonic()
    for stream in (THERMOSTAT, OCCUPANCY):
        lake = lake_of(folder / "lake", stream)
        ingest = Ingest(stream, FolderSource(folder / "topic"), lake, "bench")
        for number, cycle in enumerate(drain(ingest)):
            events += cycle.events
            if number % 8 == 7:
                most = max(most, files(lake, stream))
                for table in stream_tables(stream):
                    maintain(lake, table, ordered=False)
        for table in stream_tables(stream):
            maintain(lake, table, ordered=False)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    left = {stream.name: files(lake_of(folder / "lake", stream), stream)
            for stream in (THERMOSTAT, OCCUPANCY)}  # fmt: skip
    say(
        f"day: {events:,} events of {given.hours} h ({counts['thermostat'] + counts['occupancy']:,}"
        f" messages, {generated:.0f} s of processor time to simulate): {cpu:.0f} s of processor "
        f"time, {events / cpu:,.0f} events per second of it, {wall:.0f} s of the clock; {peak()} "
        f"(before: {before}); at most {most} files of a stream, {left} in the end"
    )


def anomalies(_folder: Path, _given: argparse.Namespace) -> None:
    """Anomalies of 100 devices in three days of minutes."""
    rng = np.random.default_rng(1)
    minutes = np.arange(3 * 1440)
    daily = 67 + 3 * np.sin(2 * np.pi * minutes / 1440)
    series = daily + rng.normal(0, 0.3, (100, len(minutes)))
    series_decompose_anomalies(series[:, :2880], seasonality=1440)
    cpu = time.process_time()
    found = series_decompose_anomalies(series, seasonality=1440)
    cpu = time.process_time() - cpu
    say(
        f"anomalies: 100 devices x {len(minutes):,} minutes: {cpu:.2f} s of processor time "
        f"({np.count_nonzero(found.flag):,} flags)"
    )


def read(stream: Stream, source: MessageSource, lake: Lake) -> int:
    """Read a stream to its end; return the number of its events."""
    ingest = Ingest(stream, source, lake, "bench")
    return sum(cycle.events for cycle in drain(ingest, most=100_000))


def lake_of(root: Path, stream: Stream) -> Lake:
    """Open a lake with the tables of a stream."""
    return Lake(root, start_engine(threads=1), Registry(stream_tables(stream)))


def files(lake: Lake, stream: Stream) -> int:
    """Count the live files of a stream's tables."""
    found = [lake.open(table) for table in stream_tables(stream)]
    return sum(len(log.files_of(table)) for table in found if table is not None)


def peak() -> str:
    """Return the largest resident memory of this process so far."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB at most"


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


PARTS = {"rate": rate, "latency": latency, "day": day, "anomalies": anomalies}


if __name__ == "__main__":
    sys.exit(main())
