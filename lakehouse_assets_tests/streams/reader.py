"""A process that reads thermostats from a broker into a lake, and what one such lake must hold.

`python -m lakehouse_assets_tests.streams.reader LAKE BROKER TOPIC MOST` says `ready` when it begins
to read, and ends when nothing is left to read.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.catalog.streams import Stream, stream_tables
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.sources.kafka import KafkaSource
from lakehouse_assets.sources.kafka_address import KafkaAddress
from lakehouse_assets.streams.ingest import Ingest
from lakehouse_assets_tests.streams.broker import Broker

BEGIN = datetime(2021, 10, 20, 22, tzinfo=UTC)
DEVICES = 100


def thermostats(begin: int, end: int) -> Iterator[bytes]:
    """Yield messages of the lab's shape: each is a reading of every device, five seconds later."""
    for number in range(begin, end):
        moment = (BEGIN + timedelta(seconds=5 * number)).isoformat()
        yield json.dumps(
            [
                {
                    "DeviceId": f"TH{device:03}", "City": "Redmond",
                    "StoreID": f"S{device // 10:02}", "EnqueuedTimeUTC": moment,
                    "BatteryLevel": 100 - device % 50, "Temp_UoM": "F",
                    "Temp": 65 + (device * 7 + number) % 100 / 10,
                }
                for device in range(1, DEVICES + 1)
            ]
        ).encode()  # fmt: skip


def send_thermostats(
    broker: Broker,
    topic: str,
    end: int,
    begin: int = 0,
    partitions: int | None = None,
    *,
    faults: bool = False,
) -> None:
    """Send messages to the partitions of a topic in turn.

    Args:
        broker: The broker.
        topic: The topic.
        end: Number behind that of the last message.
        begin: Number of the first message.
        partitions: How many partitions the topic has, if that was changed just now.
        faults: Whether a broken message and a replayed one follow every tenth.
    """
    producer = broker.producer()
    count = partitions or len(producer.list_topics(topic, 10).topics[topic].partitions)
    for number, value in enumerate(thermostats(begin, end)):
        for copy in (value, b"broken", value) if faults and number % 10 == 9 else (value,):
            producer.produce(topic, copy, partition=number % count)
        producer.poll(0)
    assert producer.flush(60) == 0


def stream_of(topic: str) -> Stream:
    """Return the thermostats of another topic."""
    return replace(THERMOSTAT, topic=topic)


def lake_at(folder: Path, engine: Engine | None = None) -> Lake:
    """Open a lake of the thermostats' tables."""
    return Lake(folder, engine or start_engine(), Registry(stream_tables(THERMOSTAT)))


def source_at(address: str) -> KafkaSource:
    """Open the broker."""
    return KafkaSource(KafkaAddress("LAKEHOUSE_STREAM_DEVICES", "kafka", address))


def read_all(folder: Path, address: str, topic: str, most: int) -> None:
    """Read until nothing is left."""
    source = source_at(address)
    ingest = Ingest(stream_of(topic), source, lake_at(folder), "test")
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    while any(ingest.cycle(seconds=1, most=most).lag.values()):
        pass
    source.close()


def read_with_kills(
    broker: Broker, topic: str, folder: Path, *, kills: int, seed: int, most: int, longest: float
) -> int:
    """Start readers, and kill each at a random moment; the last one may end.

    Args:
        broker: Where the topic is.
        topic: The topic.
        folder: Folder of the lake.
        kills: How many readers are killed.
        seed: Seed of the moments.
        most: Maximum number of messages of a cycle.
        longest: Latest moment, in seconds after the reader is ready.

    Returns:
        How many were killed while they were reading; one that had nothing left was not.
    """
    moments, killed = random.Random(seed), 0  # noqa: S311
    for turn in range(kills + 1):
        arguments = [str(folder), broker.address, topic, str(most)]
        reader = subprocess.Popen(
            [sys.executable, "-m", "lakehouse_assets_tests.streams.reader", *arguments],
            stdout=subprocess.PIPE, env=os.environ | {"LAKEHOUSE_THREADS": "2"},
        )  # fmt: skip
        assert reader.stdout is not None
        with reader, reader.stdout:
            if turn < kills:
                # Every fourth one is killed as it begins, maybe while it finishes what was left.
                if turn % 4 != 3:
                    assert reader.stdout.readline() == b"ready\n"
                try:
                    reader.wait(moments.uniform(0, longest))
                except subprocess.TimeoutExpired:
                    reader.send_signal(signal.SIGKILL)
                    killed += 1
            assert reader.wait() in (0, -signal.SIGKILL)
    assert reader.returncode == 0
    return killed


def found_in(folder: Path) -> dict[str, int]:
    """Count the rows of a lake's tables, different events, and minutes that are not as recomputed.

    Returns:
        `bronze`, `silver` and `minutes` with their rows, `addresses`, `events` and `keys` with the
        different ones in each; `readings`, the sum of the minutes; `others`, the rows of rejects
        and quarantine; `wrong`, minutes that silver says otherwise.
    """
    lake, tables = lake_at(folder), stream_tables(THERMOSTAT)
    counts = """
        SELECT (SELECT count(*) FROM bronze_thermostat) AS bronze,
            (SELECT count(*) FROM silver_thermostat) AS silver,
            (SELECT count(*) FROM agg_thermostat_minute) AS minutes,
            (SELECT count(DISTINCT (_source, _offset, _index)) FROM bronze_thermostat) AS addresses,
            (SELECT count(DISTINCT (device_id, event_time)) FROM silver_thermostat) AS events,
            (SELECT count(DISTINCT (device_id, minute)) FROM agg_thermostat_minute) AS keys,
            (SELECT sum(readings)::BIGINT FROM agg_thermostat_minute) AS readings,
            (SELECT count(*) FROM bronze_thermostat_rejects)
                + (SELECT count(*) FROM silver_thermostat_quarantine) AS others,
            (SELECT count(*) FROM (
                SELECT device_id, date_trunc('minute', event_time), count(*), min(temp_f),
                    max(temp_f)
                FROM silver_thermostat GROUP BY 1, 2
                EXCEPT
                SELECT device_id, minute, readings, temp_min, temp_max FROM agg_thermostat_minute
            )) AS wrong
    """
    with duckdb.connect() as connection:
        for table in tables:
            connection.register(table.name, lake.ensure(table).to_pyarrow_dataset())
        row = connection.execute(counts).fetchone()
        assert row is not None
        return dict(zip([column[0] for column in connection.description or []], row, strict=True))


if __name__ == "__main__":
    at, broker_at, name, limit = sys.argv[1:]
    read_all(Path(at), broker_at, name, int(limit))
