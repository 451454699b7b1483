"""Members' movement between personas, and who became At Risk, from one month to the next."""

from __future__ import annotations

from datetime import date

from lakehouse_assets.domains.airline.tables import GOLD_NEWLY_AT_RISK, GOLD_SEGMENT_MIGRATION
from lakehouse_assets.domains.airline.transforms.gold import AT_RISK_STATUS
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

# Where members come from who were not there the month before, and where those go who are not now.
JOINED, LEFT = "(joined)", "(left)"


def segment_migration(before: DataFrame, now: DataFrame, month: date) -> DataFrame:
    """Count members by the persona they had and the one they have.

    Args:
        before: Rows of `gold_customer_segments_ml` of the month before.
        now: Rows of the month.
        month: The month.

    Returns:
        Rows of `gold_segment_migration`; every member of either month counts once.
    """
    was = _was(before)
    present = now.join(was, F.col("customer_key") == F.col("known_key"), "left").select(
        F.coalesce(F.col("previous_name"), F.lit(JOINED)).alias("from_segment_name"),
        F.col("segment_name").alias("to_segment_name"),
    )
    here = now.select(F.col("customer_key").alias("present_key"))
    gone = was.join(here, F.col("known_key") == F.col("present_key"), "left_anti").select(
        F.col("previous_name").alias("from_segment_name"),
        F.lit(LEFT).alias("to_segment_name"),
    )
    moved = v.staged(present.unionAll(gone)).groupBy("from_segment_name", "to_segment_name")
    counted = v.staged(moved.agg(F.count(F.lit(1)).alias("customers")))
    totals = counted.groupBy(F.col("from_segment_name").alias("total_name")).agg(
        F.sum("customers").cast("bigint").alias("total")
    )
    share = v.ratio(F.col("customers"), F.col("total"))
    return (
        counted.join(totals, F.col("from_segment_name") == F.col("total_name"), "inner")
        .select(
            F.lit(month).alias("as_of_month"),
            "from_segment_name",
            "to_segment_name",
            "customers",
            share.alias("share"),
        )
        .select(*GOLD_SEGMENT_MIGRATION.column_names)
    )


def newly_at_risk(before: DataFrame, now: DataFrame, month: date) -> DataFrame:
    """List the members whose customer status turned At Risk.

    Args:
        before: Rows of `gold_customer_segments_ml` of the month before.
        now: Rows of the month.
        month: The month.

    Returns:
        Rows of `gold_newly_at_risk`: status At Risk now and another one before. Members who were
        not there before are left out: nothing says that their status turned.
    """
    joined = now.join(_was(before), F.col("customer_key") == F.col("known_key"), "inner")
    at_risk = F.lit(AT_RISK_STATUS)
    return (
        joined.filter((F.col("customer_status") == at_risk) & (F.col("previous_status") != at_risk))
        .select(
            F.lit(month).alias("as_of_month"),
            "customer_key",
            "previous_status",
            F.col("previous_name").alias("previous_segment_name"),
            "total_spent",
            "days_since_last_flight",
        )
        .select(*GOLD_NEWLY_AT_RISK.column_names)
    )


def _was(before: DataFrame) -> DataFrame:
    return before.select(
        F.col("customer_key").alias("known_key"),
        F.col("segment_name").alias("previous_name"),
        F.col("customer_status").alias("previous_status"),
    )
