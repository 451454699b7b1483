"""Views of the stores' devices: their latest state, a store's hours, and what was ingested."""

from __future__ import annotations

from typing import Any, Final

from lakehouse_assets.catalog.registry import Column, Measure, Reference, Table, TableView
from lakehouse_assets.catalog.streams import bronze_events
from lakehouse_assets.domains.retail.gold.device_health import GOLD_DEVICE_HEALTH
from lakehouse_assets.domains.retail.gold.device_minutes import (
    AGG_OCCUPANCY_MINUTE,
    AGG_THERMOSTAT_MINUTE,
)
from lakehouse_assets.domains.retail.gold.device_series import ALL_DEVICES, THERMOSTAT_ANOMALIES
from lakehouse_assets.domains.retail.gold.dimensions import DIM_DEVICES
from lakehouse_assets.domains.retail.models.maintenance import HEALTH_COLUMNS
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.domains.retail.streams.occupancy import OCCUPANCY
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.engine import Col, DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

_MINUTE = 60_000_000
_EXACT = "decimal(18,4)"
_AVERAGES = {
    "temp_avg": ("Average temperature.", "degrees Fahrenheit"),
    "battery_avg": ("Average charge of the batteries.", "percent"),
    "visitors_avg": ("Average number of visitors near a device.", "count"),
    "aisle_avg": ("Average time of a visitor in the aisle.", "minutes"),
    "dwell_avg": ("Average time of a visitor in one place.", "minutes"),
}
_TEMPERATURE = tuple(_AVERAGES)[:2]


def _view(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    keys: tuple[str, ...],
    **declared: Any,
) -> Table:
    return Table(
        DOMAIN, name, "gold", description, columns, keys, OWNER, kind="view", topic="devices",
        **declared,
    )  # fmt: skip


DEVICES_LATEST = _view(
    "devices_latest",
    "The last minute of each thermostat, with its place and the limits that hold today.",
    (
        Column("device_id", "string", "The device.", False),
        Column("store_id", "string", "The store that it named."),
        Column("city", "string", "City of the store; null if dim_devices does not list it."),
        Column("minute", "timestamp", "Start of the minute in UTC.", False),
        Column("temp_avg", "double", "Average temperature.", unit="degrees Fahrenheit"),
        Column("battery_avg", "double", "Average charge of the battery.", unit="percent"),
        Column("battery_limit", "int", "Lowest charge allowed.", unit="percent"),
        Column("battery_is_low", "boolean", "Whether the charge is below the limit."),
    ),
    ("device_id",),
)

STORE_HOURS = _view(
    "store_hours",
    "Temperature and visits of each store by hour: averages of all readings of its devices.",
    (
        Column("store_id", "string", "The store."),
        Column("hour", "timestamp", "Start of the hour in UTC.", False),
        *(Column(name, "double", text, unit=unit) for name, (text, unit) in _AVERAGES.items()),
    ),
    ("store_id", "hour"),
    references=(Reference(("store_id",), "dim_stores", ("store_id",)),),
    measures=(
        Measure("average_temperature", "avg(temp_avg)", "degrees Fahrenheit", "non_additive",
                "Mean of the hours' average temperatures."),
        Measure("average_battery", "avg(battery_avg)", "percent", "non_additive",
                "Mean of the hours' average charge of the batteries."),
        Measure("average_visitors", "avg(visitors_avg)", "count", "non_additive",
                "Mean number of visitors near a device."),
    ),
)  # fmt: skip

STORE_MINUTES = _view(
    "store_minutes",
    "Each store's temperature and the usual one, by minute with a reading, on the latest day.",
    THERMOSTAT_ANOMALIES.pick(
        "event_date", "store_id", "minute", "temp_avg", "baseline", "score", "flag"
    ),
    ("store_id", "minute"),
    references=(Reference(("store_id",), "dim_stores", ("store_id",)),),
    measures=(
        Measure(
            "average_temperature",
            "avg(temp_avg)",
            "degrees Fahrenheit",
            "non_additive",
            "Mean temperature of the minutes, as measured.",
        ),
        Measure(
            "usual_temperature",
            "avg(baseline)",
            "degrees Fahrenheit",
            "non_additive",
            "Mean temperature that is usual in these minutes.",
        ),
    ),
)

