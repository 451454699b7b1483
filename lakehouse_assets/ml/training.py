"""Training on the rows of a frame: fetched up to a bound, where they are beyond it.

Does not belong here:
clustering itself (`clustering.py`), tracking, tables, Dagster.

Beyond the bound nothing grows with the rows but the number of passes over them. Starts come from
Spark ML on Spark, and from a sample of the bound's size on the embedded engine; both are refined
on all rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.adoption import InPlaceFit
from lakehouse_assets.ml.clustering import (
    SILHOUETTE_SAMPLE_ROWS,
    ClusteringConfig,
    cluster_unscaled,
    starts_of_each_k,
)
from lakehouse_assets.ml.in_place import (
    KeyedRows,
    Treatment,
    digest_of_rows,
    distinct_rows,
    measure_features,
    refine,
    sample_by_key,
    silhouettes,
)
from lakehouse_assets.ml.scoring import Centres, score_frame
from lakehouse_assets.ml.segmentation import Segmentation, adopt, train
from lakehouse_assets.ml.silhouettes import FloatArray
from lakehouse_assets.ml.starting import sample_starts, spark_starts

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Trained:
    """Rows with their clusters.

    Attributes:
        rows: Rows that have all features.
        segmentation: What training found; None where there are fewer rows than clusters.
        labels: `labelled_key` and `cluster` of those rows; cluster 0 is the most valuable.
        input_digest: Digest of the rows, whatever their order.
    """

    rows: int
    segmentation: Segmentation | None
    labels: DataFrame
    input_digest: str


def train_segments(
    engine: Engine,
    frame: DataFrame,
    key: str,
    names: Sequence[str],
    config: ClusteringConfig,
    bound: int,
) -> Trained:
    """Cluster the rows that have all features, and label them with their clusters.

    Args:
        engine: The engine of the frame.
        frame: Rows, kept by the engine: they are read many times.
        key: Column with a whole number for each row, its key.
        names: The features.
        config: Settings.
        bound: Most rows that are fetched.

    Raises:
        LakehouseError: fewer distinct rows than clusters.
    """
    rows = _complete(engine, frame, key, names)
    number = _count(rows)
    if number < config.k:
        return Trained(number, None, _labels(engine, _fetch(rows).slice(0, 0)), "")
    if number <= bound:
        fetched = _fetch(rows)
        found = train(_matrix(fetched), rows.names, config)
        labels = _labels(engine, fetched, found.result.labels)
        return Trained(number, found, labels, _digest(fetched))
    fit = _fit_in_place(rows, config, bound)
    found = adopt(fit, config)
    labels = _labelled(rows, fit.treatment, found.result.centres_standardised)
    return Trained(number, found, labels, digest_of_rows(rows))


def label_unscaled(
    engine: Engine,
    frame: DataFrame,
    key: str,
    names: Sequence[str],
    config: ClusteringConfig,
    bound: int,
) -> DataFrame:
    """Cluster rows as they are, and label each with the rank of its centre in the last feature.

    With fewer distinct rows than clusters there are as many clusters as those.

    Args:
        engine: The engine of the frame.
        frame: Rows, kept by the engine; those that lack a feature get no label.
        key: Column with a whole number for each row, its key.
        names: The features.
        config: Settings; the sweep is left out.
        bound: Most rows that are fetched.

    Returns:
        `labelled_key` and `cluster`.
    """
    rows = _complete(engine, frame, key, names)
    if _count(rows) <= bound:
        fetched = _fetch(rows)
        return _labels(engine, fetched, cluster_unscaled(_matrix(fetched), config))
    treatment = measure_features(rows).with_one_scale()
    sample = sample_by_key(rows, config.seed, SILHOUETTE_SAMPLE_ROWS, treatment.count)
    k = distinct_rows(rows, sample, config.k)
    if k == 1:
        centres = np.zeros((1, len(names)))
    else:
        starts = sample_starts(rows, treatment, {k: config.n_init}, config, bound)
        centres = refine(rows, treatment, starts, config.max_iter)[k].centres
    centres = centres[np.argsort(centres[:, -1], kind="stable")]
    return _labelled(rows, treatment, centres)


def _fit_in_place(rows: KeyedRows, config: ClusteringConfig, bound: int) -> InPlaceFit:
    treatment = measure_features(rows)
    sample = sample_by_key(rows, config.seed, SILHOUETTE_SAMPLE_ROWS, treatment.count)
    distinct = distinct_rows(rows, sample, max(config.k, *config.sweep, 0))
    if distinct < config.k:
        raise LakehouseError(
            f"There are only {distinct} distinct rows for {config.k} clusters; lower k."
        )
    wanted = starts_of_each_k(config, distinct)
    starts, trained_by = _starts(rows, treatment, wanted, config, bound)
    models = refine(rows, treatment, starts, config.max_iter)
    figures = silhouettes(rows, treatment, list(models.values()))
    return InPlaceFit(
        feature_names=rows.names,
        treatment=treatment,
        models=models,
        silhouettes=dict(zip(models, figures, strict=True)),
        starts=wanted,
        sample=sample,
        trained_by=trained_by,
    )


def _starts(
    rows: KeyedRows,
    treatment: Treatment,
    wanted: Mapping[int, int],
    config: ClusteringConfig,
    bound: int,
) -> tuple[Mapping[int, Sequence[FloatArray]], str]:
    """Find centres to start from, and say how the model came to be."""
    if rows.engine.name == "spark":
        found = spark_starts(rows, treatment, wanted, config)
        return found, "Spark ML on all rows, refined on all rows"
    found = sample_starts(rows, treatment, wanted, config, bound)
    return found, f"scikit-learn on a sample of {bound} rows, refined on all rows"


def _complete(engine: Engine, frame: DataFrame, key: str, names: Sequence[str]) -> KeyedRows:
    """Leave out the rows that lack a feature."""
    there = reduce(lambda a, b: a & b, [F.col(name).isNotNull() for name in names])
    return KeyedRows(engine, frame.filter(there).select(key, *names), key, tuple(names))


def _count(rows: KeyedRows) -> int:
    return int(rows.engine.rows(rows.frame.agg(F.count(F.lit(1)).alias("n")))[0]["n"])


def _fetch(rows: KeyedRows) -> pa.Table:
    """Fetch rows in the order of their keys."""
    doubles = [F.col(name).cast("double").alias(name) for name in rows.names]
    frame = rows.frame.select(rows.key, *doubles)
    return rows.engine.arrow_stream(frame).read_all().sort_by(rows.key)


def _matrix(fetched: pa.Table) -> FloatArray:
    columns = [column.to_numpy() for column in fetched.columns[1:]]
    return np.column_stack(columns).astype(np.float64)


def _labels(engine: Engine, rows: pa.Table, clusters: Any = ()) -> DataFrame:
    """Label rows with the cluster of each."""
    import pyarrow as pa

    return engine.from_arrow(
        pa.table({"labelled_key": rows.column(0), "cluster": pa.array(clusters, pa.int32())})
    )


def _labelled(rows: KeyedRows, treatment: Treatment, centres: FloatArray) -> DataFrame:
    """Label rows where they are."""
    model = Centres(treatment.means, treatment.scales, centres)
    scored = score_frame(rows.engine, rows.frame, model, rows.names)
    return scored.select(F.col(rows.key).alias("labelled_key"), F.col("cluster"))


def _digest(rows: pa.Table) -> str:
    """Hash the training rows: keys and features in order."""
    digest = hashlib.sha256()
    for name in rows.column_names:
        digest.update(name.encode())
        digest.update(rows[name].to_numpy().tobytes())
    return digest.hexdigest()
