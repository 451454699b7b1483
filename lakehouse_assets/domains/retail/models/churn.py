"""The churn model: how likely a customer is to leave.

The reference lab's random forest and a plain logistic regression are the baselines. Candidates
are a logistic regression with splines, boosted trees, and the mean of their logits. Penalty, depth,
number of trees, candidate and calibration are all chosen by out-of-fold predictions on the fitted
rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS, YES_NO
from lakehouse_assets.domains.retail.gold.churn import GOLD_CHURN_FEATURES, GOLD_CUSTOMER_CHURN
from lakehouse_assets.domains.retail.models.churn_figures import (
    correlation_figure,
    correlations,
    spend_figure,
)
from lakehouse_assets.domains.retail.models.churn_model import (
    CANDIDATES,
    DERIVED,
    FEATURES,
    NUMBERS,
    REASONS,
    TEXTS,
    ChurnModel,
    Curve,
    columns_of,
    encode,
    sigmoid,
    top_reasons,
)
from lakehouse_assets.domains.retail.shared import UNKNOWN
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.comparison import Interval, by_auc
from lakehouse_assets.ml.model_files import types_of
from lakehouse_assets.ml.sampling import FloatArray, fetch_sample
from lakehouse_assets.ml.search import Params, Trial, parallel_coordinates, search
from lakehouse_assets.ml.spec import (
    CannotFitError,
    Evidence,
    Fitted,
    Gate,
    ModelSpec,
    ModelTable,
    Variant,
)
from lakehouse_assets.ml.trees import MOST_DEPTH, Trees, from_xgboost

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Labels = npt.NDArray[np.int64]
    Categories = Mapping[str, list[str]]

LABEL: Final = "churn"
BASELINES: Final = ("logistic", "random_forest")
SCORED: Final = {
    "churn_probability": "double", "predicted_churn": "string",
    **{f"reason_{number}": "string" for number in range(1, REASONS + 1)},
}  # fmt: skip
KEY: Final = "customer_id"

FEWEST_ROWS: Final = 100
FEWEST_OF_A_CLASS: Final = 20

SOURCES: Final = {field.name: field.source or field.name for field in CUSTOMERS.columns}
# Another level of trees must lower the log loss by this much; less is noise.
_LEVEL: Final = 0.001
# Most customers in a figure.
_MOST_DRAWN: Final = 5_000
# The number of trees is chosen among multiples of this.
_STEP: Final = 20


@dataclass(frozen=True)
class ChurnSettings:
    """Settings of a fit.

    Attributes:
        seed: Seed of the folds and of the trees.
        folds: Folds within the rows that are fitted.
        penalties: Inverse strengths of the spline regression's penalty to choose from.
        knots: Knots of each spline.
        depths: Depths of the boosted trees to choose from, 1 to 3.
        learning_rates: Learning rates of the trees to choose from.
        trees: Most boosted trees; their number is chosen.
        contact_cost: Cost of contacting a customer, in US dollars.
        loss: Loss from a customer who leaves without having been contacted, in US dollars. A
            contact pays off if the probability exceeds contact_cost / loss.
    """

    seed: int = 42
    folds: int = 5
    penalties: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    knots: int = 6
    depths: tuple[int, ...] = (2, 3)
    learning_rates: tuple[float, ...] = (0.05,)
    trees: int = 400
    contact_cost: float = 20.0
    loss: float = 50.0

    def __post_init__(self) -> None:
        """Refuse settings that no model can be fitted with.

        Raises:
            LakehouseError: a setting is out of bounds.
        """
        bounds = {
            "folds": self.folds >= 2,
            "knots": self.knots >= 2,
            "trees": self.trees >= _STEP,
            "penalties": bool(self.penalties) and min(self.penalties) > 0.0,
            "depths": bool(self.depths) and set(self.depths) <= set(range(1, MOST_DEPTH + 1)),
            "learning_rates": bool(self.learning_rates) and min(self.learning_rates) > 0.0,
            "contact_cost and loss": 0.0 <= self.contact_cost <= self.loss > 0.0,
        }
        wrong = [name for name, holds in bounds.items() if not holds]
        if wrong:
            raise LakehouseError(
                f"The churn settings {', '.join(wrong)} are out of bounds; give at least 2 folds, "
                f"2 knots and {_STEP} trees, depths from 1 to {MOST_DEPTH}, penalties and learning "
                "rates above 0, and a contact that costs no more than the loss of a customer."
            )

    @property
    def trials(self) -> list[Params]:
        """What the search tries."""
        return [
            *({"candidate": "splines", "penalty": penalty} for penalty in self.penalties),
            *(
                {"candidate": "xgboost", "depth": depth, "learning_rate": rate}
                for depth in self.depths
                for rate in self.learning_rates
            ),
        ]


def fit(rows: pa.Table, settings: ChurnSettings, run: Callable[..., list[Trial]]) -> Fitted:
    """Fit the model to customers with a label; see `ModelSpec.fit`.

    Raises:
        CannotFitError: there are too few customers of a class, or a column repeats the label.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute as pc

    from lakehouse_assets.ml.binary import REFITTED, scores
    from lakehouse_assets.ml.leaks import HeldOut, findings

    labels = pc.equal(rows[LABEL], YES_NO[0]).to_numpy().astype("int64")
    rows = rows.select(FEATURES)
    check_customers(rows, labels)
    trials = run(settings.trials, partial(measure, rows, labels, settings))
    model, held_out = fit_churn(rows, labels, settings, trials)
    predicted = {REFITTED: held_out, **{name: np.empty(len(labels)) for name in BASELINES}}
    splits = [*folds_of(labels, settings)]
    for fitted, held in splits:
        baselines = fit_baselines(rows.take(fitted), labels[fitted])
        for name, probabilities in baselines(rows.take(held)).items():
            predicted[name][held] = probabilities
    fitted, held = splits[0]
    split = HeldOut(rows.take(fitted), labels[fitted], rows.take(held), labels[held])
    leaks = findings(split, {n: p[held] for n, p in predicted.items()}, REFITTED, BASELINES[0])
    found = {name: scores(labels, values) for name, values in predicted.items()}
    return Fitted(
        model=model,
        run_name="churn",
        metrics={**found[REFITTED], "leaks": float(len(leaks))},
        params={"chosen": model.chosen, "threshold": model.threshold},
        variants=[Variant(name, {"baseline": name}, found[name]) for name in BASELINES],
        documents={"leaks": leaks},
        figures={"search": parallel_coordinates(trials, "log_loss")},
        held_out=pa.table({"label": labels, "prediction": held_out}),
    )


