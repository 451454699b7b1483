"""`lakehouse status` and `lakehouse doctor` on streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse_assets.cli.doctor import check_streams, examine
from lakehouse_assets.cli.status import stream_status
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.orchestration.stream_reader import reading as read_stream
from lakehouse_assets.sources.folder_stream import FolderSource
from lakehouse_assets_tests.airline.samples import House, Lakehouse
from lakehouse_assets_tests.streams.samples import reading


def sent(house: House) -> Path:
    """Send four messages to two partitions of thermostats, and none of the other topic."""
    folder = Path(house.settings.landing) / "streams" / "devices"
    for partition in (0, 1):
        path = folder / "thermostat" / str(partition) / f"{0:020}.jsonl"
        path.parent.mkdir(parents=True)
        lines = [json.dumps(reading(partition, seconds)) for seconds in (0, 600)]
        path.write_text("".join(f"{line}\n" for line in lines))
    (folder / "occupancy" / "0").mkdir(parents=True)
    return folder


def test_each_partition_has_its_offset_and_lag(house: House, lakehouse: Lakehouse) -> None:
    folder = sent(house)
    with read_stream(THERMOSTAT, FolderSource(folder), house.lake, "a", "test") as ingest:
        ingest.cycle(0, 3)
        late = folder / "thermostat" / "1" / f"{2:020}.jsonl"
        late.write_text(f"{json.dumps(reading(1, 700))}\n")
    found = stream_status(house.settings)
    places = {(s.stream, s.partition): (s.offset or 0) + (s.lag or 0) for s in found}
    assert places == {
        ("retail/occupancy", 0): 0, ("retail/thermostat", 0): 2, ("retail/thermostat", 1): 3,
    }  # fmt: skip
    told = {table["table"]: table for table in json.loads(lakehouse("status", "--json")[1])}
    (first, _) = told["retail.bronze_thermostat"]["stream"]
    assert first["last_event"] == "2021-09-06T00:08:00+00:00"
    assert first["closed_minute"] == "2021-09-06T00:05:00+00:00"
    assert told["retail.silver_thermostat"]["stream"] is None
    code, out, _ = lakehouse("status")
    assert code == 0
    assert "last event (UTC)" in out


def test_without_an_address_there_is_no_status_and_doctor_says_so(house: House) -> None:
    assert stream_status(house.settings) == []
    assert {finding.state for finding in examine(house.settings, {"streams": check_streams})} == {
        "skipped"
    }


def test_a_source_that_cannot_be_read_is_a_problem_and_hides_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_STREAM_DEVICES", str(house.settings.landing / "nowhere"))
    found = stream_status(house.settings)
    assert {status.stream for status in found} == {"retail/occupancy", "retail/thermostat"}
    assert all("has no topic" in status.problem for status in found)
    findings = examine(house.settings, {"streams": check_streams})
    assert {finding.state for finding in findings} == {"error"}
    assert all("has no topic" in finding.text for finding in findings)


def test_doctor_counts_what_is_new(house: House) -> None:
    sent(house)
    texts = {
        f.check: (f.state, f.text) for f in examine(house.settings, {"streams": check_streams})
    }
    assert texts["retail/thermostat"] == (
        "ok", "The topic thermostat answers; new messages: 4.",
    )  # fmt: skip
