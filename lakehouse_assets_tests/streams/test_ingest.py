"""Messages become the rows of bronze, silver and minutes, each exactly once."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakehouse_assets.catalog.datasets import quarantine_table, silver_table
from lakehouse_assets.catalog.streams import bronze_events, minutes, rejected_events
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.streams.ingest import Ingest, balance, drain
from lakehouse_assets_tests.streams.samples import (
    START,
    MemorySource,
    reading,
    rows,
    sent,
    stream_lake,
)

BRONZE, REJECTS = bronze_events(THERMOSTAT), rejected_events(THERMOSTAT)
SILVER, QUARANTINE = silver_table(THERMOSTAT), quarantine_table(THERMOSTAT)
MINUTES = minutes(THERMOSTAT)
DAY, NEXT_DAY = date(2021, 9, 5), date(2021, 9, 6)


def source(*values: Any, received: datetime | None = None) -> MemorySource:
    return MemorySource("thermostat", [sent("thermostat", values, received=received)])


def test_each_message_becomes_rows_of_every_table(tmp_path: Path, engine: Any) -> None:
    lake = stream_lake(tmp_path, THERMOSTAT)
    messages = source(
        [reading(1, 0, 60), reading(2, 0, 70, Temp_UoM="C", Extra=1)],
        [reading(1, 5, 61), reading(1, 5, 61), reading(1, 130, 62, Temp_UoM="K")],
        b"[]",
        b"nothing",
        {key: value for key, value in reading(1, 119, "warm").items() if key != "City"},
    )
    (cycle,) = drain(Ingest(THERMOSTAT, messages, lake, "run"))
    assert (cycle.messages, cycle.events, cycle.rejected) == (5, 6, 1)
    assert (cycle.quarantined, cycle.late, dict(cycle.undeclared)) == (1, 0, {"Extra": 1})
    assert cycle.last_event == START + timedelta(seconds=119)
    assert cycle.progress == {("thermostat", 0): 5}
    assert not any(cycle.lag.values())
    assert rows(lake, BRONZE, "_offset", "_index", "deviceid", "temp", "temp_uom", "city") == [
        (0, 0, "TH001", "60", "F", "Miami"), (0, 1, "TH002", "70", "C", "Miami"),
        (1, 0, "TH001", "61", "F", "Miami"), (1, 1, "TH001", "61", "F", "Miami"),
        (1, 2, "TH001", "62", "K", "Miami"), (4, 0, "TH001", "warm", "F", None),
    ]  # fmt: skip
    assert rows(lake, REJECTS, "_offset", "_index", "raw_text", "reason") == [
        (3, 0, "nothing", "Expecting value (character 1)")
    ]
    assert rows(lake, SILVER, "device_id", "_offset", "temp_f", "temp_delivered") == [
        ("TH001", 0, Decimal("60.0000"), Decimal("60.0000")),
        ("TH001", 1, Decimal("61.0000"), Decimal("61.0000")),
        ("TH001", 4, None, None),
        ("TH002", 0, None, Decimal("70.0000")),
    ]
    flags = [
        set(found) for *_, found in rows(lake, SILVER, "device_id", "_offset", "quality_flags")
    ]
    converted = {"temp_converted", "temp_implausible"}
    assert flags == [set(), set(), {"temp_f_unreadable"}, converted]
    assert rows(
        lake, QUARANTINE, "_offset", "_index", "disposition", "reasons", "duplicate_of"
    ) == [
        (1, 1, "duplicate", [], "memory:thermostat:0:1#0"),
        (1, 2, "quarantined", ["temp_unit_is_known"], None),
    ]
    assert rows(lake, MINUTES, "device_id", "minute", "readings", "temp_avg", "revision") == [
        ("TH001", START, 2, 60.5, 0),
        ("TH001", START + timedelta(minutes=1), 1, None, 0),
        ("TH002", START, 1, None, 0),
    ]
    assert balance(THERMOSTAT, lake, {DAY, NEXT_DAY}).gaps() == {}
    (cycle,) = drain(Ingest(THERMOSTAT, messages, lake, "run"))
    assert cycle.messages == 0
