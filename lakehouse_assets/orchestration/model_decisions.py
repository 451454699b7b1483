"""The table of decisions about models: copies what the registry records, and checks its aliases."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import dagster as dg

from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything, Values
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.ml.decisions import aliases_of, contradiction, decisions_of, versions_of
from lakehouse_assets.ml.mlflow_address import sqlite_path
from lakehouse_assets.ml.spec import ModelTable
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.checks import check_results
from lakehouse_assets.orchestration.io_manager import NewRows
from lakehouse_assets.orchestration.table_assets import table_asset
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.declared import check_declared
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
    import pyarrow as pa

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
    schema = arrow_schema(MODEL_DECISIONS)
    data = {f.name: pa.array([row[f.name] for row in rows], f.type) for f in schema}
    replaced = Values("decision_id", tuple(row["decision_id"] for row in rows))
    return NewRows(lake.engine.from_arrow(pa.table(data)), replaced)


def copy_decisions(lake: Lake, tracking: MlflowTracking, model: str, commit: Commit) -> None:
    """Add a model's new decisions to the table at once, for a command."""
    with lake.engine.scope():
        new = new_decisions(lake, tracking, [model])
        if new is not None and new.replaced is not None:
            lake.write(MODEL_DECISIONS, new.frame, new.replaced, commit)


def decisions_asset(models: Sequence[ModelTable]) -> dg.AssetsDefinition:
    """Make the asset of the table of decisions about models."""
    table = MODEL_DECISIONS
    deps = [
        dg.AssetDep(
            dg.AssetKey(model.table.key),
            partition_mapping=dg.LastPartitionMapping() if model.table.partition else None,
        )
        for model in models
    ]

    def model_decisions(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        tracking: MlflowTracking = context.resources.mlflow.open()
        path = sqlite_path(tracking.tracking_uri)
        # A store that no model has used yet is not created.
        unused = path is not None and not path.exists()
        names = [] if unused else [model.spec.name for model in models]
        with lake.engine.scope():
            new = new_decisions(lake, tracking, names)
            nothing = lake.engine.from_arrow(arrow_schema(table).empty_table())
            yield dg.Output(new or NewRows(nothing, Values("decision_id", (context.run.run_id,))))
            yield from check_results(table, check_declared(table, lake, Everything(), Everything()))
        wrong = [
            text
            for name in names
            if (text := contradiction(decisions_of(versions_of(tracking, name)),
                                      aliases_of(tracking, name)))
        ]  # fmt: skip
        text = (
            "; ".join(wrong) or f"The aliases of {len(names)} models match their newest decisions."
        )
        yield from check_results(
            table, [Finding(AS_DECIDED, text, {"": len(wrong)} if wrong else {})]
        )

    return table_asset(
        table,
        model_decisions,
        [AS_DECIDED],
        deps=deps,
        kinds={"deltalake", "mlflow"},
        required_resource_keys={"lake", "mlflow"},
    )
