"""The model of churn: how likely a customer is to leave.

The reference's random forest and a plain logistic regression are the baselines. Candidates are a
logistic regression with splines, boosted trees of depth 2, and the mean of their logits. Penalty,
number of trees, the choice among candidates and the calibration all come from predictions out of
fold within the rows that are fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS, YES_NO
from lakehouse_assets.domains.retail.shared import NOTHING, UNKNOWN
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress, parse_seeds
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Labels = npt.NDArray[np.int64]

LABEL: Final = "churn"
KEY: Final = "customer_id"
NUMBERS: Final = ("tenure_months", "unit_price", "total_amount")
TEXTS: Final = (
    "gender", "senior_citizen", "partner", "dependents", "discount", "outlet_size",
    "online_delivery", "order_status", "customer_support", "brand", "store_contract",
    "paperless_billing", "payment_method",
)  # fmt: skip
FEATURES: Final = (*NUMBERS, *TEXTS)
DERIVED: Final = ("average_amount", "price_drift")
"""What a customer paid a month on average, and how far the price is above that now."""

FEWEST_ROWS: Final = 100
FEWEST_OF_A_CLASS: Final = 20

_SOURCES: Final = {field.name: field.source or field.name for field in CUSTOMERS.columns}
# The number of trees is chosen among multiples of this.
_STEP: Final = 20
# No number of a customer's is larger.
_MOST: Final = 1e12
_YES: Final = ("yes", "y", "true", "t", "1", "1.0")
_NO: Final = ("no", "n", "false", "f", "0", "0.0")


@dataclass(frozen=True)
class ChurnSettings:
    """Settings of a fit.

    Attributes:
        seed: Seed of the folds and of the trees.
        folds: Folds within the rows that are fitted.
        penalties: Inverse strengths of the spline regression's penalty to choose from.
        knots: Knots of each spline.
        trees: Most boosted trees; their number is chosen.
        learning_rate: Learning rate of the trees.
    """

    seed: int = 42
    folds: int = 5
    penalties: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    knots: int = 6
    trees: int = 400
    learning_rate: float = 0.05


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """The fitted candidates, which of them was chosen, and its calibration.

    Attributes:
        categories: Values of each column of text.
        splines: The spline regression, a scikit-learn pipeline.
        columns: What turns encoded rows into the columns of the trees.
        trees: The boosted trees.
        chosen: Name of the chosen candidate.
        slope: Factor of the chosen candidate's logits.
        intercept: What is added to them.
    """

    categories: Mapping[str, tuple[str, ...]]
    splines: Any
    columns: Any
    trees: Any
    chosen: str
    slope: float
    intercept: float

    def logits(self, rows: pa.Table) -> dict[str, FloatArray]:
        """Return the logits of each candidate, uncalibrated."""
        features = encode(rows, self.categories)
        return _candidates(
            self.splines.decision_function(features),
            _margins(self.trees, self.columns.transform(features)),
        )

    def probabilities(self, rows: pa.Table) -> FloatArray:
        """Return the calibrated probability that each customer leaves."""
        return _sigmoid(self.slope * self.logits(rows)[self.chosen] + self.intercept)


def _candidates(splines: FloatArray, trees: FloatArray) -> dict[str, FloatArray]:
    return {"splines": splines, "xgboost": trees, "blend": (splines + trees) / 2.0}


def categories_of(rows: pa.Table) -> dict[str, tuple[str, ...]]:
    """Return the values of each column of text, in alphabetical order."""
    return {
        name: tuple(sorted(rows[name].fill_null(UNKNOWN).unique().to_pylist())) for name in TEXTS
    }


def encode(rows: pa.Table, categories: Mapping[str, tuple[str, ...]]) -> FloatArray:
    """Return rows as numbers: three delivered, two derived, and a code for each column of text.

    A customer who has not paid yet has a total of 0, and their price as the average. Other missing
    numbers are NaN. A text that is not in the categories has the code of the first one.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute as pc

    tenure, price, total = (rows[n].to_numpy().astype(np.float64) for n in NUMBERS)
    total = np.where(np.isnan(total) & (tenure == 0), 0.0, total)
    with np.errstate(divide="ignore", invalid="ignore"):
        average = np.where(tenure > 0, total / tenure, price)
    codes = [
        pc.fill_null(
            pc.index_in(rows[name].fill_null(UNKNOWN), value_set=pa.array(values, pa.string())), 0
        ).to_numpy()
        for name, values in categories.items()
    ]
    return np.column_stack([tenure, price, total, average, price - average, *codes])


