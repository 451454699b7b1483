"""The life cycle that every model goes through.

The rows of a partition, such as a month, are prepared; a model is fitted on a sample of them,
tracked and registered under an identity; it must pass its gates and is compared with the champion;
and the rows are scored by the one of the two that is the champion then. A re-run on the same rows
with the same settings fits, registers and decides nothing: registered models are loaded and
checked.

The definitions import this module, so it imports the model registry and MLflow only inside
functions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.catalog.registry import INPUTS_DIGEST, MODEL_VERSION
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.sampling import Sample, fetch_sample
from lakehouse_assets.ml.spec import CannotFitError, Evidence, Fitted, ModelSpec
from lakehouse_assets.text import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse_assets.ml.decisions import Decision
    from lakehouse_assets.ml.model_registry import TrackedModel
    from lakehouse_assets.ml.tracking import MlflowTracking

_MONTH: Final = len("yyyy-mm")
DELTA_VERSION_TAG: Final = "delta_version."
"""Tags of a run with the Delta version that it was fitted on, by table."""

LIBRARY_TAG: Final = "library."
"""Tags of a run with the versions of the packages that fitted it."""

WHOLE: Final = "whole"
"""The partition of a model that is fitted on a table without partitions."""


@dataclass(frozen=True, eq=False)
class Fitting:
    """A fit to make and judge.

    Attributes:
        spec: The model.
        tracking: The MLflow store, with the experiment of the model.
        sample: The rows.
        settings: Settings of the fit.
        title: Name of the run.
        partition: Partition key, as text that sorts by time.
        run_id: Id of the Dagster run, if there is one.
        versions: Delta versions of the rows, by table.
        asked: As for `run_model`.
    """

    spec: ModelSpec
    tracking: MlflowTracking
    sample: Sample
    settings: Any
    title: str
    partition: str
    run_id: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)
    asked: str = ""

    @property
    def libraries(self) -> dict[str, str]:
        """The versions of the packages that make the fit."""
        return {name: installed_version(name) for name in ("numpy", *self.spec.libraries)}

    @property
    def identity(self) -> dict[str, str]:
        """The tags that identify the fit: its partition, its rows, and its configuration."""
        from lakehouse_assets.ml import model_registry as registry
        from lakehouse_assets.ml.decisions import PARTITION_TAG

        spec = self.spec
        config = {
            "settings": dataclasses.asdict(self.settings),
            "columns": [spec.schema, spec.fitted_with],
            "target": spec.target,
            "rules": spec.rules,
            "libraries": {name: installed_version(name) for name in spec.libraries},
        }
        text = json.dumps(config, sort_keys=True)
        return {
            PARTITION_TAG: self.partition,
            registry.INPUT_DIGEST_TAG: self.sample.digest,
            registry.CONFIG_DIGEST_TAG: hashlib.sha256(text.encode()).hexdigest(),
        }


@dataclass(frozen=True, eq=False)
class ModelRun:
    """Result of a model's life cycle on the rows of a partition.

    Attributes:
        frame: The rows of the table.
        rows: Number of rows that have all inputs.
        version: The registered model; None if none was fitted.
        metrics: Metrics of the fit, and of the rows that were scored.
        decision: Whether it is the champion now, and why.
        scored_by: The version that scored the rows.
        scored_now: Number of inputs that were scored; the others kept their scores.
        evidence: Metrics and figures of the scored rows.
        refusal: Why no model was fitted or found; None otherwise.
    """

    frame: DataFrame
    rows: int
    version: TrackedModel | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    scored_by: int | None = None
    scored_now: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    refusal: str | None = None


def run_model(
    spec: ModelSpec,
    engine: Engine,
    frame: DataFrame,
    tracking: MlflowTracking,
    *,
    partition: str,
    run_id: str,
    most_rows: int,
    domain: str = "",
    settings: Any = None,
    changed_only: bool = False,
    known: DataFrame | None = None,
    asked: str = "",
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
        domain: Domain of the model, for the names of runs.
        settings: Settings to use instead of the default ones.
        changed_only: Whether rows keep the scores that they have in `known`; see `ModelTable`.
        known: The table's rows of the latest month, if there are any.
        asked: Why the run was asked for, as "after the alarm: ..."; then there is a decision about
            the fit even if there was one before.

    Raises:
        LakehouseError: The rows cannot be fitted, a registered model is refused, or MLflow fails.
    """
    from lakehouse_assets.ml.model_registry import load_version

    settings = spec.settings if settings is None else settings
    tracking = tracking.in_experiment(spec.experiment)
    versions = engine.versions_read(frame)
    prepared, sample = prepare_sample(spec, engine, frame, most_rows, digests=changed_only)

    def unfitted(refusal: str) -> ModelRun:
        scored, version, count = score_with_champion(spec, engine, prepared, tracking, known)
        finished = engine.checkpoint(spec.finish(scored))
        return ModelRun(
            finished, sample.total, scored_by=version, scored_now=count, refusal=refusal
        )

    if sample.total < spec.fewest(settings):
        return unfitted(_too_few(spec, engine, prepared, sample.total, spec.fewest(settings)))
    title = title_of(spec, domain, partition[:_MONTH])
    fitting = Fitting(spec, tracking, sample, settings, title, partition, run_id, versions, asked)
    try:
        fitted, version, decision, scored_by = fit_and_decide(fitting)
    except CannotFitError as error:
        return unfitted(str(error))
    model = fitted.model
    if scored_by != version.model_version:
        model = load_version(tracking, spec, scored_by)
    scored, count = score_rows(spec, engine, prepared, model, scored_by, known)
    finished = engine.checkpoint(spec.finish(scored))
    evidence = spec.describe(engine, finished)
    if scored_by == version.model_version:
        _store_evidence(tracking, version, evidence)
    _store_card(fitting, version, fitted, decision)
    metrics = {**fitted.metrics, **evidence.metrics}
    evidence = Evidence(evidence.metrics, {**fitted.figures, **evidence.figures})
    return ModelRun(finished, sample.total, version, metrics, decision, scored_by, count, evidence)


