"""Member segments: scores, personas and their summary."""

from __future__ import annotations

from dataclasses import replace

from lakehouse_assets.catalog.gold import GoldTable, Summary
from lakehouse_assets.catalog.registry import MODEL_VERSION, Column, Measure, same_month
from lakehouse_assets.domains.airline.gold.value import (
    ACTIVE_STATUS,
    KPI_COLUMNS,
    MEMBERS,
    SPEND,
    SPEND_PER_MEMBER,
)
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
from lakehouse_assets.domains.airline.shared import CURRENCY, TOTAL, gold
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

SEGMENT = Column(
    "segment", "int", "Number of the persona, 1 to 5; null if Uncategorized.", unit="code",
    pii="demographic",
)  # fmt: skip

SEGMENT_NAME = Column(
    "segment_name", "string",
    f"Persona: {', '.join(p.name for p in PERSONAS)} or {UNCATEGORIZED}; see segment_rule of "
    "gold_segment_summary.",
    False,
    pii="demographic",
)  # fmt: skip

DAYS_SINCE_FLIGHT = Measure(
    "average_days_since_flight", "avg(days_since_last_flight)", "days", "non_additive",
    "Average days since the last flight.",
)  # fmt: skip

GOLD_CUSTOMER_SEGMENTS_ML = gold(
    "gold_customer_segments_ml",
    "One row per member: customer value, RFM scores, k-means cluster and persona. Rules assign the "
    "persona: when the member joined, when they last flew, how often they flew, and whether they "
    "are in the most valuable cluster.",
    (
        *KPI_COLUMNS,
        Column("recency_score", "int", "Days since the last flight as a score: 5 up to 90 days, "
               "4 up to 180, 3 up to 365, 2 up to 730, else 1.", False, "score"),
        Column("frequency_score", "int", "Flights as a score: 5 from 40 flights, 4 from 20, 3 from "
               "10, 2 from 5, else 1.", False, "score"),
        Column("monetary_score", "int", "Loyalty points as a score: 5 from 50,000 points, 4 from "
               "20,000, 3 from 10,000, 2 from 5,000, else 1.", False, "score"),
        Column(
            "cluster", "int",
            "K-means cluster on ten features, numbered by descending mean of loyalty points: 0 is "
            "the most valuable. Null if a feature is missing. Other numbers are comparable only "
            "between rows with the same model_version.", unit="code",
            pii="demographic",
        ),
        SEGMENT, SEGMENT_NAME, MODEL_VERSION,
    ),
    ("customer_key",),
    kind="snapshot",
    layer="segments",
    # Spend and purchases are not watched: they add up over all months, so they keep growing.
    watched=(
        "age", "total_flights", "total_km_flown", "total_loyalty_points", "days_since_last_flight",
        "recency_score", "frequency_score", "monetary_score", "cluster", "segment_name",
    ),
    references=(same_month(("customer_key",), "dim_customers"),),
    measures=(
        MEMBERS,
        Measure("high_value_members",
                f"count(*) filter (where segment_name in ('{LOYAL.name}', '{PREMIUM.name}'))",
                "count", "semi_additive", f"{LOYAL.name} and {PREMIUM.name}."),
        SPEND, SPEND_PER_MEMBER,
        Measure("average_flights", "avg(total_flights)", "count", "non_additive",
                "Average number of flights per member in the two-year window."),
        Measure("average_points", "avg(total_loyalty_points)", "points", "non_additive",
                "Average loyalty points per member in the two-year window."),
        DAYS_SINCE_FLIGHT,
        Measure("average_recency", "avg(recency_score)", "score", "non_additive",
                "Average recency score, 1 to 5."),
        Measure("average_frequency", "avg(frequency_score)", "score", "non_additive",
                "Average frequency score, 1 to 5."),
        Measure("average_monetary", "avg(monetary_score)", "score", "non_additive",
                "Average monetary score, 1 to 5."),
        Measure("average_rfm", "avg(recency_score) + avg(frequency_score) + avg(monetary_score)",
                "score", "non_additive", "Average sum of the three scores, 3 to 15."),
    ),
)  # fmt: skip


def _average(name: str, what: str, unit: str, *aliases: str) -> Column:
    description = f"Average {what}; null if no member has a value."
    return Column(name, "double", description, unit=unit, aliases=aliases)


