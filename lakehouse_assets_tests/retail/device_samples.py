"""Minutes of simulated devices, as the streams would make them, and days of tables from them."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse_assets.catalog.gold import BuildContext, rows_of_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.catalog.streams import EVENT_DATE
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.domains.conformed.gold.countries import DIM_COUNTRIES
from lakehouse_assets.domains.conformed.gold.places import DIM_PLACES
from lakehouse_assets.domains.retail.domain import RETAIL
from lakehouse_assets.domains.retail.gold.device_minutes import (
    AGG_OCCUPANCY_MINUTE,
    AGG_THERMOSTAT_MINUTE,
)
from lakehouse_assets.domains.retail.gold.dimensions import DIM_DEVICES, DIM_STORES
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.lake.format import FILE
from lakehouse_assets.lake.predicate import between
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.sample.retail.device_world import DeviceConfig, World
from lakehouse_assets_tests.airline.samples import COMMIT, House, SampleRun

LATER = datetime(2021, 11, 1, tzinfo=UTC)
HUBS = {
    "thermostat": {"temp_avg": "temperature", "battery_avg": "battery"},
    "occupancy": {
        "visitors_avg": "visitors", "visitors_in": "entered", "visitors_out": "gone",
        "aisle_avg": "aisle", "dwell_avg": "dwell",
    },
}  # fmt: skip


def day_of(
    engine: Engine, table: Table, day: date, loaded_at: datetime = LATER, **given: pa.Table
) -> Any:
    """Build a day of a table, as a frame, from the tables that it reads and its reference data."""
    (gold,) = (gold for gold in RETAIL.gold if gold.table is table)
    data = {name: read() for name, read in gold.data.items()} | given
    frames = {name: engine.from_arrow(rows) for name, rows in data.items()}
    ctx = BuildContext(None, day, loaded_at, engine, "monday", 0)
    return rows_of_table(gold, frames, ctx)


def simulated_minutes(config: DeviceConfig) -> dict[str, pa.Table]:
    """Return the minutes of the configured hours, by hub; columns as in `agg_<hub>_minute`."""
    world = World(config)
    hours = range(config.first_hour, config.first_hour + config.hours)
    made = {hub: [_minutes(world, hour, fields) for hour in hours] for hub, fields in HUBS.items()}
    return {hub: pa.concat_tables(tables) for hub, tables in made.items()}


def _minutes(world: World, hour: int, fields: dict[str, str]) -> pa.Table:
    readings = world.hour(hour)
    minutes, begins = np.unique(readings.ticks // 60, return_index=True)
    counts = np.add.reduceat(readings.sent, begins, axis=0, dtype=np.int64)
    rows, columns = np.nonzero(counts)
    number = counts[rows, columns]
    moments = pa.array(minutes[rows] * 60_000_000, pa.timestamp("us", "UTC"))
    found: dict[str, Any] = {
        "device_id": np.array([device.device_id for device in world.devices])[columns],
        "store_id": np.array([device.store_id for device in world.devices])[columns],
        "minute": moments,
        "readings": number,
    }
    for name, field in fields.items():
        values = np.where(readings.sent, getattr(readings, field), 0)
        sums = np.add.reduceat(values, begins, axis=0)[rows, columns]
        found[name] = sums if name in {"visitors_in", "visitors_out"} else (sums / number).round(4)
        if name == "temp_avg":
            found["temp_min"] = found["temp_max"] = pa.array(found[name]).cast(pa.decimal128(9, 4))
    day = date.fromordinal(date(1970, 1, 1).toordinal() + hour // 24)
    found |= {
        "revision": pa.array(np.zeros(len(rows)), pa.int32()),
        "event_date": [day] * len(rows),
    }
    return pa.table(found)


def put_minutes(house: House, config: DeviceConfig) -> None:
    """Store simulated minutes as the streams' readers would, and build the dimensions."""
    lake = house.lake
    last = config.start + timedelta(days=config.hours // 24)
    tables = {"thermostat": AGG_THERMOSTAT_MINUTE, "occupancy": AGG_OCCUPANCY_MINUTE}
    for hub, minutes in simulated_minutes(config).items():
        with lake.engine.scope():
            schema = arrow_schema(tables[hub])
            frame = lake.engine.from_arrow(minutes.select(schema.names).cast(schema))
            lake.write(tables[hub], frame, between(EVENT_DATE, config.start, last), COMMIT)
    assert house.materialise("reference_data", None).success


def copy_minutes(sample: SampleRun, house: House) -> None:
    """Give a house the minutes of the sample's devices, and the dimensions."""
    for table in (
        AGG_THERMOSTAT_MINUTE, AGG_OCCUPANCY_MINUTE, DIM_DEVICES, DIM_STORES, DIM_DATE,
        DIM_COUNTRIES, DIM_PLACES,
    ):  # fmt: skip
        shutil.copytree(sample.house.path(table), house.path(table))
    shutil.copy(sample.house.settings.root / FILE, house.settings.root)