def prepare_sample(
    spec: ModelSpec, engine: Engine, frame: DataFrame, most_rows: int, *, digests: bool = False
) -> tuple[DataFrame, Sample]:
    """Add the features to rows, and fetch those to fit on.

    Args:
        spec: The model's declaration.
        engine: The engine of the frame.
        frame: The rows.
        most_rows: Maximum number of rows to fetch.
        digests: Whether to add `inputs_digest`.
    """
    prepared = spec.prepare(frame)
    prepared = engine.checkpoint(with_digest(spec, prepared) if digests else prepared)
    return prepared, fetch_sample(engine, prepared, spec.key, _inputs(spec), most_rows)


def _inputs(spec: ModelSpec) -> tuple[str, ...]:
    """Return the columns in which a row must have a value to be fitted."""
    target = () if spec.target is None else (spec.target,)
    return (*spec.features, *spec.fitted_with, *target)


def _too_few(spec: ModelSpec, engine: Engine, rows: DataFrame, complete: int, fewest: int) -> str:
    """Say how many rows are complete, how many are needed, and which columns are empty."""
    empty = [F.count(F.when(F.col(name).isNull(), F.lit(1))).alias(name) for name in _inputs(spec)]
    (found,) = engine.rows(rows.agg(F.count(F.lit(1)).alias("rows_in_all"), *empty))
    total = int(found["rows_in_all"])
    lacking = [f"{name} {found[name]}" for name in _inputs(spec) if found[name]]
    needs = f"The model {spec.name} needs at least {counted(fewest, 'row')} with all its columns"
    if not lacking:
        return f"{needs}, but there are only {complete}. Deliver more rows."
    return (
        f"{needs}, but only {complete} of {total} rows have them. Values are missing in these "
        f"numbers of rows: {', '.join(lacking)}. Deliver these values, or more rows."
    )


