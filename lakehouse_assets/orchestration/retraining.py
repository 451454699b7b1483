"""Fits models again: once for each alarm, and every month."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from lakehouse_assets.domains import MODEL_TABLES
from lakehouse_assets.ml.spec import ModelTable
from lakehouse_assets.orchestration.jobs import MONTHLY, Job, Jobs, job_name
from lakehouse_assets.orchestration.recorded import materialisations_after
from lakehouse_assets.quality.tables import QUALITY_DRIFT

ASKED_TAG: Final = "lakehouse/fit_because"
"""Tag of a run with the reason why models are fitted again; the decision records it."""

ALARMS: Final = "alarms"
"""Metadata of the drift table: the alarms of each model, as month and measure."""

MONTHLY_MODELS: Final = [model for model in MODEL_TABLES.values() if model.table.partition]

_LOOK_SECONDS: Final = 60
# On the third of a month at 04:00 UTC, before the daily refresh.
_CRON: Final = "0 4 3 * *"
_SHOWN: Final = 5


def alarm_sensor(jobs: Jobs, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that fits a model again after an alarm about its inputs, scores or results.

    Args:
        jobs: All jobs; those of the models are run.
        status: Whether it starts switched on.
    """
    key = dg.AssetKey(QUALITY_DRIFT.key)

    @dg.sensor(
        name="model_alarms",
        jobs=[jobs[name] for name in sorted(_by_job())],
        description=(
            "Fits a model on its newest month and compares it with the champion, once for each "
            f"alarm in the table {QUALITY_DRIFT.name}: drift of inputs or scores, or results that "
            "no longer pass the model's gates."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def model_alarms(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = int(context.cursor) if context.cursor else None
        newest = None
        for record in materialisations_after(context.instance, key, seen):
            newest, seen = record, record.storage_id
        made = newest.asset_materialization if newest else None
        found = made.metadata.get(ALARMS) if made else None
        alarms: Mapping[str, list[str]] = found.value if found is not None else {}  # type: ignore[assignment]
        requests = []
        for model in MONTHLY_MODELS:
            measures = sorted(alarms.get(model.spec.name, ()))
            if measures:
                more = f" and {len(measures) - _SHOWN} more" if len(measures) > _SHOWN else ""
                why = f"after the alarm: {', '.join(measures[:_SHOWN])}{more}"
                # Dagster starts one run for a key: an alarm that lasts is answered once.
                digest = hashlib.sha256("\n".join(measures).encode()).hexdigest()[:16]
                requests += _requests(context.instance, model, why, digest)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "No model has an alarm.",
            cursor=None if seen is None else str(seen),
        )

    return model_alarms


def fit_schedules(jobs: Jobs, status: dg.DefaultScheduleStatus) -> list[dg.ScheduleDefinition]:
    """Make the schedules that fit each domain's models every month on their newest rows.

    Args:
        jobs: All jobs; those of the models are run.
        status: Whether they start switched on.
    """
    return [_fit_schedule(models, jobs[job], status) for job, models in _by_job().items()]


def _by_job() -> dict[str, list[ModelTable]]:
    """Return the models of monthly tables by the job that fits them."""
    found: dict[str, list[ModelTable]] = {}
    for model in MONTHLY_MODELS:
        found.setdefault(job_name(model.table.domain, MONTHLY), []).append(model)
    return found


def _fit_schedule(
    models: Sequence[ModelTable], job: Job, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{models[0].table.domain}_models",
        cron_schedule=_CRON,
        execution_timezone="UTC",
        job=job,
        description="Fits each model on its newest month and compares it with the champion.",
        default_status=status,
    )
    def fits(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        month = f"{context.scheduled_execution_time:%Y-%m}"
        requests = []
        for model in models:
            why = f"in the monthly fit of {month}"
            requests += _requests(context.instance, model, why, month)
        return requests or dg.SkipReason("No month was delivered yet.")

    return fits


def _requests(
    instance: dg.DagsterInstance, model: ModelTable, why: str, occasion: str
) -> list[dg.RunRequest]:
    """Request a fit on the newest month that is in the model's table; none if it has no month."""
    key = dg.AssetKey(model.table.key)
    months: Any = instance.get_materialized_partitions(key)
    return [
        dg.RunRequest(
            f"{model.spec.name}:{occasion}", job_name=job_name(model.table.domain, MONTHLY),
            partition_key=month, tags={ASKED_TAG: why}, asset_selection=[key],
        )
        for month in sorted(months)[-1:]
    ]  # fmt: skip
