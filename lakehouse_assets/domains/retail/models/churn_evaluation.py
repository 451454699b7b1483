"""`lakehouse models evaluate churn`: the model and its baselines on a user's file of customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.datasets.customers import YES_NO
from lakehouse_assets.domains.retail.models.churn import (
    KEY,
    LABEL,
    SOURCES,
    ChurnSettings,
    check_customers,
    fit_baselines,
    fit_churn,
)
from lakehouse_assets.domains.retail.models.churn_model import FEATURES, NUMBERS, TEXTS, sigmoid
from lakehouse_assets.domains.retail.shared import NOTHING
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress, parse_seeds
from lakehouse_assets.ml.sampling import FloatArray
from lakehouse_assets.ml.spec import CannotFitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Labels = npt.NDArray[np.int64]

# No number of a customer's is larger.
_MOST: Final = 1e12
_YES: Final = ("yes", "y", "true", "t", "1", "1.0")
_NO: Final = ("no", "n", "false", "f", "0", "0.0")


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

    from lakehouse_assets.ml.data_files import read_csv, unusable
    from lakehouse_assets.ml.leaks import repeated

    needed = [SOURCES[name] for name in (*FEATURES, LABEL)]
    text = read_csv(path, needed, NOTHING)
    columns = {name: _number(path, text, SOURCES[name]) for name in NUMBERS}
    columns |= {name: _text(text[SOURCES[name]]) for name in TEXTS}
    label = _text(text[SOURCES[LABEL]])
    for place, value in enumerate(label.to_pylist()):
        if value not in (*YES_NO, None):
            raise unusable(path, place, SOURCES[LABEL], value, "write Yes or No, or leave it empty")
    known = pc.and_(label.is_valid(), columns["total_amount"].is_valid())
    rows = pa.table(columns).filter(known)
    labels = pc.equal(label.filter(known), YES_NO[0]).to_numpy().astype("int64")
    if SOURCES[KEY] in text.column_names:
        twice = repeated(text[SOURCES[KEY]].filter(known).to_pylist())
        if twice:
            raise LakehouseError(
                f"{path} has {len(twice)} customers in several rows; keep one row of each. A model "
                "must not be tested on customers that it was fitted on."
            )
    try:
        check_customers(text.drop_columns([SOURCES[LABEL]]).filter(known), labels)
    except CannotFitError as error:
        raise LakehouseError(f"{path}: {error}") from None
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
    """Read a column of numbers that are not negative."""
    import pyarrow as pa

    from lakehouse_assets.ml.data_files import numbers_of

    remedy = f"write a number from 0 to {_MOST:.0e}, with a point for decimals, or leave it empty"
    found = numbers_of(path, text, name, lambda number: 0 <= number <= _MOST, remedy, blanks=True)
    return pa.chunked_array([pa.array(found, from_pandas=True)])


def evaluate_churn(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluate the model and its baselines on a file; see `Evaluation.run`."""
    from lakehouse_assets.ml.binary import REFITTED, evaluate

    rows, labels, others = read_customers(arguments["data"])
    progress(
        f"{len(labels)} customers, {labels.sum()} of whom left; {others} without Churn or "
        f"TotalAmount skipped"
    )

    def fit(
        trained: pa.Table, trained_labels: Labels, seed: int
    ) -> Callable[[pa.Table], dict[str, FloatArray]]:
        model, _ = fit_churn(trained, trained_labels, ChurnSettings(seed=seed))
        baselines = fit_baselines(trained, trained_labels)

        def predict(asked: pa.Table) -> dict[str, FloatArray]:
            candidates = {n: sigmoid(found) for n, found in model.logits(asked).items()}
            return {REFITTED: model.predict(asked), **candidates, **baselines(asked)}

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
        "Evaluate the churn model on a file of customers. For each seed, a stratified fifth of the "
        "customers with Churn and TotalAmount is held out, and the model is fitted again on the "
        "others; the registered champion is not used. "
        "Prints AUC, Brier score and calibration error (ECE, ten bins of equal width) by seed and "
        "on average, the averages of candidates and baselines, and the gain in AUC over the plain "
        "logistic regression with its corrected 95 % interval. The scores are those of one split "
        "per seed. The gain is over five splits per seed, so it may differ from their difference."
    ),
    arguments=(
        Argument(
            "data",
            "CSV file of customers, plain or .gz, with the columns "
            + ", ".join(SOURCES[name] for name in (*FEATURES, LABEL))
            + " in any order. CustomerID is read if present. Other columns are ignored, but a copy "
            "of Churn is refused.",
            parse=Path,
        ),
        Argument("seeds", "Seeds of the splits, such as 0-4 or 0,3,7.", "0-4", parse_seeds),
    ),
    run=evaluate_churn,
)
