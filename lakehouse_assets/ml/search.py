"""Search among settings of a model, in several processes if there are many rows.

Trials that an earlier run finished are not repeated.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lakehouse_assets.ml.lifecycle import Fitting

Params: TypeAlias = Mapping[str, Any]
Measured: TypeAlias = tuple[Mapping[str, float], Any]
Measure: TypeAlias = Callable[[Params], Measured]
"""Returns a trial's metrics, and whatever else is needed of it."""

TRIAL_TAG: Final = "trial"
"""Tag of a child run with the parameters of its trial."""

FEWEST_ROWS_OF_PROCESSES: Final = 20_000
"""Number of rows from which trials are measured in a process for each core."""

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial of a search.

    Attributes:
        params: Its parameters: numbers and texts.
        metrics: How good it is.
        result: Further results; None if the trial was measured by an earlier run.
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
    processes: int = 1,
) -> list[Trial]:
    """Measure trials, each on one thread.

    Args:
        trials: The trials; each must be seeded by its parameters or by constants, so that the
            result does not depend on the order in which trials end.
        measure: Measures a trial; must be a module's function, or a `partial` of one, if there are
            several processes.
        known: Metrics of trials that need not be measured again, by `name_of`.
        done: Called for each measured trial as it ends.
        processes: Number of processes that measure trials; with 1 it is this one.

    Returns:
        The trials in the given order.

    Raises:
        LakehouseError: a process that measures trials was killed.
    """
    from threadpoolctl import threadpool_limits

    known = known or {}
    left = [place for place, params in enumerate(trials) if name_of(params) not in known]
    found = {}
    with threadpool_limits(limits=1):
        for place, measured in _measured(trials, left, measure, processes):
            found[place] = Trial(trials[place], *measured)
            done(found[place])
    return [
        found.get(place) or Trial(params, known[name_of(params)])
        for place, params in enumerate(trials)
    ]


def processes_for(rows: int) -> int:
    """Return in how many processes to measure trials on a number of rows.

    A process needs seconds to start, which few rows do not make up for.
    """
    return len(os.sched_getaffinity(0)) if rows >= FEWEST_ROWS_OF_PROCESSES else 1


def _measured(
    trials: Sequence[Params], left: Sequence[int], measure: Measure, processes: int
) -> Iterator[tuple[int, Measured]]:
    """Yield the places of trials, and what was measured, as they end."""
    # A process of Dagster's or a user's may not be allowed to start processes of its own.
    if min(processes, len(left)) < 2 or multiprocessing.current_process().daemon:
        yield from ((place, measure(trials[place])) for place in left)
        return
    others = {*multiprocessing.active_children()}
    # Processes instead of threads: scikit-learn changes the process's filters of warnings while it
    # works, and threads that do so at once put them back wrongly. Spawned, because a fork copies
    # locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (measure,)) as pool:
        try:
            places = {pool.submit(_measure, trials[place]): place for place in left}
            for ended in as_completed(places):
                yield places[ended], ended.result()
        except BaseException as error:
            # Nothing that is still measured is worth waiting for.
            for process in {*multiprocessing.active_children()} - others:
                process.kill()
            if isinstance(error, BrokenProcessPool):
                raise LakehouseError(
                    "A process that measured trials was killed, perhaps because memory ran out; "
                    "run again: trials that ended are not measured again."
                ) from None
            raise


_begun: list[Measure] = []


def _begin(measure: Measure) -> None:
    """Prepare a process that measures trials, and end it with the one that started it."""
    from threadpoolctl import threadpool_limits

    def end_with_parent() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    # Ctrl-C reaches all processes of a terminal; the first one decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    threadpool_limits(limits=1)
    _begun.append(measure)


def _measure(params: Params) -> Measured:
    return _begun[-1](params)


def tracked_search(
    trials: Sequence[Params],
    measure: Measure,
    fitting: Fitting,
    parent_run_id: str,
    tags: Mapping[str, str],
) -> list[Trial]:
    """Search, with a child run for each trial.

    Trials of an earlier run with the same identity that ended, such as one that was killed, are not
    measured again; they become child runs of this run.

    Args:
        trials: As for `search`.
        measure: As for `search`.
        fitting: What is fitted.
        parent_run_id: The run of the fit.
        tags: Tags of the child runs.

    Raises:
        LakehouseError: MLflow fails.
    """
    tracking = fitting.tracking
    client, known = tracking.client(), {}
    same = " and ".join(f"tags.`{name}` = '{tag}'" for name, tag in fitting.identity.items())
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
        with tracking.run(f"{fitting.title} {label}", named, parent_run_id) as run_id:
            tracking.log_batch(run_id, trial.params, trial.metrics)

    rows = fitting.sample.rows.num_rows
    return search(trials, measure, known, record, processes_for(rows))


def parallel_coordinates(trials: Sequence[Trial], metric: str) -> Figure:
    """Draw a line for each trial across an axis for each parameter and one for the metric.

    Args:
        trials: The trials; a parameter that a trial lacks leaves a gap in its line.
        metric: The metric; the line of the trial with the least one is bold.
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
        numbers = name == metric
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
    best = min(range(len(rows)), key=lambda at: rows[at][metric])
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