def churn_scorer(model: ChurnModel) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that scores a batch of customers; see `ModelSpec.scorer`."""
    words = {name: SOURCES[name] for name in FEATURES}

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        features = encode(batch, model.categories)
        probabilities = model.probabilities(features)
        contacted = probabilities > model.threshold
        reasons = [pa.nulls(len(contacted), pa.string())] * REASONS
        if contacted.all():
            reasons = top_reasons(model.contributions(features), batch, words)
        elif contacted.any():
            some = batch.filter(pa.array(contacted))
            places = pa.array(np.cumsum(contacted) - 1, mask=~contacted)
            found = top_reasons(model.contributions(features[contacted]), some, words)
            reasons = [reason.take(places) for reason in found]
        columns = [
            pa.array(probabilities),
            pa.array(["Yes" if contact else "No" for contact in contacted.tolist()], pa.string()),
            *reasons,
        ]
        return pa.RecordBatch.from_arrays(columns, names=list(SCORED))

    return score


def describe_churn(engine: Engine, customers: DataFrame) -> Evidence:
    """Return how many customers are contacted, and figures of those who left and who stayed."""
    (found,) = engine.rows(
        customers.agg(
            F.count(F.lit(1)).alias("customers"),
            F.count(F.when(F.col("predicted_churn") == F.lit("Yes"), F.lit(1))).alias("contacted"),
            F.count(F.when(F.col(LABEL).isNull(), F.lit(1))).alias("customers_without_label"),
        )
    )
    shown = ("tenure_months", "total_amount", *TEXTS, LABEL)
    rows = fetch_sample(engine, customers, KEY, shown, _MOST_DRAWN).rows
    return Evidence(
        {name: float(count) for name, count in found.items()},
        {
            "tenure_and_spend": spend_figure(rows),
            "correlations_with_churn": correlation_figure(correlations(rows)),
        },
    )


def realised_churn(labels: pa.Array, probabilities: FloatArray) -> dict[str, Interval]:
    """Judge probabilities of customers by whether they left; see `ModelSpec.realised`."""
    from pyarrow import compute as pc

    from lakehouse_assets.ml.binary import realised

    left = pc.equal(labels, YES_NO[0]).to_numpy(zero_copy_only=False).astype("int64")
    return realised(left, probabilities)


def check_customers(rows: pa.Table, labels: Labels) -> None:
    """Refuse customers that no model should be fitted on.

    Raises:
        CannotFitError: there are too few of a class, or a column repeats the label.
    """
    from lakehouse_assets.ml.leaks import revealing_columns

    leavers = int(labels.sum())
    fewest = min(leavers, len(labels) - leavers)
    if fewest < FEWEST_OF_A_CLASS or len(labels) < FEWEST_ROWS:
        raise CannotFitError(
            f"{len(labels)} customers have {SOURCES[LABEL]} and {SOURCES['total_amount']}, and "
            f"{leavers} of them left. Provide at least {FEWEST_ROWS}, with {FEWEST_OF_A_CLASS} or "
            "more who left and as many who stayed."
        )
    revealing = revealing_columns(rows, labels)
    if revealing:
        names = ", ".join(SOURCES.get(name, name) for name in revealing)
        raise CannotFitError(
            f"{names} alone nearly determines {SOURCES[LABEL]}, so it copies the label or is known "
            "only after it. Remove the column or correct its values."
        )


def folds_of(labels: Labels, settings: ChurnSettings) -> Iterator[tuple[Labels, Labels]]:
    """Yield the rows to fit and the rows to predict, fold by fold."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    yield from folds.split(np.zeros(len(labels)), labels)


