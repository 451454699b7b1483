"""Ends runs whose process was killed, so that nothing waits for them.

Tables need no repair: a commit exists completely or not at all, and re-running the partition
replaces it.
"""

from datetime import datetime

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.ml.orphaned_runs import end_orphaned_runs
from lakehouse_assets.orchestration.mlflow_resource import MlflowResource
from lakehouse_assets.orchestration.process import active_runs, end_dead_runs

_BROKEN = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_LOOK_SECONDS = 60


def healing_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Make the sensor that ends the runs of killed processes."""

    @dg.sensor(
        name="fail_orphaned_runs",
        description=(
            "Ends runs whose process was killed, frees their pool slots and ends their MLflow "
            "runs; Dagster then retries them (run_retries in dagster.yaml)."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=status,
    )
    def fail_orphaned_runs(
        context: dg.SensorEvaluationContext, mlflow: MlflowResource
    ) -> dg.SkipReason:
        now = clock.now()
        ended = end_dead_runs(context.instance)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        broken = dg.RunsFilter(statuses=_BROKEN, updated_after=since)
        # Opening MLflow takes seconds, so it is done only after a run failed.
        if context.instance.get_runs(broken, limit=1):
            end_orphaned_runs(mlflow.open(), active_runs(context.instance), now)
        context.update_cursor(now.isoformat())
        return dg.SkipReason(
            f"Ended the runs {', '.join(ended)} of killed processes."
            if ended
            else "No process of a run was killed."
        )

    return fail_orphaned_runs
