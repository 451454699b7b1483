"""Decides on a fit by its gates and by a comparison with the champion on rows new to both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.comparison import Comparison, Interval, worse_slices
from lakehouse_assets.ml.decisions import (
    CHALLENGER,
    CHAMPION,
    FIT,
    PARTITION_TAG,
    Decision,
    Guard,
    after_promotion,
    aliases_of,
    decisions_of,
    record,
    settle,
    versions_of,
)
from lakehouse_assets.ml.held_out import KEY, LABEL, PREDICTION, ROW, load_held_out
from lakehouse_assets.ml.model_registry import SCHEMA_TAG, load_version

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from mlflow.entities.model_registry import ModelVersion

    from lakehouse_assets.ml.lifecycle import Fitting
    from lakehouse_assets.ml.model_registry import TrackedModel
    from lakehouse_assets.ml.spec import Agreement, Fitted, Gate, ModelSpec
    from lakehouse_assets.ml.tracking import MlflowTracking

TIMED_ROWS: Final = 10_000
"""Rows that are scored to measure how long it takes."""

SLICES_SHOWN: Final = 5
"""Most slices that a decision names, since MLflow bounds its length."""


@dataclass(frozen=True)
class Compared:
    """Result of a comparison with the champion; see `Decision` for the numbers of rows."""

    guards: tuple[Guard, ...] = ()
    difference: Interval | None = None
    rows: int = 0
    out_of_fold_rows: int = 0
    changed_rows: int = 0


def decide(fitting: Fitting, fitted: Fitted, version: TrackedModel) -> tuple[Decision, int]:
    """Decide whether a fit becomes the champion: once, and again for each alarm that asks for it.

    A champion of a later partition is kept: a re-run of January replaces January's champion but
    never March's. Partitions are compared as text, which orders ISO dates and months correctly.

    Args:
        fitting: What was fitted.
        fitted: The fit, or its model and metrics from the registry.
        version: Its version.

    Returns:
        The decision, and the version that scores the partition's rows: the champion, or the fit
        itself if the champion is of a later partition, has other columns or does not exist.

    Raises:
        LakehouseError: the champion has no partition or is refused, or MLflow fails.
    """
    spec, tracking, partition = fitting.spec, fitting.tracking, fitting.partition
    rows, asked = fitting.sample.rows, fitting.asked
    number = version.model_version
    versions = {int(found.version): found for found in versions_of(tracking, spec.name)}
    past = decisions_of([*versions.values()])
    settle(tracking, past)
    aliases = aliases_of(tracking, spec.name)
    champion = versions.get(aliases.get(CHAMPION, 0))
    if champion is not None and PARTITION_TAG not in champion.tags:
        raise LakehouseError(
            f"The champion of {spec.name}, version {champion.version}, has no tag "
            f"{PARTITION_TAG}; add the tag, or move the alias {CHAMPION} to another version."
        )
    later = champion is not None and champion.tags[PARTITION_TAG] > partition
    by = f"the rule of the model, {asked}" if asked else "the rule of the model"
    fits = [x for x in past if (x.candidate, x.action) == (number, FIT)]
    made = next((x for x in reversed(fits) if not asked or x.decided_by == by), None)
    if made is not None:
        usable = champion is not None and not later and _same_columns(spec, champion)
        return made, int(champion.version) if champion and usable else made.scoring
    guards = [_judge(gate, fitted.metrics) for gate in spec.gates]
    guards += [guard for guard in [_speed(spec, fitted.model, rows)] if guard is not None]
    compared = Compared()
    rival = None if champion is None or later or int(champion.version) == number else champion
    if rival is not None:
        guards.append(_columns(spec, rival))
        if guards[-1].passed:
            compared = _challenge(spec, tracking, fitted.model, versions[number], rival, rows)
            guards += compared.guards
    failed = [f"{guard.name} ({guard.text})" for guard in guards if not guard.passed]
    promoted, reason = False, "; ".join(failed)
    if later and champion is not None and not failed:
        reason = (
            f"the champion, version {champion.version}, is of the later partition "
            f"{champion.tags[PARTITION_TAG]}"
        )
    elif not failed:
        promoted, reason = _outcome(spec.comparison, compared, rival)
        if champion is not None and int(champion.version) == number:
            reason = f"version {number} stays, because no other rows were delivered"
    after = aliases
    if promoted:
        after = after_promotion(aliases, number)
    elif not failed and not later:
        after = {**aliases, CHALLENGER: number}
    own = promoted or rival is None or not _same_columns(spec, rival)
    decision = Decision(
        model=spec.name, action=FIT, candidate=number,
        champion=None if champion is None else int(champion.version),
        partition=partition, promoted=promoted,
        verdict=f"{'champion' if promoted else 'not the champion'}: {reason}",
        scoring=number if own or rival is None else int(rival.version),
        aliases=after, decided_by=by,
        metric=spec.comparison.metric if spec.comparison and compared.difference else None,
        difference=compared.difference, rows=compared.rows,
        out_of_fold_rows=compared.out_of_fold_rows, changed_rows=compared.changed_rows,
        guards=tuple(guards), data_versions=dict(fitting.versions), run_id=fitting.run_id,
    )  # fmt: skip
    return record(tracking, decision), decision.scoring


def _judge(gate: Gate, metrics: Mapping[str, float]) -> Guard:
    bounds = [("above", gate.above), ("below", gate.below)]
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    value = metrics.get(gate.metric, float("nan"))
    return Guard(gate.name, gate.passes(metrics), f"{gate.metric} is {value:.4f}, must be {wanted}")


def _outcome(
    comparison: Comparison | None, compared: Compared, rival: ModelVersion | None
) -> tuple[bool, str]:
    """Return whether a fit whose guards hold replaces the champion, and why."""
    if rival is None:
        return True, "the first version"
    if comparison is None or compared.difference is None:
        return True, f"replaces version {rival.version}"
    found = (
        f"{comparison.metric} differs by {compared.difference} from version {rival.version} on "
        f"{compared.rows:,} rows; the rule is {comparison.rule}"
    )
    promoted = compared.difference.low > comparison.bound
    return promoted, f"replaces version {rival.version}: {found}" if promoted else found


def _same_columns(spec: ModelSpec, version: ModelVersion) -> bool:
    return version.tags.get(SCHEMA_TAG) in (None, spec.schema)


def _columns(spec: ModelSpec, champion: ModelVersion) -> Guard:
    same = _same_columns(spec, champion)
    text = (
        f"the same columns as version {champion.version}"
        if same
        else f"version {champion.version} was fitted on other columns, so the two cannot be "
        "compared; promote one with `lakehouse models promote`"
    )
    return Guard("columns_are_the_champions", same, text)


def _challenge(
    spec: ModelSpec,
    tracking: MlflowTracking,
    model: Any,
    version: ModelVersion,
    champion: ModelVersion,
    rows: pa.Table,
) -> Compared:
    """Compare a fit with the champion by all that its spec declares."""
    other = load_version(tracking, spec, int(champion.version))
    found = Compared()
    if spec.comparison is not None:
        held_out, known = (load_held_out(tracking, each) for each in (version, champion))
        found = _compare(spec.comparison, spec, rows, held_out, other, known)
    if spec.agreement is not None:
        agreed = _agree(spec.agreement, spec, model, other, rows)
        found = replace(found, guards=(*found.guards, agreed))
    return found


def _predict(spec: ModelSpec, model: Any, rows: pa.Table, column: str) -> npt.NDArray[Any]:
    """Return a column of a model's predictions for fetched rows."""
    (batch,) = rows.select(spec.features).combine_chunks().to_batches()
    found = spec.scorer(model)(batch)
    values: npt.NDArray[Any] = found.column(column).to_numpy(zero_copy_only=False)
    return values.copy()


