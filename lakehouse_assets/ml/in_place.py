"""K-means on rows that stay where they are, for more of them than one process should hold.

Does not belong
here: where centres start (`starting.py`), rows in memory (`clustering.py`), what runs on a batch
(`batch_work.py`).

The figures are those of `clustering.py`, and so is the rule by which refining ends. Each pass adds
up exactly, so that the same rows and starts give the same centres to the bit: on every engine,
however the rows are spread and in whatever order they come. All values of k share the passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.batch_work import (
    SUM_UNIT,
    Measure,
    adding_up,
    feature_matrix,
    moments,
    separations,
    tallies,
)
from lakehouse_assets.ml.silhouettes import FloatArray

# scikit-learn's: refining ends when the centres move less, as a share of the mean variance.
_TOLERANCE: Final = 1e-4
# Hashes of keys are from 0 to this.
_HASHES: Final = 2**60


@dataclass(frozen=True, eq=False)
class KeyedRows:
    """Rows that are clustered where they are.

    Attributes:
        engine: The engine that holds them.
        frame: Rows without missing numbers, kept by the engine: they are read many times.
        key: Column with a key for each row.
        names: The features, numbers of any type.
    """

    engine: Engine
    frame: DataFrame
    key: str
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Treatment:
    """What is taken from each feature, and what it is divided by then, before distances are taken.

    Attributes:
        count: Rows that it was measured on.
        means: Mean of each feature.
        variances: Variance of each feature, over all rows as scikit-learn has it.
        scales: What features are divided by; never 0.
    """

    count: int
    means: FloatArray
    variances: FloatArray
    scales: FloatArray

    @property
    def tolerance(self) -> float:
        """Squared movement of all centres below which refining ends."""
        return _TOLERANCE * float((self.variances / self.scales**2).mean())

    def with_one_scale(self) -> Treatment:
        """Divide all features by the same: clusters are those of the features as they are."""
        scale = math.sqrt(float(self.variances.mean())) or 1.0
        return Treatment(self.count, self.means, self.variances, np.full(len(self.means), scale))

    def apply(self, rows: FloatArray) -> FloatArray:
        """Treat rows in original units."""
        treated: FloatArray = (rows - self.means) / self.scales
        return treated


@dataclass(frozen=True, eq=False)
class Placed:
    """Centres and what their clusters came to over all rows.

    Attributes:
        centres: One row per cluster, treated.
        sizes: Rows per cluster.
        inertia: Sum of squared distances of treated rows to the nearest centre.
        sums: Sum of the treated rows of each cluster.
        squares: Sum of their squares.
    """

    centres: FloatArray
    sizes: tuple[int, ...]
    inertia: float
    sums: tuple[tuple[Fraction, ...], ...] = field(repr=False)
    squares: tuple[Fraction, ...] = field(repr=False)

    def moved(self) -> FloatArray:
        """Return the mean of each cluster; one without rows stays where it is."""
        means = self.centres.copy()
        for place, size in enumerate(self.sizes):
            if size:
                means[place] = [float(total / size) for total in self.sums[place]]
        return means


def measure_features(rows: KeyedRows) -> Treatment:
    """Measure mean and variance of features, and divide each by its standard deviation.

    A constant feature is divided by 1: it tells nobody apart.

    Raises:
        LakehouseError: a value is missing or infinite.
    """
    names = rows.names
    ends = [
        end.alias(f"{name}_{place}")
        for place in range(len(names))
        for end, name in (
            (F.min(F.col(names[place]).cast("double")), "low"),
            (F.max(F.col(names[place]).cast("double")), "high"),
        )
    ]
    (found,) = rows.engine.rows(rows.frame.agg(*ends))
    # Made small by whole numbers and powers of two, squares are not rounded into nothing.
    lows, units = np.zeros(len(names)), np.ones(len(names))
    for place in range(len(names)):
        low, high = found[f"low_{place}"], found[f"high_{place}"]
        if low is not None and math.isfinite(low) and math.isfinite(high):
            lows[place] = math.floor(low)
            units[place] = 2.0 ** -math.frexp(high - lows[place])[1]
    width = len(names)
    ((sums,),) = _exact(rows, [(1, 1 + 2 * width)], moments(lows, units))
    count = int(sums[0])
    means, variances = np.empty(width), np.empty(width)
    for place in range(width):
        mean, square = sums[1 + place] / count, sums[1 + width + place] / count
        means[place] = float(Fraction(lows[place]) + mean / Fraction(units[place]))
        variances[place] = float((square - mean**2) / Fraction(units[place]) ** 2)
        low, high = found[f"low_{place}"], found[f"high_{place}"]
        if low == high:
            means[place], variances[place] = low, 0.0
    scales = np.sqrt(np.where(variances > 0.0, variances, 1.0))
    return Treatment(count, means, variances, scales)


def place(rows: KeyedRows, treatment: Treatment, models: Sequence[FloatArray]) -> list[Placed]:
    """Give all rows to the nearest centre of each model, in one pass, and count them."""
    width = len(rows.names)
    shapes = [(len(centres), 3 + width) for centres in models]
    measure = tallies(treatment.means, treatment.scales, models)
    tables = _exact(rows, shapes, measure)
    return [
        Placed(
            centres=centres,
            sizes=tuple(int(row[0]) for row in table),
            inertia=float(sum((row[-1] for row in table), Fraction())),
            sums=tuple(tuple(row[1 : 1 + width]) for row in table),
            squares=tuple(row[1 + width] for row in table),
        )
        for centres, table in zip(models, tables, strict=True)
    ]


def refine(
    rows: KeyedRows,
    treatment: Treatment,
    starts: Mapping[int, Sequence[FloatArray]],
    max_iter: int,
) -> dict[int, Placed]:
    """Move the best start of each k to the means of its clusters until it hardly moves (Lloyd).

    Args:
        rows: The rows.
        treatment: How they are treated.
        starts: For each k, treated centres to start from, at least one.
        max_iter: Most moves.

    Returns:
        For each k the centres, and what their clusters came to.
    """
    every = [(k, start) for k, several in starts.items() for start in several]
    placed = place(rows, treatment, [start for _, start in every])
    best: dict[int, Placed] = {}
    for (k, _), found in zip(every, placed, strict=True):
        if k not in best or found.inertia < best[k].inertia:
            best[k] = found
    moving = list(best)
    for _ in range(max_iter):
        moved = {k: best[k].moved() for k in moving}
        shifts = {k: float(((moved[k] - best[k].centres) ** 2).sum()) for k in moving}
        # The last, small move is made as well; centres that stay need no pass.
        moving = [k for k in moving if shifts[k] > 0.0]
        if not moving:
            break
        again = place(rows, treatment, [moved[k] for k in moving])
        best |= dict(zip(moving, again, strict=True))
        moving = [k for k in moving if shifts[k] > treatment.tolerance]
    return best


def silhouettes(rows: KeyedRows, treatment: Treatment, models: Sequence[Placed]) -> list[float]:
    """Return the squared-Euclidean silhouette of each model over all rows, in one pass.

    It is that of `silhouettes.silhouette_squared_euclidean`; NaN where there is one cluster only.
    """
    judged = [model for model in models if sum(size > 0 for size in model.sizes) > 1]
    measured = []
    for model in judged:
        # No row is nearest to a centre without rows, so that leaving it out changes no cluster.
        full = [number for number, size in enumerate(model.sizes) if size]
        middles = [[float(t / model.sizes[n]) for t in model.sums[n]] for n in full]
        mean_squares = [float(model.squares[n] / model.sizes[n]) for n in full]
        sizes = [float(model.sizes[n]) for n in full]
        measured.append(
            (model.centres[full], np.array(sizes), np.array(middles), np.array(mean_squares))
        )
    measure = separations(treatment.means, treatment.scales, measured)
    tables = iter(_exact(rows, [(1, 1)] * len(judged), measure) if judged else [])
    return [
        float(next(tables)[0][0] / treatment.count) if model in judged else math.nan
        for model in models
    ]


def sample_by_key(rows: KeyedRows, seed: int, number: int, total: int) -> FloatArray:
    """Fetch the features of so many of all rows, or of all if there are fewer.

    Which ones depends on their keys and the seed alone, not on engines or the order of rows: those
    whose hash is least. They come in the order of the key.
    """
    names = list(rows.names)
    wanted = min(number, total)
    # Hashes are spread evenly, so that hardly more than wanted are below a bound.
    share = (wanted + 6.0 * math.sqrt(wanted) + 10.0) / max(total, 1)
    key = F.col(rows.key)
    hashed = rows.frame.select(
        v.hash_key(F.lit(seed), key).alias("_hash"), key.alias("_key"), *names
    )
    for bound in (share, 2.0 * share, 1.0):
        chosen = hashed
        if bound < 1.0:
            chosen = hashed.filter(F.col("_hash") < F.lit(int(bound * _HASHES)))
        fetched = rows.engine.arrow_stream(chosen).read_all()
        if fetched.num_rows >= wanted:
            break
    fetched = fetched.sort_by([("_hash", "ascending"), ("_key", "ascending")]).slice(0, wanted)
    fetched = fetched.sort_by("_key").select(names).combine_chunks()
    parts = [feature_matrix(batch) for batch in fetched.to_batches()]
    return np.concatenate([np.empty((0, len(names))), *parts])


def digest_of_rows(rows: KeyedRows) -> str:
    """Return a text that is the same for the same rows, whatever their order and the engine.

    The hashes of the rows are added up. Hash the columns as they are stored: a double is not
    written in the same way everywhere.
    """
    each = v.hash_key(*map(F.col, (rows.key, *rows.names))).cast("decimal(38,0)")
    (found,) = rows.engine.rows(
        rows.frame.agg(F.count(F.lit(1)).alias("n"), F.sum(each).cast("string").alias("total"))
    )
    return f"rows:{found['n']}:{found['total']}"


def distinct_rows(rows: KeyedRows, sample: FloatArray, most: int) -> int:
    """Count distinct rows up to a number, which a sample nearly always reaches."""
    found = len(np.unique(sample, axis=0))
    if found < most:
        distinct = rows.frame.select(*rows.names).distinct().limit(most)
        found = int(rows.engine.rows(distinct.agg(F.count(F.lit(1)).alias("n")))[0]["n"])
    return min(found, most)


def _exact(
    rows: KeyedRows, shapes: Sequence[tuple[int, int]], measure: Measure
) -> list[list[list[Fraction]]]:
    """Add up what is measured over all rows: tables of exact sums."""
    import pyarrow as pa

    result = pa.schema([("totals", pa.string())])
    work = adding_up(rows.names, shapes, measure, result)
    parts = rows.engine.fold_batches(rows.frame, rows.names, result, work)["totals"].to_pylist()
    numbers: Any = [0] * sum(groups * width for groups, width in shapes)
    for part in parts:
        numbers = [a + int(b) for a, b in zip(numbers, part.split(" "), strict=True)]
    unit = Fraction(SUM_UNIT)
    left = iter(numbers)
    return [[[next(left) * unit for _ in range(width)] for _ in range(g)] for g, width in shapes]
