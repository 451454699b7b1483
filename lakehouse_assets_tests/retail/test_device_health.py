"""The devices' health: what the model reads and learns, whom it warns of, and its life cycle."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.datasets.device_wear import (
    DEVICE_WEAR,
    SENSORS,
    SILVER_DEVICE_WEAR,
)
from lakehouse_assets.domains.retail.gold.device_health import (
    GOLD_DEVICE_HEALTH,
    GOLD_DEVICES_AT_RISK,
)
from lakehouse_assets.domains.retail.gold.device_hours import FEATURES, device_hours
from lakehouse_assets.domains.retail.gold.device_minutes import AGG_THERMOSTAT_MINUTE
from lakehouse_assets.domains.retail.models.maintenance import (
    DEVICE_WEAR_SCORED,
    DEVICE_WEAR_TABLE,
    MAINTENANCE,
    REASONS,
    fit,
    leaks_of,
    maintenance_scorer,
    with_wear_features,
)
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.ml.reproduce import reproduce
from lakehouse_assets.ml.sampling import fetch_sample
from lakehouse_assets.ml.spec import CannotFitError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.sample.retail.device_wear import hourly
from lakehouse_assets.sample.retail.device_world import World
from lakehouse_assets.sample.retail.devices import SAMPLE
from lakehouse_assets_tests.airline.samples import House, SampleRun, check, typed
from lakehouse_assets_tests.retail.device_samples import copy_minutes, day_of, simulated_minutes
from lakehouse_assets_tests.retail.samples import WORN, deliver

(DELIVERED,) = (Path(__file__).parents[2] / "data/retail/device_wear/2021-09-06").iterdir()
DAYS = ("2021-10-20", "2021-10-22")
# When TH035 fails in the sample.
FAILED = datetime(2021, 10, 22, 0, 28, tzinfo=UTC)


@pytest.fixture(scope="module")
def wear() -> pa.Table:
    """What the model learns from: the sample's devices that failed, with their features."""
    lines = gzip.decompress(DELIVERED.read_bytes()).decode().splitlines()[1:]
    values = [line.split(",") for line in lines]
    rows = pa.table({
        "reading_key": range(len(values)),
        "device_id": [row[0] for row in values],
        "hour": [int(row[1]) for row in values],
        **{name: [float(row[2 + place]) for row in values] for place, name in enumerate(SENSORS)},
        "hours_left": [float(row[6]) for row in values],
    })  # fmt: skip
    engine = start_engine()
    with engine.scope():
        frame = engine.checkpoint(with_wear_features(engine.from_arrow(rows)))
        inputs = (*FEATURES, *MAINTENANCE.fitted_with, "hours_left")
        return fetch_sample(engine, frame, "reading_key", inputs, len(values)).rows


@pytest.fixture(scope="module")
def built(new_house: Callable[..., House], sample: SampleRun) -> tuple[House, dg.DagsterInstance]:
    """A house with the minutes of the sample's devices, and a model that learnt from wear.

    Hours without a model are not scored; a later run scores them.
    """
    house = new_house("health")
    copy_minutes(sample, house)
    done = house.materialise("retail_live", DAYS[1], GOLD_DEVICE_HEALTH)
    assert done.success
    assert not check(done, GOLD_DEVICE_HEALTH, "model_has_champion").passed
    rows = house.rows(GOLD_DEVICE_HEALTH)
    assert len(rows) > 200
    assert {(row["risk"], row["model_version"]) for row in rows} == {(None, None)}
    deliver(house, DEVICE_WEAR, "2021-09-06", DELIVERED.name, DELIVERED.read_bytes())
    loaded = [make(DEVICE_WEAR) for make in (bronze_table, rejects_table, quarantine_table)]
    done = house.materialise("retail_daily", "2021-09-06", *loaded, SILVER_DEVICE_WEAR)
    assert done.success
    done = house.materialise("retail_monthly", "2021-09-01", DEVICE_WEAR_SCORED)
    assert done.success
    for gate in MAINTENANCE.gates:
        assert check(done, DEVICE_WEAR_SCORED, gate.name).passed, gate.name
    instance = dg.DagsterInstance.ephemeral()
    tables = (GOLD_DEVICE_HEALTH, GOLD_DEVICES_AT_RISK)
    assert house.materialise(
        "retail_live", DAYS[0], *tables, last=DAYS[1], instance=instance
    ).success
    return house, instance


