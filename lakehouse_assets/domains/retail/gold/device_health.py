"""Device health: the hours each device has left, hour by hour, and which devices are at risk."""

from __future__ import annotations

from datetime import date
from typing import Final

from lakehouse_assets.catalog.gold import GoldTable, RowsAlert, last_days
from lakehouse_assets.catalog.registry import INPUTS_DIGEST, MODEL_VERSION, Column, Measure
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.gold.common import daily
from lakehouse_assets.domains.retail.gold.device_hours import (
    FEATURE_COLUMNS,
    device_hours,
    since_replaced,
    with_features,
)
from lakehouse_assets.domains.retail.gold.device_minutes import AGG_THERMOSTAT_MINUTE
from lakehouse_assets.domains.retail.models.maintenance import HEALTH_COLUMNS, MAINTENANCE
from lakehouse_assets.engine import DataFrame, F, W

GOLD_DEVICE_HEALTH: Final = daily(
    "gold_device_health",
    "One row per device and hour with readings: the inputs of the device health model, from this "
    "hour and the 23 before it, and the model's scores. The last hour of the current day may be "
    "incomplete.",
    (
        *AGG_THERMOSTAT_MINUTE.pick("device_id", "store_id"),
        Column("hour", "timestamp", "Start of the hour in UTC.", False),
        *FEATURE_COLUMNS,
        *HEALTH_COLUMNS,
        MODEL_VERSION,
        INPUTS_DIGEST,
    ),
    ("device_id", "hour"),
    day="Day of the hour in UTC.",
    kind="aggregate",
    topic="health",
    clustered=("device_id",),
    watched=(
        "temp_avg", "temp_spread", "battery_avg", "readings_share", "remaining_hours",
        "fails_within_24h",
    ),
    measures=(
        Measure("least_remaining_hours", "min(remaining_hours)", "hours", "non_additive",
                "Fewest hours that any device has left, by the model."),
        Measure("failure_probability", "max(fails_within_24h)", "share", "non_additive",
                "Highest probability that a device fails within 24 hours, by the model."),
    ),
)  # fmt: skip

GOLD_DEVICES_AT_RISK: Final = daily(
    "gold_devices_at_risk",
    "One row per day and device whose risk was high in its latest hour with readings on that day, "
    "with the reasons. Inspect these devices first.",
    (*GOLD_DEVICE_HEALTH.pick("device_id", "store_id", "hour"), *HEALTH_COLUMNS, MODEL_VERSION),
    ("device_id", "event_date"),
    day="Day of the hour in UTC.",
    kind="aggregate",
    topic="health",
    measures=(
        Measure("devices_at_risk", "count(distinct device_id)", "count", "non_additive",
                "Number of devices whose risk is high, by the model."),
        Measure("least_remaining_hours", "min(remaining_hours)", "hours", "non_additive",
                "Fewest hours that any device at risk has left, by the model."),
    ),
)  # fmt: skip


def device_health(minutes: DataFrame, devices: DataFrame, day: date) -> DataFrame:
    """Describe the hours of a day to the model; columns as declared, without the model's.

    Args:
        minutes: Rows of `agg_thermostat_minute` of the day and the day before.
        devices: The known devices.
        day: The day.
    """
    hours = since_replaced(device_hours(minutes, devices))
    found = with_features(hours, ("device_id", "replaced"), "hour_number")
    return found.filter(F.col("event_date") == F.lit(day))


def devices_at_risk(health: DataFrame) -> DataFrame:
    """Select the devices whose latest hour of a day has a high risk; columns as declared."""
    latest = F.max("hour").over(W.partitionBy("event_date", "device_id"))
    found = health.withColumn("latest", latest)
    at_risk = (F.col("hour") == F.col("latest")) & (F.col("risk") == F.lit("high"))
    return found.filter(at_risk)


GOLD: Final = (
    GoldTable(
        GOLD_DEVICE_HEALTH,
        device_health,
        {"minutes": last_days(AGG_THERMOSTAT_MINUTE, 2), "devices": reference.devices},
        scored_by=MAINTENANCE,
    ),
    GoldTable(
        GOLD_DEVICES_AT_RISK,
        devices_at_risk,
        {"health": GOLD_DEVICE_HEALTH},
        alert=RowsAlert("devices_at_risk", "Devices may fail within 24 hours", "devices"),
    ),
)
