"""Runs whose process was killed: ending them, so that nothing waits for them.

Tables need no healing: a commit is there or it is not, and running the partition again replaces it.
"""

from datetime import datetime

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.ml.abandoned import end_abandoned_runs
from lakehouse_assets.ml.resource import MlflowResource
from lakehouse_assets.process import Owner, was_killed

# A run of `lakehouse run` belongs to its process before it has started.
_ACTIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BROKEN = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_LOOK_SECONDS = 60


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the runs of dead processes and free their places in pools.

    Returns:
        The ids of the runs that were ended.
    """
    dead = [
        r for r in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)) if was_killed(instance, r)
    ]
    for run in dead:
        _end(instance, run, "The process of this run was killed.")
    return [run.run_id for run in dead]


def end_interrupted_runs(instance: dg.DagsterInstance) -> None:
    """End the runs of this process, which is asked to stop before they have ended by themselves."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)):
        if Owner.of(run) == Owner.here(run.run_id):
            _end(instance, run, "This run was interrupted.")


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    instance.report_run_failed(
        run,
        f"{reason} Its tables are as they were before or after each step, never in between; run "
        "the partitions again.",
    )


def active_runs(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of the runs that are being executed."""
    return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=_ACTIVE))]


def healing_sensor(*, running: bool) -> dg.SensorDefinition:
    """Make the sensor that ends the runs of killed processes.

    Args:
        running: Whether it runs from the start; otherwise people switch it on in the UI.
    """

    @dg.sensor(
        name="end_killed_runs",
        description=(
            "Ends runs whose process was killed, frees their places in pools and ends their MLflow "
            "runs; Dagster then starts them again (run_retries in dagster.yaml)."
        ),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def end_killed_runs(
        context: dg.SensorEvaluationContext, mlflow: MlflowResource
    ) -> dg.SkipReason:
        now = clock.now()
        ended = end_dead_runs(context.instance)
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        broken = dg.RunsFilter(statuses=_BROKEN, updated_after=since)
        # Opening MLflow takes seconds, so it has to have a reason.
        if context.instance.get_runs(broken, limit=1):
            end_abandoned_runs(mlflow.open(), active_runs(context.instance), now)
        context.update_cursor(now.isoformat())
        return dg.SkipReason(
            f"Ended the runs {', '.join(ended)} of killed processes." if ended else "All is well."
        )

    return end_killed_runs
