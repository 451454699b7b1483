"""Anomalies and forecasts of the stores' devices, from their minutes."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse_assets.domains.retail.gold import device_series
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ml import series
from lakehouse_assets.query.session import ask
from lakehouse_assets.sample.retail.device_world import DeviceConfig, World
from lakehouse_assets.sample.retail.devices import SAMPLE, planted_anomalies
from lakehouse_assets_tests.airline.samples import House, SampleRun
from lakehouse_assets_tests.retail.device_samples import copy_minutes, day_of

DAY = 1440
FIRST = date(2021, 10, 20)
LAST = FIRST + timedelta(days=2)
MIDNIGHT = np.datetime64(FIRST, "us")
TABLES = {gold.table.name: gold for gold in device_series.GOLD}


def minutes(rows: np.ndarray, store: str | None = "S001", column: str = "temp_avg") -> pa.Table:
    """Return the minutes of devices TH001 ... from a row of values each; gaps have none."""
    number, position = np.nonzero(~np.isnan(rows))
    given = {column: rows[number, position]}
    if column != "temp_avg":
        given = {"dwell_avg": given[column], "aisle_avg": given[column] * 2}
    return pa.table(
        {
            "device_id": [f"TH{n + 1:03}" for n in number],
            "store_id": pa.array([store] * len(number), pa.string()),
            "minute": pa.array(MIDNIGHT + position * np.timedelta64(60, "s")).cast(
                pa.timestamp("us", "UTC")
            ),
            **given,
        }
    )


def build(name: str, given: pa.Table, day: date = LAST, engine: Engine | None = None) -> pa.Table:
    """Build a day of a table from minutes; rows are in the order of its keys."""
    (read,), table = TABLES[name].reads, TABLES[name].table
    engine = engine or start_engine()
    current.activate(engine)
    with engine.scope():
        found = engine.arrow_stream(day_of(engine, table, day, **{read: given})).read_all()
    assert found.column_names == list(table.column_names)
    return found.sort_by([(key, "ascending") for key in table.keys])


def of(found: pa.Table, **where: Any) -> list[dict[str, Any]]:
    """Return the rows in which columns have the given values."""
    return [row for row in found.to_pylist() if all(row[n] == value for n, value in where.items())]


def test_planted_anomalies_are_flagged_and_little_else() -> None:
    config = DeviceConfig(seed=3, start=FIRST, hours=72, interval=60)
    world = World(config)
    hours = [world.hour(hour) for hour in range(config.first_hour, config.first_hour + 72)]
    names = [device.device_id for device in hours[0].devices]
    assert names == [f"TH{n + 1:03}" for n in range(100)]
    rows = np.vstack([np.where(h.sent, h.temperature, np.nan) for h in hours]).T
    found = build("thermostat_anomalies", minutes(rows))
    found = found.filter(pc.and_(pc.is_valid(found["temp_avg"]), pc.is_in(
        found["device_id"], pa.array(names))))  # fmt: skip
    number = np.array([int(name[2:]) - 1 for name in found["device_id"].to_pylist()])
    minute = (found["minute"].cast(pa.int64()).to_numpy() - MIDNIGHT.astype(int)) // 60_000_000
    planted = np.zeros(rows.shape, int)
    for hour in hours:
        for anomaly in hour.anomalies:
            at = (anomaly.minute - MIDNIGHT) // np.timedelta64(1, "m")
            planted[names.index(anomaly.device_id), at] = anomaly.sign
    # A device overheats for hours before it fails, which is unusual as well.
    ill = np.zeros(rows.shape, bool)
    for name, _, failed, _ in world.failures():
        at = int((failed.replace(tzinfo=None) - MIDNIGHT.item()).total_seconds() // 60)
        ill[names.index(name), max(at - 300, 0) : max(at + 1, 0)] = True
    flag, sign = found["flag"].to_numpy(), planted[number, minute]
    assert np.count_nonzero(sign) > 60
    assert np.mean(flag[sign != 0] == sign[sign != 0]) >= 0.98
    assert np.mean(flag[(sign == 0) & ~ill[number, minute]] != 0) <= 0.001
    # The same as with arrays, for devices that go back to the first hour.
    filled = series.series_fill_linear(rows, fill_edges=False)
    arrays = series.series_decompose_anomalies(filled, seasonality=DAY)
    whole = ~np.isnan(filled[:, :60]).all(axis=1)[number]
    for column, digits in (("baseline", 4), ("score", 6)):
        wanted = getattr(arrays, column)[number, minute][whole]
        assert found[column].to_numpy()[whole] == pytest.approx(wanted, abs=0.6 * 10**-digits)
    rounded = arrays.score[number, minute][whole].round(6)
    assert flag[whole].tolist() == ((np.abs(rounded) >= 1.5) * np.sign(rounded)).tolist()


def rhythm(devices: int, days: int = 3, seed: int = 1) -> np.ndarray:
    """Return temperatures of some days with a daily rhythm and a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.2, (devices, days * DAY))
    return (68 + 2 * np.sin(np.arange(days * DAY) / DAY * 2 * np.pi) + noise).round(4)


