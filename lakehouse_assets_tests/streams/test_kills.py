"""Each event of a topic is in the lake exactly once, however its reader is ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse_assets.lake.writer import FencedError
from lakehouse_assets.streams.ingest import Ingest
from lakehouse_assets_tests.streams.broker import Broker
from lakehouse_assets_tests.streams.reader import (
    DEVICES,
    found_in,
    lake_at,
    read_all,
    read_with_kills,
    send_thermostats,
    source_at,
    stream_of,
)


def exactly_once(messages: int, faults: int = 0) -> dict[str, int]:
    """Return what a lake holds that has each event of these messages once.

    Of the faults, each is a broken message in the rejects and a replayed one in the quarantine.
    """
    events, replayed = messages * DEVICES, faults * DEVICES
    minutes = len({5 * number // 60 for number in range(messages)}) * DEVICES
    return {
        "bronze": events + replayed, "addresses": events + replayed,
        "silver": events, "events": events, "readings": events,
        "minutes": minutes, "keys": minutes, "others": faults + replayed, "wrong": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "kills", "most", "longest"),
    [
        (300, 3, 25, 2.0),
        pytest.param(
            5000, 20, 60, 4.0, marks=[pytest.mark.kafka, pytest.mark.timeout(1800)], id="long"
        ),
    ],
)
def test_readers_that_are_killed_lose_and_double_nothing(
    broker: Broker, tmp_path: Path, messages: int, kills: int, most: int, longest: float
) -> None:
    topic = f"kills{messages}"
    broker.make_topic(topic, partitions=4)
    send_thermostats(broker, topic, messages, faults=True)
    killed = read_with_kills(
        broker, topic, tmp_path, kills=kills, seed=1, most=most, longest=longest
    )
    assert killed >= kills // 2
    assert found_in(tmp_path) == exactly_once(messages, faults=messages // 10)


def test_a_second_reader_of_the_same_group_is_fenced(broker: Broker, tmp_path: Path) -> None:
    broker.make_topic("fenced", partitions=2)
    send_thermostats(broker, "fenced", 20)
    lake = lake_at(tmp_path)
    sources = [source_at(broker.address) for _ in range(2)]
    first, second = (Ingest(stream_of("fenced"), source, lake, "test") for source in sources)
    assert first.cycle(20, most=10).events == 10 * DEVICES
    with pytest.raises(FencedError, match="Only one process may read a stream"):
        second.cycle(20, most=20)
    for source in sources:
        source.close()
    read_all(tmp_path, broker.address, "fenced", 20)
    assert found_in(tmp_path) == exactly_once(20)


def test_a_broker_that_restarts_and_partitions_that_are_added_lose_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    broker.make_topic("lives")
    send_thermostats(broker, "lives", 40)
    source = source_at(broker.address)
    ingest = Ingest(stream_of("lives"), source, lake_at(tmp_path), "test")
    assert ingest.cycle(20, most=10).messages == 10
    broker.kill()
    broker.start()
    broker.add_partitions("lives", 2)
    send_thermostats(broker, "lives", 80, begin=40, partitions=2)
    while any(ingest.cycle(1).lag.values()):
        pass
    source.close()
    assert found_in(tmp_path) == exactly_once(80)
