"""Anomalies of the stores' temperatures and visits, and a temperature forecast.

Series are decomposed as in Kusto, see `engine/series.py`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from lakehouse_assets.catalog.gold import GoldTable, last_days
from lakehouse_assets.catalog.registry import Column, Measure, Table
from lakehouse_assets.domains.retail.gold.common import daily
from lakehouse_assets.domains.retail.gold.device_minutes import (
    AGG_OCCUPANCY_MINUTE,
    AGG_THERMOSTAT_MINUTE,
)
from lakehouse_assets.engine import Col, DataFrame, F, W, series
from lakehouse_assets.engine import vocabulary as v

DAYS: Final = 3
"""Days from which the daily pattern is learned: the median of three values."""

ALL_DEVICES: Final = "All"
"""The `device_id` of rows that average all devices of a store."""

AHEAD: Final = 15
"""Number of minutes that are forecast."""

STEP: Final = 5
"""Minutes of a step of the visits' series."""

THRESHOLDS: Final = {"temperature": 1.5, "dwell": 2.0, "aisle": 1.8}
"""Lowest absolute score of an anomaly: Kusto's default, and the reference lab's values."""

_DAY = 24 * 60
_LEARNED = 2 * _DAY
_MINUTE = 60_000_000
_EXACT = "decimal(18,4)"
_UNKNOWN = "Unknown"
_KEYS = ("store_id", "device_id")
_STORE = Column("store_id", "string", "The store; Unknown if the device sends none.", False)
_DEVICE = Column(
    "device_id", "string", "The device; All for the average of the store's devices.", False
)
_SCORES = (
    Column("score", "double", "How unusual the value is: 0 if its difference from the baseline is "
           "between the 10th and the 90th percentile of these differences, else its distance from "
           "the nearer percentile, in ranges between the two; negative below. Null in a gap.",
           unit="score"),
    Column("flag", "int", "1 for an anomaly above the baseline, -1 for one below, else 0.", False,
           "code"),
)  # fmt: skip


def _daily(
    name: str, description: str, columns: tuple[Column, ...], keys: tuple[str, ...], **declared: Any
) -> Table:
    return daily(
        name, description, columns, ("event_date", *keys), day="Day of the minutes (UTC).",
        topic="anomalies", clustered=keys[:1], **declared,
    )  # fmt: skip


THERMOSTAT_ANOMALIES = _daily(
    "thermostat_anomalies",
    f"Temperature of each device and each store by minute, compared with a baseline from {DAYS} "
    "days: the median of the same minute on these days, or the mean if the device has not sent "
    "for that long. Minutes without a reading are gaps, from the device's first minute to the "
    "last minute of any device.",
    (
        _STORE, _DEVICE,
        Column("minute", "timestamp", "Start of the minute in UTC.", False),
        Column("temp_avg", "double", "Average temperature; null in a gap.",
               unit="degrees Fahrenheit"),
        Column("baseline", "double", "Expected temperature.", unit="degrees Fahrenheit"),
        *_SCORES,
    ),
    ("device_id", "store_id", "minute"),
    kind="aggregate",
    measures=(
        Measure("temperature_anomalies", "sum(case when device_id <> 'All' then abs(flag) end)",
                "count", "additive", "Number of minutes in which a device's temperature was "
                "unusual."),
        Measure("average_temperature", "avg(temp_avg)", "degrees Fahrenheit", "non_additive",
                "Average temperature, as measured."),
        Measure("usual_temperature", "avg(baseline)", "degrees Fahrenheit", "non_additive",
                "Average of the expected temperature."),
        Measure("minutes_without_reading",
                "sum(case when device_id <> 'All' and temp_avg is null then 1 else 0 end)",
                "count", "additive", "Number of minutes in which a device sent no temperature."),
    ),
)  # fmt: skip

OCCUPANCY_ANOMALIES = _daily(
    "occupancy_anomalies",
    f"How long visitors stay, in steps of {STEP} minutes, compared with a baseline from {DAYS} "
    "days, as in thermostat_anomalies.",
    (
        Column("measure", "string", "What is measured: `dwell` is time in one place, `aisle` time "
               "in the aisle.",
               False),
        _STORE, _DEVICE,
        Column("step_start", "timestamp", f"Start of the {STEP} minutes in UTC.", False),
        Column("minutes_avg", "double", "Average time of a visitor; null in a gap.",
               unit="minutes"),
        Column("baseline", "double", "Expected time.", unit="minutes"),
        *_SCORES,
    ),
    ("measure", "device_id", "store_id", "step_start"),
    kind="aggregate",
    measures=(
        Measure("stay_anomalies", "sum(case when device_id <> 'All' then abs(flag) end)", "count",
                "additive", "Number of steps in which visitors near a device stayed unusually long "
                "or short."),
    ),
)  # fmt: skip

