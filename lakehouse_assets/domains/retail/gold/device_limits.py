"""Devices outside their limits: episodes of high and low temperature and of low battery."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from lakehouse_assets.catalog.gold import GoldTable, RowsAlert, last_days
from lakehouse_assets.catalog.registry import Column, Measure
from lakehouse_assets.catalog.streams import LiveAlarm
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.gold.common import STORES, daily
from lakehouse_assets.domains.retail.gold.device_minutes import (
    AGG_THERMOSTAT_MINUTE,
    minute_number,
    with_episode,
    with_shift,
)
from lakehouse_assets.domains.retail.gold.dimensions import DIM_DEVICES
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

GAP: Final = 10
"""Longest gap in minutes between two minutes of one episode."""

LOOK_BACK: Final = 3
"""Days in which the start of an episode is looked for."""

# Younger minutes may still lack readings.
_WATERMARK = timedelta(minutes=2)
_NEVER = date(9999, 12, 31)
TOO_WARM, TOO_COLD, LOW_BATTERY = "temperature_high", "temperature_low", "battery_low"
_WORDS = {TOO_WARM: "too warm", TOO_COLD: "too cold", LOW_BATTERY: "battery low"}

GOLD_THRESHOLD_VIOLATIONS = daily(
    "gold_threshold_violations",
    "Episodes in which a device was outside its limits in dim_devices. Minutes outside the limits "
    f"that are at most {GAP} minutes apart belong to one episode. One row per episode and day: an "
    "episode that continues after midnight (UTC) has another row on the next day, with `continued` "
    f"true, which covers the episode so far, up to {LOOK_BACK} days. Minutes that ended less than "
    "two minutes before the build are left to the next build.",
    (
        Column("device_id", "string", "The device.", False),
        Column("store_id", "string", "The store of the device, according to dim_devices.", False),
        Column("measure", "string", f"Limit that was exceeded: {TOO_WARM}, {TOO_COLD} or "
               f"{LOW_BATTERY}.", False),
        Column("began_at", "timestamp", "First minute outside the limits (UTC).", False),
        Column("last_minute", "timestamp", "Last minute outside the limits (UTC), up to the end of "
               "the day.", False),
        Column("minutes", "bigint", "Minutes from the first to the last minute, inclusive.", False,
               "minutes"),
        Column("minutes_out", "bigint", "Number of minutes observed outside the limits.", False,
               "minutes"),
        Column("worst_value", "double", "Average in the worst minute, in degrees Fahrenheit or "
               "percent.", False, "as measure says"),
        Column("limit_value", "double", "The limit; the stricter one if it changed during the "
               "episode.",
               False, "as measure says"),
        Column("shift", "int", "Shift in which the episode began, in the store's local time: 1 "
               "from 6:00, 2 from 14:00, 3 from 22:00.", unit="code"),
        Column("continued", "boolean", "Whether the episode began on an earlier day.", False),
    ),
    ("event_date", "device_id", "measure", "began_at"),
    kind="event",
    topic="climate",
    references=(dates("event_date"), STORES),
    measures=(
        Measure("violations", "sum(case when continued then 0 else 1 end)", "count", "additive",
                "Number of episodes outside the limits, on the day on which each began."),
        Measure("longest_violation", "max(minutes)", "minutes", "non_additive",
                "Longest episode outside the limits."),
    ),
)  # fmt: skip


def threshold_violations(
    minutes: DataFrame, devices: DataFrame, clocks: DataFrame, day: date, loaded_at: datetime
) -> DataFrame:
    """Find episodes outside the limits; columns as declared for `gold_threshold_violations`.

    Args:
        minutes: Rows of `agg_thermostat_minute` of the day and the days before.
        devices: Rows of `dim_devices`.
        clocks: Rows of `reference.store_clocks`.
        day: The day.
        loaded_at: When the run began.
    """
    minute = F.col("minute")
    closed = minutes.filter(
        (F.col("event_date") < F.lit(loaded_at.date()))
        | (minute <= F.lit(loaded_at - _WATERMARK - timedelta(minutes=1)).cast("timestamp"))
        | (minute > F.lit(loaded_at).cast("timestamp"))
    ).select("device_id", "minute", "event_date", "temp_avg", "battery_avg")
    limits = devices.select(
        F.col("device_id").alias("limited_device"), "store_id", "temp_low", "temp_high",
        "battery_limit", "valid_from",
        F.coalesce(F.col("valid_to"), F.lit(_NEVER)).alias("valid_until"),
    )  # fmt: skip
    limited = v.staged(
        closed.join(
            limits,
            (F.col("device_id") == F.col("limited_device"))
            & (F.col("event_date") >= F.col("valid_from"))
            & (F.col("event_date") < F.col("valid_until")),
            "inner",
        ).withColumn("number", minute_number(minute))
    )
    outside = (
        _outside(limited, TOO_WARM, "temp_avg", "temp_high")
        .unionByName(_outside(limited, TOO_COLD, "temp_avg", "temp_low"))
        .unionByName(_outside(limited, LOW_BATTERY, "battery_avg", "battery_limit"))
    )
    by = ("device_id", "measure")
    episodes = v.staged(with_episode(v.staged(outside), by, GAP))
    worse = F.col("measure") == F.lit(TOO_WARM)
    found = (
        episodes.groupBy(*by, "episode")
        .agg(
            # A device may move; the row is about the store where it was last.
            F.max("store_id").alias("store_id"),
            F.min("minute").alias("began_at"),
            F.max("minute").alias("last_minute"),
            F.min("number").alias("number"),
            (F.max("number") - F.min("number") + F.lit(1)).cast("bigint").alias("minutes"),
            F.count(F.lit(1)).cast("bigint").alias("minutes_out"),
            F.min("event_date").alias("first_day"),
            F.max("event_date").alias("event_date"),
            F.max("value").alias("highest"),
            F.min("value").alias("lowest"),
            F.max("limit_value").alias("highest_limit"),
            F.min("limit_value").alias("lowest_limit"),
        )
        .filter(F.col("event_date") == F.lit(day))
    )
    described = v.staged(found).withColumns(
        {
            "worst_value": F.when(worse, F.col("highest")).otherwise(F.col("lowest")),
            "limit_value": F.when(worse, F.col("lowest_limit")).otherwise(F.col("highest_limit")),
            "continued": F.col("first_day") < F.col("event_date"),
        }
    )
    return with_shift(v.staged(described), clocks)


def open_violations(
    minutes: DataFrame, devices: DataFrame, clocks: DataFrame, day: date, loaded_at: datetime
) -> DataFrame:
    """Find the episodes outside the limits that have not ended by a closed minute.

    Args:
        minutes: As for `threshold_violations`.
        devices: As for `threshold_violations`.
        clocks: As for `threshold_violations`.
        day: The day of the minute.
        loaded_at: The minute.
    """
    found = threshold_violations(minutes, devices, clocks, day, loaded_at)
    return found.filter(F.col("last_minute") >= F.lit(loaded_at - timedelta(minutes=GAP)))


def _described(violation: Mapping[str, Any]) -> str:
    began = violation["began_at"].astimezone(UTC)
    return (
        f"{violation['device_id']} {_WORDS[violation['measure']]} since {began:%H:%M} "
        f"({violation['worst_value']:.1f})"
    )


def _outside(limited: DataFrame, measure: str, value: str, limit: str) -> DataFrame:
    """Return the minutes outside one limit."""
    found, allowed = F.col(value), F.col(limit).cast("double")
    out: Col = found > allowed if measure == TOO_WARM else found < allowed
    return limited.filter(out).select(
        "device_id", "store_id", "minute", "number", "event_date",
        F.lit(measure).alias("measure"), found.alias("value"), allowed.alias("limit_value"),
    )  # fmt: skip


GOLD = (
    GoldTable(
        GOLD_THRESHOLD_VIOLATIONS,
        threshold_violations,
        {
            "minutes": last_days(AGG_THERMOSTAT_MINUTE, LOOK_BACK),
            "devices": DIM_DEVICES,
            "clocks": reference.store_clocks,
        },
        alert=RowsAlert(
            "devices_out_of_limits", "Devices are outside their limits", "episodes", but="continued"
        ),
    ),
)

OUT_OF_LIMITS = LiveAlarm(
    "Outside limits",
    "No device is outside its limits",
    AGG_THERMOSTAT_MINUTE,
    open_violations,
    {"devices": reference.device_history, "clocks": reference.store_clocks},
    _described,
)