def fit_sample(
    spec: ModelSpec, settings: Any, sample: Sample, search: Callable[..., Any] | None = None
) -> Fitted:
    """Fit a sample; without a search of its own, trials are measured and not tracked."""
    from lakehouse_assets.ml import search as untracked

    return spec.fit(sample.rows, settings, *([search or untracked.search] if spec.searches else []))


def fit_and_decide(fitting: Fitting) -> tuple[Fitted, TrackedModel, Decision, int]:
    """Fit and register a sample unless that was done before, and decide whether to use the fit.

    Returns:
        The fit, its version, the decision, and the version that scores the partition's rows.

    Raises:
        CannotFitError: no model should be fitted on the rows.
        LakehouseError: a registered model is refused, or MLflow fails.
    """
    from lakehouse_assets.ml.challenge import decide
    from lakehouse_assets.ml.model_registry import find_version, load_version

    spec, tracking = fitting.spec, fitting.tracking
    version = find_version(tracking, fitting.identity, spec.name)
    if version is None:
        fitted, version = _fit(fitting)
    else:
        model = load_version(tracking, spec, version.model_version)
        fitted = Fitted(model, "", tracking.metrics(version.run_id))
    return fitted, version, *decide(fitting, fitted, version)


def train(
    spec: ModelSpec, tracking: MlflowTracking, rows: pa.Table, title: str
) -> tuple[TrackedModel, Decision, Mapping[str, float]]:
    """Fit, register and judge a model on rows that are not in the lake.

    The version counts as one of the champion's partition, so that it can replace the champion, and
    so that the lake's next month can replace it.

    Args:
        spec: The model.
        tracking: The MLflow store.
        rows: The key, the features, and whatever else the fit needs.
        title: Name of the run.

    Returns:
        The version, the decision about it, and the metrics of the fit.

    Raises:
        CannotFitError: no model should be fitted on the rows.
        LakehouseError: a registered model is refused, or MLflow fails.
    """
    from lakehouse_assets.ml.decisions import PARTITION_TAG
    from lakehouse_assets.ml.model_registry import champion_of

    tracking = tracking.in_experiment(spec.experiment)
    champion = champion_of(tracking, spec.name)
    partition = champion.tags.get(PARTITION_TAG, "") if champion else ""
    sample = Sample(rows.sort_by(spec.key), rows.num_rows)
    fitting = Fitting(spec, tracking, sample, spec.settings, title, partition)
    fitted, version, decision, _ = fit_and_decide(fitting)
    _store_card(fitting, version, fitted, decision)
    return version, decision, fitted.metrics


def title_of(spec: ModelSpec, domain: str, what: str) -> str:
    """Return the name of a run: the domain, the model, and what it was fitted on."""
    name = spec.name.replace("_", " ")
    return f"{name if name.startswith(domain) else f'{domain} {name}'} {what}"


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
            f"The model {spec.name} cannot score these rows: missing columns: {_listed(missing)}; "
            f"columns that it would overwrite: {_listed(double)}. Select or rename the columns."
        )
    kinds = {"int": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "string": pa.string()}
    added = pa.schema([(name, kinds[kind]) for name, kind in spec.scored.items()])
    return engine.add_columns(frame, spec.features, added, spec.scorer(model))


def with_digest(spec: ModelSpec, frame: DataFrame) -> DataFrame:
    """Add `inputs_digest` to rows, by which equal inputs are scored once."""
    return frame.withColumn(INPUTS_DIGEST.name, v.hash_key(*map(F.col, spec.features)))


