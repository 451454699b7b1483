"""Silver to gold: dimensions, facts and customer value, each as of the end of a month."""

from __future__ import annotations

from datetime import date, datetime

from lakehouse_assets.domains.airline.models.personas import ACTIVE_WITHIN_DAYS
from lakehouse_assets.domains.airline.tables import CUSTOMER_SPEND, KPI_CUSTOMER_VALUE
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

COMPLETED = "completed"
ACTIVE_STATUS, AT_RISK_STATUS, INACTIVE_STATUS = "Active", "At Risk", "Inactive"


def dim_customers(members: DataFrame, month: date, loaded_at: datetime) -> DataFrame:
    """Describe each member of a snapshot; columns as declared for `dim_customers`."""
    return members.select(
        F.lit(month).alias("as_of_month"),
        F.col("member_no").alias("customer_key"),
        "gender",
        "age",
        age_group(F.col("age")).alias("age_group"),
        F.col("ffp_tier").alias("loyalty_tier"),
        tier_name(F.col("ffp_tier")).alias("tier_name"),
        F.col("ffp_date").alias("loyalty_join_date"),
        v.days_between(F.col("ffp_date"), F.col("window_end")).alias("days_since_joining"),
        "first_flight_date",
        F.col("work_city").alias("city"),
        F.col("work_province").alias("province"),
        F.col("work_country").alias("country"),
        geo_key().alias("geo_key"),
        "snapshot_month",
        F.lit(loaded_at).cast("timestamp").alias("load_timestamp"),
    )


def dim_geography(members: DataFrame, month: date, loaded_at: datetime) -> DataFrame:
    """List the places in which members work; columns as declared for `dim_geography`."""
    return members.select(
        F.lit(month).alias("as_of_month"),
        geo_key().alias("geo_key"),
        F.col("work_country").alias("country"),
        F.col("work_province").alias("province"),
        F.col("work_city").alias("city"),
        "snapshot_month",
        F.lit(loaded_at).cast("timestamp").alias("load_timestamp"),
    ).distinct()


def geo_key() -> Col:
    """Identify a member's place by its names alone, so that the key never changes."""
    return v.hash_key(F.col("work_country"), F.col("work_province"), F.col("work_city"))


def fact_flights(members: DataFrame, month: date, loaded_at: datetime) -> DataFrame:
    """State each member's flying; columns as declared for `fact_flights`."""
    return members.select(
        F.lit(month).alias("as_of_month"),
        F.col("member_no").alias("customer_key"),
        F.col("flight_count").alias("total_flights"),
        F.col("bp_sum").alias("base_points"),
        F.col("sum_yr_1").alias("year_1_revenue"),
        F.col("sum_yr_2").alias("year_2_revenue"),
        F.col("seg_km_sum").alias("total_km_flown"),
        F.col("avg_interval").alias("avg_flight_interval_days"),
        F.col("max_interval").alias("max_flight_interval_days"),
        F.col("last_to_end").alias("days_since_last_flight"),
        "exchange_count",
        F.col("avg_discount").alias("avg_discount_rate"),
        F.col("points_sum").alias("total_loyalty_points"),
        F.col("point_notflight").alias("non_flight_points"),
        "last_flight_date",
        "snapshot_month",
        F.lit(loaded_at).cast("timestamp").alias("load_timestamp"),
    )


def fact_transactions(purchases: DataFrame, month: date, loaded_at: datetime) -> DataFrame:
    """State the purchases delivered in a month; columns as declared for `fact_transactions`."""
    return purchases.select(
        F.lit(month).alias("as_of_month"),
        "transaction_id",
        F.col("customer_id").alias("customer_key"),
        F.col("purchase_date").alias("transaction_date"),
        F.col("amount").alias("transaction_amount"),
        "status",
        "region",
        "payment_method",
        F.lit(loaded_at).cast("timestamp").alias("load_timestamp"),
    )


