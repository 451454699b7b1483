"""The reference lab's small segment model: clusters on flights and points only, unscaled."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Column, same_month
from lakehouse_assets.domains.airline.gold.customers import CUSTOMER
from lakehouse_assets.domains.airline.gold.value import FACT_FLIGHTS, FLIGHTS_TOTAL, POINTS
from lakehouse_assets.domains.airline.models.kmeans import ClusteringConfig, unscaled_centres
from lakehouse_assets.domains.airline.models.segments import centre_scorer
from lakehouse_assets.domains.airline.shared import gold
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.ml.sampling import feature_matrix, fetch_sample

CUSTOMER_SEGMENTS_ML = gold(
    "customer_segments_ml",
    "One row per member: one of five k-means clusters on flights and points, without scaling. "
    "Segment 0 has the fewest points and 4 the most in every month, because unscaled points "
    "dominate the distance.",
    (CUSTOMER, Column("segment", "int", "Cluster, numbered by ascending mean of points.", False,
                      "code"),
     FLIGHTS_TOTAL, POINTS),
    ("customer_key",),
    kind="snapshot",
    layer="segments",
    references=(same_month(("customer_key",), "dim_customers"),),
)  # fmt: skip


FEATURES = ("total_flights", "total_loyalty_points")
# Unscaled points have many local optima: the best of ten starts was up to 5 % worse than the best
# of fifty and differed from month to month, so that members changed clusters without flying.
SETTINGS = ClusteringConfig(k=5, seed=42, n_init=50, sweep=())


def small_segments(flying: DataFrame, engine: Engine, training_rows: int) -> DataFrame:
    """Cluster members; columns as declared for `customer_segments_ml`.

    Args:
        flying: The month's rows of `fact_flights`.
        engine: The engine of the rows.
        training_rows: Maximum number of rows fetched to fit.
    """
    import numpy as np
    import pyarrow as pa

    flying = engine.checkpoint(flying)
    sample = fetch_sample(engine, flying, "customer_key", FEATURES, training_rows)
    centres = np.zeros((1, len(FEATURES)))
    if sample.total:
        centres = unscaled_centres(feature_matrix(sample.rows.select(FEATURES)), SETTINGS)
    scorer = centre_scorer(np.zeros(len(FEATURES)), np.ones(len(FEATURES)), centres)
    scored = engine.add_columns(flying, FEATURES, pa.schema([("cluster", pa.int32())]), scorer)
    return (
        scored.filter(F.col("cluster").isNotNull())
        .withColumn("segment", F.col("cluster"))
        .select(*CUSTOMER_SEGMENTS_ML.column_names)
    )


GOLD = (GoldTable(CUSTOMER_SEGMENTS_ML, small_segments, {"flying": FACT_FLIGHTS}),)