def score_rows(
    spec: ModelSpec,
    engine: Engine,
    frame: DataFrame,
    model: Any,
    version: int,
    known: DataFrame | None = None,
) -> tuple[DataFrame, int]:
    """Add predictions and `model_version` to rows.

    Args:
        spec: The model's declaration.
        engine: The engine of the frame.
        frame: Checkpointed rows with a column for each feature. If they have `inputs_digest`, equal
            inputs are scored once.
        model: The model.
        version: Its version.
        known: Rows with `inputs_digest`, `model_version` and the columns of `scored`; inputs that
            the version scored before are not scored again.

    Returns:
        The rows, and how many inputs were scored.
    """
    digest, names = INPUTS_DIGEST.name, frame.columns
    inputs = frame
    if digest in names:
        inputs = frame.groupBy(digest).agg(*(F.min(name).alias(name) for name in spec.features))
    current = None
    if known is not None:
        current = engine.checkpoint(
            known.filter(F.col(MODEL_VERSION.name) == F.lit(version))
            .select(digest, *spec.scored)
            .distinct()
        )
        inputs = inputs.join(current.select(digest), digest, "left_anti")
    inputs = inputs if inputs is frame else engine.checkpoint(inputs)
    (found,) = engine.rows(inputs.agg(F.count(F.lit(1)).alias("n")))
    scored = score_frame(spec, engine, inputs, model)
    if inputs is not frame:
        scored = scored.select(digest, *spec.scored)
        scored = scored if current is None else engine.union([scored, current])
        scored = frame.join(scored, digest, "left").select(*names, *spec.scored)
    marked = {MODEL_VERSION.name: F.lit(version).cast(MODEL_VERSION.type)}
    return scored.withColumns(marked), int(found["n"])


def score_with_champion(
    spec: ModelSpec,
    engine: Engine,
    frame: DataFrame,
    tracking: MlflowTracking,
    known: DataFrame | None = None,
) -> tuple[DataFrame, int | None, int]:
    """Add the champion's predictions and `model_version` to rows; null while there is no champion.

    Args:
        spec: The model's declaration.
        engine: The engine of the frame.
        frame: Rows with a column for each feature.
        tracking: The MLflow store.
        known: As for `score_rows`.

    Returns:
        The rows, the champion's version, and how many inputs were scored.

    Raises:
        LakehouseError: The champion is refused, or MLflow fails.
    """
    from lakehouse_assets.ml.model_registry import champion_of, load_version

    tracking = tracking.in_experiment(spec.experiment)
    champion = champion_of(tracking, spec.name)
    if champion is None:
        return unscored(spec, frame), None, 0
    number = int(champion.version)
    model = load_version(tracking, spec, number)
    scored, count = score_rows(spec, engine, frame, model, number, known)
    return scored, number, count


def unscored(spec: ModelSpec, frame: DataFrame) -> DataFrame:
    """Add the columns of scores as nulls."""
    kinds = {**spec.scored, MODEL_VERSION.name: MODEL_VERSION.type}
    return frame.withColumns({name: F.lit(None).cast(kind) for name, kind in kinds.items()})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _fit(fitting: Fitting) -> tuple[Fitted, TrackedModel]:
    """Fit a sample, and record the fit; its run begins before the fit if there is a search."""
    from lakehouse_assets.ml.search import tracked_search
    from lakehouse_assets.ml.tracking import DAGSTER_RUN_TAG

    tracking, title = fitting.tracking, fitting.title
    tags = {
        **({DAGSTER_RUN_TAG: fitting.run_id} if fitting.run_id else {}),
        **{f"{DELTA_VERSION_TAG}{n}": str(number) for n, number in fitting.versions.items()},
        **{f"{LIBRARY_TAG}{n}": installed for n, installed in fitting.libraries.items()},
        **fitting.identity,
    }
    with ExitStack() as stack:
        begun: list[str] = []

        def search(trials: Any, measure: Any) -> Any:
            begun.append(stack.enter_context(tracking.run(title, tags)))
            return tracked_search(trials, measure, fitting, begun[0], tags)

        fitted = fit_sample(fitting.spec, fitting.settings, fitting.sample, search)
        if not begun:
            begun.append(stack.enter_context(tracking.run(f"{title} {fitted.run_name}", tags)))
        return fitted, _record(fitting, begun[0], fitted, tags)


