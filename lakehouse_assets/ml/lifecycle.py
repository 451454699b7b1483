"""Declarations of models, and the life cycle that every model goes through.

The rows of a partition, such as a month, are prepared; a model is fitted on a sample of them and
scores all of them; the fit is tracked and registered under an identity, checked against its gates,
compared with the champion, and promoted. A re-run on the same rows with the same settings fits and
registers nothing: the registered model is loaded, checked, and scores the rows.

The definitions import this module for the declarations, so it imports the model registry and MLflow
only inside functions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.sampling import Sample, fetch_sample

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from lakehouse_assets.ml.model_registry import Decision, TrackedModel
    from lakehouse_assets.ml.tracking import MlflowTracking


@dataclass(frozen=True)
class Gate:
    """A bound that a metric of a fit must exceed for the model to be used.

    Attributes:
        name: Name of the check.
        metric: The metric.
        above: The bound.
        description: The reason, for people.
        also_shown: Further metrics to show with it, which do not affect the result.
    """

    name: str
    metric: str
    above: float
    description: str
    also_shown: tuple[str, ...] = ()

    def passes(self, metrics: Mapping[str, float]) -> bool:
        """Return whether a fit passes; a missing or NaN metric does not pass."""
        return metrics.get(self.metric, float("nan")) > self.above


@dataclass(frozen=True)
class Variant:
    """A fit for comparison only, tracked as a child run."""

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Result of fitting.

    Attributes:
        model: A scikit-learn estimator that contains only the types that its spec declares.
        run_name: Name of the run in MLflow.
        metrics: Metrics of the fit.
        params: Further parameters to log with the run.
        variants: Other fits to compare it with.
        documents: Values to store as JSON files with the run, by name.
    """

    model: Any
    run_name: str
    metrics: Mapping[str, float]
    params: Mapping[str, object] = field(default_factory=dict)
    variants: Sequence[Variant] = ()
    documents: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Metrics and figures (by name) that describe the rows that a model scored."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """Declaration of a model: everything that the life cycle needs to know about it.

    Attributes:
        name: Name of the registered model.
        experiment: MLflow experiment of its runs.
        key: Column that identifies a row.
        features: Columns that it predicts from: numbers, or text.
        settings: Default settings, a dataclass of integers, floats, strings and tuples.
        fit: Fits a sample: a table of the key and the inputs, ordered by key, numbers as doubles.
        types: Types that the saved model contains, in addition to plain values and arrays.
        scored: Columns that scoring adds, with their types: int, bigint, double or string.
        scorer: Returns, for a model, the function that computes those columns for a batch of
            features. It may run in other processes, which have only NumPy and PyArrow.
        gates: Checks that a fit must pass to become the champion.
        fewest: Minimum number of rows for a fit, given the settings.
        output: MLflow's type of the saved model's predictions.
        target: Column that it predicts, if any; rows without a value in it are not fitted.
        prepare: Adds the features to the rows.
        finish: Turns scored rows into rows of the table.
        describe: Returns the evidence about those rows to store with the run.
        objection: Given the fit, the champion's model and the sample, returns why the fit must not
            replace the champion, or None. Without it, every fit that passes its gates replaces it.
        rules: Other values that the results depend on; part of the identity.
        libraries: Packages whose version may change the fit; part of the identity.
    """

    name: str
    experiment: str
    key: str
    features: tuple[str, ...]
    settings: Any
    fit: Callable[[pa.Table, Any], Fitted]
    types: frozenset[str]
    scored: Mapping[str, str]
    scorer: Callable[[Any], Callable[[pa.RecordBatch], pa.RecordBatch]]
    gates: tuple[Gate, ...] = ()
    fewest: Callable[[Any], int] = lambda _settings: 1
    output: str = "double"
    target: str | None = None
    prepare: Callable[[DataFrame], DataFrame] = lambda frame: frame
    finish: Callable[[DataFrame], DataFrame] = lambda frame: frame
    describe: Callable[[Engine, DataFrame], Evidence] = lambda _engine, _frame: Evidence()
    objection: Callable[[Fitted, Any, pa.Table], str | None] | None = None
    rules: object = None
    libraries: tuple[str, ...] = ("scikit-learn",)


@dataclass(frozen=True, eq=False)
class ModelTable:
    """A monthly table with a model's scores for the rows of another table.

    Attributes:
        spec: The model.
        table: The table of the scored rows.
        source: The monthly table whose rows are fitted and scored.
    """

    spec: ModelSpec
    table: Table
    source: Table


@dataclass(frozen=True, eq=False)
class ModelRun:
    """Result of a model's life cycle on the rows of a partition.

    Attributes:
        frame: The rows of the table.
        rows: Number of rows that have all inputs.
        version: The registered model; None if there were too few rows to fit one.
        metrics: Metrics of the fit, and of the rows that it scored.
        decision: Whether it is the champion now, and why.
        evidence: Metrics and figures of the scored rows.
    """

    frame: DataFrame
    rows: int
    version: TrackedModel | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    evidence: Evidence = field(default_factory=Evidence)


def run_model(
    spec: ModelSpec,
    engine: Engine,
    frame: DataFrame,
    tracking: MlflowTracking,
    *,
    partition: str,
    run_id: str,
    most_rows: int,
    settings: Any = None,
) -> ModelRun:
    """Run a model's life cycle on the rows of a partition.

    Args:
        spec: The model.
        engine: The engine of the frame.
        frame: The rows.
        tracking: The MLflow store.
        partition: Partition key, as text that sorts by time.
        run_id: Id of the Dagster run.
        most_rows: Maximum number of rows to fetch for fitting.
        settings: Settings to use instead of the default ones.

    Raises:
        LakehouseError: The rows cannot be fitted, a registered model is refused, or MLflow fails.
    """
    from lakehouse_assets.ml.model_registry import find_version, load_version
    from lakehouse_assets.ml.tracking import DAGSTER_RUN_TAG

    settings = spec.settings if settings is None else settings
    tracking = tracking.in_experiment(spec.experiment)
    versions = engine.versions_read(frame)
    prepared = engine.checkpoint(spec.prepare(frame))
    inputs = spec.features if spec.target is None else (*spec.features, spec.target)
    sample = fetch_sample(engine, prepared, spec.key, inputs, most_rows)
    if sample.total < spec.fewest(settings):
        empty = {name: F.lit(None).cast(kind) for name, kind in spec.scored.items()}
        return ModelRun(spec.finish(prepared.withColumns(empty)), sample.total)
    identity = identity_of(spec, settings, partition, sample)
    version = find_version(tracking, identity, spec.name)
    if version is None:
        fitted = spec.fit(sample.rows, settings)
    else:
        model = load_version(tracking, spec.name, version.model_version, spec.types)
        fitted = Fitted(model, "", tracking.metrics(version.run_id))
    finished = engine.checkpoint(spec.finish(score_frame(spec, engine, prepared, fitted.model)))
    evidence = spec.describe(engine, finished)
    if version is None:
        tags = {
            DAGSTER_RUN_TAG: run_id,
            **{f"delta_version.{name}": str(number) for name, number in versions.items()},
            **identity,
        }
        version = _record(spec, tracking, fitted, evidence, settings, sample, tags)
    decision = _decide(spec, tracking, fitted, version, partition, sample)
    metrics = {**fitted.metrics, **evidence.metrics}
    return ModelRun(finished, sample.total, version, metrics, decision, evidence)


def identity_of(spec: ModelSpec, settings: Any, partition: str, sample: Sample) -> dict[str, str]:
    """Return the tags that identify a fit: its partition, its rows, and its configuration."""
    from lakehouse_assets.ml import model_registry as registry

    config = {
        "settings": dataclasses.asdict(settings),
        "features": spec.features,
        "target": spec.target,
        "rules": spec.rules,
        "libraries": {name: installed_version(name) for name in spec.libraries},
    }
    text = json.dumps(config, sort_keys=True)
    return {
        registry.PARTITION_TAG: partition,
        registry.INPUT_DIGEST_TAG: sample.digest,
        registry.CONFIG_DIGEST_TAG: hashlib.sha256(text.encode()).hexdigest(),
    }


def score_frame(spec: ModelSpec, engine: Engine, frame: DataFrame, model: Any) -> DataFrame:
    """Add a model's predictions to rows within the engine, without fetching them.

    Args:
        spec: The model's declaration.
        engine: The engine of the frame.
        frame: Rows with a column for each feature.
        model: A fitted model, or one loaded from the registry.

    Returns:
        The rows, kept until the engine's scope ends.

    Raises:
        LakehouseError: The frame lacks a feature, or already has a column that would be added.
    """
    import pyarrow as pa

    missing = set(spec.features) - set(frame.columns)
    double = set(spec.scored) & set(frame.columns)
    if missing or double:
        raise LakehouseError(
            f"The model {spec.name} cannot score rows that lack {_listed(missing)} and have "
            f"{_listed(double)} already; select the columns, or choose another model."
        )
    kinds = {"int": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "string": pa.string()}
    added = pa.schema([(name, kinds[kind]) for name, kind in spec.scored.items()])
    return engine.add_columns(frame, spec.features, added, spec.scorer(model))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _record(
    spec: ModelSpec,
    tracking: MlflowTracking,
    fitted: Fitted,
    evidence: Evidence,
    settings: Any,
    sample: Sample,
    tags: Mapping[str, str],
) -> TrackedModel:
    """Log a run with its files, and its variants as child runs; then register its model."""
    from lakehouse_assets.ml.model_registry import register

    with tracking.run(fitted.run_name, tags) as run_id:
        tracking.log_batch(
            run_id,
            params={
                **dataclasses.asdict(settings),
                "features": ",".join(spec.features),
                "rows": sample.total,
                "rows_fitted": sample.rows.num_rows,
                **fitted.params,
            },
            metrics={**fitted.metrics, **evidence.metrics},
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for name, figure in evidence.figures.items():
                figure.savefig(folder / f"{name}.png")
            for name, content in fitted.documents.items():
                text = json.dumps(content, indent=2)
                (folder / f"{name}.json").write_text(text, encoding="utf-8")
            if evidence.figures or fitted.documents:
                tracking.log_files(run_id, folder)
        for variant in fitted.variants:
            with tracking.run(variant.name, tags, run_id) as child_id:
                tracking.log_batch(child_id, variant.params, variant.metrics)
        return register(
            tracking, run_id, spec.name, fitted.model, spec.features, spec.output, spec.types, tags
        )


def _decide(
    spec: ModelSpec,
    tracking: MlflowTracking,
    fitted: Fitted,
    version: TrackedModel,
    partition: str,
    sample: Sample,
) -> Decision:
    """Promote a fit if it passes its gates and the comparison with the champion."""
    from lakehouse_assets.ml.model_registry import champion_of, load_version, promote

    objection = next(
        (
            f"{gate.metric} is {fitted.metrics.get(gate.metric)}, which is not above {gate.above}"
            for gate in spec.gates
            if not gate.passes(fitted.metrics)
        ),
        None,
    )
    champion = champion_of(tracking, spec.name)
    if objection is None and champion is not None and spec.objection is not None:
        number = int(champion.version)
        if number != version.model_version:
            other = load_version(tracking, spec.name, number, spec.types)
            objection = spec.objection(fitted, other, sample.rows)
    return promote(tracking, spec.name, version.model_version, partition, objection)
