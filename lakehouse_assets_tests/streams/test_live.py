"""`lakehouse stream` as a process: shown, ended, killed and resumed, and alone on its tables."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import minutes
from lakehouse_assets.cli.stream import Alarms
from lakehouse_assets.domains.retail.streams.occupancy import OCCUPANCY
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.live_streams import LiveStreams
from lakehouse_assets.orchestration.signals import StopRequest
from lakehouse_assets.orchestration.stream_report import stream_key
from lakehouse_assets.sources.folder_stream import FolderSource
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, Lakehouse, variables_of
from lakehouse_assets_tests.streams.samples import START, reading, rows

SILVER, MINUTES = silver_table(THERMOSTAT), minutes(THERMOSTAT)

pytestmark = pytest.mark.usefixtures("shared_plans")
ONE = ("retail/thermostat",)


def send(house: House, first: int, count: int) -> None:
    """Send readings of one device, a message each."""
    folder = Path(house.settings.landing) / "streams" / "devices" / "thermostat" / "0"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(reading(1, number)) for number in range(first, first + count)]
    (folder / f"{first:020}.jsonl").write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def streaming(
    house: House, *options: str, names: Sequence[str] = ONE, filled: Sequence[Table] = (SILVER,)
) -> Iterator[subprocess.Popen[str]]:
    """Start `lakehouse stream`, and wait until it has added rows to some tables."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    before = {table: stored(house, table) for table in filled}
    with subprocess.Popen(
        [sys.executable, "-m", "lakehouse_assets", "stream", *names, *options],
        env={**clean, **variables_of(house), "PYTHONPATH": str(REPOSITORY)},
        cwd=house.settings.dagster_home.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            while any(stored(house, table) == rows for table, rows in before.items()):
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


def stored(house: House, table: Table = SILVER) -> int:
    return sum(house.lake.rows_by_partition(table).values())


def test_a_killed_stream_goes_on_where_it_was_and_its_days_are_reported(
    house: House, lakehouse: Lakehouse
) -> None:
    send(house, 0, 100)
    with streaming(house, "--cadence", "0.5") as process:
        process.kill()
    send(house, 100, 100)
    code, out, err = lakehouse("stream", "retail/thermostat", "--until-caught-up")
    assert code == 0, err
    assert re.search(r"retail/thermostat: [\d,]+ events .*lag 0, last minute 09-06 00:01", out)
    found = rows(house.lake, SILVER, "event_time")
    assert len(found) == len(set(found)) == 200
    with dagster_instance(house.settings) as instance:
        told = instance.get_materialized_partitions(dg.AssetKey(MINUTES.key))
        assert told == {"2021-09-05", "2021-09-06"}
        event = instance.get_latest_materialization_event(stream_key(THERMOSTAT))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["lag"].value == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_after_the_commit_and_a_second_stream_is_refused(
    house: House, lakehouse: Lakehouse, number: signal.Signals, code: int
) -> None:
    send(house, 0, 10)
    with streaming(house, "--cadence", "0.5") as process:
        second = lakehouse("stream", "retail/thermostat", "--until-caught-up")
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == code, err
    assert "retail/thermostat: 10 events" in out.splitlines()[-1]
    assert err == f"The process was asked to end ({number.name}).\n"
    assert second[0] == 1
    assert f"is being read by `lakehouse stream` (process {process.pid} on" in second[2]
    # Whoever ends leaves it to others.
    assert lakehouse("stream", "retail/thermostat", "--seconds", "0")[0] == 0


def test_a_signal_ends_every_wait() -> None:
    # A handler that needed a lock could wait for ever for the thread that it interrupts.
    before = signal.getsignal(signal.SIGUSR1)
    try:
        for number in range(200):
            stop = StopRequest()
            signal.signal(signal.SIGUSR1, lambda _number, _frame, stop=stop: stop.set())
            sender = threading.Timer(number / 100_000, signal.raise_signal, [signal.SIGUSR1])
            sender.start()
            assert stop.wait(60)
            sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_devices_are_simulated_without_a_broker(house: House) -> None:
    tables = [minutes(THERMOSTAT), minutes(OCCUPANCY)]
    options = ("--simulate", "--speed", "60", "--cadence", "1")
    with streaming(house, *options, names=(), filled=tables) as process:
        assert process.poll() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["retail/sales"], "There is no stream 'retail/sales'; choose from retail/occupancy, "),
        (["--speed", "2"], "--speed applies only to the simulation; add --simulate."),
        (["--until-caught-up"], "has no address; set LAKEHOUSE_STREAM_DEVICES, or use --simulate"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    lakehouse: Lakehouse, options: list[str], message: str
) -> None:
    code, _, err = lakehouse("stream", *options)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