def test_gaps_are_rows_without_a_judgement() -> None:
    rows = rhythm(3)
    rows[0, 2 * DAY + 100 : 2 * DAY + 110] = np.nan
    rows[1, 2 * DAY + 600 :] = np.nan
    rows[2, : 2 * DAY + 50] = np.nan
    rows[:, 2 * DAY + 700 :] = np.nan
    rows[0, 2 * DAY + 300] += 9
    found = build("thermostat_anomalies", minutes(rows))
    ones = of(found, device_id="TH001")
    assert len(ones) == 700
    gaps = [r for r in ones if r["temp_avg"] is None]
    assert [r["minute"].minute for r in gaps] == [*range(40, 50)]
    assert {(r["score"], r["flag"]) for r in gaps} == {(None, 0)}
    assert all(abs(r["baseline"] - 68) < 3 for r in gaps)
    assert [r["minute"].hour * 60 + r["minute"].minute for r in ones if r["flag"]] == [300]
    # To the last minute of any device, and from the device's own first one.
    assert [r["temp_avg"] is None for r in of(found, device_id="TH002")].count(True) == 100
    assert len(of(found, device_id="TH003")) == 650
    stores = of(found, device_id="All")
    assert len(stores) == 700
    assert stores[0]["temp_avg"] == pytest.approx(rows[:2, 2 * DAY].mean(), abs=1e-4)


def test_without_three_days_there_is_no_rhythm_to_learn() -> None:
    rows = rhythm(1, days=3)
    rows[0, 1_000] += 12
    rows[0, DAY + 200] -= 12
    first = build("thermostat_anomalies", minutes(rows[:, :DAY]), FIRST)
    ones = of(first, device_id="TH001")
    assert {r["baseline"] for r in ones} == {round(rows[0, :DAY].mean(), 4)}
    assert [n for n, r in enumerate(ones) if r["flag"]] == [1_000]
    second = build("thermostat_anomalies", minutes(rows[:, : 2 * DAY]), FIRST + timedelta(days=1))
    flags = [(n, r["flag"]) for n, r in enumerate(of(second, device_id="TH001")) if r["flag"]]
    # Not at 16:40, where yesterday's anomaly would be half of what is usual.
    assert flags == [(200, -1)]


@pytest.mark.parametrize(("last", "ahead"), [(3 * DAY, "00:00"), (2 * DAY + 615, "10:15")])
def test_the_next_minutes_are_forecast(last: int, ahead: str) -> None:
    rows = rhythm(3)
    rows[:, last:] = np.nan
    rows[1, last - 30 :] = np.nan
    rows[2, 2 * DAY :] = np.nan
    found = build("thermostat_forecast", minutes(rows))
    ones = of(found, device_id="TH001")
    assert len(ones) == 15
    assert f"{ones[0]['minute']:%H:%M}" == ahead
    expected = series.series_decompose_forecast(
        np.append(rows[0, last - 2 * DAY : last], [np.nan] * 15), 15, DAY
    )
    assert [r["temp_forecast"] for r in ones] == pytest.approx(expected[-15:], abs=6e-5)
    usual = 68 + 2 * np.sin((last + np.arange(15)) / DAY * 2 * np.pi)
    assert [r["temp_forecast"] for r in ones] == pytest.approx(usual, abs=1)
    # One that stopped half an hour ago is forecast, and says so; one that stopped yesterday is not.
    stopped = of(found, device_id="TH002")
    start = datetime(2021, 10, 20, tzinfo=UTC)
    assert [r["last_minute"] for r in stopped] == [start + timedelta(minutes=last - 31)] * 15
    assert {r["device_id"] for r in found.to_pylist()} == {"TH001", "TH002"}


