"""The fitted churn model as plain numbers: probabilities, and the reasons for them.

Everything here needs NumPy and PyArrow only, so it runs where rows are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.shared import UNKNOWN
from lakehouse_assets.ml.sampling import FloatArray
from lakehouse_assets.ml.trees import Trees

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS: Final = ("tenure_months", "unit_price", "total_amount")
TEXTS: Final = (
    "gender", "senior_citizen", "partner", "dependents", "discount", "outlet_size",
    "online_delivery", "order_status", "customer_support", "brand", "store_contract",
    "paperless_billing", "payment_method",
)  # fmt: skip
FEATURES: Final = (*NUMBERS, *TEXTS)
DERIVED: Final = {"average_amount": "total_amount", "price_drift": "unit_price"}
"""The average monthly amount, and how far the price is above it; each with the column that its
contribution counts for."""

CANDIDATES: Final = {"splines": (1.0, 0.0), "xgboost": (0.0, 1.0), "blend": (0.5, 0.5)}
"""The weights of the logits of the spline regression and of the trees, by candidate."""

REASONS: Final = 3


@dataclass(frozen=True, eq=False)
class Curve:
    """A piecewise cubic of a number, linear outside of its knots.

    Attributes:
        gap: The number to take where it is missing.
        knots: Ascending ends of the pieces.
        origins: Where each piece begins, one more than there are knots.
        pieces: Coefficients by piece, of rising powers of the distance from its origin.
    """

    gap: float
    knots: FloatArray
    origins: FloatArray
    pieces: FloatArray

    def __call__(self, numbers: FloatArray) -> FloatArray:
        """Return the value at each number."""
        import numpy as np

        numbers = np.where(np.isnan(numbers), self.gap, numbers)
        place = np.searchsorted(self.knots, numbers, side="right")
        beyond = numbers - self.origins[place]
        constant, linear, square, cube = self.pieces[place].T
        return np.asarray(constant + beyond * (linear + beyond * (square + beyond * cube)))


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """The fitted candidates, which of them was chosen, and its calibration.

    Attributes:
        categories: Values of each column of text.
        curves: The spline regression: for each number, delivered or derived, its part of the logit.
        weights: The spline regression: for each column of text, the part of each value.
        intercept: The spline regression's intercept.
        means: Mean part of each column in the rows that were fitted, in the order of `FEATURES`.
        trees: The boosted trees, on numbers without gaps and 0 or 1 for each value but the first.
        chosen: Name of the chosen candidate.
        slope: Factor of the chosen candidate's logits.
        shift: What is added to them.
        threshold: The probability above which a customer is contacted.
    """

    categories: dict[str, list[str]]
    curves: dict[str, Curve]
    weights: dict[str, FloatArray]
    intercept: float
    means: FloatArray
    trees: Trees
    chosen: str
    slope: float
    shift: float
    threshold: float

    def logits(self, rows: pa.Table | pa.RecordBatch) -> dict[str, FloatArray]:
        """Return the logits of each candidate, uncalibrated."""
        features = encode(rows, self.categories)
        return {name: self._logits(features, name) for name in CANDIDATES}

    def predict(self, rows: pa.Table | pa.RecordBatch) -> FloatArray:
        """Return the calibrated probability that each customer leaves."""
        return self.probabilities(encode(rows, self.categories))

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Return the calibrated probability of each encoded row."""
        return sigmoid(self.slope * self._logits(features, self.chosen) + self.shift)

    def _logits(self, features: FloatArray, candidate: str) -> FloatArray:
        import numpy as np

        splines, trees = CANDIDATES[candidate]
        found = np.zeros(len(features))
        if splines:
            parts = self.parts(features)
            columns = (parts[:, place] for place in range(parts.shape[1]))
            found = found + splines * (self.intercept + sum(columns))
        if trees:
            found = found + trees * self.trees.margins(self._columns(features))
        return found

    def contributions(self, features: FloatArray) -> FloatArray:
        """Return what each column adds to the logit of encoded rows, beyond all customers' mean.

        The two derived numbers count for the columns that they are derived from.

        Returns:
            Rows by `FEATURES`.
        """
        import numpy as np

        splines, trees = CANDIDATES[self.chosen]
        found = splines * (self.parts(features) - self.means)
        if trees:
            single = trees * self.trees.contributions(self._columns(features))
            for column, place in enumerate(self._places()):
                found[:, place] += single[:, column]
        return np.asarray(found * self.slope)

    def parts(self, features: FloatArray) -> FloatArray:
        """Return each column's part of the spline regression's logit, rows by `FEATURES`."""
        import numpy as np

        parts = np.zeros((len(features), len(FEATURES)))
        for column, (name, curve) in enumerate(self.curves.items()):
            parts[:, FEATURES.index(DERIVED.get(name, name))] += curve(features[:, column])
        for column, (name, weights) in enumerate(self.weights.items(), len(self.curves)):
            parts[:, FEATURES.index(name)] = weights[features[:, column].astype(np.int64)]
        return parts

    def _columns(self, features: FloatArray) -> FloatArray:
        """Return the columns of the trees."""
        import numpy as np

        gaps = np.array([curve.gap for curve in self.curves.values()])
        return columns_of(features, gaps, self.categories)

    def _places(self) -> list[int]:
        """Return the place in `FEATURES` of each column of the trees."""
        numbers = [FEATURES.index(DERIVED.get(name, name)) for name in self.curves]
        return numbers + [
            FEATURES.index(name) for name, values in self.categories.items() for _ in values[1:]
        ]


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return the probabilities of logits."""
    import numpy as np

    return 1.0 / (1.0 + np.exp(-logits))


def columns_of(
    features: FloatArray, gaps: FloatArray, categories: Mapping[str, list[str]]
) -> FloatArray:
    """Return what trees and baselines read of encoded rows.

    These are as many numbers as there are gaps to fill, and 0 or 1 for each value but the first of
    each text.
    """
    import numpy as np

    numbers = features[:, : len(gaps)]
    first = features.shape[1] - len(categories)
    texts = [
        features[:, column] == code
        for column, values in enumerate(categories.values(), first)
        for code in range(1, len(values))
    ]
    return np.column_stack([np.where(np.isnan(numbers), gaps, numbers), *texts])


def encode(rows: pa.Table | pa.RecordBatch, categories: Mapping[str, list[str]]) -> FloatArray:
    """Return rows as numbers: three delivered, two derived, and a code for each column of text.

    A customer who has not paid yet has a total of 0, and their price as the average. Other missing
    numbers are NaN. A text that is not in the categories has the code of the first one.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute as pc

    from lakehouse_assets.ml.sampling import feature_matrix

    tenure, price, total = feature_matrix(rows.select(NUMBERS)).T
    total = np.where(np.isnan(total) & (tenure == 0), 0.0, total)
    with np.errstate(divide="ignore", invalid="ignore"):
        average = np.where(tenure > 0, total / tenure, price)
    # All columns of text at once: for a single row, calls of PyArrow are nearly all of the time.
    columns = [_text(rows[name]) for name in categories]
    values, codes = _codes_of(tuple(map(tuple, categories.values())))
    found = pc.index_in(pa.concat_arrays(columns).fill_null(UNKNOWN), value_set=values)
    places = found.fill_null(len(values)).to_numpy().reshape(len(columns), rows.num_rows)
    texts = np.take_along_axis(codes, places, axis=1).astype(np.float64)
    return np.column_stack([tenure, price, total, average, price - average, *texts])


