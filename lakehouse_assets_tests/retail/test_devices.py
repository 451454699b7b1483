"""The simulator of devices: equal bytes, faults at their rates, and a truth that holds."""

from __future__ import annotations

import gzip
import io
import json
import logging
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer

from lakehouse_assets.catalog.streams import minutes
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.streams.occupancy import OCCUPANCY
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sample.retail.device_kafka import KafkaSink
from lakehouse_assets.sample.retail.device_world import DeviceConfig, World
from lakehouse_assets.sample.retail.devices import (
    HUBS,
    SAMPLE,
    FolderSink,
    Hub,
    hourly_messages,
    main,
    planted_anomalies,
    send,
    simulate,
)
from lakehouse_assets.sources.folder_stream import FolderSource
from lakehouse_assets.sources.kafka_address import KafkaAddress
from lakehouse_assets.sources.messages import open_stream
from lakehouse_assets.streams.ingest import Ingest, drain
from lakehouse_assets_tests.airline.samples import REPOSITORY, House
from lakehouse_assets_tests.retail.device_samples import simulated_minutes

LOG = logging.getLogger(__name__)

FAULTS = ("late", "replayed", "swapped", "broken", "unknown", "celsius", "skewed", "silent")
QUIET = replace(DeviceConfig(anomalies=0.0, life_days=5000.0), **dict.fromkeys(FAULTS, 0.0))


def lines(folder: Path, hub: Hub, partition: int = 0) -> list[bytes]:
    """Return a partition's messages; the files' names must be the offsets of their first lines."""
    found: list[bytes] = []
    for path in sorted((folder / hub / str(partition)).iterdir()):
        assert path.name.startswith(f"{len(found):020}.jsonl")
        content = path.read_bytes()
        whole = gzip.decompress(content) if path.suffix == ".gz" else content
        found += whole.splitlines()
    return found


def arrived(config: DeviceConfig, hub: Hub = "thermostat") -> list[tuple[int, bytes]]:
    """Return the messages of a hub with their times of arrival in milliseconds."""
    return [
        message
        for hour in hourly_messages(World(config))
        for messages in hour
        if messages.hub == hub
        for message in zip(messages.arrivals.tolist(), messages.values, strict=True)
    ]


def readings(messages: list[tuple[int, bytes]]) -> list[tuple[int, dict[str, Any]]]:
    """Return the readings of the messages that are not broken, with the time of arrival."""
    found = []
    for at, text in messages:
        try:
            found += [(at, reading) for reading in json.loads(text)]
        except json.JSONDecodeError:
            continue
    return found


def moment(reading: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(reading["EnqueuedTimeUTC"])


def test_messages_have_the_labs_shape_and_range() -> None:
    made = arrived(replace(QUIET, hours=1))
    assert [at for at, _ in made] == [
        QUIET.first_hour * 3_600_000 + tick * 5000 + 200 for tick in range(720)
    ]
    first = json.loads(made[0][1])
    assert [reading["DeviceId"] for reading in first] == [f"TH{n:03}" for n in range(1, 101)]
    assert [reading["StoreID"] for reading in first[::10]] == [f"S{n:03}" for n in range(1, 11)]
    assert {reading["EnqueuedTimeUTC"] for reading in first} == {"2021-10-20T00:00:00Z"}
    assert [*first[4]] == [
        "DeviceId", "City", "StoreID", "EnqueuedTimeUTC", "BatteryLevel", "Temp", "Temp_UoM",
    ]  # fmt: skip
    assert (first[4]["City"], first[4]["Temp_UoM"]) == ("Miami", "F")
    counted = json.loads(arrived(replace(QUIET, hours=1), "occupancy")[0][1])
    assert [*counted[4]][5:] == [
        "visitors_cnt", "visitors_in", "visitors_out", "avg_aisle_time_spent", "avg_dwell_time",
    ]  # fmt: skip
    world = World(QUIET)
    healthy = [world.hour(QUIET.first_hour + hour).temperature[:, 4] for hour in range(24)]
    assert 60 <= np.min(healthy) < np.max(healthy) <= 74
    assert 66 < np.mean(healthy) < 68


def test_equal_options_give_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        main(["--out", str(tmp_path / name), "--hours", "2", "--interval", "60", "--seed", seed])
    files = [
        {path.relative_to(tmp_path / name): path.read_bytes()
         for path in (tmp_path / name).rglob("*.gz")}
        for name in "abc"
    ]  # fmt: skip
    assert files[0] == files[1]
    assert files[0].keys() == files[2].keys()
    assert not set(files[0].values()) & set(files[2].values())
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "a")])


