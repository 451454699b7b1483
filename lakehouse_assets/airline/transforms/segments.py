"""Customer value to segments: scores, assignment and summary.

Belongs here: the spec's section 5 but for the clustering itself (`ml/clustering.py`) and naming
(`ml/personas.py`). Pure: labels come in as a frame.
"""

from __future__ import annotations

from lakehouse_assets.airline.tables import GOLD_CUSTOMER_SEGMENTS_ML, GOLD_SEGMENT_SUMMARY
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.ml.personas import UNCATEGORIZED


def with_scores(kpi: DataFrame) -> DataFrame:
    """Add recency, frequency and monetary scores from 1 to 5 (section 5)."""
    days, flights = F.col("days_since_last_flight"), F.col("total_flights")
    points = F.col("total_loyalty_points")
    return kpi.withColumns(
        {
            "recency_score": _score([days <= F.lit(n) for n in (90, 180, 365, 730)]),
            "frequency_score": _score([flights >= F.lit(n) for n in (40, 20, 10, 5)]),
            "monetary_score": _score([points >= F.lit(n) for n in (50_000, 20_000, 10_000, 5_000)]),
        }
    )


def assign(scored: DataFrame, labels: DataFrame) -> DataFrame:
    """Give each customer its segment; without a label it is Uncategorized.

    Args:
        scored: Result of `with_scores`.
        labels: `labelled_key`, `segment` and `segment_name` of clustered customers.
    """
    joined = scored.join(labels, F.col("customer_key") == F.col("labelled_key"), "left")
    return joined.select(
        *scored.columns,
        F.col("segment"),
        F.coalesce(F.col("segment_name"), F.lit(UNCATEGORIZED)).alias("segment_name"),
    ).select(*GOLD_CUSTOMER_SEGMENTS_ML.column_names)


def summarise(segments: DataFrame) -> DataFrame:
    """Profile each segment; columns as declared for `gold_segment_summary`.

    Means are exact sums divided once, so that they do not depend on the order of adding.
    """
    spent = v.mean(F.col("total_spent"), 2)
    summary = segments.groupBy("as_of_month", "segment", "segment_name").agg(
        F.count(F.lit(1)).alias("customer_count"),
        v.mean(F.col("age"), 1).alias("avg_age"),
        v.mean(F.col("total_flights"), 1).alias("avg_flights"),
        v.mean(F.col("total_km_flown"), 0).alias("avg_km"),
        v.mean(F.col("total_loyalty_points"), 0).alias("avg_points"),
        v.mean(F.col("days_since_last_flight"), 0).alias("avg_days_since_flight"),
        spent.alias("avg_spent"),
        spent.alias("avg_revenue"),
        v.mean(F.col("recency_score"), 2).alias("avg_recency"),
        v.mean(F.col("frequency_score"), 2).alias("avg_frequency"),
        v.mean(F.col("monetary_score"), 2).alias("avg_monetary"),
        v.total(F.col("total_spent"), 2).alias("total_spent"),
    )
    return summary.select(*GOLD_SEGMENT_SUMMARY.column_names)


def _score(thresholds: list[Col]) -> Col:
    """Score 5 for the first threshold that holds, then 4, 3, 2; 1 if none does."""
    chosen = F.when(thresholds[0], F.lit(5))
    for score, condition in zip((4, 3, 2), thresholds[1:], strict=True):
        chosen = chosen.when(condition, F.lit(score))
    return chosen.otherwise(F.lit(1)).cast("int")
