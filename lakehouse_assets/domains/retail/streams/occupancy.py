"""Occupancy: visitors near each device, and how long they stay."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Field
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

OCCUPANCY = device_stream(
    name="occupancy",
    topic="occupancy",
    description="One count of the visitors near a device.",
    rows=(
        "One row per device and time: typed. If a device sends several events with the same time, "
        "the one that the broker received first counts."
    ),
    columns=(
        *DEVICE_FIELDS,
        Field("visitors", "int", "Number of visitors near the device.", "visitors_cnt", need="fact",
              not_negative=True, unit="count"),
        Field("visitors_in", "int", "Visitors who came in since the previous event.", need="fact",
              not_negative=True, unit="count"),
        Field("visitors_out", "int", "Visitors who left since the previous event.", need="fact",
              not_negative=True, unit="count"),
        Field("aisle_minutes", "decimal(9,3)", "Average time of a visitor in the aisle; null and "
              "flagged if not from 0 to 1440.",
              "avg_aisle_time_spent", between=(0, 1440), unit="minutes"),
        Field("dwell_minutes", "decimal(9,3)", "Average time of a visitor in one place; null and "
              "flagged if not from 0 to 1440.",
              "avg_dwell_time", between=(0, 1440), unit="minutes"),
    ),
    rule=with_device_flags,
    flags=DEVICE_FLAGS,
    expectations=(NOT_IN_THE_FUTURE,),
    watched=("visitors",),
    minute=(
        STORE,
        Aggregate("visitors_avg", "visitors", "mean", "Average number of visitors."),
        Aggregate("visitors_in", "visitors_in", "total", "Visitors who came in."),
        Aggregate("visitors_out", "visitors_out", "total", "Visitors who left."),
        Aggregate("aisle_avg", "aisle_minutes", "mean", "Average time of a visitor in the aisle."),
        Aggregate("dwell_avg", "dwell_minutes", "mean", "Average time of a visitor in one place."),
    ),
    measures=(
        Measure("visitors_came", "sum(visitors_in)", "count", "additive",
                "Number of visitors who came into the stores."),
        Measure("visitors_left", "sum(visitors_out)", "count", "additive",
                "Number of visitors who left the stores."),
    ),
)  # fmt: skip