def test_the_device_that_fails_is_found_a_day_before_and_no_other(
    built: tuple[House, dg.DagsterInstance],
) -> None:
    house, _ = built
    rows = house.rows(GOLD_DEVICE_HEALTH, order="device_id, hour")
    # Every hour with readings; unknown devices (TH999) are left out.
    assert {row["device_id"] for row in rows} == {f"TH{n:02}5" for n in range(10)}
    assert 10 * 72 - 30 < len(rows) <= 10 * 72
    assert {row["model_version"] for row in rows} == {1}
    high = [row for row in rows if row["risk"] == "high"]
    assert {row["device_id"] for row in high} == {"TH035"}
    ailing = [row for row in rows if row["device_id"] == "TH035" and row["hour"] <= FAILED]
    left = np.array([(FAILED - row["hour"]).total_seconds() / 3600 for row in ailing]) - 1.0
    guesses = np.array([row["remaining_hours"] for row in ailing])
    assert np.sqrt(((guesses - np.maximum(left, 0)) ** 2).mean()) < 12.0
    assert [row["risk"] for row in ailing if (FAILED - row["hour"]) < timedelta(hours=20)] == [
        "high"
    ] * 20
    for row in rows:
        assert (row["risk"] == "high") == (row["fails_within_24h"] >= 0.5)
        assert (row["risk"] == "low") == (row["fails_within_24h"] < 0.1)
        assert (row["reason_1"] is None) == (row["risk"] == "low")
    (reason,) = {row["reason_1"].split(" ")[0] for row in ailing[-3:]}
    assert reason in SENSORS
    (battery,) = (row for row in ailing if row["hour"] == datetime(2021, 10, 21, 12, tzinfo=UTC))
    said = [battery[f"reason_{n}"] for n in range(1, REASONS + 1)]
    assert any(str(text).startswith("battery_avg is 4") and "-0." in text for text in said)
    # Its successor is judged by its own readings, not by those before.
    after = [row for row in rows if row["device_id"] == "TH035" and row["hour"] > FAILED]
    assert {row["risk"] for row in after} == {"low"}


