"""Views of the stores' devices and sales, by rule and as SQL shows them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.registry import TableView
from lakehouse_assets.cli.formats import rows_of
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.retail.shared import DOMAIN
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.query.session import ask
from lakehouse_assets.sample.retail.device_world import DeviceConfig
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.retail.device_samples import put_minutes

NINE = datetime(2021, 10, 20, 9, 0, tzinfo=UTC)
VIEWS = {view.table.name: view for view in REGISTRY.views if view.table.domain == DOMAIN}


def at(minute: int) -> datetime:
    return NINE + timedelta(minutes=minute)


THERMOSTAT = pa.table(
    {
        "device_id": ["TH001", "TH001", "TH002", "TH999"],
        "store_id": ["S001", "S001", "S001", None],
        "minute": pa.array([at(0), at(59), at(61), at(2)], pa.timestamp("us", "UTC")),
        "readings": [12, 4, 12, 1],
        "temp_avg": [66.0, 70.0, None, 50.5],
        "battery_avg": [19.5, 19.0, 80.0, None],
    }
)
OCCUPANCY = pa.table(
    {
        "store_id": ["S001", "S001"],
        "minute": pa.array([at(3), at(-1)], pa.timestamp("us", "UTC")),
        "readings": [10, 10],
        "visitors_avg": [30.0, 20.0],
        "aisle_avg": [25.25, 25.0],
        "dwell_avg": [10.0, None],
    }
)
DEVICES = pa.table(
    {
        "device_id": ["TH001", "TH001", "TH002"],
        "city": ["Rome", "Miami", "Miami"],
        "battery_limit": pa.array([90, 20, 20], pa.int32()),
        "valid_to": pa.array([NINE.date(), None, None], pa.date32()),
    }
)
WEEK = {"store": 3, "brand": "BrandA", "week_start": date(2021, 10, 18)}
AHEAD = {"store": 3, "brand": "BrandA", "week_start": date(2021, 10, 25), "weeks_ahead": 1}
BOUNDS = {"forecast_p10": 5.5, "forecast_p50": 7.5, "forecast_p90": 9.5}


def healthy(hour: datetime) -> dict[str, Any]:
    return {
        "device_id": "TH001", "store_id": "S001", "hour": hour, "remaining_hours": 9.5,
        "fails_within_24h": 0.9, "risk": "high", "reason_1": "r", "reason_2": None,
        "reason_3": None,
    }  # fmt: skip


def ingested(*minutes: int) -> pa.Table:
    moments = [at(minute) + timedelta(seconds=17) for minute in minutes]
    return pa.table({"_ingested_at": pa.array(moments, pa.timestamp("us", "UTC"))})


CASES: dict[str, tuple[dict[str, pa.Table], list[tuple[Any, ...]]]] = {
    "devices_latest": (
        {"thermostat": THERMOSTAT, "devices": DEVICES},
        [
            ("TH001", "S001", "Miami", at(59), 70.0, 19.0, 20, True),
            ("TH002", "S001", "Miami", at(61), None, 80.0, 20, False),
            ("TH999", None, None, at(2), 50.5, None, None, None),
        ],
    ),
    "store_hours": (
        {"thermostat": THERMOSTAT, "occupancy": OCCUPANCY},
        [
            (None, at(0), 50.5, None, None, None, None),
            ("S001", at(-60), None, None, 20.0, 25.0, None),
            # 12 readings of 66 and 4 of 70.
            ("S001", at(0), 67.0, 19.375, 30.0, 25.25, 10.0),
            ("S001", at(60), None, 80.0, None, None, None),
        ],
    ),
    "sales_outlook": (
        {
            "weeks": pa.Table.from_pylist(
                [{**WEEK, "weeks_ahead": 0, "quantity": 12}, {**AHEAD, "quantity": None}]
            ),
            "forecast": pa.Table.from_pylist([{**AHEAD, "method": "trees", **BOUNDS}]),
        },
        [
            (3, "BrandA", date(2021, 10, 18), 0, 12, None, None, None, None),
            (3, "BrandA", date(2021, 10, 25), 1, None, "trees", 5.5, 7.5, 9.5),
        ],
    ),
    "device_health_now": (
        {"health": pa.Table.from_pylist([healthy(at(-60)), healthy(at(0))])},
        [("TH001", "S001", at(0), 9.5, 0.9, "high", "r", None, None)],
    ),
    "events_ingested": (
        {"thermostat": ingested(0, 0, 4, 5), "occupancy": ingested(0)},
        [
            ("occupancy", at(0), at(0), 1),
            ("thermostat", at(0), at(0), 2),
            ("thermostat", at(4), at(0), 1),
            ("thermostat", at(5), at(5), 1),
        ],
    ),
}


def computed(view: TableView, reads: dict[str, pa.Table], engine: Engine) -> list[tuple[Any, ...]]:
    current.activate(engine)
    with engine.scope():
        frames = {name: engine.from_arrow(table) for name, table in reads.items()}
        found = engine.arrow_stream(view.rule(**frames)).read_all()
    assert found.column_names == list(view.table.column_names)
    rows = [tuple(row.values()) for row in found.to_pylist()]
    return sorted(rows, key=lambda row: [(x is not None, str(x)) for x in row])


@pytest.mark.parametrize("name", CASES)
def test_views_are_the_same_on_both_engines(spark_engine: Engine, name: str) -> None:
    reads, rows = CASES[name]
    for engine in (start_engine(), spark_engine):
        assert computed(VIEWS[name], reads, engine) == rows


def test_sql_knows_views_and_says_what_they_are_computed_from(house: House) -> None:
    put_minutes(house, DeviceConfig(seed=1, start=NINE.date(), hours=24, interval=60, per_store=1))

    def asked(query: str) -> list[tuple[Any, ...]]:
        return list(rows_of(ask(house.lake, query).rows))

    shown = {name: rest for name, *rest in asked("show tables")}
    assert shown["retail.devices_latest"] == ["view", "agg_thermostat_minute, dim_devices"]
    # Bronze is not built.
    assert "retail.events_ingested" not in shown
    assert asked("select count(*), min(store_id) from devices_latest") == [(10, "S001")]
    assert asked("select count(*) from retail.store_hours where temp_avg > 50") == [(240,)]
    described = {row[0]: row[1:3] for row in asked("describe store_hours")}
    assert described["temp_avg"] == ("double", "degrees Fahrenheit")
    for query, said in (
        ("select * from events_ingested", "Table bronze_thermostat has not been built yet"),
        ("describe history store_hours", "store_hours is a view, which has no versions"),
        ("select * from store_hour", "did you mean store_hours"),
    ):
        with pytest.raises(LakehouseError, match=said):
            asked(query)
    assert REGISTRY["devices_latest"].kind == "view"
    assert "devices_latest" not in {table.name for table in REGISTRY}
