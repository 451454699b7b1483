"""Evaluate models of a yes or no: AUC, Brier score, calibration error, and gains with an interval.

The protocol: for each seed, a stratified fifth of the rows is held out; everything is fitted on the
other rows. Gains are estimated on that fifth and on four more that hold out each of the other rows
once, because a single fifth rarely shows a small gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.calibration import calibration_error
from lakehouse_assets.ml.evaluation import Progress
from lakehouse_assets.ml.leaks import HeldOut, findings
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lakehouse_assets.ml.comparison import Interval

    Labels: TypeAlias = npt.NDArray[np.int64]

Predict: TypeAlias = "Callable[[pa.Table], Mapping[str, FloatArray]]"
Fit: TypeAlias = "Callable[[pa.Table, Labels, int], Predict]"
"""Fits all models on rows, labels and a seed, and returns what predicts: probabilities by model."""

REFITTED: Final = "refitted"
"""The project's model, fitted on the training part of a split."""
FOLDS: Final = 5
CONFIDENCE: Final = 0.95


def scores(labels: Labels, probabilities: FloatArray) -> dict[str, float]:
    """Return the AUC, the Brier score, and the calibration error over ten bins of equal width."""
    from sklearn.metrics import roc_auc_score

    return {
        "auc": float(roc_auc_score(labels, probabilities)),
        "brier": float(((probabilities - labels) ** 2).mean()),
        "ece": calibration_error(probabilities, labels),
    }


def realised(labels: Labels, probabilities: FloatArray) -> dict[str, Interval]:
    """Judge probabilities by labels that came later; see `ModelSpec.realised`.

    Returns:
        The AUC, unless all labels are equal; and the calibration error, whose lower bound leaves
        out what calibrated probabilities of so few rows would have by chance.
    """
    import numpy as np

    from lakehouse_assets.ml.calibration import BINS
    from lakehouse_assets.ml.comparison import Interval, auc_interval

    error = calibration_error(probabilities, labels)
    variance = float((probabilities * (1.0 - probabilities)).mean())
    chance = math.sqrt(BINS * variance / len(labels))
    found = {"ece": Interval(error, max(error - chance, 0.0), error)}
    if 1 < labels.sum() < len(labels) - 1:
        found["auc"] = auc_interval(np.asarray(labels), probabilities)
    return found


def corrected_interval(differences: Sequence[float], held_out: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean difference over splits whose training parts overlap.

    The variance is corrected by Nadeau and Bengio (2003): (1/J + test/train) of that over J splits.

    Args:
        differences: A difference for each split, at least two.
        held_out: Share of the rows that a split holds out.
    """
    import numpy as np
    from scipy.stats import t

    count = len(differences)
    spread = float(np.std(differences, ddof=1))
    error = spread * math.sqrt(1.0 / count + held_out / (1.0 - held_out))
    reach = float(t.ppf((1.0 + CONFIDENCE) / 2.0, count - 1)) * error
    mean = float(np.mean(differences))
    return mean - reach, mean + reach


def splits(labels: Labels, seed: int) -> Iterator[tuple[Labels, Labels]]:
    """Yield the rows to fit and the rows to hold out: a random fifth, then each of the others."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold, train_test_split

    rows = np.arange(len(labels))
    rest, first = train_test_split(rows, test_size=1.0 / FOLDS, stratify=labels, random_state=seed)
    yield rest, first
    folds = StratifiedKFold(FOLDS - 1, shuffle=True, random_state=seed)
    for _, places in folds.split(rest, labels[rest]):
        yield np.setdiff1d(rows, rest[places]), rest[places]


def evaluate(
    rows: pa.Table,
    labels: Labels,
    fit: Fit,
    seeds: Sequence[int],
    progress: Progress,
    *,
    reference: str,
) -> dict[str, Any]:
    """Evaluate models by the protocol.

    Args:
        rows: The features.
        labels: Labels of 0 and 1.
        fit: Fits the models; one of them is called `refitted`, and must not memorise single rows.
        seeds: Seeds of the splits.
        progress: Reports progress.
        reference: Name of the simple model that the refitted one is compared with.

    Returns:
        `mean` and `by_seed`, the refitted model's scores; `models`, the mean scores of all models;
        `splits`, on how many splits the scores and the gain were measured; and `gain`, by how much
        the refitted model's AUC exceeds the reference's, with its interval.

    Raises:
        LakehouseError: a split or a result shows a leak.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    by_seed: dict[int, Mapping[str, Mapping[str, float]]] = {}
    gains = []
    with threadpool_limits(limits=1):
        for seed in seeds:
            for number, (fitted, held) in enumerate(splits(labels, seed), 1):
                split = HeldOut(rows.take(fitted), labels[fitted], rows.take(held), labels[held])
                predicted = fit(split.trained, split.trained_labels, seed)(split.rows)
                found = {name: scores(split.labels, p) for name, p in predicted.items()}
                gains.append(found[REFITTED]["auc"] - found[reference]["auc"])
                if number == 1:
                    by_seed[seed] = found
                    refuse(findings(split, predicted, REFITTED, reference))
                progress(
                    f"seed {seed}, split {number} of {FOLDS}: AUC {found[REFITTED]['auc']:.4f}"
                )
    low, high = corrected_interval(gains, 1.0 / FOLDS)
    models = {
        name: {
            metric: float(np.mean([found[name][metric] for found in by_seed.values()]))
            for metric in found[name]
        }
        for name in found
    }
    return {
        "mean": models[REFITTED],
        "by_seed": {str(seed): dict(found[REFITTED]) for seed, found in by_seed.items()},
        "splits": {"scores": len(by_seed), "gain": len(gains)},
        "models": models,
        "gain": {
            "metric": "auc",
            "over": reference,
            "mean": float(np.mean(gains)),
            "low": low,
            "high": high,
            "confidence": CONFIDENCE,
            "splits": len(gains),
        },
    }


def refuse(found: Sequence[str]) -> None:
    """Raise LakehouseError if there are findings of a leak."""
    if found:
        raise LakehouseError(
            f"The evaluation shows a leak: {'; '.join(found)}. Evaluate on rows as they were "
            "delivered, once each, and resample inside the training part only."
        )