def categories_of(rows: pa.Table) -> dict[str, list[str]]:
    """Return the values of each column of text, in alphabetical order."""
    return {name: sorted(rows[name].fill_null(UNKNOWN).unique().to_pylist()) for name in TEXTS}


def measure(
    rows: pa.Table, labels: Labels, settings: ChurnSettings, trial: Params
) -> tuple[dict[str, float], FloatArray]:
    """Predict each row by a fit on the other folds.

    Args:
        rows: The features.
        labels: 1 for customers who left, else 0.
        settings: Settings.
        trial: One of the settings' trials.

    Returns:
        Log loss, AUC, and for trees their best number; and the logits of the rows.
    """
    import numpy as np
    from sklearn.metrics import log_loss, roc_auc_score

    categories = categories_of(rows)
    features = encode(rows, categories)
    boosted = trial["candidate"] == "xgboost"
    steps = settings.trees // _STEP if boosted else 1
    logits = np.empty((steps, len(labels)))
    for fitted, held in folds_of(labels, settings):
        if boosted:
            gaps = _gaps(features[fitted])
            trees = _boost(
                columns_of(features[fitted], gaps, categories), labels[fitted], settings, trial
            )
            columns = columns_of(features[held], gaps, categories)
            for step in range(steps):
                logits[step, held] = trees.inplace_predict(
                    columns, iteration_range=(0, (step + 1) * _STEP), predict_type="margin"
                )
        else:
            pipeline = spline_regression(categories, trial["penalty"], settings.knots)
            pipeline.fit(features[fitted], labels[fitted])
            logits[0, held] = pipeline.decision_function(features[held])
    losses = [float(log_loss(labels, sigmoid(found))) for found in logits]
    best = int(np.argmin(losses))
    metrics = {
        "log_loss": losses[best],
        "auc": float(roc_auc_score(labels, logits[best])),
        **({"trees": float((best + 1) * _STEP)} if boosted else {}),
    }
    return metrics, logits[best]