def fit_churn(rows: pa.Table, labels: Labels, settings: ChurnSettings) -> ChurnModel:
    """Fit the candidates, choose the one with the lowest log loss out of fold, and calibrate it.

    Args:
        rows: The features.
        labels: 1 for customers who left, else 0.
        settings: Settings.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    categories = categories_of(rows)
    features = encode(rows, categories)
    splines = {penalty: np.empty(len(labels)) for penalty in settings.penalties}
    trees = np.empty((settings.trees // _STEP, len(labels)))
    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for fitted, held in folds.split(features, labels):
        for penalty, logits in splines.items():
            pipeline = _splines(categories, penalty, settings.knots)
            pipeline.fit(features[fitted], labels[fitted])
            logits[held] = pipeline.decision_function(features[held])
        columns = _columns(categories).fit(features[fitted])
        boosted = _boost(columns.transform(features[fitted]), labels[fitted], settings)
        for step in range(len(trees)):
            trees[step, held] = _margins(
                boosted, columns.transform(features[held]), (step + 1) * _STEP
            )

    def loss(logits: FloatArray) -> float:
        return float(log_loss(labels, _sigmoid(logits)))

    penalty = min(splines, key=lambda strength: loss(splines[strength]))
    step = min(range(len(trees)), key=lambda number: loss(trees[number]))
    candidates = _candidates(splines[penalty], trees[step])
    chosen = min(candidates, key=lambda name: loss(candidates[name]))
    scale = LogisticRegression(C=1e6).fit(candidates[chosen][:, None], labels)
    columns = _columns(categories).fit(features)
    return ChurnModel(
        categories,
        _splines(categories, penalty, settings.knots).fit(features, labels),
        columns,
        _boost(columns.transform(features), labels, settings, (step + 1) * _STEP),
        chosen,
        float(scale.coef_[0, 0]),
        float(scale.intercept_[0]),
    )


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
    baselines = {
        "logistic": make_pipeline(
            _columns(categories, derived=False), StandardScaler(), LogisticRegression(max_iter=5000)
        ),
        "random_forest": make_pipeline(
            _columns(categories, derived=False),
            RandomForestClassifier(n_estimators=10, random_state=123, n_jobs=1),
        ),
    }
    for pipeline in baselines.values():
        pipeline.fit(features, labels)

    def predict(asked: pa.Table) -> dict[str, FloatArray]:
        encoded = encode(asked, categories)
        return {name: p.predict_proba(encoded)[:, 1] for name, p in baselines.items()}

    return predict


def _columns(categories: Mapping[str, tuple[str, ...]], *, derived: bool = True) -> Any:
    """Return a transformer of encoded rows: numbers without gaps, and 0 or 1 for each text."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer

    first = len(NUMBERS) + len(DERIVED)
    used = first if derived else len(NUMBERS)
    gaps = SimpleImputer(strategy="median", keep_empty_features=True)
    return ColumnTransformer(
        [("numbers", gaps, list(range(used))), ("texts", _one_hot(categories), _texts(categories))]
    )


def _one_hot(categories: Mapping[str, tuple[str, ...]]) -> Any:
    from sklearn.preprocessing import OneHotEncoder

    codes = [list(map(float, range(len(values)))) for values in categories.values()]
    return OneHotEncoder(categories=codes, drop="first", sparse_output=False)


