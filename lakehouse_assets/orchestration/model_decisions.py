"""The table of decisions about models: copies what the registry records, and checks its aliases."""

from collections.abc import Collection

import dagster as dg

from lakehouse_assets.domains import MODEL_TABLES
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Values
from lakehouse_assets.ml.decisions import aliases_of, contradiction, decisions_of, versions_of
from lakehouse_assets.ml.mlflow_address import sqlite_path
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.checks import check_results
from lakehouse_assets.orchestration.io_manager import NewRows
from lakehouse_assets.orchestration.table_assets import Results, frame_of, table_asset
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.tables import MODEL_DECISIONS

AS_DECIDED = Check(
    "champions_are_as_decided",
    "The champion, challenger and previous version of each model match the newest decision about "
    "it.",
    error=True,
)


def new_decisions(lake: Lake, tracking: MlflowTracking, models: Collection[str]) -> NewRows | None:
    """Return the decisions of the registry that the table lacks; None if it has them all.

    Args:
        lake: The lake.
        tracking: The MLflow store.
        models: Names of the models.

    Raises:
        LakehouseError: MLflow fails.
    """
    stored = lake.engine.rows(lake.read(MODEL_DECISIONS, columns=["decision_id"]))
    known = {row["decision_id"] for row in stored}
    rows = []
    for name in sorted(models):
        versions = versions_of(tracking, name)
        runs = {int(version.version): str(version.run_id) for version in versions}
        found = (d.as_row(runs[d.candidate]) for d in decisions_of(versions))
        rows += [row for row in found if row["decision_id"] not in known]
    if not rows:
        return None
    replaced = Values("decision_id", tuple(row["decision_id"] for row in rows))
    return NewRows(frame_of(lake, MODEL_DECISIONS, rows), replaced)


def copy_decisions(lake: Lake, tracking: MlflowTracking, model: str, commit: Commit) -> None:
    """Add a model's new decisions to the table at once, for a command."""
    with lake.engine.scope():
        new = new_decisions(lake, tracking, [model])
        if new is not None and new.replaced is not None:
            lake.write(MODEL_DECISIONS, new.frame, new.replaced, commit)


def decisions_asset() -> dg.AssetsDefinition:
    """Make the asset of the table of decisions about models."""
    deps = [
        dg.AssetDep(
            dg.AssetKey(model.table.key),
            partition_mapping=dg.LastPartitionMapping() if model.table.partition else None,
        )
        for model in MODEL_TABLES.values()
    ]
    return table_asset(
        MODEL_DECISIONS,
        _model_decisions,
        [AS_DECIDED],
        deps=deps,
        kinds={"deltalake", "mlflow"},
        required_resource_keys={"lake", "mlflow"},
    )


def _model_decisions(context: dg.AssetExecutionContext, lake: Lake) -> Results:
    tracking: MlflowTracking = context.resources.mlflow.open()
    path = sqlite_path(tracking.tracking_uri)
    # A store that no model has used yet is not created.
    names = [] if path is not None and not path.exists() else [*MODEL_TABLES]
    new = new_decisions(lake, tracking, names)
    nothing = Values("decision_id", (context.run.run_id,))
    yield dg.Output(new or NewRows(frame_of(lake, MODEL_DECISIONS, ()), nothing))
    wrong = [
        text
        for name in names
        if (text := contradiction(decisions_of(versions_of(tracking, name)),
                                  aliases_of(tracking, name)))
    ]  # fmt: skip
    text = "; ".join(wrong) or f"The aliases of {len(names)} models match their newest decisions."
    finding = Finding(AS_DECIDED, text, {"": len(wrong)} if wrong else {})
    yield from check_results(MODEL_DECISIONS, [finding])