def _record(fitting: Fitting, run_id: str, fitted: Fitted, tags: Mapping[str, str]) -> TrackedModel:
    """Log a fit with its files, and its variants as child runs; then register its model."""
    from lakehouse_assets.ml import held_out
    from lakehouse_assets.ml.model_registry import SCHEMA_TAG, register

    spec, tracking, sample = fitting.spec, fitting.tracking, fitting.sample
    tags = {**tags, SCHEMA_TAG: spec.schema}
    for gate in spec.gates:
        if gate.metric not in fitted.metrics:
            raise LakehouseError(
                f"The gate {gate.name} of {spec.name} needs the metric {gate.metric}, which the "
                f"fit does not return; it returns {_listed(fitted.metrics)}."
            )
    if spec.comparison is not None and fitted.held_out is None:
        raise LakehouseError(
            f"The fit of {spec.name} returned no out-of-fold predictions, which the comparison "
            "with the champion needs; return them as `held_out`."
        )
    tracking.log_batch(
        run_id,
        params={
            **dataclasses.asdict(fitting.settings),
            "features": ",".join(spec.features),
            "rows": sample.total,
            "rows_fitted": sample.rows.num_rows,
            **fitted.params,
        },
        metrics=fitted.metrics,
    )
    tracking.log_tables(run_id, fitting.versions, sample.digest)
    with tracking.files(run_id) as folder:
        for name, content in fitted.documents.items():
            text = json.dumps(content, indent=2)
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
        if fitted.held_out is not None:
            found = held_out.with_digests(fitted.held_out, sample.rows, spec.key, spec.features)
            tags[held_out.DIGEST_TAG] = held_out.store_held_out(found, folder)
        for name, figure in fitted.figures.items():
            figure.savefig(folder / f"{name}.png")
    for variant in fitted.variants:
        with tracking.run(f"{fitting.title} {variant.name}", tags, run_id) as child_id:
            tracking.log_batch(child_id, variant.params, variant.metrics)
    version = register(tracking, run_id, spec, fitted.model, tags)
    described = [
        f"Predicts {', '.join(spec.scored)} from {', '.join(spec.features)}.",
        spec.replaces,
        *spec.limits,
    ]
    with tracking.plain_errors():
        tracking.client().update_registered_model(spec.name, "\n\n".join(described))
    return version


def _store_card(
    fitting: Fitting, version: TrackedModel, fitted: Fitted, decision: Decision
) -> None:
    """Store the model card with the version's run, once, and link the version to it."""
    from lakehouse_assets.ml import model_card as cards
    from lakehouse_assets.ml.held_out import load_held_out

    spec, tracking = fitting.spec, fitting.tracking
    client, number = tracking.client(), str(version.model_version)
    with tracking.plain_errors():
        found = client.get_model_version(spec.name, number)
    if found.description:
        return
    card = cards.model_card(fitting, fitted, decision, load_held_out(tracking, found))
    with tracking.files(version.run_id) as folder:
        (folder / cards.FILE).write_text(card, encoding="utf-8")
    page = f"#/experiments/{tracking.experiment_id()}/runs/{version.run_id}/artifacts/{cards.FILE}"
    with tracking.plain_errors():
        client.update_model_version(
            spec.name, number, f"{decision.verdict}\n\n[Model card]({page})"
        )


def _store_evidence(tracking: MlflowTracking, version: TrackedModel, evidence: Evidence) -> None:
    """Add the evidence to the version's run, unless it is there: metrics come after figures."""
    if evidence.metrics.keys() <= tracking.metrics(version.run_id).keys() and version.reused:
        return
    with tracking.files(version.run_id) as folder:
        for name, figure in evidence.figures.items():
            figure.savefig(folder / f"{name}.png")
    tracking.log_batch(version.run_id, {}, evidence.metrics)