def _texts(categories: Mapping[str, tuple[str, ...]]) -> list[int]:
    first = len(NUMBERS) + len(DERIVED)
    return list(range(first, first + len(categories)))


def _splines(categories: Mapping[str, tuple[str, ...]], penalty: float, knots: int) -> Any:
    """Return the logistic regression with splines on the delivered numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer, StandardScaler

    def gaps() -> Any:
        return SimpleImputer(strategy="median", keep_empty_features=True)

    curve = SplineTransformer(knots, knots="quantile", include_bias=False)
    first = len(NUMBERS) + len(DERIVED)
    return make_pipeline(
        ColumnTransformer(
            [
                ("curves", make_pipeline(gaps(), curve, StandardScaler()), list(range(3))),
                ("lines", make_pipeline(gaps(), StandardScaler()), list(range(first))),
                ("texts", _one_hot(categories), _texts(categories)),
            ]
        ),
        LogisticRegression(C=penalty, max_iter=5_000),
    )


def _boost(
    columns: FloatArray, labels: Labels, settings: ChurnSettings, trees: int | None = None
) -> Any:
    import xgboost

    return xgboost.train(
        {
            "objective": "binary:logistic",
            "max_depth": 2,
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


def _margins(trees: Any, columns: FloatArray, first: int = 0) -> FloatArray:
    """Return the logits of all trees or of the first ones."""
    import numpy as np

    found = trees.inplace_predict(columns, iteration_range=(0, first), predict_type="margin")
    return np.asarray(found, np.float64)


def _sigmoid(logits: FloatArray) -> FloatArray:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-logits))


def read_customers(path: Path) -> tuple[pa.Table, Labels, int]:
    """Read a user's file of customers with their labels.

    Args:
        path: CSV, plain or gz, with the source's columns in any order; further columns are ignored.

    Returns:
        The features of customers with a label and a total amount, under the names of silver; their
        labels of 0 and 1; and the number of other customers.

    Raises:
        LakehouseError: a column is missing, a value cannot be read, a customer is in two rows, a
            column repeats the label, or there are too few customers of a class.
    """
    import pyarrow as pa
    from pyarrow import compute as pc

    from lakehouse_assets.ml.data_files import read_csv
    from lakehouse_assets.ml.leaks import repeated, revealing_columns

    needed = [_SOURCES[name] for name in (*FEATURES, LABEL)]
    text = read_csv(path, needed, NOTHING)
    columns = {name: _number(path, text, _SOURCES[name]) for name in NUMBERS}
    columns |= {name: _text(text[_SOURCES[name]]) for name in TEXTS}
    label = _text(text[_SOURCES[LABEL]])
    for place, value in enumerate(label.to_pylist()):
        if value not in (*YES_NO, None):
            raise LakehouseError(
                f"{path}, record {place + 1}: {_SOURCES[LABEL]} is {value!r}; write Yes or No, or "
                "leave it empty."
            )
    known = pc.and_(label.is_valid(), columns["total_amount"].is_valid())
    rows = pa.table(columns).filter(known)
    labels = pc.equal(label.filter(known), YES_NO[0]).to_numpy().astype("int64")
    leavers = int(labels.sum())
    fewest = min(leavers, len(labels) - leavers)
    if fewest < FEWEST_OF_A_CLASS or len(labels) < FEWEST_ROWS:
        raise LakehouseError(
            f"{path} has {len(labels)} customers with {_SOURCES[LABEL]} and "
            f"{_SOURCES['total_amount']}, {leavers} of whom left; give at least {FEWEST_ROWS}, "
            f"with {FEWEST_OF_A_CLASS} or more of either kind."
        )
    if _SOURCES[KEY] in text.column_names:
        twice = repeated(text[_SOURCES[KEY]].filter(known).to_pylist())
        if twice:
            raise LakehouseError(
                f"{path} has {len(twice)} customers in several rows; keep one row of each, because "
                "a model that has seen a customer is not judged by predicting them."
            )
    others = text.drop_columns([_SOURCES[LABEL]]).filter(known)
    revealing = revealing_columns(others, labels)
    if revealing:
        raise LakehouseError(
            f"{path}: {', '.join(revealing)} nearly determines {_SOURCES[LABEL]} alone, so it is a "
            "copy of the label or known only after it; remove the column or correct its values."
        )
    return rows, labels, text.num_rows - len(labels)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write yes and no, in whatever form, as Yes and No; keep other text."""
    import pyarrow as pa
    from pyarrow import compute as pc

    lower = pc.utf8_lower(column)
    for label, forms in zip(YES_NO, (_YES, _NO), strict=True):
        column = pc.if_else(pc.is_in(lower, value_set=pa.array(forms)), label, column)
    return column


