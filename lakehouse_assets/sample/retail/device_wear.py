"""A delivery of the hourly readings of devices until they failed.

The devices are those of `device_world.py`, with another seed than the streams'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np

from lakehouse_assets.domains.retail.datasets.device_wear import DEVICE_WEAR
from lakehouse_assets.sample.retail.device_world import (
    Array,
    DeviceConfig,
    HourReadings,
    World,
)
from lakehouse_assets.sample.retail.draws import Config, deliver

WORLD: Final = DeviceConfig(hours=42 * 24, interval=120, silent=0.005)
"""The devices, over six weeks before the first reported one."""

DEVICES: Final = 30
"""Devices that fail, in the sample."""

_FORMATS: Final = {
    "hour": "{:d}", "temp_avg": "{:.3f}", "temp_spread": "{:.3f}", "battery_avg": "{:.2f}",
    "readings_share": "{:.3f}", "hours_left": "{:.1f}",
}  # fmt: skip
# A record begins between so many hours before the failure.
_RECORDED: Final = (24, 240)


def hourly(readings: HourReadings) -> dict[str, Array]:
    """Sum up an hour's readings by device, as `device_hours` sums up stored minutes.

    Returns:
        Four numbers of each device by name; NaN for a device without readings.
    """
    sent = readings.sent
    minute = (readings.ticks // 60) % 60
    # Whole numbers, so that every machine writes the same file.
    member = (minute == np.arange(60)[:, None]).astype(np.int64)
    tenths = np.round(readings.temperature * 10.0).astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = member @ sent
        means = (member @ np.where(sent, tenths, 0)) / (10.0 * counts)
        charge = (member @ np.where(sent, readings.battery, 0)) / counts
        known = (counts > 0).sum(axis=0)
        temp = np.where(counts > 0, means, 0.0).sum(axis=0) / known
        spread = np.where(counts > 0, np.abs(means - temp), 0.0).sum(axis=0) / known
        battery = np.where(counts > 0, charge, 0.0).sum(axis=0) / known
    return {
        "temp_avg": temp,
        "temp_spread": spread / np.nanmean(spread),
        "battery_avg": battery,
        "readings_share": np.where(known > 0, sent.sum(axis=0) / sent.sum(axis=0).max(), np.nan),
    }


def write_device_wear(config: Config, root: Path) -> list[Path]:
    """Write the file, on the first Monday after the first week; return it."""
    start = config.first_week - timedelta(hours=WORLD.hours)
    world = World(replace(WORLD, seed=config.seed, start=start))
    first, last = world.config.first_hour, world.config.first_hour + world.config.hours
    rng = config.random("device_wear")
    places = {device.device_id: place for place, device in enumerate(world.devices)}
    failures = [
        (places[device_id], failed.timestamp() / 3600)
        for device_id, _, failed, _ in world.failures()
        if first + _RECORDED[1] < failed.timestamp() / 3600 < last
    ]
    chosen = sorted(rng.permutation(len(failures))[: config.rows(DEVICES)].tolist())
    begins = rng.integers(*_RECORDED, len(chosen)).tolist()
    lives = [
        (place, failed, int(failed) - begin)
        for (place, failed), begin in zip((failures[n] for n in chosen), begins, strict=True)
    ]
    wanted = {hour for _, failed, begin in lives for hour in range(begin, int(failed) + 1)}
    known = {hour: hourly(world.hour(hour)) for hour in sorted(wanted)}
    lines = [",".join(DEVICE_WEAR.source_names)]
    for number, (place, failed, begin) in enumerate(lives, 1):
        for hour in range(begin, int(failed) + 1):
            values = {name: float(column[place]) for name, column in known[hour].items()}
            left = max(failed - hour - 1.0, 0.0)
            if not np.isnan(values["temp_avg"]):
                row = {"hour": hour - begin, **values, "hours_left": left}
                lines.append(f"W{number:03}," + _written(row))
    content = "\n".join([*lines, ""])
    day = config.mondays[0] + timedelta(weeks=1)
    return [deliver(root, DEVICE_WEAR.name, day, "run_to_failure.csv.gz", content)]


def _written(row: Mapping[str, float]) -> str:
    return ",".join(text.format(row[name]) for name, text in _FORMATS.items())