def test_devices_at_risk_are_told_once_a_day(
    built: tuple[House, dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, instance = built
    rows = house.rows(GOLD_DEVICES_AT_RISK)
    assert [(row["event_date"], row["device_id"], row["store_id"]) for row in rows] == [
        (date(2021, 10, 21), "TH035", "S004")
    ]
    assert rows[0]["fails_within_24h"] > 0.99
    sent: list[str] = []
    monkeypatch.setattr(
        "lakehouse_assets.orchestration.alerts.send_alert",
        lambda text, *_: sent.append(text),
    )
    (sensor,) = [
        sensor for sensor in house.definitions().sensors or []
        if sensor.name == "alert_devices_at_risk"
    ]  # fmt: skip
    cursor = json.dumps({"after": None, "rows": {}})
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        sensor(context)
    assert sent == ["Devices may fail within 24 hours in 2021-10-21 (devices: 1)"]


def test_the_model_is_rebuilt_from_what_its_version_names(
    built: tuple[House, dg.DagsterInstance],
) -> None:
    house, _ = built
    tracking = MlflowTracking(house.settings.mlflow_uri, MAINTENANCE.experiment)
    with house.lake.engine.scope():
        found = reproduce(DEVICE_WEAR_TABLE, house.lake, tracking, 1)
    assert found["same"]
    client = tracking.client()
    (version,) = client.search_model_versions(f"name = '{MAINTENANCE.name}'")
    files = {file.path for file in client.list_artifacts(version.run_id)}
    assert {"held_out.parquet", "leaks.json", "model_card.md", "remaining_hours.png"} <= files
    rows = house.rows(DEVICE_WEAR_SCORED)
    silver = house.rows(SILVER_DEVICE_WEAR)
    assert len(rows) == len(silver) > 3_000
    soon = [row for row in rows if row["hours_left"] <= 12]
    assert np.mean([row["risk"] == "high" for row in soon]) > 0.97


def test_a_fit_is_judged_by_devices_that_it_has_not_seen(wear: pa.Table) -> None:
    settings = dataclasses.replace(MAINTENANCE.settings, trees=75)
    found, again = fit(wear, settings), fit(wear, settings)
    assert found.metrics == again.metrics
    assert found.held_out == again.held_out
    metrics = found.metrics
    assert metrics["leaks"] == 0.0
    assert 2.0 < metrics["rmse"] < 12.0 < 30.0 < metrics["rmse_of_the_mean"]
    assert metrics["pr_auc"] > 0.9
    assert metrics["ece"] < 0.05
    few = wear.filter(pc.is_in(wear["device_id"], pa.array(["W001", "W002"])))
    with pytest.raises(
        CannotFitError, match=r"2 device\(s\) that ran until they failed; provide at least"
    ):
        fit(few, settings)


def test_a_copy_of_a_device_is_a_leak(wear: pa.Table) -> None:
    one = wear.filter(pc.equal(wear["device_id"], "W001"))
    place = wear.schema.get_field_index("device_id")
    copy = one.set_column(place, "device_id", pa.array(["COPY"] * one.num_rows))
    both = pa.concat_tables([wear, copy])
    features = np.column_stack([both[name].to_numpy() for name in FEATURES])
    # Of some seeds, both are held out together.
    found = [
        leaks_of(
            features,
            both["device_id"].to_numpy(),
            dataclasses.replace(MAINTENANCE.settings, seed=seed),
        )
        for seed in range(4)
    ]
    assert {len(leaks) for leaks in found} == {0, 2}
    (text, _) = next(leaks for leaks in found if leaks)
    assert text.startswith("100% of the readings of ")
    assert text.endswith("which is held out, are also those of another device")


def test_an_hour_that_lacks_a_feature_is_not_scored(wear: pa.Table) -> None:
    model = fit(wear, dataclasses.replace(MAINTENANCE.settings, trees=25)).model
    score = maintenance_scorer(model)
    (batch, *_) = wear.select([*FEATURES]).slice(0, 40).combine_chunks().to_batches()
    whole = score(batch)
    assert whole.column(0).null_count == 0
    for place in range(len(FEATURES)):
        row = batch.slice(place, 1)
        lacking = row.set_column(place, row.schema[place].name, pa.array([None], pa.float64()))
        assert {*map(str, score(lacking).to_pylist()[0].values())} == {"None"}
        # A row has the same scores alone.
        assert score(row).to_pylist() == whole.slice(place, 1).to_pylist()


def test_what_no_device_can_have_is_not_learnt_from(engine: Engine) -> None:
    rows = ({**WORN, "TempAvg": "1e99", "HoursLeft": "-1"}, {**WORN, "Hour": "-1"})
    far, before = typed(engine, DEVICE_WEAR, *rows)
    assert (far["temp_avg"], far["hours_left"], far["battery_avg"]) == (None, None, 41.5)
    assert sorted(far["quality_flags"]) == ["hours_left_implausible", "temp_avg_implausible"]
    # Without its hour, a row is quarantined.
    assert before["hour"] is None


def test_hours_of_minutes_are_those_that_the_model_learns_from(engine: Engine) -> None:
    minutes = simulated_minutes(SAMPLE)["thermostat"]
    world = World(SAMPLE)
    with engine.scope():
        frame = device_hours(engine.from_arrow(minutes), engine.from_arrow(reference.devices()))
        rows = engine.rows(frame)
    found = {(row["device_id"], row["hour_number"]): row for row in rows}
    for hour in range(SAMPLE.first_hour, SAMPLE.first_hour + 72, 7):
        expected = hourly(world.hour(hour))
        for place, device in enumerate(world.devices):
            row = found.get((device.device_id, hour), dict.fromkeys(SENSORS, float("nan")))
            assert [row[name] for name in SENSORS] == pytest.approx(
                [expected[name][place] for name in SENSORS], rel=2e-3, nan_ok=True
            )


def test_spark_gives_devices_the_same_hours(spark_engine: Engine) -> None:
    minutes = simulated_minutes(SAMPLE)["thermostat"].select(
        [name for name in AGG_THERMOSTAT_MINUTE.column_names if name not in ("temp_min",)]
    )
    day = date(2021, 10, 21)
    two = minutes.filter(pc.less_equal(minutes["event_date"], pa.scalar(day)))

    def of(engine: Engine) -> list[dict[str, Any]]:
        with engine.scope():
            rows = engine.rows(day_of(engine, GOLD_DEVICE_HEALTH, day, minutes=two))
        return sorted(rows, key=lambda row: (row["device_id"], row["hour"]))

    there = of(spark_engine)
    here = of(start_engine())
    assert len(here) > 200
    # To the last digit: so are the digests by which equal hours are scored once.
    assert there == here