GOLD_SEGMENT_SUMMARY = gold(
    "gold_segment_summary",
    "One row per persona: number of members and averages.",
    (
        replace(SEGMENT, pii=None), replace(SEGMENT_NAME, pii=None),
        Column("segment_rule", "string", "The rule that assigns members to the persona.", False),
        Column("customer_count", "bigint", "Number of members.", False, "count"),
        _average("avg_age", "age, to 1 decimal", "years"),
        _average("avg_flights", "number of flights, to 1 decimal", "count", "avg_total_flights"),
        _average("avg_km", "distance flown, rounded to whole numbers", "km"),
        _average("avg_points", "loyalty points, rounded to whole numbers", "points",
                 "avg_loyalty_points"),
        _average("avg_days_since_flight", "days since the last flight, rounded to whole numbers",
                 "days"),
        _average("avg_days_since_joining", "days since joining, rounded to whole numbers", "days"),
        _average("avg_spent", "total of completed purchases, without fares, to 2 decimals",
                 CURRENCY, "avg_revenue"),
        _average("avg_recency", "recency score, to 2 decimals", "score"),
        _average("avg_frequency", "frequency score, to 2 decimals", "score"),
        _average("avg_monetary", "monetary score, to 2 decimals", "score"),
        Column("total_spent", TOTAL, "Total of completed purchases of all members.", False,
               CURRENCY),
    ),
    ("segment_name",),
    kind="snapshot",
    layer="segments",
)  # fmt: skip


def with_scores(kpi: DataFrame) -> DataFrame:
    """Add recency, frequency and monetary scores from 1 to 5."""
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
    """Add each customer's persona; a customer without a cluster is Uncategorized.

    `personas.py` states the rules in words; each member fits exactly one. A persona changes only
    with what the member does, except that the month's clusters separate Premium Elite Members from
    Loyal Frequent Flyers. Bounds are on the better side: 10 flights are not few, 365 days since
    joining are new, 90 days since the last flight are active.

    Args:
        clustered: Result of `with_scores` with `model_version` and `cluster`, which is 0 for the
            most valuable cluster and null if a feature is missing.

    Returns:
        Rows of `gold_customer_segments_ml`.
    """
    few = F.col("total_flights") < F.lit(FEW_FLIGHTS_BELOW)
    new = F.col("days_since_joining") <= F.lit(NEW_WITHIN_DAYS)
    active = F.col("customer_status") == F.lit(ACTIVE_STATUS)
    code = v.first_of(
        (F.col("cluster").isNull(), None),
        (few & new, NEW.code),
        (~active, AT_RISK.code),
        (few, OCCASIONAL.code),
        (F.col("cluster") == F.lit(0), PREMIUM.code),
        otherwise=LOYAL.code,
    )
    named = clustered.withColumn("segment", code.cast("int"))
    name = _of_persona({p.code: p.name for p in PERSONAS}, UNCATEGORIZED)
    return named.withColumn("segment_name", name).select(*GOLD_CUSTOMER_SEGMENTS_ML.column_names)


def _of_persona(texts: dict[int, str], otherwise: str) -> Col:
    """Return the text for the code in the column `segment`."""
    cases = ((F.col("segment") == F.lit(code), text) for code, text in texts.items())
    return v.first_of(*cases, otherwise=otherwise)


def summarise(segments: DataFrame) -> DataFrame:
    """Profile each segment; columns as declared for `gold_segment_summary`.

    Means are exact sums divided once, so that they do not depend on the order of addition.
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
    return summary.withColumn("segment_rule", rule)


def _score(thresholds: list[Col]) -> Col:
    """Return 5 if the first threshold holds, else 4, 3 or 2 for the next ones, else 1."""
    return v.first_of(*zip(thresholds, (5, 4, 3, 2), strict=True), otherwise=1).cast("int")


GOLD = (
    GoldTable(
        GOLD_SEGMENT_SUMMARY,
        summarise,
        {"segments": GOLD_CUSTOMER_SEGMENTS_ML},
        rows_each_month=True,
        summary=Summary(
            "Customer segments",
            {
                "segment": ("segment_name", ""),
                "members": ("customer_count", ","),
                "age": ("avg_age", ",.1f"),
                "flights": ("avg_flights", ",.1f"),
                "km": ("avg_km", ",.0f"),
                "days": ("avg_days_since_flight", ",.0f"),
                "spent": ("avg_spent", ",.0f"),
                "R": ("avg_recency", ",.1f"),
                "F": ("avg_frequency", ",.1f"),
                "M": ("avg_monetary", ",.1f"),
            },
            share_of="customer_count",
            sorted_by="segment",
            rule=("segment_name", "segment_rule"),
        ),
    ),
)