class Broken:
    """A source that is away for some connections, and then a folder."""

    def __init__(self, folder: Path, faults: list[LakehouseError]) -> None:
        self.folder, self.faults = folder, faults

    def __call__(self) -> FolderSource:
        if self.faults:
            raise self.faults.pop(0)
        return FolderSource(self.folder)


def live(house: House, connect: Callable[[], FolderSource], **options: float) -> LiveStreams:
    return LiveStreams([(THERMOSTAT, connect)], house.settings, house.lake, "a", **options)


def test_a_broker_that_is_away_is_waited_for_and_a_wrong_password_is_not(house: House) -> None:
    send(house, 0, 10)
    folder = Path(house.settings.landing) / "streams" / "devices"
    away = LakehouseError("The broker does not answer.", transient=True)
    seen: list[str] = []
    streams = live(house, Broken(folder, [away]), cadence=0.5)
    streams.run(
        StopRequest(),
        lambda found: seen.append(found.streams[0].problem),
        until_caught_up=True,
    )
    assert seen[0] == "The broker does not answer."
    assert seen[-1] == ""
    assert stored(house) == 10
    # The tables keep their logs short, but the offsets in them for ten years.
    found = house.lake.open(MINUTES)
    assert found is not None
    kept = found.metadata().configuration
    assert {name.removeprefix("delta."): value for name, value in kept.items()}.items() >= {
        "checkpointInterval": "100", "logRetentionDuration": "interval 1 days",
        "deletedFileRetentionDuration": "interval 1 days",
        "setTransactionRetentionDuration": "interval 3650 days",
    }.items()  # fmt: skip
    wrong = LakehouseError("The broker does not accept the password.")
    with pytest.raises(LakehouseError, match="password"):
        live(house, Broken(folder, [wrong]), cadence=0.5).run(StopRequest(), lambda _: None)


def test_upkeep_beside_the_stream_bounds_the_number_of_files(house: House) -> None:
    folder = Path(house.settings.landing) / "streams" / "devices"
    send(house, 0, 1)
    most = {SILVER: 0, MINUTES: 0}
    rounds = 0
    stop = StopRequest()

    def look(_streams: LiveStreams) -> None:
        nonlocal rounds
        rounds += 1
        for table in most:
            found = house.lake.open(table)
            assert found is not None
            most[table] = max(most[table], len(log.files_of(found)))
        send(house, rounds, 1)
        if rounds == 6:
            stop.set()

    # Compacted after each round, where an hour is usual.
    live(house, Broken(folder, []), cadence=0.0, upkeep=0.0).run(stop, look)
    assert stored(house) == 6
    assert max(most.values()) == 1
    for table in most:
        found = house.lake.open(table)
        assert found is not None
        if table is SILVER:
            assert "OPTIMIZE" in {version.operation for version in log.history(found)}
        # The state of the watermark outlives it.
        written = log.last_write(found)
        assert written is not None
        assert written.commit is not None
        assert written.commit.asset == "retail/stream_thermostat"


def test_devices_that_are_out_of_their_limits_now_are_named(house: House) -> None:
    folder = Path(house.settings.landing) / "streams" / "devices" / "thermostat" / "0"
    folder.mkdir(parents=True)
    warm = [reading(2, 60 * minute, temp=80.0) for minute in range(30)]
    fine = [reading(1, 60 * minute) for minute in range(30)]
    before = [reading(3, 0, temp=80.0)]
    lines = [json.dumps(value) for value in [*before, *warm, *fine]]
    (folder / f"{0:020}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    live(house, Broken(folder.parent.parent, []), cadence=0.5).run(
        StopRequest(), lambda _: None, until_caught_up=True
    )
    alarms = Alarms(house.lake)
    assert str(alarms.text(None)) == "No minute is closed yet."
    last = START + timedelta(minutes=29, seconds=30)
    # A device that was out of them half an hour before is not.
    assert str(alarms.text(last)) == "Outside limits at 00:25: TH002 too warm since 23:58 (80.0)."
    assert str(Alarms(house.lake).text(START)) == "No device is outside its limits at 23:56."
