"""Search among settings of a model; trials that an earlier run finished are not repeated."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lakehouse_assets.ml.tracking import MlflowTracking

Params: TypeAlias = Mapping[str, Any]
Measure: TypeAlias = Callable[[Params], tuple[Mapping[str, float], Any]]
"""Returns a trial's metrics, and whatever else is needed of it."""

TRIAL_TAG: Final = "trial"
"""Tag of a child run with the parameters of its trial."""

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial of a search.

    Attributes:
        params: What was tried: numbers and texts.
        metrics: How good it is.
        result: What the measurement returned besides; None if it was not made in this process.
    """

    params: Params
    metrics: Mapping[str, float]
    result: Any = None


def name_of(params: Params) -> str:
    """Return the text that identifies a trial within its search."""
    return json.dumps(params, sort_keys=True)


def search(
    trials: Sequence[Params],
    measure: Measure,
    known: Mapping[str, Mapping[str, float]] | None = None,
    done: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Measure trials one after the other, each on one thread.

    Args:
        trials: What to try; each must be seeded by its parameters or by constants, so that the
            result does not depend on the order in which trials end.
        measure: Measures a trial.
        known: Metrics of trials that need not be measured again, by `name_of`.
        done: Called for each measured trial as it ends.

    Returns:
        The trials in the given order.
    """
    from threadpoolctl import threadpool_limits

    found = []
    # One after the other: scikit-learn changes the process's filters of warnings while it works,
    # and threads that do so at once put them back wrongly.
    with threadpool_limits(limits=1):
        for params in trials:
            metrics = (known or {}).get(name_of(params))
            if metrics is None:
                found.append(Trial(params, *measure(params)))
                done(found[-1])
            else:
                found.append(Trial(params, metrics))
    return found


def tracked_search(
    trials: Sequence[Params],
    measure: Measure,
    tracking: MlflowTracking,
    parent_run_id: str,
    tags: Mapping[str, str],
    identity: Collection[str],
) -> list[Trial]:
    """Search, with a child run for each trial.

    Trials of an earlier run with the same identity that ended, such as one that was killed, are not
    measured again; they become child runs of this run.

    Args:
        trials: As for `search`.
        measure: As for `search`.
        tracking: The MLflow store.
        parent_run_id: The run of the fit.
        tags: Tags of the child runs.
        identity: Names of the tags that say on what and with what settings trials were measured.

    Raises:
        LakehouseError: MLflow fails.
    """
    client, known = tracking.client(), {}
    same = " and ".join(f"tags.`{name}` = '{tags[name]}'" for name in sorted(identity))
    with tracking.plain_errors():
        ended = client.search_runs(
            [tracking.experiment_id()], f"attributes.status = 'FINISHED' and {same}",
            max_results=_AT_ONCE,
        )  # fmt: skip
        for run in ended:
            name = run.data.tags.get(TRIAL_TAG)
            if name is not None and name not in known:
                known[name] = dict(run.data.metrics)
                client.set_tag(run.info.run_id, "mlflow.parentRunId", parent_run_id)
    done = len(known.keys() & {name_of(params) for params in trials})

    def record(trial: Trial) -> None:
        nonlocal done
        done += 1
        shown = ", ".join(f"{name} {value:.4f}" for name, value in trial.metrics.items())
        _LOG.info("trial %d of %d: %s: %s", done, len(trials), name_of(trial.params), shown)
        label = " ".join(str(value) for value in trial.params.values())
        named = {**tags, TRIAL_TAG: name_of(trial.params)}
        with tracking.run(label, named, parent_run_id) as run_id:
            tracking.log_batch(run_id, trial.params, trial.metrics)

    return search(trials, measure, known, record)


def parallel_coordinates(trials: Sequence[Trial], metric: str, *, lower: bool) -> Figure:
    """Draw a line for each trial across an axis for each parameter and one for the metric.

    Args:
        trials: The trials; a parameter that a trial lacks leaves a gap in its line.
        metric: The metric.
        lower: Whether a lower metric is better; the best trial's line is bold.
    """
    import numpy as np
    from matplotlib.figure import Figure

    names = [*dict.fromkeys(name for trial in trials for name in trial.params), metric]
    rows = [{**trial.params, metric: trial.metrics[metric]} for trial in trials]
    figure = Figure(figsize=(2.0 + 1.8 * len(names), 4.5), layout="constrained")
    axes = figure.subplots()
    heights = np.full((len(rows), len(names)), np.nan)
    for place, name in enumerate(names):
        values = sorted({row[name] for row in rows if name in row})
        numbers = all(isinstance(value, int | float) for value in values) and name == metric
        for at, row in enumerate(rows):
            if name not in row:
                continue
            if numbers:
                heights[at, place] = (row[name] - values[0]) / ((values[-1] - values[0]) or 1.0)
            else:
                heights[at, place] = (values.index(row[name]) + 0.5) / len(values)
        shown = (values[0], values[-1]) if numbers else values
        for number, value in enumerate(dict.fromkeys(shown)):
            height = float(number) if numbers else (number + 0.5) / len(values)
            axes.annotate(f"{value:.4f}" if numbers else str(value), (place, height), xytext=(5, 4),
                          textcoords="offset points", fontsize=8)  # fmt: skip
    best = (min if lower else max)(range(len(rows)), key=lambda at: rows[at][metric])
    for at in sorted(range(len(rows)), key=lambda at: at == best):
        known = ~np.isnan(heights[at])
        axes.plot(np.arange(len(names))[known], heights[at][known], marker="o",
                  color="#c8553d" if at == best else "#8d99ae",
                  linewidth=2.5 if at == best else 0.9)  # fmt: skip
    for place in range(len(names)):
        axes.axvline(place, color="#333333", linewidth=0.8)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([])
    axes.set_xlim(-0.3, len(names) - 0.3)
    axes.set_ylim(-0.05, 1.12)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure
