"""Any order of arrival, replays, sizes of cycles, restarts and kills give the same tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse_assets.catalog.datasets import quarantine_table, silver_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import bronze_events, minutes, rejected_events
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.engine import F
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.sources.messages import Message
from lakehouse_assets.streams.events import accepted_events, classify_events, minute_rows
from lakehouse_assets.streams.ingest import Ingest, balance, drain
from lakehouse_assets_tests.streams.samples import (
    START,
    MemorySource,
    plain_rows,
    reading,
    rows,
    sent,
    stream_lake,
)

BRONZE, REJECTS = bronze_events(THERMOSTAT), rejected_events(THERMOSTAT)
SILVER, QUARANTINE = silver_table(THERMOSTAT), quarantine_table(THERMOSTAT)
MINUTES = minutes(THERMOSTAT)
VALUES = tuple(c.name for c in THERMOSTAT.columns if c.stored)
NUMBERS = tuple(name for name in MINUTES.column_names if name != "revision")
ADDRESS = ("_source", "_offset", "_index")


pytestmark = pytest.mark.usefixtures("shared_plans")


@dataclass(frozen=True)
class Arrival:
    """Messages of two partitions, and how they are read: in how many strides, cycles and runs."""

    partitions: tuple[tuple[Message, ...], ...]
    stride: int
    most: int
    restart_after: int


# Few devices and times, so that events repeat each other with equal and with other values.
_EVENTS = st.one_of(
    st.builds(
        reading,
        device=st.integers(1, 3),
        seconds=st.sampled_from([0, 5, 59.5, 60, 115, 119, 120, 300]),
        temp=st.sampled_from([66, 66.5, 71]),
    ),
    st.just(b'{"DeviceId": "TH001"'),
    st.just({"DeviceId": "TH001", "EnqueuedTimeUTC": "soon"}),
    st.builds(reading, temp=st.just("x"), Temp_UoM=st.just("K")),
)
_MESSAGES = st.one_of(
    _EVENTS, st.lists(_EVENTS.filter(lambda e: not isinstance(e, bytes)), max_size=3)
)


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    known = draw(st.booleans())
    partitions = []
    for number in range(2):
        values = draw(st.lists(_MESSAGES, max_size=8))
        repeated = draw(st.lists(st.sampled_from(values), max_size=4)) if values else []
        messages = sent("thermostat", [*values, *repeated], number)
        if known:
            at = st.integers(0, 3).map(lambda s: datetime(2021, 9, 6, 1, 0, s, tzinfo=UTC))
            messages = [message._replace(enqueued_at=draw(at)) for message in messages]
        partitions.append(tuple(messages))
    return Arrival(
        tuple(partitions), draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(0, 4))
    )


def ingested(lake: Lake, arrival: Arrival) -> None:
    """Read all messages, with a new reader after some cycles."""
    parts = [[*messages] for messages in arrival.partitions]
    for cycles in (arrival.restart_after, None):
        ingest = Ingest(THERMOSTAT, MemorySource("thermostat", parts, arrival.stride), lake, "run")
        for number, _ in enumerate(drain(ingest, most=arrival.most)):
            if number + 1 == cycles:
                break


def recomputed(lake: Lake) -> tuple[list[Any], list[Any]]:
    """Compute silver's values and the minutes from all of bronze at once."""
    engine = lake.engine
    with engine.scope():
        none = lake.read(SILVER).filter(F.lit(False))
        classify = engine.prepared(partial(classify_events, THERMOSTAT, engine))
        found = engine.checkpoint(classify(bronze=lake.read(BRONZE), known=none))
        silver = engine.checkpoint(accepted_events(THERMOSTAT, found))
        closed = engine.from_arrow(_no_watermark())
        stored = lake.read(MINUTES).filter(F.lit(False))
        added_up = minute_rows(THERMOSTAT, silver, stored, closed)
        return plain_rows(engine, silver.select(*VALUES)), plain_rows(
            engine, added_up.select(*NUMBERS)
        )


def _no_watermark() -> Any:
    import pyarrow as pa

    return pa.table({"closed_before": pa.array([None], pa.timestamp("us", "UTC"))})


def check(
    lake: Lake, arrival: Arrival, expected: tuple[list[Any], list[Any]] | None = None
) -> None:
    """Check that every event is in one place, and silver and minutes are as recomputed.

    What is recomputed of the same arrival may be given.
    """
    messages = [m for part in arrival.partitions for m in part]
    events, rejects = rows(lake, BRONZE, *ADDRESS), rows(lake, REJECTS, *ADDRESS)
    silver, quarantine = rows(lake, SILVER, *ADDRESS), rows(lake, QUARANTINE, *ADDRESS)
    assert len({*events, *rejects}) == len(events) + len(rejects)
    found = {(source, offset) for source, offset, _ in (*events, *rejects)}
    wanted = {(f"memory:thermostat:{m.partition}", m.offset) for m in messages if m.value != b"[]"}
    assert found == wanted
    assert sorted([*silver, *quarantine], key=repr) == events
    silver_values, numbers = expected or recomputed(lake)
    assert rows(lake, SILVER, *VALUES) == silver_values
    assert rows(lake, MINUTES, *NUMBERS) == numbers
    # A duplicate names an event that is in silver.
    kept = {f"{source}:{offset}#{index}" for source, offset, index in silver}
    named = rows(lake, QUARANTINE, "disposition", "duplicate_of")
    assert {of for what, of in named if what == "duplicate"} <= kept
    assert balance(THERMOSTAT, lake, {START.date()}).gaps() == {}


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(arrival=arrivals())
def test_any_arrival_gives_the_tables_of_a_full_recompute(
    tmp_path_factory: pytest.TempPathFactory, engine: Any, arrival: Arrival
) -> None:
    lake = stream_lake(tmp_path_factory.mktemp("lake"), THERMOSTAT)
    ingested(lake, arrival)
    check(lake, arrival)


