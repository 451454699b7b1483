"""Devices outside their limits: episodes worked out by hand, the sample's, and their alert."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.gold.device_limits import GOLD_THRESHOLD_VIOLATIONS
from lakehouse_assets.domains.retail.gold.device_minutes import with_shift
from lakehouse_assets.domains.retail.gold.dimensions import DIM_DEVICES
from lakehouse_assets.engine.base import Engine
from lakehouse_assets_tests.airline.samples import House, SampleRun
from lakehouse_assets_tests.retail.device_samples import LATER, copy_minutes, day_of

DAY = date(2021, 10, 21)
# Too warm above 74 until the 21st, then above 72; never colder than 60, batteries never below 20.
DEVICES = pa.table(
    {
        "device_id": ["TH1", "TH1", "TH2"],
        "store_id": ["S001", "S001", "S009"],
        "temp_low": pa.array([Decimal(60)] * 3, pa.decimal128(4, 1)),
        "temp_high": pa.array([Decimal(74), Decimal(72), Decimal(74)], pa.decimal128(4, 1)),
        "battery_limit": pa.array([20, 20, 20], pa.int32()),
        "valid_from": [date(2021, 1, 1), DAY, date(2021, 1, 1)],
        "valid_to": [DAY, None, None],
    }
)


def at(text: str) -> datetime:
    """Return a moment in October 2021, given as `day hour:minute`."""
    day, _, time = text.partition(" ")
    hour, minute = map(int, time.split(":"))
    return datetime(2021, 10, int(day), hour, minute, tzinfo=UTC)


def violations(
    engine: Engine,
    minutes: Sequence[tuple[str, str, float, float]],
    loaded_at: datetime = LATER,
) -> list[tuple[Any, ...]]:
    """Return device, measure, times, minutes, worst value, limit, shift and continued."""
    device, moment, temperature, battery = zip(*minutes, strict=True)
    moments = [at(text) for text in moment]
    table = pa.table(
        {
            "device_id": device,
            "minute": pa.array(moments, pa.timestamp("us", "UTC")),
            "temp_avg": temperature,
            "battery_avg": battery,
            "event_date": [moment.date() for moment in moments],
        }
    )
    rows = engine.rows(
        day_of(engine, GOLD_THRESHOLD_VIOLATIONS, DAY, loaded_at, minutes=table, devices=DEVICES)
    )
    names = (
        "device_id", "measure", "began_at", "last_minute", "minutes", "minutes_out", "worst_value",
        "limit_value", "shift", "continued",
    )  # fmt: skip
    return sorted(tuple(row[name] for name in names) for row in rows)


def warm(*moments: str, value: float = 75.0, device: str = "TH2") -> list[Any]:
    return [(device, moment, value, 90.0) for moment in moments]


CASES = {
    "minutes up to ten apart are one episode, of which the worst counts": (
        [*warm("21 10:00", "21 10:10", "21 10:19", "21 10:30"), *warm("21 10:11", value=76.5)],
        [("TH2", "temperature_high", at("21 10:00"), at("21 10:19"), 20, 4, 76.5, 74.0, 2, False),
         ("TH2", "temperature_high", at("21 10:30"), at("21 10:30"), 1, 1, 75.0, 74.0, 2, False)],
    ),
    "a limit itself is allowed": ([("TH2", "21 10:00", 74.0, 20.0)], []),
    "each measure has its own episodes": (
        [("TH2", "21 10:00", 59.5, 19.5), ("TH2", "21 10:01", 67.0, 19.0)],
        [("TH2", "battery_low", at("21 10:00"), at("21 10:01"), 2, 2, 19.0, 20.0, 2, False),
         ("TH2", "temperature_low", at("21 10:00"), at("21 10:00"), 1, 1, 59.5, 60.0, 2, False)],
    ),
    "an episode of yesterday that goes on is continued and told as a whole": (
        warm("20 23:50", "20 23:57", "21 00:02", "21 00:03", "21 08:00"),
        [("TH2", "temperature_high", at("20 23:50"), at("21 00:03"), 14, 4, 75.0, 74.0, 1, True),
         ("TH2", "temperature_high", at("21 08:00"), at("21 08:00"), 1, 1, 75.0, 74.0, 2, False)],
    ),
    "one that ended yesterday is yesterday's": (warm("20 23:50"), []),
    "the limits are those of the day": (
        warm("20 23:59", "21 00:00", value=73.0, device="TH1"),
        [("TH1", "temperature_high", at("21 00:00"), at("21 00:00"), 1, 1, 73.0, 72.0, 2, False)],
    ),
    "the stricter of two limits is reported": (
        warm("20 23:59", "21 00:00", value=75.0, device="TH1"),
        [("TH1", "temperature_high", at("20 23:59"), at("21 00:00"), 2, 2, 75.0, 72.0, 2, True)],
    ),
    "an unknown device has no limits": (warm("21 10:00", device="TH9"), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_episodes(engine: Engine, case: str) -> None:
    minutes, expected = CASES[case]
    assert violations(engine, minutes) == expected


def test_a_minute_that_may_still_lack_readings_is_left_to_the_next_build(engine: Engine) -> None:
    minutes = warm("21 10:00", "21 10:01", "21 10:02")
    built_at = datetime(2021, 10, 21, 10, 4, 30, tzinfo=UTC)
    assert [found[3:5] for found in violations(engine, minutes, loaded_at=built_at)] == [
        (at("21 10:01"), 2)
    ]
    # After midnight, yesterday is closed.
    minutes = warm("21 23:59")
    built_at = datetime(2021, 10, 22, 0, 0, 1, tzinfo=UTC)
    assert len(violations(engine, minutes, loaded_at=built_at)) == 1


def test_shifts_are_those_of_the_stores_own_time(engine: Engine) -> None:
    """Miami is 4 hours behind UTC in summer and 5 in winter, Tokyo always 9 ahead."""
    cases = {
        ("S001", "2021-07-01T09:59"): 3, ("S001", "2021-07-01T10:00"): 1,
        ("S001", "2021-07-01T17:59"): 1, ("S001", "2021-07-01T18:00"): 2,
        ("S001", "2021-07-02T01:59"): 2, ("S001", "2021-07-02T02:00"): 3,
        ("S001", "2021-12-01T10:00"): 3, ("S001", "2021-12-01T11:00"): 1,
        # Clocks were turned back on 7 November at 6:00 UTC.
        ("S001", "2021-11-07T10:30"): 3, ("S001", "2021-11-06T10:30"): 1,
        ("S009", "2021-07-01T20:59"): 3, ("S009", "2021-07-01T21:00"): 1,
        ("S009", "2019-12-01T21:00"): 1, ("S001", "2060-12-01T11:00"): 1,
        ("S999", "2021-07-01T10:00"): None,
    }  # fmt: skip
    moments = [datetime.fromisoformat(f"{text}+00:00") for _, text in cases]
    rows = pa.table(
        {
            "store_id": [store for store, _ in cases],
            "number": [int(moment.timestamp()) // 60 for moment in moments],
        }
    )
    clocks = engine.from_arrow(reference.store_clocks())
    found = engine.rows(with_shift(engine.from_arrow(rows), clocks))
    assert {(row["store_id"], row["number"]): row["shift"] for row in found} == {
        (store, int(moment.timestamp()) // 60): shift
        for ((store, _), shift), moment in zip(cases.items(), moments, strict=True)
    }


@pytest.fixture
def sample_house(sample: SampleRun, house: House) -> House:
    """A house with the minutes of the sample's devices."""
    copy_minutes(sample, house)
    return house


