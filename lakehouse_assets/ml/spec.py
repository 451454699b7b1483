"""Declarations of models: what the life cycle needs to know about one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.gold import Read
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

    from lakehouse_assets.ml.comparison import Comparison, Interval


class CannotFitError(LakehouseError):
    """Rows that no model should be fitted on; the message says why and what to do.

    The life cycle registers nothing then; the champion scores the rows if there is one.
    """


@dataclass(frozen=True)
class Gate:
    """Bounds of a metric of a fit, within which the model may be used.

    Attributes:
        name: Name of the check.
        metric: The metric.
        above: Lower bound, exclusive; None for none.
        description: The reason, for people.
        also_shown: Further metrics to show with it, which do not affect the result.
        below: Upper bound, exclusive; None for none.
    """

    name: str
    metric: str
    above: float | None
    description: str
    also_shown: tuple[str, ...] = ()
    below: float | None = None

    def passes(self, metrics: Mapping[str, float]) -> bool:
        """Return whether a fit passes; a missing or NaN metric does not pass."""
        value = metrics.get(self.metric, float("nan"))
        low = float("-inf") if self.above is None else self.above
        high = float("inf") if self.below is None else self.below
        return low < value < high


@dataclass(frozen=True, eq=False)
class Agreement:
    """How much a fit must agree with the champion about the same rows, for a model without labels.

    Attributes:
        name: Name of the guard and of its figure.
        prediction: Column of the spec's `scored` that is compared.
        measure: Returns the agreement of two arrays of predictions, the fit's and the champion's.
        above: Lower bound, exclusive.
    """

    name: str
    prediction: str
    measure: Callable[[Any, Any], float]
    above: float


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
        run_name: Kind of fit, for the name of the run in MLflow.
        metrics: Metrics of the fit.
        params: Further parameters to log with the run.
        variants: Other fits to compare it with.
        documents: Values to store as JSON files with the run, by name.
        held_out: Predictions out of fold, by which the model is compared: the columns `label` and
            `prediction`, for each fitted row in their order; the prediction is null where there is
            none. Required if the spec declares a comparison.
        figures: Figures of the fit, by name.
    """

    model: Any
    run_name: str
    metrics: Mapping[str, float]
    params: Mapping[str, object] = field(default_factory=dict)
    variants: Sequence[Variant] = ()
    documents: Mapping[str, object] = field(default_factory=dict)
    held_out: pa.Table | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)


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
        texts: The features of text.
        fitted_with: Further columns that the fit needs and the scorer does not, such as a weight.
        settings: Default settings, a dataclass of integers, floats, strings and tuples.
        fit: Fits a sample: a table of the key and the inputs, ordered by key, numbers as doubles;
            raises CannotFitError if no model should be fitted on it.
        types: Types that the saved model contains, in addition to plain values and arrays.
        scored: Columns that scoring adds, with their types: int, bigint, double or string.
        scorer: Returns, for a model, the function that computes those columns for a batch of
            features. It may run in other processes, which have only NumPy and PyArrow.
        searches: Whether the fit takes a third argument: what measures trials as `search.search`
            does, with a child run for each. Trials that were measured before a run was killed are
            not measured again.
        gates: Checks that a fit must pass to become the champion, such as of its calibration.
        fewest: Minimum number of rows for a fit, given the settings.
        output: MLflow's type of the saved model's predictions.
        target: Column that it predicts, if any; rows without a value in it are not fitted.
        prepare: Adds the features to the rows.
        finish: Turns scored rows into rows of the table.
        describe: Returns the evidence about those rows to store with the run.
        comparison: Condition for replacing the champion. Without it, every fit that passes
            its gates and guards replaces it.
        agreement: How much a fit must agree with the champion.
        slowest: Most CPU seconds for scoring 10,000 rows.
        realised: Judges predictions by labels that came later: given both, returns metrics with
            their intervals, under the names of the gates' metrics. The table must hold the target.
        limits: Limits of the model's use, in sentences.
        rules: Other values that the results depend on; part of the identity.
        libraries: Packages whose version may change the fit; part of the identity.
    """

    name: str
    experiment: str
    key: str
    features: tuple[str, ...]
    settings: Any
    fit: Callable[..., Fitted]
    types: frozenset[str]
    scored: Mapping[str, str]
    scorer: Callable[[Any], Callable[[pa.RecordBatch], pa.RecordBatch]]
    searches: bool = False
    gates: tuple[Gate, ...] = ()
    fewest: Callable[[Any], int] = lambda _settings: 1
    output: str = "double"
    target: str | None = None
    texts: frozenset[str] = frozenset()
    fitted_with: tuple[str, ...] = ()
    prepare: Callable[[DataFrame], DataFrame] = lambda frame: frame
    finish: Callable[[DataFrame], DataFrame] = lambda frame: frame
    describe: Callable[[Engine, DataFrame], Evidence] = lambda _engine, _frame: Evidence()
    comparison: Comparison | None = None
    agreement: Agreement | None = None
    slowest: float | None = None
    realised: Callable[[pa.Array, FloatArray], Mapping[str, Interval]] | None = None
    limits: tuple[str, ...] = ()
    rules: object = None
    libraries: tuple[str, ...] = ("scikit-learn",)

    @property
    def schema(self) -> str:
        """The model's columns as text: what it predicts from, and what scoring adds."""
        return json.dumps({"features": self.features, "scored": dict(self.scored)})

    @property
    def replaces(self) -> str:
        """When a fit replaces the champion, in a sentence."""
        condition = f"is {self.comparison.rule}" if self.comparison else "passes its guards"
        return f"A new version replaces the champion if it {condition}."


@dataclass(frozen=True, eq=False)
class ModelTable:
    """A table with a model's scores for the rows of another table.

    Attributes:
        spec: The model.
        table: The table of the scored rows: monthly, or without partitions.
        source: The table whose rows are fitted and scored, or which of its rows to read.
        changed_only: Whether rows keep their score of the latest month while their features and the
            version that scores are the same. The table must have the columns `MODEL_VERSION` and
            `INPUTS_DIGEST` of the registry, the key, and what scoring adds.
        triggered_by: Tables that trigger a build but are not read, as for a `GoldTable`: for a
            source of all months, its quarantine, which is written with every delivery.
        gates_block: Whether a fit that fails a gate and scores the rows, because there is no
            champion, stops what is downstream. Not if nothing reads the scored rows.
    """

    spec: ModelSpec
    table: Table
    source: Table | Read
    changed_only: bool = False
    triggered_by: tuple[Table, ...] = ()
    gates_block: bool = True

    @property
    def read(self) -> Read:
        """The source, and which of its rows are read."""
        return self.source if isinstance(self.source, Read) else Read(self.source)
