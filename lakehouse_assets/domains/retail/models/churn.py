"""The model of churn: how likely a customer is to leave.

The reference's random forest and a plain logistic regression are the baselines. Candidates are a
logistic regression with splines, boosted trees, and the mean of their logits. Penalty, depth and
number of the trees, the choice among candidates and the calibration all come from predictions out
of fold within the rows that are fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.models.churn_model import (
    CANDIDATES,
    DERIVED,
    FEATURES,
    NUMBERS,
    TEXTS,
    ChurnModel,
    Curve,
    encode,
    one_hot,
    sigmoid,
)
from lakehouse_assets.domains.retail.shared import UNKNOWN
from lakehouse_assets.ml.sampling import FloatArray
from lakehouse_assets.ml.search import Params, Trial, search
from lakehouse_assets.ml.trees import from_xgboost

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Labels = npt.NDArray[np.int64]
    Categories = Mapping[str, list[str]]

LABEL: Final = "churn"
KEY: Final = "customer_id"

FEWEST_ROWS: Final = 100
FEWEST_OF_A_CLASS: Final = 20

SOURCES: Final = {field.name: field.source or field.name for field in CUSTOMERS.columns}
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
        trees: Most boosted trees; their number is chosen.
        learning_rate: Learning rate of the trees.
        contact_cost: What it costs to contact a customer, in US dollars.
        loss: What is lost with a customer who leaves and was not contacted, in US dollars. A
            contact pays if the probability is above the ratio of the two.
    """

    seed: int = 42
    folds: int = 5
    penalties: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    knots: int = 6
    depths: tuple[int, ...] = (2,)
    trees: int = 400
    learning_rate: float = 0.05
    contact_cost: float = 20.0
    loss: float = 50.0

    @property
    def trials(self) -> list[Params]:
        """What the search tries."""
        return [
            *({"candidate": "splines", "penalty": penalty} for penalty in self.penalties),
            *({"candidate": "xgboost", "depth": depth} for depth in self.depths),
        ]


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
    from sklearn.model_selection import StratifiedKFold

    categories = categories_of(rows)
    features = encode(rows, categories)
    boosted = trial["candidate"] == "xgboost"
    steps = settings.trees // _STEP if boosted else 1
    logits = np.empty((steps, len(labels)))
    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for fitted, held in folds.split(features, labels):
        if boosted:
            gaps = _gaps(features[fitted])
            trees = _boost(
                _columns(features[fitted], gaps, categories), labels[fitted], settings, trial
            )
            columns = _columns(features[held], gaps, categories)
            for step in range(steps):
                logits[step, held] = _margins(trees, columns, (step + 1) * _STEP)
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
            key=lambda trial: trial.metrics["log_loss"],
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
        _columns(features, gaps, categories), labels, settings, tree.params,
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
    """Fit the reference's random forest and a plain logistic regression, both on 0 and 1 columns.

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
        estimator.fit(_columns(features, gaps, categories), labels)

    def predict(asked: pa.Table) -> dict[str, FloatArray]:
        columns = _columns(encode(asked, categories), gaps, categories)
        return {name: found.predict_proba(columns)[:, 1] for name, found in baselines.items()}

    return predict


def _gaps(features: FloatArray) -> FloatArray:
    """Return the median of each number, delivered or derived; 0 if no row has it."""
    import numpy as np

    numbers = features[:, : features.shape[1] - len(TEXTS)].T
    known = [column[~np.isnan(column)] for column in numbers]
    return np.array([np.median(column) if len(column) else 0.0 for column in known])


def _columns(features: FloatArray, gaps: FloatArray, categories: Categories) -> FloatArray:
    """Return as many numbers as there are gaps to fill, and 0 or 1 for each text."""
    import numpy as np

    numbers = features[:, : len(gaps)]
    return one_hot(np.where(np.isnan(numbers), gaps, numbers), features, categories)


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
            "eta": settings.learning_rate,
            "subsample": 0.7,
            "colsample_bytree": 0.7,
            "min_child_weight": 5,
            "nthread": 1,
            "seed": settings.seed,
        },
        xgboost.DMatrix(columns, labels, nthread=1),
        trees or settings.trees,
    )


def _margins(trees: Any, columns: FloatArray, first: int) -> FloatArray:
    """Return the logits of the first trees."""
    import numpy as np

    found = trees.inplace_predict(columns, iteration_range=(0, first), predict_type="margin")
    return np.asarray(found, np.float64)