def test_the_sample_is_what_the_generator_writes_and_stays_small(tmp_path: Path) -> None:
    """It has what the demo shows: faults, anomalies, and a device that fails at night."""
    main(["--sample", "--out", str(tmp_path / "devices")])
    for hub in HUBS:
        name = Path("devices") / hub / "0" / f"{0:020}.jsonl.gz"
        assert (tmp_path / name).read_bytes() == (REPOSITORY / "data/streams" / name).read_bytes()
    files = [path for path in (REPOSITORY / "data" / "streams").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert sum(path.stat().st_size for path in files) < 400_000
    world = World(SAMPLE)
    faults = sum((Counter(m.faults) for hour in hourly_messages(world) for m in hour), Counter())
    assert {fault for fault, times in faults.items() if times} == {*FAULTS} - {"skewed"}
    planted = Counter(anomaly.device_id for anomaly in planted_anomalies(SAMPLE))
    assert planted["TH005"] == 4
    ended = [life for life in world.failures() if life[2] < datetime(2021, 10, 23, tzinfo=UTC)]
    assert [(life[0], life[2].isoformat()) for life in ended] == [
        ("TH035", "2021-10-22T00:28:08+00:00")
    ]


@pytest.mark.parametrize(
    "wrong", [{"interval": 7}, {"per_store": 11}, {"hours": 0}, {"life_days": 0}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        DeviceConfig(**wrong)


def test_faults_lose_no_reading_and_change_none() -> None:
    """Late, replayed, swapped and broken messages tell the same as an undisturbed world."""
    disturbed = replace(
        QUIET, hours=3, late=0.05, replayed=0.1, swapped=0.1, broken=0.02, unknown=0.02
    )
    expected = {json.dumps(r) for _, r in readings(arrived(replace(QUIET, hours=3)))}
    found = Counter(json.dumps(r) for _, r in readings(arrived(disturbed)))
    strangers = {text for text in found if "TH999" in text}
    assert found.keys() - strangers == expected
    assert len(expected) == 3 * 720 * 100
    # A stranger's reading is one of a known device under its name.
    assert 20 < len(strangers) < 70
    assert {json.loads(text)["StoreID"] for text in strangers} == {"S999"}
    again = sum(count - 1 for count in found.values())
    assert 0.05 < again / len(expected) < 0.16


def test_faults_come_at_their_rates_and_within_their_bounds() -> None:
    config = DeviceConfig(seed=3, hours=24, interval=20, skewed=0.05)
    world = World(config)
    counts: Counter[str] = Counter()
    messages = []
    for hour in hourly_messages(world):
        counts.update(hour[0].faults)
        messages += zip(hour[0].arrivals.tolist(), hour[0].values, strict=True)
    ticks = 24 * 180
    assert counts["late"] / (ticks * 10) == pytest.approx(config.late, rel=0.2)
    assert counts["replayed"] / ticks == pytest.approx(config.replayed, rel=0.8)
    assert counts["swapped"] / ticks == pytest.approx(config.swapped, rel=0.4)
    assert 0 < counts["broken"] < 10
    assert 0 < counts["unknown"] < 10
    assert counts["celsius"] / (ticks * 100) == pytest.approx(config.celsius, rel=0.6)
    assert counts["skewed"] / (ticks * 100) == pytest.approx(config.skewed, rel=0.8)
    arrivals = [at for at, _ in messages]
    assert arrivals == sorted(arrivals)
    found = readings(messages)
    delays = [at / 1000 - moment(reading).timestamp() for at, reading in found]
    # A clock that is off by ten minutes, and thirty minutes late and again thirty minutes.
    assert -600 <= min(delays) < -60
    assert 1700 < max(delays) <= 600 + 1800 + 1800 + 60
    assert {reading["Temp_UoM"] for _, reading in found} == {"F", "C"}
    assert all(reading["Temp"] < 40 for _, reading in found if reading["Temp_UoM"] == "C")


def test_planted_anomalies_are_in_the_messages_and_nowhere_else() -> None:
    config = replace(QUIET, hours=6, anomalies=8.0)
    planted = {(a.device_id, a.minute.astype(datetime)): a.sign for a in planted_anomalies(config)}
    assert 150 < len(planted) < 250
    assert set(planted.values()) == {-1, 1}
    means: dict[tuple[str, datetime], list[float]] = {}
    for _, reading in readings(arrived(config)):
        minute = moment(reading).replace(second=0, tzinfo=None)
        means.setdefault((reading["DeviceId"], minute), []).append(reading["Temp"])
    odd = {
        key: 1 if np.mean(values) > 67 else -1
        for key, values in means.items()
        if abs(np.mean(values) - 67) > 5
    }
    assert odd == planted


def test_stores_are_empty_when_they_are_closed_in_their_own_time() -> None:
    """Miami is open from 13:00 to 01:00 UTC in summer, Tokyo from 00:00 to 12:00."""
    world = World(replace(QUIET, start=date(2021, 7, 1)))
    first = world.config.first_hour
    visitors = np.array([world.hour(first + hour).visitors.mean(axis=0) for hour in range(24)])
    open_in_miami = {hour for hour in range(24) if visitors[hour, 0] > 5}
    open_in_tokyo = {hour for hour in range(24) if visitors[hour, 80] > 5}
    assert open_in_miami == {0, *range(13, 24)}
    assert open_in_tokyo == set(range(12))


def test_devices_wear_overheat_fail_and_are_replaced() -> None:
    config = replace(QUIET, hours=24 * 30, life_days=20.0, interval=600)
    world = World(config)
    ended = [life for life in world.failures() if life[2] < datetime(2021, 11, 15, tzinfo=UTC)]
    assert len(ended) > 50
    for device_id, installed, failed, replaced in ended[:10]:
        assert timedelta(days=1) <= failed - installed
        assert timedelta(hours=2) <= replaced - failed <= timedelta(hours=24)
        column = int(device_id[2:]) - 1
        last = world.hour(int(failed.timestamp()) // 3600 - 1)
        fresh = world.hour(int(replaced.timestamp()) // 3600 + 1)
        between = int(failed.timestamp()) // 3600 + 1
        assert last.temperature[last.sent[:, column], column].max(initial=99) > 75
        assert last.battery[:, column].mean() + 20 < fresh.battery[:, column].mean()
        assert not world.hour(between).sent[:3, column].any()
        assert fresh.sent[:, column].all()
        assert fresh.temperature[:, column].max() < 73


def test_partitions_take_turns_and_a_folder_is_continued(tmp_path: Path) -> None:
    config = replace(QUIET, hours=1, interval=60, partitions=2)
    sink = FolderSink(tmp_path, 2)
    send(config, sink)
    sink.close()
    file = tmp_path / "thermostat" / "0" / f"{0:020}.jsonl"
    with file.open("ab") as torn:
        torn.write(b'[{"DeviceId"')
    sink = FolderSink(tmp_path, 2)
    send(replace(config, start=date(2021, 10, 21)), sink)
    sink.close()
    found = [lines(tmp_path, "thermostat", partition) for partition in range(2)]
    days = [[json.loads(line)[0]["EnqueuedTimeUTC"][:16] for line in part] for part in found]
    assert days[0] == [f"2021-10-{d}T00:{m:02}" for d in (20, 21) for m in range(0, 60, 2)]
    assert days[1] == [f"2021-10-{d}T00:{m:02}" for d in (20, 21) for m in range(1, 60, 2)]


def test_a_live_simulation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Ten thousand times as fast: minutes of the simulation pass within a tick of the clock."""

    class Stop(threading.Event):
        """Stops when messages have come, whatever the machine's speed."""

        def wait(self, timeout: float | None = None) -> bool:
            super().wait(timeout)
            parts = tmp_path / "occupancy" / "0"
            size = sum(p.stat().st_size for p in parts.iterdir()) if parts.exists() else 0
            if size > self.enough:
                self.set()
            return self.is_set()

    start = datetime(2021, 10, 20, 12, 0, 2, tzinfo=UTC)
    for enough in (1, 2_000_000):
        stop = Stop()
        stop.enough = enough  # type: ignore[attr-defined]
        simulate(tmp_path, start, 10_000.0, stop)
    times = [moment(r) for _, r in readings([(0, line) for line in lines(tmp_path, "occupancy")])]
    first = datetime(2021, 10, 20, 12, 0, 5, tzinfo=UTC)
    # Before it are messages that came late; of the last minute some are still to come.
    found = sorted(time for time in set(times) if first <= time < max(times) - timedelta(minutes=1))
    assert found[0] == first
    assert {after - before for before, after in pairwise(found)} == {timedelta(seconds=5)}
    assert len(found) > 100
    assert all((tmp_path / hub).is_dir() for hub in HUBS)


def test_a_broker_gets_the_same_messages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kafka as librdkafka imitates it; its topics have four partitions, of which two are used."""
    holder = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": "1"}, logger=LOG)
    broker = next(iter(holder.list_topics(timeout=10).brokers.values()))
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES", f"kafka://{broker.host}:{broker.port}")
    options = ["--hours", "2", "--interval", "60", "--partitions", "2"]
    main(["--kafka", *options])
    main(["--out", str(tmp_path), *options])
    for hub in HUBS:
        source = open_stream("devices")
        source.assign(hub, dict.fromkeys(source.partitions(hub), None))
        found: dict[int, list[bytes]] = {0: [], 1: []}
        while not all(source.positions()[place] == end for place, end in source.ends().items()):
            for message in source.poll(1000, 1):
                found[message.partition].append(message.value)
        source.close()
        assert found == {partition: lines(tmp_path, hub, partition) for partition in (0, 1)}
        assert len(found[0]) > 50


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "Set LAKEHOUSE_STREAM_DEVICES to the broker"),
        ("/a/folder", "Set LAKEHOUSE_STREAM_DEVICES to the broker"),
        ("kafka://user@host:9092", "needs a user and a password"),
    ],
)
def test_without_a_broker_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str, reason: str
) -> None:
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES", address)
    with pytest.raises(SystemExit):
        main(["--kafka", "--hours", "1"])
    assert reason in capsys.readouterr().err


def test_a_broker_that_takes_nothing_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse_assets.sample.retail.device_kafka._PATIENCE", 1)
    # Nothing listens on port 1.
    sink = KafkaSink(KafkaAddress("LAKEHOUSE_STREAM_DEVICES", "kafka", "127.0.0.1:1"))
    with pytest.raises(LakehouseError, match="does not accept messages"), closing(sink):
        sink.send("thermostat", [b"[]"])


def test_the_sample_streams_into_the_simulated_minutes(house: House) -> None:
    """Whatever happened to the messages on their way; only what was sent in C is rounded twice."""
    simulated = simulated_minutes(SAMPLE)
    for stream, column in ((THERMOSTAT, "temp_avg"), (OCCUPANCY, "visitors_avg")):
        source = FolderSource(REPOSITORY / "data" / "streams" / "devices")
        events = sum(cycle.events for cycle in drain(Ingest(stream, source, house.lake, run_id="")))
        assert events > 21_000
        found = house.rows(minutes(stream), where="device_id != 'TH999'")
        made = {(row["device_id"], row["minute"]): row for row in found}
        truth = {(r["device_id"], r["minute"]): r for r in simulated[stream.name].to_pylist()}
        assert made.keys() == truth.keys()
        off = [abs(made[key][column] - truth[key][column]) for key in truth]
        assert max(off) < (0.1 if column == "temp_avg" else 1e-9)
        assert sum(difference > 1e-9 for difference in off) <= 300


HEAD = (
    "device_id,store_id,model,installed_on,temp_low,temp_high,battery_limit,valid_from,valid_to\n"
)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["TH1,S001,m,2020-01-01,60,74,20,2021-01-01,",
          "TH1,S001,m,2020-01-01,60,74,20,2021-05-01,"],
         "lines 2 and 3: both are valid for TH1 on 2021-05-01"),
        (["TH1,S001,m,2020-01-01,60,74,20,2021-01-01,2021-05-02",
          "TH1,S001,m,2020-01-01,60,74,20,2021-05-01,"],
         "lines 2 and 3: both are valid for TH1 on 2021-05-01"),
        (["TH1,S011,m,2020-01-01,60,74,20,2021-01-01,"], "line 2: no store is called S011"),
        (["TH1,S001,m,2020-01-01,74,74,20,2021-01-01,"], "line 2: temp_low is not below temp_high"),
        (["TH1,S001,m,2020-01-01,60,74,20,2021-01-01,2021-01-01"],
         "line 2: valid_to is not after valid_from"),
        (["TH1,S001,m,2020-01-01,60,,20,2021-01-01,"], "line 2 lacks a value"),
    ],
)  # fmt: skip
def test_a_wrong_history_of_devices_is_refused(rows: list[str], reason: str) -> None:
    with pytest.raises(LakehouseError, match=reason):
        reference.read_devices(io.BytesIO((HEAD + "\n".join(rows) + "\n").encode()))


def test_every_simulated_device_is_known() -> None:
    known = {
        (row["device_id"], row["store_id"], row["city"]) for row in reference.devices().to_pylist()
    }
    world = World(QUIET)
    assert known == {
        (device.device_id, device.store_id, world.cities[device.store]) for device in world.devices
    }
