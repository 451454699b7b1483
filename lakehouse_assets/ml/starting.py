"""Where centres start when there are more rows than one process should hold.

Does not belong here: refining them (`in_place.py`), which makes both the same kind of model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.clustering import ClusteringConfig, find_centres
from lakehouse_assets.ml.in_place import KeyedRows, Treatment, sample_by_key
from lakehouse_assets.ml.silhouettes import FloatArray

if TYPE_CHECKING:
    from pyspark.sql import Column

# Rows of one partition while Spark ML looks for centres: 20 MB of ten features.
_PARTITION_ROWS: Final = 250_000
# Standard deviations to this many decimals. Spark adds up in the order in which its tasks end, so
# that later decimals differ from run to run.
_DECIMALS: Final = 6


def spark_starts(
    rows: KeyedRows,
    treatment: Treatment,
    starts: Mapping[int, int],
    config: ClusteringConfig,
) -> dict[int, list[FloatArray]]:
    """Cluster rows with Spark ML, from several starts for each k.

    k-means|| draws from each partition by its number and the order of its rows. So rows are put
    into partitions by their key, as many as their number asks for, and sorted: a cluster of another
    size, or other settings, draws the same.

    Args:
        rows: Rows of a Spark session, classic or Connect.
        treatment: How they are treated.
        starts: How many starts each k gets.
        config: Seed and iterations.

    Returns:
        For each k the centres that each start came to, treated and rounded.

    Raises:
        LakehouseError: no start found as many centres as asked for.
    """
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions

    def treated(place: int) -> Column:
        mean, scale = float(treatment.means[place]), float(treatment.scales[place])
        return (functions.col(rows.names[place]).cast("double") - functions.lit(mean)) / scale

    parts = -(-treatment.count // _PARTITION_ROWS)
    vector = array_to_vector(functions.array(*map(treated, range(len(rows.names)))))
    vectors = (
        rows.frame.select(rows.key, vector.alias("features"))
        .repartition(parts, rows.key)
        .sortWithinPartitions(rows.key)
        .persist()
    )
    found: dict[int, list[FloatArray]] = {}
    try:
        for k, number in starts.items():
            for seed in range(config.seed, config.seed + number):
                model = KMeans(k=k, seed=seed, maxIter=config.max_iter)
                centres = np.round(np.array(model.fit(vectors).clusterCenters()), _DECIMALS)
                # Fewer come out where the rows it drew were too alike.
                if len(centres) == k:
                    found.setdefault(k, []).append(centres[np.lexsort(centres.T[::-1])])
    finally:
        vectors.unpersist()
    missing = [str(k) for k in starts if k not in found]
    if missing:
        raise LakehouseError(
            f"Spark ML found fewer than {', '.join(missing)} clusters; lower k, or leave it out of "
            "the sweep."
        )
    return found


def sample_starts(
    rows: KeyedRows,
    treatment: Treatment,
    starts: Mapping[int, int],
    config: ClusteringConfig,
    number: int,
) -> dict[int, list[FloatArray]]:
    """Cluster a sample of so many rows with scikit-learn.

    Raises:
        LakehouseError: the sample has too few different rows.
    """
    sample = sample_by_key(rows, config.seed, number, treatment.count)
    distinct = len(np.unique(sample, axis=0))
    if distinct < max(starts):
        raise LakehouseError(
            f"A sample of {len(sample):,} rows holds {distinct} different ones, too few for "
            f"{max(starts)} clusters; raise LAKEHOUSE_TRAINING_ROWS or lower k and the sweep."
        )
    found = find_centres(treatment.apply(sample), starts, config)
    return {k: [centres] for k, centres in found.items()}
