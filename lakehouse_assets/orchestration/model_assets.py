"""Assets of models: a life cycle for each month, with gates as checks and figures in the UI."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.catalog.gold import Read
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.spans import rows_of
from lakehouse_assets.ml.lifecycle import Gate, ModelRun, ModelSpec, ModelTable, run_model
from lakehouse_assets.ml.orphaned_runs import end_orphaned_runs
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.checks import check_results, check_specs
from lakehouse_assets.orchestration.io_manager import windows_of
from lakehouse_assets.orchestration.partitions import Calendar, accepting_beta
from lakehouse_assets.orchestration.process import active_runs
from lakehouse_assets.orchestration.retries import retries_transient
from lakehouse_assets.orchestration.table_assets import (
    MakeAsset,
    asset_attributes,
    months_of,
)
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.quality.declared import check_declared, declared_checks

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
        An asset whose config is the model's settings; each gate is a blocking check.
    """
    spec, table = model.spec, model.table
    make: MakeAsset = dg.asset(
        **{**asset_attributes(table), "kinds": {"deltalake", "mlflow", "scikitlearn"}},
        ins={"source": dg.AssetIn(key=dg.AssetKey(model.source.key))},
        **calendar.attributes_of("month"),
        config_schema=_settings_schema(spec),
        check_specs=check_specs(
            table, [*(_gate_check(gate) for gate in spec.gates), *declared_checks(table)]
        ),
        required_resource_keys={"lake", "mlflow"},
        pool=table.step,
    )

    @retries_transient
    def train_and_score(
        context: dg.AssetExecutionContext, source: Any
    ) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
        lake: Lake = context.resources.lake.open()
        given = context.op_execution_context.op_config
        settings = type(spec.settings)(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        )
        with lake.engine.scope():
            mlflow: MlflowTracking = context.resources.mlflow.open()
            end_orphaned_runs(mlflow, active_runs(context.instance), clock.now())
            runs: dict[str, ModelRun] = {}
            for month in months_of(context):
                runs[month.isoformat()] = found = run_model(
                    spec,
                    lake.engine,
                    rows_of(Read(model.source), source, month, lake),
                    mlflow,
                    partition=month.isoformat(),
                    run_id=context.run.run_id,
                    most_rows=most_rows,
                    settings=settings,
                )
                if found.version is None:
                    context.log.warning(
                        f"{month:%Y-%m}: only {found.rows} rows have all inputs of {spec.name}, "
                        f"too few to fit; no row is scored."
                    )
            frame = lake.engine.union([run.frame for run in runs.values()])
            for month_key, run in runs.items():
                context.add_asset_metadata(
                    model_metadata(spec, mlflow, run), partition_key=month_key
                )
            yield dg.Output(frame)
            yield from check_results(table, (_judged(gate, runs) for gate in spec.gates))
            selection = windows_of(calendar.monthly, context.partition_keys, table)
            yield from check_results(table, check_declared(table, lake, selection, selection))

    return make(train_and_score)


def model_metadata(spec: ModelSpec, tracking: MlflowTracking, run: ModelRun) -> dict[str, Any]:
    """Return a month's metadata: its model, links to MLflow, metrics and figures."""
    if run.version is None or run.decision is None:
        return {}
    version = run.version
    experiment = tracking.in_experiment(spec.experiment).experiment_id()
    return {
        "mlflow_run_id": version.run_id,
        "mlflow_run": _link(tracking, f"/experiments/{experiment}/runs/{version.run_id}"),
        "mlflow_model": version.model_uri,
        "mlflow_model_page": _link(
            tracking, f"/models/{spec.name}/versions/{version.model_version}"
        ),
        "model_version": version.model_version,
        "champion": run.decision.promoted,
        "decision": run.decision.reason,
        "rows_with_all_inputs": run.rows,
        **{name: value for name, value in run.metrics.items() if not name.startswith("size_")},
        **{name: _image(figure) for name, figure in run.evidence.figures.items()},
    }


def _link(tracking: MlflowTracking, path: str) -> dg.MetadataValue[Any]:
    """Link to a page of the MLflow server; without a server, say how to start one and open it."""
    page = tracking.page(path)
    if page is not None:
        return dg.MetadataValue.url(page)
    return dg.MetadataValue.text(f"run `make mlflow`, then open http://127.0.0.1:5000/#{path}")


def _image(figure: Any) -> dg.MetadataValue[Any]:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_FIGURE_DPI)
    data = base64.b64encode(picture.getvalue()).decode("ascii")
    return dg.MetadataValue.md(f"![figure](data:image/png;base64,{data})")


def _gate_check(gate: Gate) -> Check:
    return Check(gate.name, gate.description, blocking=True)


def _judged(gate: Gate, runs: Mapping[str, ModelRun]) -> Finding:
    """Apply a gate to the fits of a run's months."""
    names = (gate.metric, *gate.also_shown)
    figures = {month: run.metrics for month, run in runs.items() if run.version is not None}
    lines = [
        f"{month}: " + ", ".join(f"{name} {metrics[name]:.4f}" for name in names)
        for month, metrics in figures.items()
    ]
    lowest = {
        f"lowest_{name}": min(metrics[name] for metrics in figures.values())
        for name in (names if figures else ())
    }
    failed = [month for month, metrics in figures.items() if not gate.passes(metrics)]
    return Finding(
        _gate_check(gate),
        "; ".join(lines) or "Too few rows to fit; nothing to judge.",
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
