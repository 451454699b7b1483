"""How well clusters are separated: two silhouettes, which are different metrics.

Does not belong here: fitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from lakehouse_assets.errors import LakehouseError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

# Distances are computed in blocks of this many rows: 512 x 5,000 doubles are 20 MB.
_BLOCK_ROWS: Final = 512


def silhouette_squared_euclidean(rows: FloatArray, labels: npt.ArrayLike) -> float:
    """Mean silhouette under the squared Euclidean distance, exact and linear in the rows.

    This is the figure of Spark's ClusteringEvaluator. It is a different metric from
    scikit-learn's Euclidean silhouette and usually larger: name which one is meant. The mean
    squared distance of x to a cluster of n rows follows from the cluster's sums alone:
    |x|^2 + (sum of |y|^2)/n - 2 x.(sum of y)/n. A row alone in its cluster counts as 0.

    Args:
        rows: Rows by columns, in the units in which the distance is meant (standardised).
        labels: Cluster id of each row, any whole numbers.

    Returns:
        The mean over all rows, from -1 to 1.

    Raises:
        LakehouseError: If the lengths differ or there are fewer than two clusters.
    """
    ids, codes = np.unique(np.asarray(labels), return_inverse=True)
    if rows.ndim != 2 or len(codes) != len(rows):
        msg = f"There are {len(codes)} labels for rows of shape {rows.shape}; pass one label a row."
        raise LakehouseError(msg)
    if len(ids) < 2:
        msg = "A silhouette needs at least two clusters; fit with a larger k."
        raise LakehouseError(msg)
    # Distances do not change when everything moves, and near the origin less cancels out.
    centred = rows - rows.mean(axis=0)
    squares = np.einsum("ij,ij->i", centred, centred)
    sizes = np.bincount(codes).astype(np.float64)
    means = _one_hot(codes, len(ids)).T @ centred / sizes[:, None]
    mean_squares = np.bincount(codes, weights=squares) / sizes
    distances = squares[:, None] + mean_squares - 2.0 * (centred @ means.T)
    # Rounding can push the distance between equal rows just below zero.
    np.maximum(distances, 0.0, out=distances)
    return float(silhouette_of_rows(distances * sizes, codes, sizes).mean())


def silhouettes_euclidean(rows: FloatArray, labelings: Sequence[IntArray]) -> list[float]:
    """Euclidean mean silhouette of several labelings, sharing one pass over the distances.

    Equal to scikit-learn's silhouette_score for each. The pairwise distances are the expensive
    part and do not depend on the labels, so a sweep pays for them once. A labeling with a single
    cluster among the rows has no silhouette: NaN.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    coded = [np.unique(labels, return_inverse=True)[1] for labels in labelings]
    widths = [int(codes.max()) + 1 for codes in coded]
    indicator = np.hstack(
        [_one_hot(codes, width) for codes, width in zip(coded, widths, strict=True)]
    )
    squares = np.einsum("ij,ij->i", rows, rows)[:, None]
    sums = np.empty((len(rows), indicator.shape[1]))
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        distances = euclidean_distances(
            rows[block], rows, X_norm_squared=squares[block], Y_norm_squared=squares.T
        )
        # The distance of a row to itself is zero by definition, not by rounding.
        at = np.arange(start, min(start + _BLOCK_ROWS, len(rows)))
        distances[at - start, at] = 0.0
        sums[block] = distances @ indicator
    scores = []
    for codes, part in zip(coded, np.split(sums, np.cumsum(widths)[:-1], axis=1), strict=True):
        if part.shape[1] < 2:
            scores.append(float("nan"))
            continue
        sizes = np.bincount(codes).astype(np.float64)
        scores.append(float(silhouette_of_rows(part, codes, sizes).mean()))
    return scores


def silhouette_of_rows(
    sums: FloatArray, codes: npt.NDArray[np.intp], sizes: FloatArray
) -> FloatArray:
    """Silhouette of each row from its summed distances to each cluster, shape (n, clusters)."""
    at = np.arange(len(codes))
    own_size = sizes[codes]
    inner = sums[at, codes] / np.maximum(own_size - 1.0, 1.0)
    others = sums / sizes
    others[at, codes] = np.inf
    outer = others.min(axis=1)
    larger = np.maximum(inner, outer)
    scores = np.divide(outer - inner, larger, out=np.zeros_like(larger), where=larger > 0.0)
    scores[own_size == 1.0] = 0.0
    return np.asarray(scores, dtype=np.float64)


def _one_hot(codes: npt.NDArray[np.intp], width: int) -> FloatArray:
    """Indicator matrix of codes 0 to width - 1."""
    matrix = np.zeros((len(codes), width))
    matrix[np.arange(len(codes)), codes] = 1.0
    return matrix
