"""Hostile messages: whatever cannot be read is a reject with its text, and the rest is read."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import quarantine_table, silver_table
from lakehouse_assets.catalog.streams import bronze_events, rejected_events
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.streams import ingest
from lakehouse_assets.streams.ingest import Ingest, drain
from lakehouse_assets.streams.messages import MessageLimits, MessageReader, Parsed
from lakehouse_assets_tests.streams.samples import (
    START,
    MemorySource,
    reading,
    rows,
    sent,
    stream_lake,
)

GOOD = json.dumps(reading()).encode()
TIME = "its time EnqueuedTimeUTC is not a UTC timestamp from 1900 to 2099"


def read(*values: Any, limits: MessageLimits | None = None) -> Parsed:
    reader = MessageReader(THERMOSTAT, lambda topic, part: f"memory:{topic}:{part}", limits)
    return reader.read(sent("thermostat", values), datetime(2021, 9, 6, tzinfo=UTC))


def with_time(moment: Any) -> dict[str, Any]:
    return reading() | {"EnqueuedTimeUTC": moment}


@pytest.mark.parametrize(
    ("message", "events", "reasons"),
    [
        (b"", 0, ["the message is empty"]),
        (b" \n", 0, ["the message is empty"]),
        (b"[]", 0, []),
        (b"[ ]", 0, []),
        (b"\xef\xbb\xbf" + GOOD, 1, []),
        (b"[" + GOOD + b"," + GOOD + b"]", 2, []),
        (GOOD + b"\n" + GOOD, 2, []),
        (b"\xff" + GOOD, 0, ["it is not UTF-8 text (byte 1)"]),
        (GOOD[:-1], 0, ["Expecting ',' delimiter (character"]),
        (b"[" + GOOD + b",{\"DeviceId\":}," + GOOD + b"]", 2, ["Expecting value (character 13)"]),
        (b"[[" + GOOD + b"]," + GOOD + b"]", 1, ["expected an object, found an array"]),
        (b"[1, null," + GOOD + b"]", 1,
         ["expected an object, found a plain value", "expected an object, found null"]),
        (b"nothing", 0, ["Expecting value (character 1)"]),
        (b"{}", 0, [TIME]),
        (GOOD[:-1] + b', "Temp": 3}', 0, ["attribute Temp occurs twice"]),
        (reading(temp={"value": 3}), 0, ["attribute Temp is not a plain value"]),
        (reading(temp=[3]), 0, ["attribute Temp is not a plain value"]),
        (GOOD.replace(b"67.1", b"NaN"), 0, ["NaN is not a JSON value"]),
        (reading(City="\ud800"), 0, ["it contains half of a surrogate pair, which is not a "
                 "character"]),
        (reading(City="\U0001f600\0\u00b0"), 1, []),
        (b"[" * 100_000, 0, ["nested"]),
        ({"records": [reading()]}, 0, ["is one object with its records in the attribute records"]),
        (with_time(None), 0, [TIME]),
        (with_time(20210905), 0, [TIME]),
        (with_time("2021-02-30T00:00:00Z"), 0, [TIME]),
        (with_time("1899-12-31T23:59:59Z"), 0, [TIME]),
        (with_time("2100-01-01T00:00:00Z"), 0, [TIME]),
        (with_time("2021-09-05T23:58:00+02:00"), 0, [TIME]),
        (with_time("2021-09-05T23:58:00Z" + " " * 200), 0, [TIME]),
        (with_time(" 2021-09-05 23:58:00.123456789+00:00\u3000"), 1, []),
        (with_time("2021-09-05T23:58:00"), 1, []),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_reject_and_the_rest_an_event(
    message: Any, events: int, reasons: list[str]
) -> None:
    parsed = read(GOOD, message, GOOD)
    found = parsed.rejects.to_pylist()
    assert parsed.events.num_rows == events + 2
    assert len(found) == len(reasons)
    assert all(reason in row["reason"] for row, reason in zip(found, reasons, strict=True))
    at = [(row["_offset"], row["_index"]) for row in (*parsed.events.to_pylist(), *found)]
    assert sorted(at) == [(0, 0), *((1, i) for i in range(events + len(reasons))), (2, 0)]
    if isinstance(message, bytes) and len(found) == 1 and not events:
        assert found[0]["raw_text"] == message.decode(errors="backslashreplace")


def test_numbers_keep_their_digits_and_unreadable_values_are_flagged(
    tmp_path: Path, engine: Any
) -> None:
    lake = stream_lake(tmp_path, THERMOSTAT)
    temps = ["67.10", "1e400", "12345678901234567890.5", "true", "null", "-0", '"67,1"', "6.71e1"]
    messages = [
        json.dumps(reading(seconds=number, temp="T")).replace('"T"', temp).encode()
        for number, temp in enumerate(temps)
    ]
    source = MemorySource("thermostat", [sent("thermostat", messages)])
    (cycle,) = drain(Ingest(THERMOSTAT, source, lake, "run"))
    assert (cycle.events, cycle.quarantined, cycle.rejected) == (len(temps), 0, 0)
    sent_text = [temp.strip('"') if temp != "null" else None for temp in temps]
    assert [temp for _, temp in rows(lake, bronze_events(THERMOSTAT), "_offset", "temp")] == (
        sent_text
    )
    found = rows(lake, silver_table(THERMOSTAT), "_offset", "temp_f", "quality_flags")
    assert [(None if temp is None else float(temp), flags) for _, temp, flags in found] == [
        (67.1, []), *[(None, ["temp_f_unreadable"])] * 3, (None, []), (0, []),
        (None, ["temp_f_unreadable"]), (67.1, []),
    ]  # fmt: skip


def test_drift_is_counted_and_any_order_of_attributes_is_read() -> None:
    turned = dict(reversed(reading(Humidity=3, Owner={"a": [1]}).items()))
    lacking = {name: value for name, value in reading().items() if name != "City"}
    parsed = read([turned, lacking], GOOD, turned)
    assert parsed.rejects.num_rows == 0
    assert parsed.events["temp"].to_pylist() == ["67.1"] * 4
    assert parsed.events["city"].to_pylist() == ["Miami", None, "Miami", "Miami"]
    assert parsed.undeclared == Counter(Humidity=2, Owner=2)


def test_a_message_beyond_the_limits_is_a_reject() -> None:
    limits = MessageLimits(record_bytes=2_000, field_bytes=1_000)
    parsed = read(reading(City="x" * 1_500), reading(City="x" * 900), reading(), limits=limits)
    assert parsed.events.num_rows == 2
    (reason,) = parsed.rejects["reason"].to_pylist()
    assert "value of 1,500 bytes" in reason
    assert reason.endswith(", and the limit is 1,000.")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_days_and_minutes_are_those_of_utc_wherever_the_reader_runs(
    tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        try:
            lake = stream_lake(tmp_path, THERMOSTAT)
            values = [reading(seconds=number) for number in (0, 119.999999, 120)]
            source = MemorySource("thermostat", [sent("thermostat", values)])
            assert len([*drain(Ingest(THERMOSTAT, source, lake, "run"))]) == 1
            found = rows(lake, silver_table(THERMOSTAT), "event_date", "event_time")
            assert found[0] == (date(2021, 9, 5), START)
            assert found[-1][0] == date(2021, 9, 6)
        finally:
            patch.undo()
            time.tzset()


@pytest.mark.parametrize("received", [START, None])
def test_clocks_that_are_ahead_are_flagged_and_the_future_is_quarantined(
    tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch, received: datetime | None
) -> None:
    # A folder does not say when its messages were received; they were when they are read.
    monkeypatch.setattr(ingest, "now", lambda: START)
    lake = stream_lake(tmp_path, THERMOSTAT)
    values = [reading(seconds=number) for number in (-86_400, 299, 301, 86_401)]
    source = MemorySource("thermostat", [sent("thermostat", values, received=received)])
    (cycle,) = drain(Ingest(THERMOSTAT, source, lake, "run"))
    assert cycle.last_event == START, "a clock that is ahead does not close minutes"
    flags = rows(lake, silver_table(THERMOSTAT), "_offset", "quality_flags")
    assert flags == [(0, []), (1, []), (2, ["clock_ahead"])]
    assert rows(lake, quarantine_table(THERMOSTAT), "_offset", "reasons") == [
        (3, ["event_time_is_not_in_the_future"])
    ]
    assert rows(lake, rejected_events(THERMOSTAT)) == []
