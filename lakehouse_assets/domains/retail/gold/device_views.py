"""Views of the stores' devices: latest state, hourly averages, and ingested events."""

from __future__ import annotations

from functools import partial

from lakehouse_assets.catalog.registry import Column, Measure, TableView
from lakehouse_assets.catalog.streams import bronze_events
from lakehouse_assets.domains.retail.gold.common import STORES, view
from lakehouse_assets.domains.retail.gold.device_health import GOLD_DEVICE_HEALTH
from lakehouse_assets.domains.retail.gold.device_minutes import (
    AGG_OCCUPANCY_MINUTE,
    AGG_THERMOSTAT_MINUTE,
)
from lakehouse_assets.domains.retail.gold.dimensions import DIM_DEVICES
from lakehouse_assets.domains.retail.models.maintenance import HEALTH_COLUMNS
from lakehouse_assets.domains.retail.streams.occupancy import OCCUPANCY
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

_MINUTE = 60_000_000
_EXACT = "decimal(18,4)"
_AVERAGES = {
    "temp_avg": ("Average temperature.", "degrees Fahrenheit"),
    "battery_avg": ("Average battery charge.", "percent"),
    "visitors_avg": ("Average number of visitors near a device.", "count"),
    "aisle_avg": ("Average time of a visitor in the aisle.", "minutes"),
    "dwell_avg": ("Average time of a visitor in one place.", "minutes"),
}
_TEMPERATURE = tuple(_AVERAGES)[:2]


_view = partial(view, topic="devices")

DEVICES_LATEST = _view(
    "devices_latest",
    "Latest minute of each thermostat, with its store's city and today's battery limit.",
    (
        Column("device_id", "string", "The device.", False),
        Column("store_id", "string", "The store, according to the device."),
        Column(
            "city", "string", "City of the store; null if dim_devices does not list the device."
        ),
        Column("minute", "timestamp", "Start of the minute in UTC.", False),
        Column("temp_avg", "double", "Average temperature.", unit="degrees Fahrenheit"),
        Column("battery_avg", "double", "Average battery charge.", unit="percent"),
        Column("battery_limit", "int", "Lowest allowed battery charge.", unit="percent"),
        Column("battery_is_low", "boolean", "Whether the battery charge is below the limit."),
    ),
    ("device_id",),
)

STORE_HOURS = _view(
    "store_hours",
    "Temperature, battery and visitors by store and hour: averages over all readings.",
    (
        Column("store_id", "string", "The store."),
        Column("hour", "timestamp", "Start of the hour in UTC.", False),
        *(Column(name, "double", text, unit=unit) for name, (text, unit) in _AVERAGES.items()),
    ),
    ("store_id", "hour"),
    references=(STORES,),
    measures=(
        Measure("average_temperature", "avg(temp_avg)", "degrees Fahrenheit", "non_additive",
                "Average of the hourly temperatures."),
        Measure("average_battery", "avg(battery_avg)", "percent", "non_additive",
                "Average of the hourly battery charges."),
        Measure("average_visitors", "avg(visitors_avg)", "count", "non_additive",
                "Average number of visitors near a device."),
    ),
)  # fmt: skip

DEVICE_HEALTH_NOW = _view(
    "device_health_now",
    "Health of each device in the latest hour with readings, from gold_device_health.",
    (*GOLD_DEVICE_HEALTH.pick("device_id", "store_id", "hour"), *HEALTH_COLUMNS),
    ("device_id",),
    references=(STORES,),
    measures=(
        Measure("devices_at_risk_now", "count(distinct case when risk = 'high' then device_id end)",
                "count", "non_additive",
                "Number of devices whose risk is high in the latest hour, by the model."),
        Measure("remaining_hours_now", "min(remaining_hours)", "hours", "non_additive",
                "Fewest hours that any device has left, in the latest hour, by the model."),
    ),
)  # fmt: skip

EVENTS_INGESTED = _view(
    "events_ingested",
    "Number of events written to bronze, by stream and minute.",
    (
        Column("stream", "string", "Name of the stream.", False),
        Column("minute", "timestamp", "Start of the minute in UTC.", False),
        Column("five_minutes", "timestamp", "Start of the five-minute interval.", False),
        Column("events", "bigint", "Number of events.", False, "count"),
    ),
    ("stream", "minute"),
)


