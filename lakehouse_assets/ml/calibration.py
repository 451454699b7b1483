"""How far predicted probabilities are from how often the predictions are right."""

from __future__ import annotations

from typing import Any, Final

from lakehouse_assets.ml.sampling import FloatArray

BINS: Final = 10


def calibration_error(probabilities: FloatArray, right: Any) -> float:
    """Return the expected calibration error (ECE) over ten bins of equal width.

    Args:
        probabilities: Probability of each prediction, from 0 to 1.
        right: Whether each came true, as 0 and 1 or as booleans.
    """
    import numpy as np

    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    surplus = np.bincount(bins, probabilities - right)
    return float(np.abs(surplus).sum() / len(probabilities))