def test_the_sample_has_an_episode_across_midnight_and_one_alert_for_each(
    sample_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(
        "lakehouse_assets.orchestration.alerts.send_alert",
        lambda text, *_: sent.append(text),
    )
    (sensor,) = [
        sensor
        for sensor in sample_house.definitions().sensors or []
        if sensor.name == "alert_devices_out_of_limits"
    ]
    cursor: str | None = json.dumps({"after": None, "rows": {}})
    with dg.DagsterInstance.ephemeral() as instance:
        for last in ("2021-10-21", "2021-10-22"):
            result = sample_house.materialise(
                "retail_live", "2021-10-20", GOLD_THRESHOLD_VIOLATIONS, last=last, instance=instance
            )
            assert result.success
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                sensor(context)
                cursor = context.cursor
    rows = sample_house.rows(
        GOLD_THRESHOLD_VIOLATIONS, order="event_date, began_at, device_id, measure"
    )
    long = [row for row in rows if row["device_id"] == "TH035"]
    assert [
        (row["event_date"].day, row["began_at"], row["last_minute"], row["continued"])
        for row in long
    ] == [
        (21, at("21 21:58"), at("21 23:58"), False),
        (22, at("21 21:58"), at("22 00:28"), True),
    ]
    assert long[1]["worst_value"] > 82 > long[0]["worst_value"] > 79
    assert (long[1]["measure"], long[1]["shift"], long[1]["limit_value"]) == (
        "temperature_high", 2, 74.0,
    )  # fmt: skip
    # Warm or cold for one minute: the planted anomalies that leave the limits.
    begun = [sum(r["event_date"].day == day and not r["continued"] for r in rows)
             for day in (20, 21, 22)]  # fmt: skip
    assert begun[0] >= 4
    assert sent == [
        f"Devices are outside their limits in 2021-10-{day} (episodes: {number})"
        for day, number in zip((20, 21, 22), begun, strict=True)
    ]
    (row,) = sample_house.rows(DIM_DEVICES, where="device_id = 'TH035' and valid_to is null")
    assert (row["store_id"], row["city"], row["time_zone"], row["valid_from"]) == (
        "S004", "San Francisco", "America/Los_Angeles", date(2021, 10, 22),
    )  # fmt: skip
