"""Assets of models: fit, gates, decision and scores of each month, with figures in the UI."""

import base64
import io
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from typing import Any, Final

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.clock import following
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Everything, between
from lakehouse_assets.lake.spans import rows_of
from lakehouse_assets.ml.lifecycle import WHOLE, ModelRun, run_model
from lakehouse_assets.ml.model_card import FILE as CARD
from lakehouse_assets.ml.spec import Gate, ModelSpec, ModelTable
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.io_manager import windows_of
from lakehouse_assets.orchestration.partitions import WITHIN, Calendar, accepting_beta
from lakehouse_assets.orchestration.process import active_runs
from lakehouse_assets.orchestration.retraining import ASKED_TAG
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.table_assets import (
    MakeAsset,
    Results,
    asset_attributes,
    partitions_of,
    trigger_of,
)
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.declared import check_declared, declared_checks

FITTED: Final = Check("model_is_fitted", "Each month has enough rows to fit a model.")

# Dots per inch of the figures in the UI; each is stored with its event, at about 50 kB.
_FIGURE_DPI = 55


@accepting_beta()
def model_asset(model: ModelTable, calendar: Calendar, most_rows: int) -> dg.AssetsDefinition:
    """Make the asset of the table that holds a model's results for the rows of another table.

    Args:
        model: The model, its table and the table that it reads.
        calendar: Partitions.
        most_rows: Most rows that are fetched to fit the model.

    Returns:
        An asset whose config is the model's settings. Each gate is a check, which blocks what is
        downstream if the rows were scored by a fit that does not pass it.
    """
    spec, table, read = model.spec, model.table, model.read
    partition = table.partition
    mapping = None if read.span == "same" else calendar.so_far
    if mapping is None and read.table.partition != partition:
        mapping = WITHIN
    make: MakeAsset = dg.asset(
        **{**asset_attributes(table), "kinds": {"deltalake", "mlflow", "scikitlearn"}},
        ins={"source": dg.AssetIn(dg.AssetKey(read.table.key), partition_mapping=mapping)},
        deps=[trigger_of(trigger) for trigger in model.triggered_by],
        **(calendar.attributes_of(partition.grain) if partition else {}),
        config_schema=_settings_schema(spec),
        check_specs=check_specs(
            table,
            [
                FITTED,
                *(_gate_check(gate, model) for gate in spec.gates),
                *declared_checks(table),
            ],
        ),
        required_resource_keys={"lake", "mlflow"},
        pool=table.step,
    )

    @retries_transient
    def train_and_score(context: dg.AssetExecutionContext, source: DataFrame) -> Results:
        lake: Lake = context.resources.lake.open()
        given = context.op_execution_context.op_config
        settings = type(spec.settings)(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        )
        months = partitions_of(context) if partition else [None]
        selection = (
            windows_of(calendar.monthly, context.partition_keys, table)
            if partition
            else Everything()
        )
        with lake.engine.scope():
            mlflow: MlflowTracking = context.resources.mlflow.open()
            mlflow.end_orphaned_runs(active_runs(context.instance), clock.now())
            runs: dict[str, ModelRun] = {}
            known = _latest(table, lake, months[0]) if model.changed_only else None
            for month in months:
                key = month.isoformat() if month else ""
                rows = rows_of(read, source, month, lake) if month else source
                if partition and partition.column not in rows.columns:
                    rows = rows.withColumn(partition.column, F.lit(month))
                runs[key] = found = run_model(
                    spec,
                    lake.engine,
                    rows,
                    mlflow,
                    partition=key or WHOLE,
                    run_id=context.run.run_id,
                    most_rows=most_rows,
                    domain=table.domain,
                    settings=settings,
                    changed_only=model.changed_only,
                    known=known,
                    asked=context.run.tags.get(ASKED_TAG, ""),
                )
                known = found.frame if model.changed_only else None
            frame = lake.engine.union([run.frame for run in runs.values()])
            for key, run in runs.items():
                context.add_asset_metadata(
                    model_metadata(spec, mlflow, run), partition_key=key or None
                )
            yield dg.Output(frame)
            yield from check_results(table, [_fitted(runs)])
            yield from check_results(table, (_evaluated(gate, model, runs) for gate in spec.gates))
            yield from check_results(table, check_declared(table, lake, selection, selection))

    return make(train_and_score)


