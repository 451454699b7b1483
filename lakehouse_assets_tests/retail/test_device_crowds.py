"""Crowds and heat: cases worked out by hand, and simulated stores that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.gold.device_crowds import (
    GOLD_CROWD_COOLING,
    GOLD_CROWD_HEAT,
)
from lakehouse_assets.domains.retail.gold.device_limits import GOLD_THRESHOLD_VIOLATIONS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.sample.retail.device_world import DeviceConfig, World
from lakehouse_assets.sample.retail.devices import SAMPLE
from lakehouse_assets_tests.airline.samples import SampleRun
from lakehouse_assets_tests.retail.device_samples import day_of, simulated_minutes

DAY = date(2021, 10, 21)
NOON = datetime(2021, 10, 21, 12, tzinfo=UTC)
SIMULATED = DeviceConfig(hours=48, start=date(2021, 10, 20), interval=20, life_days=3000.0,
                         anomalies=0.0)  # fmt: skip


def minutes(column: str, values: Sequence[float | None], store: str = "S001") -> pa.Table:
    """Return minutes of one device from noon on, without those that are None."""
    rows = [(NOON + timedelta(minutes=n), x) for n, x in enumerate(values) if x is not None]
    moments, found = zip(*rows, strict=True)
    return pa.table(
        {
            "store_id": [store] * len(rows),
            "minute": pa.array(moments, pa.timestamp("us", "UTC")),
            column: pa.array(found, pa.float64()),
            "event_date": [moment.date() for moment in moments],
        }
    )


def heat(engine: Engine, warm: pa.Table, busy: pa.Table, day: date = DAY) -> list[dict[str, Any]]:
    rows = engine.rows(day_of(engine, GOLD_CROWD_HEAT, day, temperatures=warm, visitors=busy))
    return sorted(rows, key=lambda row: (row["store_id"], row["shift"]))


def cooling(
    engine: Engine, warm: pa.Table, busy: pa.Table, day: date = DAY
) -> list[dict[str, Any]]:
    return engine.rows(day_of(engine, GOLD_CROWD_COOLING, day, temperatures=warm, visitors=busy))


def test_heat_that_follows_after_twelve_minutes_correlates_fully_there(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    busy = rng.integers(0, 60, 300).astype(float)
    warm = 60 + np.concatenate([np.full(12, 30.0), busy[:-12]]) / 10
    found = heat(engine, minutes("temp_avg", warm.tolist()), minutes("visitors_avg", busy.tolist()))
    # From noon UTC to five, it is the first shift in Miami: 300 minutes, 30 of change, 12 of lag.
    assert [{**row, "event_date": row["event_date"].day} for row in found] == [
        {"event_date": 21, "store_id": "S001", "shift": shift, "lag_minutes": 12,
         "correlation": 1.0, "pairs": 258}
        for shift in sorted(row["shift"] for row in found)
    ]  # fmt: skip
    assert sorted(row["shift"] for row in found) == [0, 1]


def of_stores(column: str, values: Iterable[Sequence[float]]) -> pa.Table:
    """Return minutes of S001, S002 and so on."""
    stores = enumerate(values, start=1)
    return pa.concat_tables(minutes(column, given, f"S{n:03}") for n, given in stores)


def test_without_changes_or_pairs_there_is_no_correlation(engine: Engine) -> None:
    # Always as many visitors, none, and too few minutes.
    visitors = [[30.0] * 300, [0.0] * 300, [30.0, 20.0] * 40]
    warm = of_stores("temp_avg", [[60.0 + n % 7 for n in range(len(busy))] for busy in visitors])
    assert heat(engine, warm, of_stores("visitors_avg", visitors)) == []


# 67 F, a crowd of 60 instead of 20 from minute 60 to 69, and the heat it makes.
CALM, CROWDED = [20.0] * 60 + [60.0] * 10 + [20.0] * 110, [67.0] * 62
AFTERWARDS = {
    # The average of five minutes is 67.4 when two of them are warm: in the third after the heat.
    "the heat of a degree ends 20 minutes after the crowd": (
        [68.0] * 28 + [67.0] * 90, (68.0, 23)),
    "it does not end": ([68.0] * 118, (68.0, None)),
    "it is not worth mentioning": ([67.4] * 28 + [67.0] * 90, (67.4, 0)),
    "it comes later than the crowd ends": (
        [67.0] * 10 + [68.0] * 20 + [67.0] * 88, (68.0, 25)),
}  # fmt: skip


def test_cooling_after_a_crowd(engine: Engine) -> None:
    warm = of_stores("temp_avg", [[*CROWDED, *after] for after, _ in AFTERWARDS.values()])
    busy = of_stores("visitors_avg", [CALM] * len(AFTERWARDS))
    rows = sorted(cooling(engine, warm, busy), key=lambda row: row["store_id"])
    assert [(row["temp_peak"], row["minutes_to_band"]) for row in rows] == [
        found for _, found in AFTERWARDS.values()
    ]
    assert {**rows[0], "temp_peak": None, "minutes_to_band": None} == {
        "event_date": DAY,
        "store_id": "S001",
        "began_at": NOON + timedelta(minutes=60),
        "ended_at": NOON + timedelta(minutes=69),
        "shift": 1,
        "visitors_peak": 60.0,
        "temp_before": 67.0,
        "temp_peak": None,
        "minutes_to_band": None,
    }


def test_a_crowd_is_told_when_its_hour_is_over_and_on_that_day(engine: Engine) -> None:
    warm = minutes("temp_avg", [67.0] * 129)
    assert cooling(engine, warm, minutes("visitors_avg", CALM[:129])) == []
    # Four minutes are no crowd, and neither are a few more visitors than usual.
    brief = [20.0] * 60 + [60.0] * 4 + [20.0] * 66
    more = [20.0] * 60 + [28.0] * 10 + [20.0] * 60
    warm = of_stores("temp_avg", [[67.0] * 130] * 3)
    busy = of_stores("visitors_avg", [CALM[:130], brief, more])
    assert [row["store_id"] for row in cooling(engine, warm, busy)] == ["S001"]
    assert cooling(engine, warm, busy, DAY + timedelta(days=1)) == []


def known_response(world: World, store: int, start: datetime, end: datetime) -> int:
    """Return the minutes to the band of a store's temperature without noise."""
    first, last = (int(moment.timestamp()) // 60 for moment in (start, end))
    numbers = np.arange(first - 20, last + 61)
    warm = world.store_temperature(store, numbers)
    smooth = np.array([warm[max(0, n - 4) : n + 1].mean() for n in range(len(warm))])
    band = warm[5:20].mean() + 0.5
    warmest = 20 + int(np.argmax(smooth[20:]))
    assert smooth[warmest] > band
    back = next(n for n in range(warmest, len(smooth)) if smooth[n] <= band)
    return int(numbers[back]) - (last - 1)


def test_the_lag_and_the_cooling_of_simulated_stores_are_found(engine: Engine) -> None:
    world, simulated = World(SIMULATED), simulated_minutes(SIMULATED)
    warm, busy = simulated["thermostat"], simulated["occupancy"]
    lags_found = {
        int(row["store_id"][1:]) - 1: row["lag_minutes"]
        for row in heat(engine, warm, busy)
        if row["shift"] == 0
    }
    assert lags_found == pytest.approx({n: world.lag(n) for n in range(10)}, abs=2)
    crowds = {
        (store, start): end
        for store in range(10)
        for day in range(19, 23)
        for start, end in world.spikes(store, date(2021, 10, day))
    }
    found = cooling(engine, warm, busy)
    assert len(found) > 25
    errors = []
    for row in found:
        store = int(row["store_id"][1:]) - 1
        # Of the noise of the counters a crowd may seem a minute shorter or longer.
        start, end = min(
            ((s, e) for (of, s), e in crowds.items() if of == store),
            key=lambda crowd: abs(crowd[0] - row["began_at"]),
        )
        assert abs(start - row["began_at"]) <= timedelta(minutes=1)
        assert abs(end - timedelta(minutes=1) - row["ended_at"]) <= timedelta(minutes=1)
        hour = timedelta(hours=1)
        alone = all(e <= start - hour or s >= end + hour for (of, s), e in crowds.items()
                    if (of, s) != (store, start) and of == store)  # fmt: skip
        if alone:
            errors.append(row["minutes_to_band"] - known_response(world, store, start, end))
    assert len(errors) > 20
    assert max(map(abs, errors)) <= 5
    assert abs(float(np.mean(errors))) <= 1


def test_the_sample_has_crowds_and_heat_in_every_store(sample: SampleRun) -> None:
    rows = sample.house.rows(GOLD_CROWD_HEAT, where="shift = 0")
    assert {(row["event_date"].day, row["store_id"]) for row in rows} == {
        (day, f"S{store:03}") for day in (20, 21, 22) for store in range(1, 11)
    }
    # One device a store, every two minutes.
    world = World(SAMPLE)
    off = [abs(row["lag_minutes"] - world.lag(int(row["store_id"][1:]) - 1)) for row in rows]
    assert float(np.median(off)) <= 2
    crowds = sample.house.rows(GOLD_CROWD_COOLING)
    assert len({row["store_id"] for row in crowds}) == 10
    assert {row["shift"] for row in crowds} == {1, 2}
    known = [row["minutes_to_band"] for row in crowds if row["minutes_to_band"] is not None]
    assert len(known) > 60
    assert 10 < float(np.mean(known)) < 30


def test_spark_finds_the_same(spark_engine: Engine) -> None:
    simulated = simulated_minutes(SAMPLE)
    days = [
        table.filter(pc.is_in(table["event_date"], pa.array([DAY - timedelta(days=1), DAY])))
        for table in (simulated["thermostat"], simulated["occupancy"])
    ]

    def limits(engine: Engine, warm: pa.Table, _busy: pa.Table) -> list[dict[str, Any]]:
        devices = reference.device_history()
        return engine.rows(
            day_of(engine, GOLD_THRESHOLD_VIOLATIONS, DAY, minutes=warm, devices=devices)
        )

    def all_of(engine: Engine) -> list[list[str]]:
        rules: tuple[Callable[..., list[dict[str, Any]]], ...] = (heat, cooling, limits)
        return [sorted(str(row) for row in rule(engine, *days)) for rule in rules]

    there = all_of(spark_engine)
    embedded = start_engine()
    with embedded.scope():
        here = all_of(embedded)
    assert there == here
    assert all(len(rows) > 5 for rows in here)
