"""Thermostats: temperature and battery of each device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_assets.catalog.datasets import Field, Flag
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Measure
from lakehouse_assets.catalog.streams import Aggregate
from lakehouse_assets.domains.retail.streams.common import (
    DEVICE_FIELDS,
    DEVICE_FLAGS,
    NOT_IN_THE_FUTURE,
    STORE,
    device_stream,
    with_device_flags,
)
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

_FAHRENHEIT = ("f", "\u00b0f", "fahrenheit")
_CELSIUS = ("c", "\u00b0c", "celsius")
# No store is colder or hotter, in degrees Fahrenheit.
_POSSIBLE = (-40, 150)


def _unit(given: Col) -> Col:
    lower = v.lower(given)
    fahrenheit, celsius = v.is_any(lower, _FAHRENHEIT), v.is_any(lower, _CELSIUS)
    return v.first_of((fahrenheit, "F"), (celsius, "C"), otherwise=given)


def with_fahrenheit(events: DataFrame, given: Mapping[str, Any]) -> DataFrame:
    """Convert temperatures to Fahrenheit; one that no store can have becomes null."""
    flagged = with_device_flags(events, given)
    sent, celsius = F.col("temp_f"), F.col("temp_unit") == F.lit("C")
    ratio, offset = F.lit("1.8").cast("decimal(3,1)"), F.lit(32).cast("decimal(3,0)")
    temp = F.when(celsius, (sent * ratio + offset).cast("decimal(9,4)")).otherwise(sent)
    converted = v.staged(
        flagged.select(
            *[name for name in flagged.columns if name not in {"temp_f", "temp_unit"}],
            temp.alias("fahrenheit"),
            sent.alias("temp_delivered"),
            F.coalesce(F.col("temp_unit"), F.lit("F")).alias("temp_unit"),
            F.coalesce(celsius & sent.isNotNull(), F.lit(False)).alias("flag_temp_converted"),
            (F.col("temp_unit").isNull() & sent.isNotNull()).alias("flag_temp_unit_assumed"),
        )
    )
    return converted.select(
        *[name for name in converted.columns if name != "fahrenheit"],
        F.when(F.col("fahrenheit").between(*_POSSIBLE), F.col("fahrenheit")).alias("temp_f"),
    )


THERMOSTAT = device_stream(
    name="thermostat",
    topic="thermostat",
    description="One reading of a thermostat.",
    rows=(
        "One row per device and time: typed, with temperatures in Fahrenheit. If a device sends "
        "several events with the same time, the one that the broker received first counts."
    ),
    columns=(
        *DEVICE_FIELDS,
        Field("temp_f", "decimal(9,4)", "Temperature in the store; null and flagged if "
              "implausible.", "Temp",
              delivered="Temperature in the unit of temp_uom.", unit="degrees Fahrenheit",
              implausible=Flag("temp_implausible", "temp_f, if given, is from -40 to 150; other "
                               "values became null.")),
        Field("temp_delivered", "decimal(9,4)", "Temperature, as sent.", derived=True,
              unit="as temp_unit says"),
        Field("temp_unit", "string", "Unit of the temperature as sent: F or C.", "Temp_UoM",
              need="checked", parse=_unit),
    ),
    rule=with_fahrenheit,
    flags=(
        *DEVICE_FLAGS,
        Flag("temp_converted", "The temperature was sent in Fahrenheit; Celsius was converted."),
        Flag("temp_unit_assumed", "The unit of the temperature is given; a missing one counts as "
             "F."),
    ),
    expectations=(
        NOT_IN_THE_FUTURE,
        Expectation(
            "temp_unit_is_known", "drop", "temp_unit is F or C; other rows are quarantined.",
            lambda: F.col("temp_unit").isin("F", "C"),
        ),
    ),
    watched=("temp_f", "battery_level"),
    minute=(
        STORE,
        Aggregate("temp_avg", "temp_f", "mean", "Average temperature."),
        Aggregate("temp_min", "temp_f", "lowest", "Lowest temperature."),
        Aggregate("temp_max", "temp_f", "highest", "Highest temperature."),
        Aggregate("battery_avg", "battery_level", "mean", "Average battery charge."),
    ),
    measures=(
        Measure("thermostat_readings", "sum(readings)", "count", "additive",
                "Number of thermostat readings."),
        Measure("hottest_minute", "max(temp_max)", "degrees Fahrenheit", "non_additive",
                "Highest temperature in any minute."),
    ),
)  # fmt: skip