@cache
def _codes_of(categories: tuple[tuple[str, ...], ...]) -> tuple[Any, Any]:
    """Return all values of all columns, and each column's code of each: 0 for one it lacks.

    The last code of a column is that of a value in no column.
    """
    import numpy as np
    import pyarrow as pa

    values = list(dict.fromkeys(value for column in categories for value in column))
    places = {value: place for place, value in enumerate(values)}
    codes = np.zeros((len(categories), len(values) + 1), np.int64)
    for row, column in zip(codes, categories, strict=True):
        row[[places[value] for value in column]] = range(len(column))
    return pa.array(values, pa.string()), codes


def top_reasons(added: FloatArray, rows: pa.RecordBatch, words: Mapping[str, str]) -> list[Any]:
    """Return the columns that add most to the probability of each row, as text.

    Args:
        added: What each column adds; see `ChurnModel.contributions`.
        rows: The rows.
        words: What columns are called, by name.

    Returns:
        The most important reasons, then the second ones, then the third ones, such as
        `StoreContract is Month-to-month`; null where no further column adds anything.
    """
    import numpy as np
    import pyarrow as pa

    ranked = np.argsort(-added, axis=1, kind="stable")[:, :REASONS]
    more = np.take_along_axis(added, ranked, axis=1) > 0.0
    # Only the columns that are somebody's reason are written as text.
    used = {place: FEATURES[place] for place in np.unique(ranked[more]).tolist()}
    texts = {place: _text(rows[name]).to_pylist() for place, name in used.items()}
    names = {place: words[name] for place, name in used.items()}

    def reason(row: int, place: int, adds: bool) -> str | None:
        text = texts[place][row] if adds else None
        return f"{names[place]} is {'not given' if text is None else text}" if adds else None

    return [
        pa.array(map(reason, range(len(ranked)), *columns), pa.string())
        for columns in zip(ranked.T.tolist(), more.T.tolist(), strict=True)
    ]


def _text(column: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_string(column.type):
        return column
    text = column.cast(pa.string())
    # Without the zeros of whole amounts.
    is_decimal = pa.types.is_decimal(column.type)
    return pc.replace_substring_regex(text, r"\.0+$", "") if is_decimal else text