def _latest(table: Table, lake: Lake, month: date | None) -> DataFrame | None:
    """Return the table's stored rows of the latest month up to one, or of a whole table."""
    if table.partition is None or month is None:
        return lake.read(table)
    stored = [found for found, rows in lake.rows_by_partition(table).items() if rows]
    latest = max((found for found in stored if found <= month), default=None)
    if latest is None:
        return None
    return lake.read(table, between(table.partition, latest, following(latest, "month")))


def model_metadata(spec: ModelSpec, tracking: MlflowTracking, run: ModelRun) -> dict[str, Any]:
    """Return a month's metadata: its model, links to MLflow, metrics and figures."""
    if run.version is None or run.decision is None:
        return {"refusal": run.refusal, "scored_by_version": run.scored_by}
    version = run.version
    experiment = tracking.in_experiment(spec.experiment).experiment_id()
    return {
        "mlflow_run_id": version.run_id,
        "mlflow_run": _link(tracking, f"/experiments/{experiment}/runs/{version.run_id}"),
        "mlflow_model": version.model_uri,
        "mlflow_model_page": _link(
            tracking, f"/models/{spec.name}/versions/{version.model_version}"
        ),
        "model_card": _link(
            tracking, f"/experiments/{experiment}/runs/{version.run_id}/artifacts/{CARD}"
        ),
        "model_version": version.model_version,
        "champion": run.decision.promoted,
        "decision": run.decision.verdict,
        "scored_by_version": run.scored_by,
        "rows_with_all_inputs": run.rows,
        "rows_scored_now": run.scored_now,
        **{name: value for name, value in run.metrics.items() if not name.startswith("size_")},
        **{name: _image(figure) for name, figure in run.evidence.figures.items()},
    }


def _link(tracking: MlflowTracking, path: str) -> dg.MetadataValue[Any]:
    """Link to a page of the MLflow server; without a server, say how to start one, at any port."""
    page = tracking.page(path)
    if page is not None:
        return dg.MetadataValue.url(page)
    return dg.MetadataValue.text(f"run `make mlflow`, then open its page /#{path}")


def _image(figure: Any) -> dg.MetadataValue[Any]:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_FIGURE_DPI)
    data = base64.b64encode(picture.getvalue()).decode("ascii")
    return dg.MetadataValue.md(f"![figure](data:image/png;base64,{data})")


def _fitted(runs: Mapping[str, ModelRun]) -> Finding:
    """Say which months have no fit, why, and which version scored their rows."""
    refused = {key: run for key, run in runs.items() if run.refusal is not None}
    lines = [
        f"{key}: {run.refusal} "
        + (
            "Rows are not scored."
            if run.scored_by is None
            else f"Version {run.scored_by} scores the rows."
        )
        for key, run in refused.items()
    ]
    return Finding(
        FITTED, " ".join(lines) or "A model was fitted for each month.", dict.fromkeys(refused, 1)
    )


def _gate_check(gate: Gate, model: ModelTable) -> Check:
    return Check(gate.name, gate.description, blocking=model.gates_block)


def _evaluated(gate: Gate, model: ModelTable, runs: Mapping[str, ModelRun]) -> Finding:
    """Apply a gate to the fits of a run's months."""
    names = (gate.metric, *gate.also_shown)
    fits = {month: run for month, run in runs.items() if run.version is not None}
    lines = [
        f"{month}: " + ", ".join(f"{name} {run.metrics[name]:.4f}" for name in names)
        for month, run in fits.items()
    ]
    lowest = {
        f"lowest_{name}": min(run.metrics[name] for run in fits.values())
        for name in (names if fits else ())
    }
    failed = {month: run for month, run in fits.items() if not gate.passes(run.metrics)}
    check = _gate_check(gate, model)
    # A fit that does not score rows, because the champion does, is only a warning.
    if all(run.version and run.scored_by != run.version.model_version for run in failed.values()):
        check = replace(check, blocking=False)
    return Finding(
        check,
        "; ".join(lines) or "No month was fitted.",
        dict.fromkeys(failed, 1),
        numbers=lowest,
    )


def _settings_schema(spec: ModelSpec) -> dict[str, dg.Field]:
    """Describe a model's settings for the launchpad."""
    schema = {}
    for item in fields(spec.settings):
        default = getattr(spec.settings, item.name)
        listed = isinstance(default, tuple)
        kind = [type(default[0]) if default else int] if listed else type(default)
        schema[item.name] = dg.Field(
            kind, default_value=list(default) if listed else default, is_required=False
        )
    return schema