def _number(path: Path, text: pa.Table, name: str) -> pa.ChunkedArray:
    """Read a column of numbers that are not negative.

    Raises:
        LakehouseError: a value is something else.
    """
    import math

    import pyarrow as pa

    numbers: list[float | None] = []
    for place, value in enumerate(text[name].to_pylist()):
        try:
            numbers.append(None if value is None else float(value))
        except ValueError:
            numbers.append(math.nan)
        if numbers[-1] is not None and not 0.0 <= numbers[-1] <= _MOST:
            raise LakehouseError(
                f"{path}, record {place + 1}: {name} is {value!r}; write a number from 0 to "
                f"{_MOST:.0e}, with a point for decimals, or leave it empty."
            )
    return pa.chunked_array([pa.array(numbers, pa.float64())])


def evaluate_churn(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluate the model and its baselines on a file; see `Evaluation.run`."""
    from lakehouse_assets.ml.binary import CHAMPION, evaluate

    rows, labels, others = read_customers(arguments["data"])
    progress(f"{len(labels)} customers, {labels.sum()} of whom left; {others} are left out")

    def fit(
        trained: pa.Table, trained_labels: Labels, seed: int
    ) -> Callable[[pa.Table], dict[str, FloatArray]]:
        model = fit_churn(trained, trained_labels, ChurnSettings(seed=seed))
        baselines = fit_baselines(trained, trained_labels)

        def predict(asked: pa.Table) -> dict[str, FloatArray]:
            candidates = {n: _sigmoid(found) for n, found in model.logits(asked).items()}
            return {CHAMPION: model.probabilities(asked), **candidates, **baselines(asked)}

        return predict

    return {
        "model": CHURN_EVALUATION.name,
        "customers": len(labels),
        "left": int(labels.sum()),
        "left_out": others,
        **evaluate(rows, labels, fit, arguments["seeds"], progress, reference="logistic"),
    }


CHURN_EVALUATION: Final = Evaluation(
    name="churn",
    description=(
        "Evaluate the churn model on a file of customers. For each seed a stratified fifth of the "
        "customers with Churn and TotalAmount is held out, and everything is fitted on the others. "
        "Prints AUC, Brier score and calibration error (ECE, ten bins of equal width) by seed and "
        "their means, the means of candidates and baselines, and the gain in AUC over the plain "
        "logistic regression with its corrected 95 % interval, over five splits a seed."
    ),
    arguments=(
        Argument(
            "data",
            "CSV file of customers, plain or .gz, with the columns "
            + ", ".join(_SOURCES[name] for name in (*FEATURES, LABEL))
            + " in any order; CustomerID is read if it is there, and other columns are ignored "
            "unless one repeats Churn.",
            parse=Path,
        ),
        Argument("seeds", "Seeds of the splits, such as 0-4 or 0,3,7.", "0-4", parse_seeds),
    ),
    run=evaluate_churn,
)
