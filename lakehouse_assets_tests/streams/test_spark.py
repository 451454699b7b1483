"""Spark Structured Streaming makes the same tables as the embedded engine, from the same broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.streams import minutes, stream_tables
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.streams.ingest import Ingest
from lakehouse_assets.streams.spark import SparkIngest
from lakehouse_assets_tests.engine.test_batches import ADDED, doubled
from lakehouse_assets_tests.lake.samples import embedded_lake, make_lake, using
from lakehouse_assets_tests.streams.broker import Broker
from lakehouse_assets_tests.streams.reader import source_at, stream_of
from lakehouse_assets_tests.streams.samples import reading, rows

STREAM = stream_of("spark")
TABLES = stream_tables(STREAM)


def send(broker: Broker, partition: int, *values: Any) -> None:
    coded = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    broker.send("spark", coded, partition)


def content(lake: Lake) -> dict[str, Any]:
    with using(lake):
        return {table.name: rows(lake, table) for table in TABLES}


def test_tables_equal_those_of_the_embedded_engine(
    broker: Broker, tmp_path: Path, spark_engine: Engine
) -> None:
    broker.make_topic("spark", partitions=2)
    spark = make_lake(tmp_path / "spark", *TABLES, engine=spark_engine)
    with using(spark):
        # A model has scored rows in this process, for which Spark is sent the whole package.
        numbers = spark_engine.from_arrow(pa.table({"x": [1]}))
        spark_engine.add_columns(numbers, ["x"], ADDED, doubled)
    embedded = embedded_lake(tmp_path / "embedded", *TABLES)
    source, other = source_at(broker.address), source_at(broker.address)

    def read_on_both() -> None:
        with using(embedded):
            ingest = Ingest(STREAM, other, embedded, "test")
            while any(ingest.cycle(1).lag.values()):
                pass
        assert not any(SparkIngest(STREAM, source, spark, "test").cycle(0).lag.values())

    # The other partition has an earlier reading of the same moment, which counts instead.
    send(broker, 1, reading(3, 10, 70))
    send(
        broker, 0,
        [reading(device, second, 60 + device) for device in (1, 2) for second in range(0, 300, 20)],
        reading(3, 10, 71), b"broken", [reading(1, 0, 61), reading(4, 0, 20, Temp_UoM="C", New=1)],
    )  # fmt: skip
    read_on_both()
    # Late, a duplicate of the other partition, and the next day.
    send(broker, 1, [reading(1, 5, 50), reading(2, 20, 62)], reading(3, 86_400, 66), b"[]")
    send(broker, 0, reading(2, 7, 51), b"{}")
    read_on_both()
    found, expected = content(spark), content(embedded)
    assert found == expected
    assert {name: len(stored) for name, stored in found.items()} == {
        "bronze_thermostat": 38, "bronze_thermostat_rejects": 2, "silver_thermostat": 35,
        "silver_thermostat_quarantine": 3, "agg_thermostat_minute": 13,
    }  # fmt: skip
    with using(spark):
        assert (1,) in rows(spark, minutes(STREAM), "revision"), "a late event has revised a minute"
    # Either engine continues where the other one stopped.
    send(broker, 1, reading(2, 310, 67))
    with using(embedded):
        lake = Lake(tmp_path / "spark", embedded.engine, embedded.registry)
        ingest = Ingest(STREAM, source, lake, "test")
        while any(ingest.cycle(1).lag.values()):
            pass
        assert len(rows(lake, silver_table(STREAM))) == 36
    for opened in (source, other):
        opened.close()
