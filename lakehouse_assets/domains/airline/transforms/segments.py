"""Customer value to segments: scores, personas and their summary (specification, section 5)."""

from __future__ import annotations

from lakehouse_assets.domains.airline.models.personas import (
    AT_RISK,
    FEW_FLIGHTS_BELOW,
    LOYAL,
    NEW,
    NEW_WITHIN_DAYS,
    OCCASIONAL,
    PERSONAS,
    PREMIUM,
    UNCATEGORIZED,
    UNCATEGORIZED_RULE,
)
from lakehouse_assets.domains.airline.tables import GOLD_CUSTOMER_SEGMENTS_ML, GOLD_SEGMENT_SUMMARY
from lakehouse_assets.domains.airline.transforms.gold import ACTIVE_STATUS
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v


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


def with_personas(clustered: DataFrame) -> DataFrame:
    """Give each customer its cluster and persona; without a cluster it is Uncategorized.

    Each persona is a rule on the member, in words in `personas.py`, of which exactly one holds. So
    a persona changes only with what the member did, except that the clustering of the month tells
    the elite among the frequent flyers. Bounds belong to the better side: 10 flights are not few,
    365 days since joining are new, 90 days since the last flight are active.

    Args:
        clustered: Result of `with_scores`, with `cluster`: 0 is the most valuable one, and it is
            null where a feature is missing.

    Returns:
        Rows of `gold_customer_segments_ml`.
    """
    few = F.col("total_flights") < F.lit(FEW_FLIGHTS_BELOW)
    new = F.col("days_since_joining") <= F.lit(NEW_WITHIN_DAYS)
    active = F.col("customer_status") == F.lit(ACTIVE_STATUS)
    code = (
        F.when(F.col("cluster").isNull(), F.lit(None))
        .when(few & new, F.lit(NEW.code))
        .when(~active, F.lit(AT_RISK.code))
        .when(few, F.lit(OCCASIONAL.code))
        .when(F.col("cluster") == F.lit(0), F.lit(PREMIUM.code))
        .otherwise(F.lit(LOYAL.code))
    )
    named = clustered.withColumn("segment", code.cast("int"))
    name = _of_persona({p.code: p.name for p in PERSONAS}, UNCATEGORIZED)
    return named.withColumn("segment_name", name).select(*GOLD_CUSTOMER_SEGMENTS_ML.column_names)


def _of_persona(texts: dict[int, str], otherwise: str) -> Col:
    """Choose a text by the column `segment`."""
    chosen = F.lit(otherwise)
    for code, text in texts.items():
        chosen = F.when(F.col("segment") == F.lit(code), F.lit(text)).otherwise(chosen)
    return chosen


def summarise(segments: DataFrame) -> DataFrame:
    """Profile each segment; columns as declared for `gold_segment_summary`.

    Means are exact sums divided once, so that they do not depend on the order of adding.
    """
    summary = segments.groupBy("as_of_month", "segment", "segment_name").agg(
        F.count(F.lit(1)).alias("customer_count"),
        v.mean(F.col("age"), 1).alias("avg_age"),
        v.mean(F.col("total_flights"), 1).alias("avg_flights"),
        v.mean(F.col("total_km_flown"), 0).alias("avg_km"),
        v.mean(F.col("total_loyalty_points"), 0).alias("avg_points"),
        v.mean(F.col("days_since_last_flight"), 0).alias("avg_days_since_flight"),
        v.mean(F.col("days_since_joining"), 0).alias("avg_days_since_joining"),
        v.mean(F.col("total_spent"), 2).alias("avg_spent"),
        v.mean(F.col("recency_score"), 2).alias("avg_recency"),
        v.mean(F.col("frequency_score"), 2).alias("avg_frequency"),
        v.mean(F.col("monetary_score"), 2).alias("avg_monetary"),
        v.total(F.col("total_spent"), 2).alias("total_spent"),
    )
    rule = _of_persona({p.code: p.rule for p in PERSONAS}, UNCATEGORIZED_RULE)
    return summary.withColumn("segment_rule", rule).select(*GOLD_SEGMENT_SUMMARY.column_names)


def _score(thresholds: list[Col]) -> Col:
    """Score 5 for the first threshold that holds, then 4, 3, 2; 1 if none does."""
    chosen = F.when(thresholds[0], F.lit(5))
    for score, condition in zip((4, 3, 2), thresholds[1:], strict=True):
        chosen = chosen.when(condition, F.lit(score))
    return chosen.otherwise(F.lit(1)).cast("int")