def _speed(spec: ModelSpec, model: Any, rows: pa.Table) -> Guard | None:
    """Measure how many CPU seconds 10,000 rows take, if the spec bounds it."""
    if spec.slowest is None:
        return None
    timed = rows.slice(0, TIMED_ROWS)
    started = time.process_time()
    _predict(spec, model, timed, next(iter(spec.scored)))
    seconds = (time.process_time() - started) * TIMED_ROWS / max(timed.num_rows, 1)
    text = f"{seconds:.2f} CPU seconds for {TIMED_ROWS:,} rows, must be below {spec.slowest:g}"
    return Guard("scoring_is_fast", seconds < spec.slowest, text)


def _agree(agreement: Agreement, spec: ModelSpec, fit: Any, champion: Any, rows: pa.Table) -> Guard:
    """Compare the predictions of a fit and of the champion for the same rows."""
    found = agreement.measure(
        _predict(spec, fit, rows, agreement.prediction),
        _predict(spec, champion, rows, agreement.prediction),
    )
    text = f"{found:.4f}, must be above {agreement.above:g}"
    return Guard(agreement.name, found > agreement.above, text)


def _compare(
    comparison: Comparison,
    spec: ModelSpec,
    rows: pa.Table | None,
    held_out: pa.Table | None,
    champion: Any,
    known: pa.Table | None,
) -> Compared:
    """Compare a fit's predictions out of fold with the champion's predictions for the same rows.

    For a row that the champion was fitted on, its own prediction out of fold counts; rows for which
    either has none are left out. For any other row its score counts; if its key was fitted with
    other features, that favours the champion.

    Args:
        comparison: The comparison.
        spec: The model's declaration.
        rows: The rows that the fit was made on; without them, only rows for which both have
            predictions out of fold are compared.
        held_out: The fit's predictions out of fold, with digests.
        champion: The champion's model.
        known: The champion's predictions out of fold, with digests.
    """
    import numpy as np

    if held_out is None:
        return Compared(
            (Guard("rows_are_held_out", False, "the fit has no out-of-fold predictions"),)
        )
    usable = held_out[PREDICTION].is_valid().to_numpy().copy()
    others = np.full(len(usable), None, object)
    if rows is not None:
        others = _predict(spec, champion, rows, comparison.prediction)
    seen, fitted_keys = np.zeros((2, len(others)), bool)
    if known is not None:
        places = {row: place for place, row in enumerate(known[ROW].to_pylist())}
        found = np.array([places.get(row, -1) for row in held_out[ROW].to_pylist()])
        seen = found >= 0
        stored = known[PREDICTION].combine_chunks()
        usable[seen] &= stored.is_valid().to_numpy(zero_copy_only=False)[found[seen]]
        others[seen] = stored.to_numpy(zero_copy_only=False)[found[seen]]
        fitted_keys = np.isin(held_out[KEY].to_numpy(), known[KEY].to_numpy())
    usable &= seen | (rows is not None)
    if not usable.any():
        return Compared(
            (Guard("rows_are_held_out", False, "the two versions have no row in common"),)
        )
    labels, own = (_values(held_out, name)[usable] for name in (LABEL, PREDICTION))
    others = others[usable].astype(own.dtype)
    difference = comparison.estimate(labels, own, others)
    counted = (usable, seen & usable, fitted_keys & ~seen & usable)
    counts = [int(each.sum()) for each in counted]
    if rows is None or not comparison.slices:
        return Compared((), difference, *counts)
    features = [_values(rows, name)[usable] for name in comparison.slices]
    worse = worse_slices(comparison, features, labels, own, others)
    shown = [f"{name}: {found}" for name, found in [*worse.items()][:SLICES_SHOWN]]
    shown += [f"{len(worse) - len(shown)} more"] if len(worse) > len(shown) else []
    text = "; ".join(shown) or "no slice is clearly worse"
    return Compared((Guard("no_slice_is_worse", not worse, text),), difference, *counts)