def devices_latest(thermostat: DataFrame, devices: DataFrame) -> DataFrame:
    """Return the last minute of each device; columns as declared for `devices_latest`.

    Args:
        thermostat: Rows of `agg_thermostat_minute`.
        devices: Rows of `dim_devices`.
    """
    last = F.row_number().over(
        W.partitionBy("device_id").orderBy(F.col("minute").desc_nulls_last())
    )
    ranked = thermostat.select(
        "device_id", "store_id", "minute", "temp_avg", "battery_avg", last.alias("place")
    )
    known = devices.filter(F.col("valid_to").isNull()).select(
        F.col("device_id").alias("known_device"), "city", "battery_limit"
    )
    newest = ranked.filter(F.col("place") == F.lit(1))
    found = newest.join(known, F.col("device_id") == F.col("known_device"), "left")
    low = F.col("battery_avg") < F.col("battery_limit")
    return found.withColumn("battery_is_low", low).select(*DEVICES_LATEST.column_names)


def store_hours(thermostat: DataFrame, occupancy: DataFrame) -> DataFrame:
    """Average the minutes by store and hour; columns as declared for `store_hours`.

    Args:
        thermostat: Rows of `agg_thermostat_minute`.
        occupancy: Rows of `agg_occupancy_minute`.
    """

    def hours(minutes: DataFrame, names: tuple[str, ...]) -> DataFrame:
        """Return an hour for each minute, with null for what the stream does not have."""
        return minutes.select(
            "store_id",
            v.hour_start(F.col("minute")).alias("hour"),
            "readings",
            *[
                (F.col(name) if name in names else F.lit(None)).cast(_EXACT).alias(name)
                for name in _AVERAGES
            ],
        )

    others = tuple(name for name in _AVERAGES if name not in _TEMPERATURE)
    both = hours(thermostat, _TEMPERATURE).unionByName(hours(occupancy, others))
    return both.groupBy("store_id", "hour").agg(*[_average(name) for name in _AVERAGES])


def device_health_now(health: DataFrame) -> DataFrame:
    """Select the latest hour; columns as declared for `device_health_now`.

    Args:
        health: Rows of `gold_device_health`.
    """
    latest = health.agg(F.max("hour").alias("latest"))
    return health.join(latest, F.col("hour") == F.col("latest"), "inner").select(
        *DEVICE_HEALTH_NOW.column_names
    )


def events_ingested(thermostat: DataFrame, occupancy: DataFrame) -> DataFrame:
    """Count the events of each minute of writing; columns as declared for `events_ingested`.

    Args:
        thermostat: Rows of `bronze_thermostat`.
        occupancy: Rows of `bronze_occupancy`.
    """
    named = (("thermostat", thermostat), ("occupancy", occupancy))
    one, other = (
        rows.select(F.lit(name).alias("stream"), v.minute_start(F.col("_ingested_at")).alias("m"))
        for name, rows in named
    )
    counted = one.unionByName(other).groupBy("stream", "m").agg(F.count(F.lit(1)).alias("events"))
    return counted.select(
        "stream", F.col("m").alias("minute"), _five_minutes(F.col("m")).alias("five_minutes"),
        "events",
    )  # fmt: skip


def _five_minutes(minute: Col) -> Col:
    """Return the start of the five minutes of a minute, which are counted from the hour."""
    past = v.micros_between(v.hour_start(minute), minute)
    return v.add_micros(minute, F.lit(0) - past % F.lit(5 * _MINUTE))


def _average(name: str) -> Col:
    """Return the average of all readings of an hour, from the averages of minutes."""
    weights = F.when(F.col(name).isNotNull(), F.col("readings"))
    total = v.total(F.col(name) * F.col("readings"), 4)
    return v.round_half_up(v.ratio(total, F.sum(weights)), 4).alias(name)


VIEWS = (
    TableView(
        DEVICES_LATEST,
        devices_latest,
        {"thermostat": AGG_THERMOSTAT_MINUTE, "devices": DIM_DEVICES},
    ),
    TableView(
        STORE_HOURS,
        store_hours,
        {"thermostat": AGG_THERMOSTAT_MINUTE, "occupancy": AGG_OCCUPANCY_MINUTE},
    ),
    TableView(DEVICE_HEALTH_NOW, device_health_now, {"health": GOLD_DEVICE_HEALTH}),
    TableView(
        EVENTS_INGESTED,
        events_ingested,
        {"thermostat": bronze_events(THERMOSTAT), "occupancy": bronze_events(OCCUPANCY)},
    ),
)
