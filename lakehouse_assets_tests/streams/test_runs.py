"""Streams in Dagster: a run reads what is there and reports the days that changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import silver_table
from lakehouse_assets.catalog.streams import bronze_events, minutes, rejected_events, stream_tables
from lakehouse_assets.domains.retail.streams.thermostat import THERMOSTAT
from lakehouse_assets.lake.local_lock import claim
from lakehouse_assets.lake.log import files_of
from lakehouse_assets.orchestration.planning import live_runs
from lakehouse_assets.orchestration.stream_report import stream_key
from lakehouse_assets.streams import ingest
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.streams.samples import reading

JOB = "retail_streams"
DAY = 86_400
MINUTES = minutes(THERMOSTAT)
TABLES = stream_tables(THERMOSTAT)

pytestmark = pytest.mark.usefixtures("shared_plans")


class Devices:
    """A house whose landing zone has a folder of thermostats' messages."""

    def __init__(self, house: House, instance: dg.DagsterInstance) -> None:
        self.house, self.instance = house, instance
        self.folder = Path(house.settings.landing) / "streams" / "devices"
        self._sent = 0
        (self.folder / "thermostat" / "0").mkdir(parents=True)
        (self.folder / "occupancy" / "0").mkdir(parents=True)

    def send(self, *values: Any) -> None:
        """Send messages of thermostats: text as it is, other values as JSON."""
        lines = [value if isinstance(value, str) else json.dumps(value) for value in values]
        path = self.folder / "thermostat" / "0" / f"{self._sent:020}.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._sent += len(lines)

    def read(self, **config: Any) -> dg.ExecuteInProcessResult:
        """Read the thermostats in a run."""
        job = self.house.definitions().resolve_job_def(JOB)
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[stream_key(THERMOSTAT)],
            run_config={"ops": {THERMOSTAT.reader: {"config": config}}},
            raise_on_error=False,
        )

    def told(self, result: dg.ExecuteInProcessResult) -> dict[str, list[str | None]]:
        """Return the partitions that a run has reported, by table."""
        found: dict[str, list[str | None]] = {}
        for event in result.filter_events(lambda e: e.is_step_materialization):
            made = event.step_materialization_data.materialization
            found.setdefault(made.asset_key.path[-1], []).append(made.partition)
        return found

    def newest(self, key: dg.AssetKey) -> dict[str, Any]:
        """Return the metadata of an asset's newest materialisation."""
        event = self.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        return {n: v.value for n, v in event.asset_materialization.metadata.items()}


@pytest.fixture
def devices(house: House) -> Iterator[Devices]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Devices(house, instance)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}


def test_a_run_reads_everything_and_reports_each_day(devices: Devices) -> None:
    # Without messages nothing is written.
    assert devices.told(devices.read()) == {"stream_thermostat": [None]}
    devices.send([reading(1), reading(2)], reading(1, 60), [reading(1, DAY), reading(2, DAY)])
    result = devices.read()
    assert result.success
    days = ["2021-09-05", "2021-09-06"]
    assert devices.told(result) == {
        "bronze_thermostat": days,
        "silver_thermostat": days,
        "agg_thermostat_minute": days,
        "stream_thermostat": [None],
    }
    assert set(checks(result).values()) == {True}
    summary = devices.newest(stream_key(THERMOSTAT))
    assert {name: summary[name] for name in ("messages", "events", "rejected", "lag")} == {
        "messages": 3, "events": 5, "rejected": 0, "lag": 0,
    }  # fmt: skip
    assert json.loads(summary["offsets"]) == {"thermostat/0": 3}
    last = devices.newest(dg.AssetKey(MINUTES.key))
    assert last["dagster/partition_row_count"] == 2
    assert last["dagster/row_count"] == 5
    assert last["delta_version"] == devices.house.lake.version(MINUTES)


def test_only_days_that_changed_are_reported(devices: Devices) -> None:
    devices.send(reading(1), reading(1, DAY))
    devices.read()
    devices.send(reading(2, DAY + 60))
    told = devices.told(devices.read())
    assert told["agg_thermostat_minute"] == told["bronze_thermostat"] == ["2021-09-06"]
    # Nothing new: the stream says so, its tables do not.
    assert devices.told(devices.read()) == {"stream_thermostat": [None]}
    # An event that was sent before changes no minute, but it is kept in the quarantine.
    devices.send(reading(2, DAY + 60))
    told = devices.told(devices.read())
    assert told["silver_thermostat_quarantine"] == ["2021-09-06"]


def test_days_that_nobody_reported_are_reported_by_the_next_run(devices: Devices) -> None:
    """As after a process that was killed between a commit and its report."""
    devices.send(reading(1))
    devices.read()
    devices.send(reading(1, DAY))
    with dg.DagsterInstance.ephemeral() as other:
        Devices.read(_at(devices, other))
    devices.send(reading(1, 2 * DAY))
    told = devices.told(devices.read())
    assert told["agg_thermostat_minute"] == ["2021-09-06", "2021-09-07"]


def _at(devices: Devices, instance: dg.DagsterInstance) -> Devices:
    found = Devices.__new__(Devices)
    found.house, found.instance = devices.house, instance
    return found


