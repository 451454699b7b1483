"""Features of the device health model: four numbers by device and hour, and windows over them.

The model is fitted on the dataset `device_wear` (devices that ran until they failed) and scores the
hours of the stream (`device_health.py`). Both get their features here.
"""

from __future__ import annotations

from typing import Final

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.datasets.device_wear import SENSORS
from lakehouse_assets.domains.retail.gold.device_minutes import minute_number
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.ml.remaining_life import Windows, window_features

WINDOWS: Final = Windows(means=(6, 24), slope=24)
FEATURES: Final = WINDOWS.features(tuple(SENSORS))
"""The model's features, each with the sensor it is about."""

_TEXTS: Final = {
    "_mean_6": "Average of {} over the last 6 hours.",
    "_mean_24": "Average of {} over the last 24 hours.",
    "_slope_24": "Change of {} per hour over the last 24 hours.",
}  # fmt: skip
# Digits of the features: decimals have the same text on every engine, doubles do not.
_DIGITS: Final = 4
_FEATURE: Final = f"decimal(12,{_DIGITS})"
_PARTS: Final = 10**_DIGITS
# If the battery gains this many percent within an hour, the device was replaced.
_REPLACED: Final = 10


def _feature(name: str, sensor: str) -> Column:
    unit, text = SENSORS[sensor]
    suffix = name.removeprefix(sensor)
    described = _TEXTS[suffix].format(sensor) if suffix else text
    return Column(name, _FEATURE, described, unit=unit)


FEATURE_COLUMNS: Final = tuple(_feature(name, sensor) for name, sensor in FEATURES.items())


def device_hours(minutes: DataFrame, devices: DataFrame) -> DataFrame:
    """Sum up the minutes of known devices by hour.

    All sums are of whole numbers, so that engines agree to the last bit.

    Args:
        minutes: Rows of `agg_thermostat_minute`.
        devices: The known devices, with `device_id`.

    Returns:
        `event_date`, `device_id`, `store_id`, `hour` (a timestamp), `hour_number` (since 1970), and
        a double for each of `SENSORS`.
    """
    hour = W.partitionBy("device_id", "hour")
    known = devices.select("device_id").distinct()
    found = v.staged(
        minutes.join(known, "device_id").select(
            "event_date", "device_id", "store_id", "readings",
            v.hour_start(F.col("minute")).alias("hour"),
            _parts(F.col("temp_avg")).alias("temp"),
            _parts(F.col("battery_avg")).alias("battery"),
        )
    )  # fmt: skip
    temp = F.col("temp")
    apart = F.abs(F.count(temp).over(hour) * temp - F.sum(temp).over(hour))
    found = v.staged(found.withColumn("apart", apart))
    count = F.count("temp")
    hours = found.groupBy("event_date", "device_id", "hour").agg(
        F.max("store_id").alias("store_id"),
        F.sum("readings").cast("bigint").alias("readings"),
        _mean(F.sum("temp"), count).alias("temp_avg"),
        # Distances are whole numbers of parts, too.
        F.floor(v.ratio(F.sum("apart"), count * count) + F.lit(0.5)).cast("bigint").alias("apart"),
        _mean(F.sum("battery"), F.count("battery")).alias("battery_avg"),
    )
    hours = v.staged(hours)
    fleet = W.partitionBy("hour")
    return v.staged(
        hours.select(
            "event_date", "device_id", "store_id", "hour",
            F.floor(v.ratio(minute_number(F.col("hour")), F.lit(60)))
            .cast("bigint").alias("hour_number"),
            "temp_avg",
            v.ratio(
                F.col("apart") * F.count("apart").over(fleet), F.sum("apart").over(fleet)
            ).alias("temp_spread"),
            "battery_avg",
            v.ratio(F.col("readings"), F.max("readings").over(fleet)).alias("readings_share"),
        )
    )  # fmt: skip


def since_replaced(hours: DataFrame) -> DataFrame:
    """Add `replaced`: how often the device was replaced so far, in the given hours."""
    so_far = W.partitionBy("device_id").orderBy(F.col("hour_number").asc_nulls_last())
    fuller = F.col("battery_avg") - F.lag("battery_avg").over(so_far)
    found = v.staged(hours.withColumn("fuller", fuller))
    new = F.when(F.col("fuller") > F.lit(_REPLACED), F.lit(1)).otherwise(F.lit(0))
    found = v.staged(found.withColumn("new", new))
    return v.staged(found.withColumn("replaced", F.sum("new").over(so_far).cast("bigint")))


def with_features(hours: DataFrame, unit: tuple[str, ...], time: str) -> DataFrame:
    """Add `FEATURES` to hours, rounded to four decimals; they replace the columns of `SENSORS`.

    Args:
        hours: Rows with `SENSORS`.
        unit: Columns of the device.
        time: Column of the hour, a whole number.
    """
    found = window_features(hours, unit, time, [*SENSORS], WINDOWS)
    rounded = {
        name: v.round_half_up(F.col(name).cast("double"), _DIGITS).cast(_FEATURE)
        for name in FEATURES
    }
    return v.staged(found.withColumns(rounded))


def _parts(column: Col) -> Col:
    return F.floor(column * F.lit(_PARTS) + F.lit(0.5)).cast("bigint")


def _mean(total: Col, count: Col) -> Col:
    return v.ratio(total, count * F.lit(_PARTS))
