"""Month-to-month changes: members who moved between personas, and who became At Risk."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse_assets.catalog.gold import GoldTable, Read, RowsAlert, before
from lakehouse_assets.catalog.registry import Column, Measure, Table, same_month
from lakehouse_assets.domains.airline.gold.customers import CUSTOMER
from lakehouse_assets.domains.airline.gold.segments import (
    DAYS_SINCE_FLIGHT,
    GOLD_CUSTOMER_SEGMENTS_ML,
    GOLD_SEGMENT_SUMMARY,
)
from lakehouse_assets.domains.airline.gold.value import AT_RISK_STATUS, RECENCY, SPEND
from lakehouse_assets.domains.airline.shared import CURRENCY, TOTAL, gold
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

GOLD_SEGMENT_MIGRATION = gold(
    "gold_segment_migration",
    "Number of members by their previous and current persona. The previous persona is that of the "
    "latest earlier month with members.",
    (
        Column(
            "from_segment_name",
            "string",
            "Previous persona; (joined) for members without a row in the earlier month.",
            False,
        ),
        Column(
            "to_segment_name",
            "string",
            "Current persona; (left) for members without a row in this month.",
            False,
        ),
        Column("customers", "bigint", "Number of members.", False, "count"),
        Column(
            "share", "double", "Share of all members with that previous persona.", False, "share"
        ),
    ),
    ("from_segment_name", "to_segment_name"),
    kind="snapshot",
    latest_with="gold_customer_segments_ml",
    layer="segments",
    measures=(
        Measure("customers", "sum(customers)", "count", "semi_additive", "Number of members."),
        Measure(
            "moved_customers",
            "sum(case when from_segment_name <> to_segment_name then customers else 0 end)",
            "count",
            "semi_additive",
            "Members whose persona changed, or who joined or left.",
        ),
    ),
)

GOLD_NEWLY_AT_RISK = gold(
    "gold_newly_at_risk",
    "Members whose customer_status is At Risk this month and was different in the latest earlier "
    "month with members. Members without a row in that earlier month are not listed.",
    (
        CUSTOMER,
        Column("previous_status", "string", "Status in the earlier month.", False),
        Column(
            "previous_segment_name",
            "string",
            "Persona in the earlier month.",
            False,
            pii="demographic",
        ),
        Column("total_spent", TOTAL, "Total of completed purchases so far.", False, CURRENCY),
        RECENCY,
    ),
    ("customer_key",),
    kind="snapshot",
    latest_with="gold_customer_segments_ml",
    layer="segments",
    references=(same_month(("customer_key",), "dim_customers"),),
    measures=(
        Measure("members", "count(*)", "count", "semi_additive", "Members who are newly at risk."),
        SPEND,
        DAYS_SINCE_FLIGHT,
    ),
)

# Stand-ins for the missing persona of members who are in only one of the two months.
JOINED, LEFT = "(joined)", "(left)"


def segment_migration(before: DataFrame, now: DataFrame) -> DataFrame:
    """Count members by their previous and current persona.

    Args:
        before: Rows of `gold_customer_segments_ml` of the latest earlier month that has any.
        now: Rows of the month.

    Returns:
        Rows of `gold_segment_migration`; every member of either month counts once.
    """
    was = _was(before)
    present = now.join(was, F.col("customer_key") == F.col("known_key"), "left").select(
        F.coalesce(F.col("previous_segment_name"), F.lit(JOINED)).alias("from_segment_name"),
        F.col("segment_name").alias("to_segment_name"),
    )
    here = now.select(F.col("customer_key").alias("present_key"))
    gone = was.join(here, F.col("known_key") == F.col("present_key"), "left_anti").select(
        F.col("previous_segment_name").alias("from_segment_name"),
        F.lit(LEFT).alias("to_segment_name"),
    )
    moved = v.staged(present.unionAll(gone)).groupBy("from_segment_name", "to_segment_name")
    counted = v.staged(moved.agg(F.count(F.lit(1)).alias("customers")))
    totals = counted.groupBy(F.col("from_segment_name").alias("total_name")).agg(
        F.sum("customers").cast("bigint").alias("total")
    )
    joined = counted.join(totals, F.col("from_segment_name") == F.col("total_name"), "inner")
    return joined.withColumn("share", v.ratio(F.col("customers"), F.col("total")))


def newly_at_risk(before: DataFrame, now: DataFrame) -> DataFrame:
    """List the members whose customer status became At Risk.

    Args:
        before: Rows of `gold_customer_segments_ml` of the latest earlier month that has any.
        now: Rows of the month.

    Returns:
        Rows of `gold_newly_at_risk`: members with the status At Risk now and another one before.
        Members who were not there before are left out, since their status did not change.
    """
    joined = now.join(_was(before), F.col("customer_key") == F.col("known_key"), "inner")
    at_risk = F.lit(AT_RISK_STATUS)
    turned = (F.col("customer_status") == at_risk) & (F.col("previous_status") != at_risk)
    return joined.filter(turned)


def _was(before: DataFrame) -> DataFrame:
    return before.select(
        F.col("customer_key").alias("known_key"),
        F.col("segment_name").alias("previous_segment_name"),
        F.col("customer_status").alias("previous_status"),
    )


# Only the month's own segments trigger its build; the earlier ones do not.
_TWO_MONTHS: Mapping[str, Read | Table] = {
    "before": before(GOLD_CUSTOMER_SEGMENTS_ML), "now": GOLD_CUSTOMER_SEGMENTS_ML,
}  # fmt: skip

GOLD = (
    GoldTable(
        GOLD_SEGMENT_MIGRATION,
        segment_migration,
        _TWO_MONTHS,
        triggered_by=(GOLD_SEGMENT_SUMMARY,),
    ),
    GoldTable(
        GOLD_NEWLY_AT_RISK,
        newly_at_risk,
        _TWO_MONTHS,
        triggered_by=(GOLD_SEGMENT_SUMMARY,),
        alert=RowsAlert("newly_at_risk", "Members are newly At-Risk", "members"),
    ),
)