def customer_spend(fact_transactions: DataFrame) -> DataFrame:
    """Add up a month's completed purchases by customer; columns as declared."""
    completed = fact_transactions.filter(F.col("status") == F.lit(COMPLETED))
    return (
        completed.groupBy("as_of_month", "customer_key")
        .agg(
            v.total(F.col("transaction_amount"), 2).alias("completed_amount"),
            F.count(F.lit(1)).alias("completed_count"),
        )
        .select(*CUSTOMER_SPEND.column_names)
    )


def kpi_customer_value(
    dim_customers: DataFrame, fact_flights: DataFrame, spend: DataFrame
) -> DataFrame:
    """Put together what a member is worth at the end of a month.

    Args:
        dim_customers: The month's members.
        fact_flights: The month's flying.
        spend: Monthly spend of this and all earlier months.
    """
    so_far = (
        spend.groupBy("customer_key")
        .agg(
            v.total(F.col("completed_amount"), 2).alias("spent"),
            F.sum("completed_count").cast("bigint").alias("purchases"),
        )
        .select(F.col("customer_key").alias("spender"), "spent", "purchases")
    )
    flying = fact_flights.select(
        F.col("customer_key").alias("flyer"),
        "total_flights",
        "total_km_flown",
        "total_loyalty_points",
        "days_since_last_flight",
    )
    joined = dim_customers.join(flying, F.col("customer_key") == F.col("flyer"), "inner").join(
        so_far, F.col("customer_key") == F.col("spender"), "left"
    )
    return joined.withColumns(
        {
            "total_spent": F.coalesce(F.col("spent"), F.lit(0).cast("decimal(38,2)")),
            "transaction_count": F.coalesce(F.col("purchases"), F.lit(0).cast("bigint")),
            "customer_status": customer_status(F.col("days_since_last_flight")),
        }
    ).select(*KPI_CUSTOMER_VALUE.column_names)


def spend_of_others(spend: DataFrame, stored: DataFrame) -> DataFrame:
    """Add up what each customer has spent who is no member: customer_key, completed_amount.

    Args:
        spend: Monthly spend of this and all earlier months.
        stored: The month's members, by customer_key.
    """
    others = spend.join(
        stored.select(F.col("customer_key").alias("member")),
        F.col("customer_key") == F.col("member"),
        "left_anti",
    )
    return others.groupBy("customer_key").agg(
        v.total(F.col("completed_amount"), 2).alias("completed_amount")
    )


def customer_status(days_since_last_flight: Col) -> Col:
    """Label recency: up to 90 days Active, up to 180 At Risk, above Inactive (section 4)."""
    return (
        F.when(days_since_last_flight <= F.lit(ACTIVE_WITHIN_DAYS), F.lit(ACTIVE_STATUS))
        .when(days_since_last_flight <= F.lit(180), F.lit(AT_RISK_STATUS))
        .otherwise(F.lit(INACTIVE_STATUS))
    )


def tier_name(tier: Col) -> Col:
    """Name a tier: 4 Gold, 5 Platinum, 6 Diamond, other Silver (section 4)."""
    return (
        F.when(tier == F.lit(4), F.lit("Gold"))
        .when(tier == F.lit(5), F.lit("Platinum"))
        .when(tier == F.lit(6), F.lit("Diamond"))
        .otherwise(F.lit("Silver"))
    )


def age_group(age: Col) -> Col:
    """Group ages as section 4 does, with an explicit Unknown and minors apart (section 7)."""
    return (
        F.when(age.isNull(), F.lit("Unknown"))
        .when(age < F.lit(18), F.lit("Under 18"))
        .when(age < F.lit(30), F.lit("18-29"))
        .when(age < F.lit(40), F.lit("30-39"))
        .when(age < F.lit(50), F.lit("40-49"))
        .when(age < F.lit(60), F.lit("50-59"))
        .otherwise(F.lit("60+"))
    )
