"""The segment assets of the airline domain: the model, its summary, and the lab's small model."""

from collections.abc import Mapping, Sequence

import dagster as dg

from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.models.kmeans import ClusteringConfig, unscaled_centres
from lakehouse_assets.domains.airline.models.segments import SEGMENTS, centre_scorer
from lakehouse_assets.domains.airline.transforms.segments import summarise
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.ml.sampling import feature_matrix, fetch_sample
from lakehouse_assets.orchestration.model_assets import monthly_model_asset
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.table_assets import BuildContext, monthly_asset, of_month

SMALL_MODEL_FEATURES = ("total_flights", "total_loyalty_points")
# Unscaled points have many local optima: of ten starts the best was up to 5 % worse than the best
# of fifty, and another one each month, so that members changed clusters without flying.
SMALL_MODEL = ClusteringConfig(k=5, seed=42, n_init=50, sweep=())


def segment_assets(calendar: Calendar, training_rows: int) -> Sequence[dg.AssetsDefinition]:
    """Make the segment assets, whose models are fitted on so many customers at most."""
    return (
        monthly_model_asset(
            SEGMENTS, t.GOLD_CUSTOMER_SEGMENTS_ML, t.KPI_CUSTOMER_VALUE, calendar, training_rows
        ),
        monthly_asset(
            t.GOLD_SEGMENT_SUMMARY,
            lambda ctx, f: summarise(of_month(f["gold_customer_segments_ml"], ctx)),
            calendar.monthly,
            {t.GOLD_CUSTOMER_SEGMENTS_ML: None},
        ),
        monthly_asset(
            t.CUSTOMER_SEGMENTS_ML,
            lambda ctx, f: _small_model(ctx, f, training_rows),
            calendar.monthly,
            {t.FACT_FLIGHTS: None},
        ),
    )


def _small_model(
    ctx: BuildContext, frames: Mapping[str, DataFrame], training_rows: int
) -> DataFrame:
    """Cluster on flights and points alone, unscaled, as the lab's first version does."""
    import numpy as np
    import pyarrow as pa

    engine, names = ctx.lake.engine, SMALL_MODEL_FEATURES
    flying = engine.checkpoint(of_month(frames["fact_flights"], ctx))
    sample = fetch_sample(engine, flying, "customer_key", names, training_rows)
    centres = np.zeros((1, len(names)))
    if sample.total:
        centres = unscaled_centres(feature_matrix(sample.rows.select(names)), SMALL_MODEL)
    scorer = centre_scorer(np.zeros(len(names)), np.ones(len(names)), centres)
    scored = engine.add_columns(flying, names, pa.schema([("cluster", pa.int32())]), scorer)
    return (
        scored.filter(F.col("cluster").isNotNull())
        .withColumn("segment", F.col("cluster"))
        .select(*t.CUSTOMER_SEGMENTS_ML.column_names)
    )
