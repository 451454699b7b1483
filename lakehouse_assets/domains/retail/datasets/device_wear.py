"""Hourly readings of devices until they failed: the training data of the device health model.

A workshop keeps them for the devices that it replaced: CSV, one row per device and hour of its
record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_assets.catalog.datasets import Field, silver_table
from lakehouse_assets.domains.retail.shared import dataset
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

SENSORS = {
    "temp_avg": ("degrees Fahrenheit", "Average temperature in the hour."),
    "temp_spread": (
        "share",
        "How much the temperature varies within the hour, as a ratio to the average of all devices "
        "in the hour: 1 is normal.",
    ),
    "battery_avg": ("percent", "Average battery charge in the hour."),
    "readings_share": (
        "share",
        "Readings received in the hour, as a share of the highest number from any device.",
    ),
}
"""The numbers by device and hour, with their unit and meaning."""
# What is possible, so that features and sums of them stay finite.
_POSSIBLE = {
    "temp_avg": (-40, 150), "temp_spread": (0, 10_000), "battery_avg": (0, 100),
    "readings_share": (0, 1),
}  # fmt: skip
_HOURS = (0, 1_000_000)

_SOURCES = dict(zip(SENSORS, ("TempAvg", "TempSpread", "BatteryAvg", "ReadingsShare"), strict=True))


def with_reading_key(readings: DataFrame, _given: Mapping[str, Any]) -> DataFrame:
    """Add a key of the device and the hour."""
    key = v.hash_key(F.col("device_id"), F.col("hour"))
    return readings.select(*readings.columns, key.alias("reading_key"))


DEVICE_WEAR = dataset(
    name="device_wear",
    grain="day",
    description="One hour of a device that ran until it failed.",
    rows=(
        "One row per device and hour of its record: typed. An hour that is delivered again is a "
        "duplicate of the first delivery."
    ),
    key="reading_key",
    columns=(
        Field("reading_key", "bigint", "Key of the row: hash of device and hour.", need="checked",
              derived=True, unit="id"),
        Field("device_id", "string", "Id of the device.", "DeviceId", need="required"),
        Field("hour", "int", "Hours since the record of the device began.", "Hour", need="required",
              between=_HOURS, unit="hours"),
        *(
            Field(name, "double", text, _SOURCES[name], between=_POSSIBLE[name], unit=unit)
            for name, (unit, text) in SENSORS.items()
        ),
        Field("hours_left", "double", "Hours from the end of this hour to the failure.",
              "HoursLeft", between=_HOURS, unit="hours"),
    ),
    rule=with_reading_key,
    watched=("temp_avg", "battery_avg"),
    clustered=("device_id",),
)  # fmt: skip
SILVER_DEVICE_WEAR = silver_table(DEVICE_WEAR)