def fit_churn(
    rows: pa.Table,
    labels: Labels,
    settings: ChurnSettings,
    trials: Sequence[Trial] = (),
) -> tuple[ChurnModel, FloatArray]:
    """Fit the candidates, choose the one with the lowest log loss out of fold, and calibrate it.

    Args:
        rows: The features.
        labels: 1 for customers who left, else 0.
        settings: Settings.
        trials: The measured trials; by default all of them are measured.

    Returns:
        The model, and the probability of each row by a fit on the other folds.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    trials = trials or search(settings.trials, lambda trial: measure(rows, labels, settings, trial))
    best = {
        name: min(
            (trial for trial in trials if trial.params["candidate"] == name),
            key=lambda t: t.metrics["log_loss"] + _LEVEL * t.params.get("depth", 0),
        )
        for name in ("splines", "xgboost")
    }
    held_out = {
        name: measure(rows, labels, settings, trial.params)[1]
        if trial.result is None
        else trial.result
        for name, trial in best.items()
    }
    candidates = {
        name: a * held_out["splines"] + b * held_out["xgboost"]
        for name, (a, b) in CANDIDATES.items()
    }
    chosen = min(candidates, key=lambda name: float(log_loss(labels, sigmoid(candidates[name]))))
    scale = LogisticRegression(C=1e6).fit(candidates[chosen][:, None], labels)
    slope, shift = float(scale.coef_[0, 0]), float(scale.intercept_[0])

    categories = categories_of(rows)
    features = encode(rows, categories)
    gaps = _gaps(features)
    tree = best["xgboost"]
    trees = _boost(
        columns_of(features, gaps, categories), labels, settings, tree.params,
        int(tree.metrics["trees"]),
    )  # fmt: skip
    pipeline = spline_regression(categories, best["splines"].params["penalty"], settings.knots)
    curves, weights, intercept = written_as_curves(pipeline.fit(features, labels), gaps, categories)
    model = ChurnModel(
        categories,
        curves,
        weights,
        intercept,
        np.zeros(len(FEATURES)),
        from_xgboost(trees, tree.params["depth"]),
        chosen,
        slope,
        shift,
        settings.contact_cost / settings.loss,
    )
    model.means[:] = model.parts(features).mean(axis=0)
    return model, sigmoid(slope * candidates[chosen] + shift)


def fit_baselines(rows: pa.Table, labels: Labels) -> Callable[[pa.Table], dict[str, FloatArray]]:
    """Fit the lab's random forest and a plain logistic regression, both on columns of 0 and 1.

    Returns:
        What predicts the probabilities of rows, by baseline.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    categories = categories_of(rows)
    features = encode(rows, categories)
    gaps = _gaps(features)[: len(NUMBERS)]
    baselines = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
        "random_forest": RandomForestClassifier(n_estimators=10, random_state=123, n_jobs=1),
    }
    for estimator in baselines.values():
        estimator.fit(columns_of(features, gaps, categories), labels)

    def predict(asked: pa.Table) -> dict[str, FloatArray]:
        columns = columns_of(encode(asked, categories), gaps, categories)
        return {name: found.predict_proba(columns)[:, 1] for name, found in baselines.items()}

    return predict


def _gaps(features: FloatArray) -> FloatArray:
    """Return the median of each number, delivered or derived; 0 if no row has it."""
    import numpy as np

    numbers = features[:, : features.shape[1] - len(TEXTS)].T
    known = [column[~np.isnan(column)] for column in numbers]
    return np.array([np.median(column) if len(column) else 0.0 for column in known])


