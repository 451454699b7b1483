"""Assembles assets, jobs, sensors, schedules and resources into Dagster definitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import dagster as dg

from lakehouse_assets.catalog.datasets import Limits, with_limits, with_options
from lakehouse_assets.domains import DATASETS, DOMAINS, REGISTRY, SOURCES, STREAMS
from lakehouse_assets.engine.vocabulary import Weekday
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.alerts import alert_sensors
from lakehouse_assets.orchestration.audit_log import audit_asset
from lakehouse_assets.orchestration.conditions import conditions_of, following_sensor
from lakehouse_assets.orchestration.dataset_assets import bronze_assets, silver_assets
from lakehouse_assets.orchestration.extractions import extraction_schedules
from lakehouse_assets.orchestration.freshness import policy_of
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.jobs import STREAM, family_jobs, live_keys
from lakehouse_assets.orchestration.maintenance import maintenance_job
from lakehouse_assets.orchestration.model_assets import model_asset
from lakehouse_assets.orchestration.model_decisions import decisions_asset
from lakehouse_assets.orchestration.openlineage import openlineage_sensor
from lakehouse_assets.orchestration.pages_asset import pages_asset, pages_job
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.process import healing_sensor
from lakehouse_assets.orchestration.quality_log import quality_assets
from lakehouse_assets.orchestration.resources import LakeResource, LandingResource, MlflowResource
from lakehouse_assets.orchestration.retraining import alarm_sensor, fit_schedules
from lakehouse_assets.orchestration.schedules import job_schedules, refresh_schedules
from lakehouse_assets.orchestration.sensors import arrivals_sensor, late_sensor
from lakehouse_assets.orchestration.stream_assets import stream_assets, streams_sensor
from lakehouse_assets.orchestration.table_assets import BuildOptions, gold_asset
from lakehouse_assets.settings import Settings

_MOST_CACHED = 4


def every_asset(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of every domain and of the quality log, cached by settings."""
    return [
        *_assets(
            settings.first_partition,
            settings.training_rows,
            settings.week_starts_on,
            settings.campaign_tags,
            _limits(settings),
            settings.engine,
        )
    ]


def _limits(settings: Settings) -> Limits:
    """Return the loss limits of the settings.

    Raises:
        LakehouseError: a limit names an unknown dataset.
    """
    known = {feed.path for feed in (*DATASETS, *STREAMS)} | {"*"}
    for path in sorted(settings.loss_limits.keys() - known):
        raise LakehouseError(
            f"Setting LAKEHOUSE_LOSS_LIMITS names {path}, which is not a dataset; the datasets are "
            f"{', '.join(sorted(known))}."
        )
    return tuple(
        (path, field, limit)
        for path, fields in settings.loss_limits.items()
        for field, limit in fields.items()
    )


# Building the assets takes Dagster a tenth of a second, and a command needs them twice.
@lru_cache(_MOST_CACHED)
def _assets(
    first_partition: date | None,
    training_rows: int,
    week_starts_on: Weekday,
    campaign_tags: tuple[str, ...],
    limits: Limits,
    engine: str,
) -> Sequence[dg.AssetsDefinition]:
    calendars = _calendars(first_partition)
    options = BuildOptions(week_starts_on, training_rows)
    given = {"campaign_tags": campaign_tags}
    datasets = [with_limits(dataset, limits) for dataset in DATASETS]
    made = [
        *(bronze_assets(dataset, calendars[dataset.domain]) for dataset in datasets),
        *(
            silver_assets(with_options(dataset, given), calendars[dataset.domain])
            for dataset in datasets
        ),
        *(
            gold_asset(gold, REGISTRY, calendars[domain.name], options)
            for domain in DOMAINS
            for gold in domain.gold
        ),
        *(
            model_asset(model, calendars[domain.name], training_rows)
            for domain in DOMAINS
            for model in domain.models
        ),
        *quality_assets(),
        decisions_asset(),
        audit_asset(),
    ]
    conditions = conditions_of(made, DATASETS, live_keys())

    def finished(spec: dg.AssetSpec) -> dg.AssetSpec:
        if STREAM in spec.kinds:
            return spec
        return spec.replace_attributes(
            automation_condition=conditions.get(spec.key),
            freshness_policy=policy_of(REGISTRY.by_key(tuple(spec.key.path))),
            # A model's table is not made by the engine.
            kinds=spec.kinds if "mlflow" in spec.kinds else {*spec.kinds, engine},
        )

    streams = [
        asset
        for stream in STREAMS
        for asset in stream_assets(with_limits(stream, limits), calendars[stream.domain])
    ]
    return [asset.map_asset_specs(finished) for asset in [*made, *streams]]


def _calendars(first_partition: date | None) -> dict[str, Calendar]:
    """Return the partitions of each domain."""
    return {domain.name: Calendar.of(domain.name, first_partition) for domain in DOMAINS}


def build_defs(settings: Settings, **overrides: Any) -> dg.Definitions:
    """Build the Dagster definitions.

    Args:
        settings: Settings of the lakehouse.
        overrides: Resources that replace the defaults, by name: `lake`, `landing`, `mlflow`,
            `io_manager`.
    """
    lake = LakeResource.of(settings)
    resources: dict[str, Any] = {
        "lake": lake,
        "landing": LandingResource.of(settings),
        "mlflow": MlflowResource.of(settings),
        "io_manager": DeltaIOManager(
            lake=overrides.get("lake", lake), run_time_limit=settings.run_time_limit_seconds
        ),
    }
    assets, calendars = every_asset(settings), _calendars(settings.first_partition)
    jobs = family_jobs(assets)
    sensors, schedules = dg.DefaultSensorStatus.STOPPED, dg.DefaultScheduleStatus.STOPPED
    if settings.automation:
        sensors, schedules = dg.DefaultSensorStatus.RUNNING, dg.DefaultScheduleStatus.RUNNING
    return dg.Definitions(
        assets=[*assets, pages_asset(settings.pages)],
        jobs=[*jobs.values(), maintenance_job(), pages_job()],
        sensors=[
            arrivals_sensor(calendars, jobs, sensors),
            late_sensor(jobs, sensors),
            streams_sensor(jobs, sensors),
            following_sensor(sensors),
            healing_sensor(sensors),
            alarm_sensor(jobs, sensors),
            openlineage_sensor(sensors),
            *alert_sensors(sensors),
        ],
        schedules=[
            *refresh_schedules(calendars, jobs, schedules),
            *extraction_schedules(SOURCES, running=settings.automation),
            *job_schedules(schedules),
            *fit_schedules(jobs, schedules),
        ],
        resources={**resources, **overrides},
        executor=dg.in_process_executor,
    )
