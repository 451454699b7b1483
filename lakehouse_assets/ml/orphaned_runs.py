"""End MLflow runs whose process was killed before it could end them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from lakehouse_assets.ml.tracking import DAGSTER_RUN_TAG, MlflowTracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

_AT_ONCE = 1_000


def end_orphaned_runs(
    tracking: MlflowTracking, active: Collection[str], before: datetime
) -> list[str]:
    """End the runs that are still RUNNING although their Dagster run has ended.

    A run whose model is registered lacked only its end and becomes FINISHED; others become KILLED.
    Runs that no Dagster run started are not touched, nor are those that started after `before`.

    Args:
        tracking: The MLflow store.
        active: Ids of the Dagster runs that are alive.
        before: When `active` was read.

    Returns:
        The ids of the runs that were ended.

    Raises:
        LakehouseError: MLflow fails.
    """
    client = tracking.client()
    ended: list[str] = []
    with tracking.plain_errors():
        experiments = [found.experiment_id for found in client.search_experiments()]
        running = client.search_runs(
            experiments, "attributes.status = 'RUNNING'", max_results=_AT_ONCE
        )
        for run in running:
            run_id, owner = str(run.info.run_id), run.data.tags.get(DAGSTER_RUN_TAG)
            young = run.info.start_time >= before.timestamp() * 1000
            if owner is None or owner in active or young:
                continue
            client.set_terminated(run_id, "FINISHED" if _is_complete(client, run_id) else "KILLED")
            ended.append(run_id)
    return ended


def _is_complete(client: MlflowClient, run_id: str) -> bool:
    return bool(client.search_model_versions(f"run_id = '{run_id}'", max_results=1))