THERMOSTAT_FORECAST = _daily(
    "thermostat_forecast",
    f"Forecast of each device's temperature for the {AHEAD} minutes after the last minute of any "
    "device, from the previous two days. Only devices that sent on the day have a forecast.",
    (
        _STORE, _DEVICE,
        Column("minute", "timestamp", "Start of the forecast minute, in UTC.", False),
        Column("temp_forecast", "double", "Forecast temperature.", False,
               "degrees Fahrenheit"),
        Column("last_minute", "timestamp", "Last minute in which the device sent a temperature.",
               False),
    ),
    ("device_id", "store_id", "minute"),
    kind="snapshot",
    measures=(
        Measure("expected_temperature", "avg(temp_forecast)", "degrees Fahrenheit", "non_additive",
                "Average forecast temperature of the devices."),
    ),
)  # fmt: skip


def thermostat_anomalies(thermostat: DataFrame, day: date) -> DataFrame:
    """Score the temperatures of a day; columns as declared for `thermostat_anomalies`.

    Args:
        thermostat: Rows of `agg_thermostat_minute` of the day and the days before.
        day: The day.
    """
    steps = _steps(thermostat, day, "temp_avg", 1)
    found = _scored(steps, _KEYS, day, 1, F.lit(THRESHOLDS["temperature"]))
    return found.withColumns({"minute": F.col("start"), "temp_avg": F.col("value")})


def occupancy_anomalies(occupancy: DataFrame, day: date) -> DataFrame:
    """Score how long visitors stay on a day; columns as declared for `occupancy_anomalies`.

    Args:
        occupancy: Rows of `agg_occupancy_minute` of the day and the days before.
        day: The day.
    """
    keys = ("measure", *_KEYS)
    dwell, aisle = (
        _steps(occupancy, day, f"{name}_avg", STEP).withColumn("measure", F.lit(name))
        for name in ("dwell", "aisle")
    )
    is_dwell = F.col("measure") == F.lit("dwell")
    threshold = F.when(is_dwell, F.lit(THRESHOLDS["dwell"])).otherwise(F.lit(THRESHOLDS["aisle"]))
    found = _scored(dwell.unionByName(aisle), keys, day, STEP, threshold)
    return found.withColumns({"step_start": F.col("start"), "minutes_avg": F.col("value")})


def thermostat_forecast(thermostat: DataFrame, day: date) -> DataFrame:
    """Forecast the minutes after a day's last one; columns as for `thermostat_forecast`.

    Args:
        thermostat: Rows of `agg_thermostat_minute` of the day and the days before.
        day: The day.
    """
    named = v.staged(_steps(thermostat, day, "temp_avg", 1))
    last = v.staged(_last(named))
    names = series.numbers_of(named, _KEYS)
    steps = v.staged(series.numbered(_valued(named, _KEYS, 1), names))
    # The position of the first learned minute is 0.
    moved = v.staged(
        steps.join(last, F.col("position") > F.col("last") - F.lit(_LEARNED)).select(
            "series",
            (F.col("position") - F.col("last") + F.lit(_LEARNED - 1)).alias("position"),
            "value",
        )
    )
    filled = v.staged(series.fill_linear(moved, _LEARNED + AHEAD))
    learned = F.col("position") < F.lit(_LEARNED)
    found = v.staged(series.with_scores(_with_period(filled, 1), learned))
    ahead = v.staged(found.join(last, F.col("position") >= F.lit(_LEARNED)))
    ahead = v.staged(series.with_names(ahead, names))
    shift = F.col("last") - F.lit(_LEARNED - 1)
    sent = _moment(day, F.col("last_known") + shift, 1)
    today = v.staged(
        ahead.select(
            *_KEYS,
            _moment(day, F.col("position") + shift, 1).alias("minute"),
            series.rounded(F.col("baseline"), 4).alias("temp_forecast"),
            sent.alias("last_minute"),
        )
    )
    return today.filter(F.col("last_minute") >= _moment(day, F.lit((DAYS - 1) * _DAY), 1))


