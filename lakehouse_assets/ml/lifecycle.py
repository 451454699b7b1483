"""What a model declares, and the life cycle that every model goes through.

A month (or another partition) of rows is prepared, a sample of it is fitted, all rows are scored,
the fit is tracked and registered under an identity, judged by its gates, compared with the
champion, and promoted. Done again on the same rows with the same settings, nothing is fitted or
registered again: the registered model is loaded, checked, and scores.

The definitions load this module for what models declare, so that it imports the registry of models
and MLflow's store in functions only.
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
    """What a metric of a fit must exceed for the model to be used.

    Attributes:
        name: Name of the check.
        metric: The metric.
        above: What it must exceed.
        description: Why, for people.
        beside: Further metrics that are shown with it and decide nothing.
    """

    name: str
    metric: str
    above: float
    description: str
    beside: tuple[str, ...] = ()

    def passes(self, metrics: Mapping[str, float]) -> bool:
        """Say whether a fit passes; one without the metric, or where it is NaN, does not."""
        return metrics.get(self.metric, float("nan")) > self.above


@dataclass(frozen=True)
class Variant:
    """A fit that was only made to be compared; it is tracked as a child run."""

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What fitting found.

    Attributes:
        model: A scikit-learn estimator, made of the types that the model declares.
        run_name: Name of the run in MLflow.
        metrics: Figures of the fit.
        params: What else people may want to compare.
        variants: Fits beside it.
        documents: What is kept as JSON with the run, by name.
    """

    model: Any
    run_name: str
    metrics: Mapping[str, float]
    params: Mapping[str, object] = field(default_factory=dict)
    variants: Sequence[Variant] = ()
    documents: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is said of the rows that a model scored: metrics, and figures by name."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """A model: everything that the life cycle needs to know of it.

    Attributes:
        name: Name of the registered model.
        experiment: MLflow's experiment of its runs.
        key: Column with a value for each row.
        features: Columns that it predicts from: numbers, or text.
        settings: Default settings, a dataclass of whole numbers, numbers, texts and tuples.
        fit: Fits a sample: the key and the inputs, by key, numbers as doubles.
        types: What the saved model is made of, beside plain values and arrays.
        scored: Columns that scoring adds, and the type of each: int, bigint, double or string.
        scorer: Makes, of a model, the function that computes those columns of a batch of features.
            It runs beside the engine's workers, which have NumPy and PyArrow only.
        gates: What a fit must pass to become the champion.
        fewest: Rows below which nothing is fitted, by the settings.
        output: MLflow's type of what the saved model predicts.
        target: What it predicts, where that is a column; rows without it are not fitted.
        prepare: Adds the features to the rows.
        finish: Makes of scored rows the rows of the table.
        describe: Says what is to be kept of those rows with the run.
        objection: Why a fit must not replace the champion, or None: given the fit, the champion's
            model and the sample. Without it, every fit that passes its gates does.
        rules: What else the results depend on, for the identity.
        libraries: Packages whose version may change what is fitted.
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
    """The monthly table of what a model says of the rows of another one.

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
    """What came of a model's life cycle on the rows of a partition.

    Attributes:
        frame: The rows of the table.
        rows: Rows that have all inputs.
        version: The registered model; None where there were too few rows to fit one.
        metrics: Figures of the fit, and of the rows that it scored.
        decision: Whether it is the champion now, and why.
        evidence: What was said of the scored rows.
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
    """Take a model through its life cycle on the rows of a partition.

    Args:
        spec: The model.
        engine: The engine of the frame.
        frame: The rows.
        tracking: Where models are tracked.
        partition: Partition key, a text that sorts by time.
        run_id: The Dagster run.
        most_rows: Most rows that are fetched to fit.
        settings: Settings instead of the default ones.

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
    """The tags that identify a fit: its partition, its rows, and all that it was fitted with."""
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
    """Add what a model predicts to rows, where they are: no row is fetched.

    Args:
        spec: The model's declaration.
        engine: The engine of the frame.
        frame: Rows with a column for each feature.
        model: A fit, or what the registry gave.

    Returns:
        The rows, kept until the engine's scope ends.

    Raises:
        LakehouseError: The frame lacks a feature, or has what is added already.
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
    """Write a run with its variants as child runs, its files and its model, and register that."""
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
    """Judge a fit by its gates and beside the champion, and promote it or leave the champion."""
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
