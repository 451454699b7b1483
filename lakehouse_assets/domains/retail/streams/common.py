"""Fields, flags and rules that the streams of the stores' devices share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from lakehouse_assets.catalog.datasets import Field, Flag
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.streams import Aggregate, Stream
from lakehouse_assets.domains.retail.reference import devices
from lakehouse_assets.domains.retail.shared import DOMAIN, NOTHING, OWNER
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.streams.events import received

_SECOND = 1_000_000
# Clocks of devices and brokers differ by seconds.
_CLOCK_ERROR = 5 * 60 * _SECOND
_DAY = 24 * 60 * 60 * _SECOND

DEVICE_FIELDS = (
    Field("device_id", "string", "Id of the device.", "DeviceId", need="required"),
    Field("city", "string", "City of the store, according to the device.", "City"),
    Field("store_id", "string", "The store, according to the device.", "StoreID"),
    Field("event_time", "timestamp", "Time of the reading in UTC, by the device's clock.",
          "EnqueuedTimeUTC", need="required"),
    Field("battery_level", "int", "Battery charge; null and flagged if not from 0 to 100.",
          "BatteryLevel", between=(0, 100),
          unit="percent"),
)  # fmt: skip
DEVICE_FLAGS = (
    Flag("device_unknown", "The device is in dim_devices; events of other devices are kept."),
    Flag(
        "clock_ahead",
        "The time of the event is at most 5 minutes after it was received; other events are kept.",
    ),
)
STORE = Aggregate("store_id", "store_id", "highest", "The store; the last one by name if the "
                  "device sends several.")  # fmt: skip
device_stream = partial(
    Stream,
    domain=DOMAIN,
    owner=OWNER,
    nothing=NOTHING,
    reference={"devices": devices},
    clustered=("event_time",),
)
"""Declares a stream of the stores' devices."""
NOT_IN_THE_FUTURE = Expectation(
    "event_time_is_not_in_the_future",
    "drop",
    "The time of the event is at most a day after it was received; other events are quarantined.",
    lambda: ~_ahead_by_more_than(_DAY),
)


def with_device_flags(events: DataFrame, given: Mapping[str, Any]) -> DataFrame:
    """Flag events of devices that `dim_devices` does not list, and clocks that are ahead."""
    known = given["devices"].select(F.col("device_id").alias("known_device"))
    found = events.join(known, F.col("device_id") == F.col("known_device"), "left")
    return found.select(
        *events.columns,
        (F.col("device_id").isNotNull() & F.col("known_device").isNull()).alias(
            "flag_device_unknown"
        ),
        _ahead_by_more_than(_CLOCK_ERROR).alias("flag_clock_ahead"),
    )


def _ahead_by_more_than(micros: int) -> Col:
    """Say whether an event is dated later than its receipt by more than `micros`."""
    ahead = v.micros_between(received(), F.col("event_time"))
    return F.coalesce(ahead > F.lit(micros), F.lit(False))