WEEK: Final = 7

DEVICE_HEALTH_WEEK = _view(
    "device_health_week",
    f"Rows of gold_device_health of the latest {WEEK} days with readings, and which are the latest "
    "of their device.",
    (
        *GOLD_DEVICE_HEALTH.pick(
            "event_date", "device_id", "store_id", "hour",
            *(column.name for column in HEALTH_COLUMNS),
        ),
        Column("is_latest", "boolean", "Whether it is the latest hour of any device.", False),
    ),
    ("device_id", "hour"),
    references=(Reference(("store_id",), "dim_stores", ("store_id",)),),
    measures=(
        Measure("devices_at_risk_now",
                "count(distinct case when is_latest and risk = 'high' then device_id end)",
                "count", "non_additive",
                "Devices whose risk is high in the latest hour, by the model."),
        Measure("failure_probability", "max(fails_within_24h)", "share", "non_additive",
                "Highest probability that a device fails within 24 hours, by the model."),
        Measure("failure_probability_now", "max(case when is_latest then fails_within_24h end)",
                "share", "non_additive",
                "Highest such probability in the latest hour, by the model."),
        Measure("remaining_hours_now", "min(case when is_latest then remaining_hours end)",
                "hours", "non_additive",
                "Least hours that a device has left in the latest hour, by the model."),
    ),
)  # fmt: skip

EVENTS_INGESTED = _view(
    "events_ingested",
    "Number of events that were written to bronze, by stream and minute of writing.",
    (
        Column("stream", "string", "Name of the stream.", False),
        Column("minute", "timestamp", "Start of the minute in UTC.", False),
        Column("five_minutes", "timestamp", "Start of the five minutes with the minute.", False),
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
            _floored(F.col("minute"), 60).alias("hour"),
            "readings",
            *[
                (F.col(name) if name in names else F.lit(None)).cast(_EXACT).alias(name)
                for name in _AVERAGES
            ],
        )

    others = tuple(name for name in _AVERAGES if name not in _TEMPERATURE)
    both = hours(thermostat, _TEMPERATURE).unionByName(hours(occupancy, others))
    return both.groupBy("store_id", "hour").agg(*[_average(name) for name in _AVERAGES])


def store_minutes(anomalies: DataFrame) -> DataFrame:
    """Select the minutes of stores on the latest day; columns as declared for `store_minutes`.

    Args:
        anomalies: Rows of `thermostat_anomalies`.
    """
    measured = F.col("temp_avg").isNotNull()
    stores = anomalies.filter((F.col("device_id") == F.lit(ALL_DEVICES)) & measured)
    latest = stores.agg(F.max("event_date").alias("latest"))
    return stores.join(latest, F.col("event_date") == F.col("latest"), "inner").select(
        *STORE_MINUTES.column_names
    )


def device_health_week(health: DataFrame) -> DataFrame:
    """Select the latest days; columns as declared for `device_health_week`.

    Args:
        health: Rows of `gold_device_health`.
    """
    latest = health.agg(F.max("event_date").alias("day"), F.max("hour").alias("latest"))
    young = F.col("event_date") > v.add_days(F.col("day"), F.lit(-WEEK))
    return (
        health.join(latest, young, "inner")
        .withColumn("is_latest", F.col("hour") == F.col("latest"))
        .select(*DEVICE_HEALTH_WEEK.column_names)
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
        "stream", F.col("m").alias("minute"), _floored(F.col("m"), 5).alias("five_minutes"),
        "events",
    )  # fmt: skip


def _floored(minute: Col, minutes: int) -> Col:
    """Return the start of the hour or the five minutes, counted from 1970, of a minute."""
    past = v.micros_between(F.lit("1970-01-01").cast("timestamp"), minute)
    return v.add_micros(minute, F.lit(0) - past % F.lit(minutes * _MINUTE))


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
    TableView(STORE_MINUTES, store_minutes, {"anomalies": THERMOSTAT_ANOMALIES}),
    TableView(DEVICE_HEALTH_WEEK, device_health_week, {"health": GOLD_DEVICE_HEALTH}),
    TableView(
        EVENTS_INGESTED,
        events_ingested,
        {"thermostat": bronze_events(THERMOSTAT), "occupancy": bronze_events(OCCUPANCY)},
    ),
)
