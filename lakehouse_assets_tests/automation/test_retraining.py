"""An alarm about a model asks for one fit, and each month asks for one of every model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.domains import MODEL_TABLES
from lakehouse_assets.orchestration.retraining import ALARMS, ASKED_TAG
from lakehouse_assets.quality.tables import QUALITY_DRIFT
from lakehouse_assets_tests.airline.samples import House

CHURN = dg.AssetKey(MODEL_TABLES["churn"].table.key)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def built(instance: dg.DagsterInstance, *months: str) -> None:
    """Record that the table of churn has these months."""
    for month in months:
        instance.report_runless_asset_event(dg.AssetMaterialization(CHURN, partition=month))


def look(house: House, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    """Evaluate the sensor once."""
    (sensor,) = [s for s in house.definitions().sensors or [] if s.name == "model_alarms"]
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        return sensor(context)


def alarm(instance: dg.DagsterInstance, **measures: list[str]) -> None:
    """Record what the drift table found."""
    key = dg.AssetKey(QUALITY_DRIFT.key)
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={ALARMS: measures}))


def test_an_alarm_asks_for_a_fit_on_the_newest_month_once(
    house: House, instance: dg.DagsterInstance
) -> None:
    built(instance, "2021-09-01", "2021-10-01")
    assert look(house, instance).run_requests == []
    alarm(instance, churn=[], sentiment=[])
    first = look(house, instance)
    assert first.run_requests == []
    alarm(instance, churn=["2021-10 unit_price", "2021-10 realised auc"], sentiment=["2021-10 x"])
    found = look(house, instance, first.cursor)
    # The other model has no month yet, so there is nothing to fit it on.
    (request,) = found.run_requests
    assert request.partition_key == "2021-10-01"
    assert request.job_name == "retail_monthly"
    assert request.asset_selection == [CHURN]
    assert request.tags == {ASKED_TAG: "after the alarm: 2021-10 realised auc, 2021-10 unit_price"}
    assert look(house, instance, found.cursor).run_requests == []
    # The hourly look finds the same again: the same key, for which Dagster starts one run.
    alarm(instance, churn=["2021-10 realised auc", "2021-10 unit_price"])
    (again,) = look(house, instance, found.cursor).run_requests
    assert again.run_key == request.run_key
    alarm(instance, churn=["2021-11 unit_price"])
    (other,) = look(house, instance, found.cursor).run_requests
    assert other.run_key != request.run_key


def test_every_month_asks_for_a_fit_of_each_model(
    house: House, instance: dg.DagsterInstance
) -> None:
    schedules = {s.name: s for s in house.definitions().schedules or []}
    schedule = schedules["retail_models"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert "airline_models" in schedules

    def asked() -> Any:
        now = datetime(2021, 11, 3, 4, tzinfo=UTC)
        with dg.build_schedule_context(instance, scheduled_execution_time=now) as context:
            return schedule(context)

    assert isinstance(asked(), dg.SkipReason)
    built(instance, "2021-09-01", "2021-10-01")
    (request,) = asked()
    assert request.partition_key == "2021-10-01"
    assert request.tags == {ASKED_TAG: "in the monthly fit of 2021-11"}
    assert request.asset_selection == [CHURN]
