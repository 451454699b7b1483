"""The quality log: the latest verdict of every rule on every partition."""

from __future__ import annotations

from lakehouse_assets.engine import DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.tables import QUALITY_RULES


def latest_verdicts(events: DataFrame) -> DataFrame:
    """Reduce `quality_events` to `quality_rules`: the latest verdict by partition and rule."""
    identity = ("table_name", "partition", "rule")
    order = W.partitionBy(*identity).orderBy(
        F.col("recorded_at").desc_nulls_last(), F.col("run_id").desc_nulls_last()
    )
    # Older versions wrote verdicts on ranges, which would repeat those on single partitions.
    evaluated = events.filter(
        (F.col("kind") != F.lit("figure")) & ~F.col("partition").contains(F.lit("..."))
    )
    ranked = evaluated.select(
        *events.columns,
        F.row_number().over(order).alias("place"),
        F.count(F.lit(1)).over(W.partitionBy(*identity)).alias("runs"),
    )
    rate = v.ratio(F.col("rows") - F.col("failing_rows"), F.col("rows"))
    latest = ranked.filter(F.col("place") == F.lit(1)).withColumn("pass_rate", rate)
    return latest.select(*QUALITY_RULES.column_names)