def _steps(rows: DataFrame, day: date, column: str, step: int) -> DataFrame:
    """Return the values of a column with their positions in the window, in steps of minutes."""
    since = v.micros_between(_start(day), F.col("minute"))
    known = rows.filter(F.col(column).isNotNull())
    return known.select(
        F.coalesce(F.col("store_id"), F.lit(_UNKNOWN)).alias("store_id"),
        "device_id",
        F.floor(v.ratio(since, F.lit(step * _MINUTE))).cast("bigint").alias("position"),
        F.col(column).cast(_EXACT).alias("exact"),
    )


def _valued(steps: DataFrame, keys: tuple[str, ...], step: int) -> DataFrame:
    """Return the value of each position: the average of its minutes."""
    if step == 1:
        return steps.select(*keys, "position", F.col("exact").cast("double").alias("value"))
    return _mean_of(steps, keys)


def _mean_of(steps: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    return steps.groupBy(*keys, "position").agg(v.mean(F.col("exact"), 4).alias("value"))


def _scored(
    steps: DataFrame, keys: tuple[str, ...], day: date, step: int, threshold: Col
) -> DataFrame:
    """Decompose the series of devices and of stores over a window of days.

    Returns the rows of the last day.
    """
    points = DAYS * _DAY // step
    devices = v.staged(steps)
    stores = v.staged(devices.withColumn("device_id", F.lit(ALL_DEVICES)).select(*devices.columns))
    names = series.numbers_of(devices.select(*keys).unionByName(stores.select(*keys)), keys)
    values = v.staged(_valued(devices, keys, step).unionByName(_mean_of(stores, keys)))
    rows = v.staged(series.numbered(values, names))
    filled = _with_period(v.staged(series.fill_linear(rows, points)), step)
    found = v.staged(series.with_scores(filled))
    is_known = F.col("value").isNotNull()
    # Up to the last position of any series.
    own_day = v.staged(
        found.filter(F.col("position") >= F.lit(points - _DAY // step)).join(
            _last(devices), F.col("position") <= F.col("last")
        )
    )
    scored = v.staged(
        series.with_names(own_day, names).select(
            *keys,
            _moment(day, F.col("position"), step).alias("start"),
            "value",
            series.rounded(F.col("baseline"), 4).alias("baseline"),
            F.when(is_known, series.rounded(F.col("score"), 6)).alias("score"),
        )
    )
    above, below = F.col("score") >= threshold, F.col("score") <= F.lit(0.0) - threshold
    flag = v.first_of((above, 1), (below, -1), otherwise=0)
    return scored.withColumn("flag", flag.cast("int"))


def _last(steps: DataFrame) -> DataFrame:
    return steps.agg(F.max("position").alias("last"))


def _with_period(filled: DataFrame, step: int) -> DataFrame:
    """Add the period of each series: a day if it goes back to the window's first hour, else none.

    With one or two days, an anomaly would be half of the daily pattern and distort the other day.
    """
    known = F.when(F.col("value").isNotNull(), F.col("position"))
    whole = W.partitionBy("series")
    bounds = v.staged(
        filled.select(
            *filled.columns,
            F.min(known).over(whole).alias("first_known"),
            F.max(known).over(whole).alias("last_known"),
        )
    )
    goes_back = F.col("first_known") < F.lit(60 // step)
    period = F.when(goes_back, F.lit(_DAY // step)).otherwise(F.lit(0))
    return v.staged(bounds.select(*bounds.columns, period.alias("period")))


def _start(day: date) -> Col:
    """Return the start of the window that ends with the day."""
    return F.lit(day - timedelta(days=DAYS - 1)).cast("timestamp")


def _moment(day: date, position: Col, step: int) -> Col:
    return v.add_micros(_start(day), position.cast("bigint") * F.lit(step * _MINUTE))


_THERMOSTAT = {"thermostat": last_days(AGG_THERMOSTAT_MINUTE, DAYS)}

GOLD = (
    GoldTable(THERMOSTAT_ANOMALIES, thermostat_anomalies, _THERMOSTAT),
    GoldTable(THERMOSTAT_FORECAST, thermostat_forecast, _THERMOSTAT),
    GoldTable(
        OCCUPANCY_ANOMALIES,
        occupancy_anomalies,
        {"occupancy": last_days(AGG_OCCUPANCY_MINUTE, DAYS)},
    ),
)