def test_what_cannot_be_read_is_rejected_and_fails_a_check_when_it_is_much(
    devices: Devices,
) -> None:
    devices.send(reading(1), *['{"DeviceId": '] * 200, {**reading(2), "Colour": "red"})
    result = devices.read()
    assert result.success
    assert checks(result) == {
        "events_are_conserved": True,
        "lag_is_small": True,
        "losses_are_within_limits": False,
        "attributes_are_declared": False,
    }
    texts = {f.check_name: f.description for f in result.get_asset_check_evaluations()}
    assert "200 rejected" in texts["losses_are_within_limits"]
    assert "Colour" in texts["attributes_are_declared"]
    assert devices.told(result)["bronze_thermostat_rejects"] == [None]
    assert devices.house.lake.rows_by_partition(rejected_events(THERMOSTAT)) == {None: 200}


def test_a_run_ends_when_its_time_is_over_and_the_next_one_goes_on(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "drain", partial(ingest.drain, most=100))
    devices.send(*(reading(1, number) for number in range(300)))
    result = devices.read(seconds=1e-9, most_lag=10)
    assert not checks(result)["lag_is_small"]
    assert checks(result)["events_are_conserved"]
    left = devices.newest(stream_key(THERMOSTAT))["lag"]
    assert 0 < left < 300
    assert checks(devices.read())["lag_is_small"]
    silver = devices.house.lake.rows_by_partition(silver_table(THERMOSTAT))
    assert sum(silver.values()) == 300


def test_a_stream_without_an_address_is_no_failure(house: House) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = house.definitions().resolve_job_def(JOB)
        result = job.execute_in_process(instance=instance)
        assert result.success
        assert instance.get_latest_materialization_event(stream_key(THERMOSTAT)) is None


def test_rows_that_do_not_add_up_stop_everything_downstream(devices: Devices) -> None:
    devices.send(reading(1), reading(2))
    devices.read()
    lake = devices.house.lake
    found = lake.open(silver_table(THERMOSTAT))
    assert found is not None
    found.delete("device_id = 'TH002'")
    devices.send(reading(1, DAY))
    result = devices.read()
    assert not result.success
    (failed,) = [f for f in result.get_asset_check_evaluations() if not f.passed]
    assert failed.check_name == "events_are_conserved"
    assert "2021-09-05: +1" in str(failed.description)
    # No day is reported, so nothing is built.
    assert devices.told(result) == {"stream_thermostat": [None]}


def test_a_run_leaves_a_stream_that_is_being_read_alone(devices: Devices) -> None:
    devices.send(reading(1))
    devices.read()
    devices.send(reading(1, DAY))
    bronze = devices.house.lake.uri(bronze_events(THERMOSTAT))
    with claim(bronze, "`lakehouse stream` (process 1 on earth)") as taken:
        assert taken is None
        result = devices.read()
        assert result.success
        assert devices.told(result) == {}
    assert devices.told(devices.read())["agg_thermostat_minute"] == ["2021-09-06"]


def tick(devices: Devices) -> dg.SensorResult:
    """Look at the sensor once."""
    definitions = devices.house.definitions()
    (sensor,) = [s for s in definitions.sensors or [] if s.name == "streams"]
    with dg.build_sensor_context(
        instance=devices.instance,
        definitions=definitions,
        resources={n: definitions.resources[n] for n in ("lake", "landing")},  # type: ignore[index]
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_the_sensor_asks_for_a_run_where_messages_wait(devices: Devices) -> None:
    assert not tick(devices).run_requests
    devices.send(reading(1))
    (request,) = tick(devices).run_requests or []
    assert request.job_name == JOB
    assert request.asset_selection == [stream_key(THERMOSTAT)]
    devices.read()
    assert not tick(devices).run_requests


def test_lakehouse_run_reads_the_stream_and_builds_its_days(devices: Devices) -> None:
    """Days that no partition can have, because a device's clock is wrong, are left out."""
    devices.send(reading(1), reading(1, DAY), reading(2, -40 * 365 * DAY))
    devices.read()
    assert date(1981, 9, 15) in devices.house.lake.rows_by_partition(MINUTES)
    (run,) = live_runs(devices.house.settings, JOB)
    assert (run.job, run.first, run.last) == ("retail_live", "2021-09-05", "2021-09-06")
    assert live_runs(devices.house.settings, "retail_monthly") == []


def test_maintenance_leaves_tables_to_the_process_that_reads_the_stream(devices: Devices) -> None:
    for number in range(3):
        devices.send(reading(1, number))
        devices.read()
    silver, bronze = silver_table(THERMOSTAT), bronze_events(THERMOSTAT)
    lake = devices.house.lake

    def maintain() -> int:
        job = devices.house.definitions().resolve_job_def("maintenance")
        op = f"maintain_{THERMOSTAT.reader}"
        assert (
            job.get_subset(op_selection=[op]).execute_in_process(instance=devices.instance).success
        )
        found = lake.open(silver)
        assert found is not None
        return len(files_of(found))

    with claim(lake.uri(bronze), "`lakehouse stream` (process 1 on earth)"):
        assert maintain() == 3
    assert maintain() == 1