def spline_regression(categories: Categories, penalty: float, knots: int) -> Any:
    """Return the logistic regression with splines on the delivered numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

    def gaps() -> Any:
        return SimpleImputer(strategy="median", keep_empty_features=True)

    curve = SplineTransformer(knots, knots="quantile", include_bias=False)
    codes = [list(map(float, range(len(values)))) for values in categories.values()]
    texts = OneHotEncoder(categories=codes, drop="first", sparse_output=False)
    first = len(NUMBERS) + len(DERIVED)
    return make_pipeline(
        ColumnTransformer(
            [
                ("curves", make_pipeline(gaps(), curve, StandardScaler()), list(range(3))),
                ("lines", make_pipeline(gaps(), StandardScaler()), list(range(first))),
                ("texts", texts, list(range(first, first + len(categories)))),
            ]
        ),
        LogisticRegression(C=penalty, max_iter=5_000),
    )


def written_as_curves(
    pipeline: Any, gaps: FloatArray, categories: Categories
) -> tuple[dict[str, Curve], dict[str, FloatArray], float]:
    """Write a fitted spline regression as a curve for each number and a weight for each text."""
    import numpy as np
    from scipy.interpolate import BSpline, PPoly

    columns, regression = pipeline
    coefficients = iter(regression.coef_[0])
    intercept = float(regression.intercept_[0])
    names = [*NUMBERS, *DERIVED]
    _, splines, scaler = columns.named_transformers_["curves"]
    factors = scaler.scale_.reshape(len(NUMBERS), -1)
    means = scaler.mean_.reshape(factors.shape)
    knots: dict[str, FloatArray] = {}
    pieces: dict[str, FloatArray] = {}
    for name, spline, scales, middles in zip(
        NUMBERS, splines.bsplines_, factors, means, strict=True
    ):
        weights = np.array([next(coefficients) for _ in scales]) / scales
        intercept -= float(weights @ middles)
        degree, inner = spline.k, spline.t[spline.k : -spline.k]
        # The transformer leaves out the last of the basis functions.
        weights = np.append(weights, 0.0)
        flat = np.zeros((2, degree + 1))
        flat[:, 0] = spline(inner[[0, -1]]) @ weights
        found = flat[:0]
        if inner[0] < inner[-1]:
            whole = BSpline(spline.t, weights, degree)
            with np.errstate(divide="ignore", invalid="ignore"):
                # Pieces between equal knots are never used.
                found = np.nan_to_num(PPoly.from_spline(whole).c[::-1, degree:-degree].T)
        else:
            inner = inner[:1]
        pieces[name] = np.vstack([flat[:1], found, flat[1:]])
        knots[name] = inner
    _, scaler = columns.named_transformers_["lines"]
    curves = {}
    for name, gap, scale, mean in zip(names, gaps, scaler.scale_, scaler.mean_, strict=True):
        slope = next(coefficients) / scale
        intercept -= float(slope * mean)
        ends = knots.get(name, np.array([]))
        origins = np.append(ends[:1], ends) if len(ends) else np.zeros(1)
        found = pieces.get(name, np.zeros((1, 4))).copy()
        found[:, 0] += slope * origins
        found[:, 1] += slope
        curves[name] = Curve(float(gap), ends, origins, found)
    weights_of = {
        name: np.array([0.0, *(next(coefficients) for _ in values[1:])])
        for name, values in categories.items()
    }
    return curves, weights_of, intercept


def _boost(
    columns: FloatArray,
    labels: Labels,
    settings: ChurnSettings,
    trial: Params,
    trees: int | None = None,
) -> Any:
    import xgboost

    return xgboost.train(
        {
            "objective": "binary:logistic",
            "max_depth": trial["depth"],
            "eta": trial["learning_rate"],
            "subsample": 0.7,
            "colsample_bytree": 0.7,
            "min_child_weight": 5,
            "nthread": 1,
            "seed": settings.seed,
        },
        xgboost.DMatrix(columns, labels, nthread=1),
        trees or settings.trees,
    )


CHURN: Final = ModelSpec(
    name="churn",
    experiment="Customer_Churn_Experiment",
    key=KEY,
    features=FEATURES,
    texts=frozenset(TEXTS),
    target=LABEL,
    settings=ChurnSettings(),
    fit=fit,
    searches=True,
    types=types_of(ChurnModel, Curve, Trees),
    scored=SCORED,
    scorer=churn_scorer,
    gates=(
        Gate(
            "churn_is_ranked", "auc", 0.65,
            "AUC above 0.65 out of fold: in more than 65 % of pairs, the customer who left has a "
            "higher probability than the one who stayed.",
        ),
        Gate(
            "churn_is_calibrated", "ece", None, below=0.08,
            description="Calibration error below 0.08 out of fold: probabilities match the share "
            "of customers who left.",
            also_shown=("brier",),
        ),
        Gate(
            "churn_is_not_leaked", "leaks", None, below=1.0,
            description="No sign of leakage: rows were not resampled before the split, and no AUC "
            "is implausibly high. leaks.json of the MLflow run lists the findings.",
        ),
    ),
    comparison=by_auc("churn_probability", not_worse_by=0.005, slices=("senior_citizen",)),
    describe=describe_churn,
    realised=realised_churn,
    finish=lambda frame: frame.select(*GOLD_CUSTOMER_CHURN.column_names),
    limits=(
        "Churn is known only for the month of the snapshot. The model says who resembles customers "
        "who left, not when a customer will leave.",
        "Reasons show what the model weighs, not what would make a customer stay.",
    ),
    libraries=("scikit-learn", "xgboost-cpu"),
)  # fmt: skip

CHURN_TABLE: Final = ModelTable(CHURN, GOLD_CUSTOMER_CHURN, GOLD_CHURN_FEATURES, changed_only=True)