def compare_versions(
    spec: ModelSpec,
    tracking: MlflowTracking,
    version: ModelVersion,
    other: ModelVersion,
    rows: pa.Table | None = None,
) -> Compared:
    """Compare two versions as a fit is compared with the champion.

    Args:
        spec: The model's declaration.
        tracking: The MLflow store.
        version: The version that stands for the fit.
        other: The version that stands for the champion.
        rows: The rows that the version was fitted on. Without them, only rows for which both have
            predictions out of fold are compared.

    Raises:
        LakehouseError: no row can be compared, or MLflow fails.
    """
    first, second = (load_held_out(tracking, each) for each in (version, other))
    called = f"Versions {version.version} and {other.version} of {spec.name}"
    if spec.comparison is None or first is None or second is None:
        raise LakehouseError(
            f"{called} cannot be compared, because the model declares no comparison or one of them "
            "has no out-of-fold predictions; see their metrics with `lakehouse models show "
            f"{spec.name}`."
        )
    model = None if rows is None else load_version(tracking, spec, int(other.version))
    found = _compare(spec.comparison, spec, rows, first, model, second)
    if found.difference is None:
        raise LakehouseError(
            f"{called} cannot be compared, because they were fitted on no common rows."
        )
    return found


def _values(rows: pa.Table, name: str) -> npt.NDArray[np.generic]:
    values: npt.NDArray[np.generic] = rows[name].to_numpy()
    return values