class KilledError(BaseException):
    """Stands for the end of a process; nothing catches it."""


@contextmanager
def killed(monkeypatch: pytest.MonkeyPatch, commit: int) -> Iterator[list[str]]:
    """End the process after a commit, counted from 1; yield the tables committed to."""
    real, tables = Lake.advance, list[str]()

    def advance(self: Lake, table: Table, *arguments: Any, **named: Any) -> int:
        tables.append(table.name)
        version = real(self, table, *arguments, **named)
        if len(tables) == commit:
            raise KilledError
        return version

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "advance", advance)
        yield tables


def _arrival() -> Arrival:
    """Two cycles, each with rejects, duplicates, and the second with an event that displaces."""

    def at(messages: list[Message], *seconds: int) -> tuple[Message, ...]:
        received = datetime(2021, 9, 6, tzinfo=UTC)
        return tuple(
            message._replace(enqueued_at=received + timedelta(seconds=number))
            for message, number in zip(messages, seconds, strict=True)
        )

    first = [
        [reading(1, 0), reading(1, 0), reading(2, 0, Temp_UoM="K")], b"broken",
        [reading(1, 300, 70), reading(2, 60)], reading(3, 5, 66),
    ]  # fmt: skip
    second = [
        b"broken", [reading(1, 5), reading(2, 119)], [reading(3, 5, 71), reading(1, 0)], b"no",
    ]  # fmt: skip
    return Arrival(
        (
            at(sent("thermostat", first), 0, 0, 9, 9),
            at(sent("thermostat", second, 1), 0, 0, 3, 3),
        ),
        stride=2,
        most=4,
        restart_after=0,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any]]:
    """Silver's values and the minutes of that arrival, read without a kill."""
    start_engine()
    lake = stream_lake(tmp_path_factory.mktemp("undisturbed"), THERMOSTAT)
    ingested(lake, _arrival())
    check(lake, _arrival())
    return recomputed(lake)


# After the fifth and the tenth, nothing is left to do; the sixth is as the first.
@pytest.mark.parametrize("commit", [1, 2, 3, 4, 7, 8, 9])
def test_a_kill_after_any_commit_loses_and_doubles_nothing(
    tmp_path: Path,
    engine: Any,
    undisturbed: tuple[list[Any], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    commit: int,
) -> None:
    lake, arrival = stream_lake(tmp_path, THERMOSTAT), _arrival()
    with killed(monkeypatch, commit) as tables, pytest.raises(KilledError):
        ingested(lake, arrival)
    order = [REJECTS, BRONZE, QUARANTINE, SILVER, MINUTES] * 2
    assert tables == [table.name for table in order[:commit]]
    ingested(lake, arrival)
    check(lake, arrival, undisturbed)


def test_late_events_revise_minutes_that_were_closed(tmp_path: Path, engine: Any) -> None:
    def found() -> list[tuple[Any, ...]]:
        return rows(lake, MINUTES, "device_id", "minute", "readings", "revision")

    lake, messages = stream_lake(tmp_path, THERMOSTAT), [[*sent("thermostat", [reading(1, 0)])]]
    ingest = Ingest(THERMOSTAT, MemorySource("thermostat", messages), lake, "run")
    assert ingest.cycle(0).late == 0
    second, last = START + timedelta(minutes=1), START + timedelta(minutes=4)
    for seconds, late, expected in (
        # Within two minutes of the newest event a minute stays open.
        (30, 0, [("TH001", START, 2, 0)]),
        (240, 0, [("TH001", START, 2, 0), ("TH001", last, 1, 0)]),
        (31, 1, [("TH001", START, 3, 1), ("TH001", last, 1, 0)]),
        (32, 1, [("TH001", START, 4, 2), ("TH001", last, 1, 0)]),
        # A repeated event changes nothing.
        (32, 0, [("TH001", START, 4, 2), ("TH001", last, 1, 0)]),
        (60, 1, [("TH001", START, 4, 2), ("TH001", second, 1, 1), ("TH001", last, 1, 0)]),
    ):
        messages[0] += [
            message._replace(offset=len(messages[0]))
            for message in sent("thermostat", [reading(1, seconds)])
        ]
        assert ingest.cycle(0).late == late
        assert found() == expected
        # The watermark is in the commits of the minutes, so that a new reader knows it.
        ingest = Ingest(THERMOSTAT, MemorySource("thermostat", messages), lake, "run")