def test_stays_are_judged_in_steps_of_five_minutes_by_their_own_thresholds() -> None:
    rng = np.random.default_rng(4)
    rows = np.repeat(rng.uniform(9, 11, (2, 3 * 288)), 5, axis=1).round(3)
    for place in (300, 305):
        rows[0, 2 * DAY + place] += 40
    found = build("occupancy_anomalies", minutes(rows, column="dwell_avg"))
    assert {(r["measure"], r["device_id"]) for r in found.to_pylist()} == {
        (measure, device) for measure in ("dwell", "aisle") for device in ("TH001", "TH002", "All")
    }
    ones = of(found, measure="dwell", device_id="TH001")
    assert len(ones) == 288
    assert [f"{r['step_start']:%H:%M}" for r in ones if r["flag"] == 1] == ["05:00", "05:05"]
    assert ones[60]["minutes_avg"] == pytest.approx(rows[0, 2 * DAY + 300 :][:5].mean(), abs=1e-4)
    for row in found.to_pylist():
        threshold = device_series.THRESHOLDS[row["measure"]]
        assert row["flag"] == (abs(row["score"]) >= threshold) * np.sign(row["score"])
    twice = of(found, measure="aisle", device_id="TH001")
    assert [r["score"] for r in twice] == pytest.approx([r["score"] for r in ones], abs=1e-5)


def test_a_device_without_a_store_and_no_minutes_at_all() -> None:
    found = build("thermostat_anomalies", minutes(rhythm(1), store=None))
    assert {r["store_id"] for r in found.to_pylist()} == {"Unknown"}
    nothing = minutes(np.full((1, DAY), np.nan))
    for name in ("thermostat_anomalies", "thermostat_forecast"):
        assert build(name, nothing).num_rows == 0


def test_the_sample_is_judged_day_by_day_and_in_one_run_alike(
    sample: SampleRun, house: House
) -> None:
    tables = [gold.table for gold in TABLES.values()]
    copy_minutes(sample, house)
    assert house.materialise("retail_live", f"{LAST}", *tables).success
    for table in tables:
        days = {row["event_date"] for row in sample.house.rows(table)}
        assert days == {FIRST + timedelta(days=n) for n in range(3)}
        alone, of_range = (
            [
                {k: v for k, v in row.items() if k != "load_timestamp"}
                for row in of.rows(table, f"event_date = '{LAST}'")
            ]
            for of in (house, sample.house)
        )
        assert alone == of_range
        assert house.count(table) == len(alone)
    house = sample.house
    rows = house.rows(device_series.THERMOSTAT_ANOMALIES, where="flag <> 0")
    flags = {(r["device_id"], f"{r['minute']:%d %H:%M}"): r["flag"] for r in rows}
    planted = {(a.device_id, f"{a.minute.item():%d %H:%M}"): a.sign
               for a in planted_anomalies(SAMPLE)}  # fmt: skip
    assert len(planted) > 20
    missed = {key for key, sign in planted.items() if flags.get(key) != sign}
    assert len(missed) <= 1, missed
    ahead = house.rows(device_series.THERMOSTAT_FORECAST, where="device_id = 'TH005'")
    assert len(ahead) == 45
    assert all(60 < row["temp_forecast"] < 75 for row in ahead)
    # The queries of the manual; nothing was ingested here.
    manual = Path("docs/explanation/streams.md").read_text(encoding="utf-8")
    queries = re.findall(r"`(select [^`]+)`", manual)
    assert len(queries) > 10
    for query in queries:
        if "events_ingested" not in query:
            # The sample has one device of each store.
            assert list(ask(house.lake, query).rows) or "TH001" in query, query


def test_days_are_the_same_on_spark(spark_engine: Engine) -> None:
    rows = rhythm(2)
    rows[0, 2 * DAY + 40 :] = np.nan
    rows[1, DAY : DAY + 30] = np.nan
    rows[1, 2 * DAY + 300] -= 9
    for name in TABLES:
        column = "dwell_avg" if name.startswith("occupancy") else "temp_avg"
        given = minutes(rows, column=column)
        there = build(name, given, engine=spark_engine).to_pylist()
        assert there == build(name, given, engine=start_engine()).to_pylist()
        assert there
