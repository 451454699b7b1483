"""Members' flights and purchases, and their value as of the end of each month."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import Check, GoldTable, latest, so_far, sums
from lakehouse_assets.catalog.registry import LOADED, Column, Measure, same_month
from lakehouse_assets.domains.airline.datasets.flights import DAYS_TO_END, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS
from lakehouse_assets.domains.airline.gold.customers import (
    AGE,
    AGE_GROUP,
    CUSTOMER,
    DIM_CUSTOMERS,
    GENDER,
    MEMBERSHIP,
    PROVINCE,
    SNAPSHOT,
    TIER,
    TIER_NAME,
)
from lakehouse_assets.domains.airline.models.personas import ACTIVE_WITHIN_DAYS
from lakehouse_assets.domains.airline.shared import CURRENCY, MONEY, TOTAL, gold
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

FLIGHTS_TOTAL = Column("total_flights", "bigint", "Flights in the two-year window.", False, "count")
_KM = Column("total_km_flown", "bigint", "Distance flown in the two-year window.", False, "km")
POINTS = Column(
    "total_loyalty_points", "bigint", "All points earned in the two-year window.", False, "points"
)
RECENCY = Column("days_since_last_flight", "bigint", DAYS_TO_END, False, "days")
MEMBERS = Measure(
    "members", "count(*)", "count", "semi_additive", "Members at the end of the month."
)
SPEND = Measure(
    "spend", "sum(total_spent)", CURRENCY, "semi_additive", "Total of completed purchases so far."
)
SPEND_PER_MEMBER = Measure(
    "spend_per_member", "sum(total_spent) / count(*)", CURRENCY, "non_additive",
    "Average total of completed purchases so far per member.",
)  # fmt: skip

FACT_FLIGHTS = gold(
    "fact_flights",
    "One row per member: two years of flying, as of the end of a month.",
    (
        CUSTOMER, FLIGHTS_TOTAL,
        Column("base_points", "bigint", "Base points earned in the window.", unit="points"),
        Column("year_1_revenue", MONEY, "Fare revenue in the first year of the window; the "
               "reference lab's name year_1_flights is an alias.", unit=CURRENCY,
               aliases=("year_1_flights",)),
        Column("year_2_revenue", MONEY, "Fare revenue in the second year of the window; the "
               "reference lab's name year_2_flights is an alias.", unit=CURRENCY,
               aliases=("year_2_flights",)),
        _KM,
        Column("avg_flight_interval_days", "double", "Average interval between flights.",
               unit="days"),
        Column("max_flight_interval_days", "bigint", "Longest interval between flights.",
               unit="days"),
        RECENCY,
        Column("exchange_count", "bigint", "Point redemptions in the window.", unit="count"),
        Column("avg_discount_rate", "double", "Average share of the full fare that was paid: 1 is "
               "no discount, 0.7 is 30 % off.", unit="share"),
        POINTS,
        Column("non_flight_points", "bigint", "Point credits in the window for anything but "
               "flights.", unit="count"),
        Column("last_flight_date", "date", "Day of the last flight.", False),
        SNAPSHOT,
        LOADED,
    ),
    ("customer_key",),
    kind="snapshot",
    references=(same_month(("customer_key",), "dim_customers"), dates("last_flight_date")),
    measures=(
        Measure("flights", "sum(total_flights)", "count", "semi_additive",
                "Flights of all members."),
        Measure("distance", "sum(total_km_flown)", "km", "semi_additive",
                "Distance flown by all members."),
        Measure("fare_revenue", "sum(coalesce(year_1_revenue, 0) + coalesce(year_2_revenue, 0))",
                CURRENCY, "semi_additive", "Fare revenue of both years of the window."),
    ),
)  # fmt: skip

FACT_TRANSACTIONS = gold(
    "fact_transactions",
    "One row per purchase, in the month of its delivery.",
    (
        Column("transaction_id", "string", "Identifier of the purchase.", False),
        CUSTOMER,
        Column("transaction_date", "date", "Day of purchase.", False),
        Column("transaction_amount", MONEY, "Amount of the purchase.", False, unit=CURRENCY),
        Column("status", "string", "Status: completed, pending, cancelled, refunded, failed or "
               "unknown.", False),
        Column("region", "string", "Sales region, in upper case.", False),
        Column("payment_method", "string", "Payment method, such as credit_card or paypal.", False),
        LOADED,
    ),
    ("transaction_id",),
    kind="event",
    references=(
        same_month(("customer_key",), "dim_customers", required=False),
        dates("transaction_date"),
    ),
    measures=(
        Measure("purchases", "count(*)", "count", "additive", "Number of purchases of any status."),
        Measure("amount", "sum(transaction_amount)", CURRENCY, "additive",
                "Amount of purchases of any status."),
        Measure("average_purchase", "sum(transaction_amount) / nullif(count(*), 0)", CURRENCY,
                "non_additive", "Average amount of a purchase of any status."),
        Measure(
            "completed_amount",
            "sum(case when status = 'completed' then transaction_amount else 0 end)",
            CURRENCY,
            "additive",
            "Amount of completed purchases.",
        ),
        Measure(
            "completed_share",
            "avg(case when status = 'completed' then 1.0 else 0.0 end)",
            "share",
            "non_additive",
            "Share of purchases that were completed.",
        ),
    ),
)  # fmt: skip

_COMPLETED = (
    Column("completed_amount", TOTAL, "Amount of completed purchases.", False, unit=CURRENCY),
    Column("completed_count", "bigint", "Number of completed purchases.", False, "count"),
)

CUSTOMER_SPEND = gold(
    "customer_spend",
    "Completed purchases delivered in a month, by customer. kpi_customer_value adds up the months, "
    "so that building a month reads the purchases of that month only.",
    (CUSTOMER, *_COMPLETED),
    ("customer_key",),
    kind="aggregate",
)

KPI_COLUMNS = (
    CUSTOMER, GENDER, AGE, AGE_GROUP, TIER, TIER_NAME, PROVINCE,
    MEMBERSHIP, FLIGHTS_TOTAL, _KM, POINTS, RECENCY,
    Column("total_spent", TOTAL, "Amount of completed purchases delivered so far.", False,
           CURRENCY),
    Column("transaction_count", "bigint", "Number of completed purchases delivered so far.", False,
           "count"),
    Column("customer_status", "string",
           "Active up to 90 days since the last flight, At Risk up to 180, Inactive after that.",
           False),
)  # fmt: skip

KPI_CUSTOMER_VALUE = gold(
    "kpi_customer_value",
    "One row per member: flights, points and purchases as of the end of a month. Purchases of "
    "customers who are not members are left out; the check spenders_are_members reports them.",
    KPI_COLUMNS,
    ("customer_key",),
    kind="snapshot",
    references=(same_month(("customer_key",), "dim_customers"),),
    measures=(
        MEMBERS,
        SPEND,
        Measure("flown", "sum(total_flights)", "count", "semi_additive", "Flights of all members."),
        SPEND_PER_MEMBER,
        Measure(
            "at_risk_share",
            "avg(case when customer_status = 'At Risk' then 1.0 else 0.0 end)",
            "share",
            "non_additive",
            "Share of members whose status is At Risk.",
        ),
    ),
)

COMPLETED = "completed"

ACTIVE_STATUS, AT_RISK_STATUS, INACTIVE_STATUS = "Active", "At Risk", "Inactive"


def fact_flights(members: DataFrame) -> DataFrame:
    """Select each member's flying; columns as declared for `fact_flights`."""
    return members.select(
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
    )


def fact_transactions(purchases: DataFrame) -> DataFrame:
    """Select the purchases delivered in a month; columns as declared for `fact_transactions`."""
    return purchases.select(
        "transaction_id",
        F.col("customer_id").alias("customer_key"),
        F.col("purchase_date").alias("transaction_date"),
        F.col("amount").alias("transaction_amount"),
        "status",
        "region",
        "payment_method",
    )


def customer_spend(fact_transactions: DataFrame) -> DataFrame:
    """Add up a month's completed purchases by customer; columns as declared."""
    completed = fact_transactions.filter(F.col("status") == F.lit(COMPLETED))
    return completed.groupBy("as_of_month", "customer_key").agg(
        v.total(F.col("transaction_amount"), 2).alias("completed_amount"),
        F.count(F.lit(1)).alias("completed_count"),
    )


def kpi_customer_value(
    dim_customers: DataFrame, fact_flights: DataFrame, spend: DataFrame
) -> DataFrame:
    """Combine members, flights and spend; columns as declared for `kpi_customer_value`.

    Args:
        dim_customers: The month's members.
        fact_flights: The month's rows of `fact_flights`.
        spend: Monthly spend of this and all earlier months.
    """
    so_far = spend.groupBy(F.col("customer_key").alias("spender")).agg(*sums(*_COMPLETED))
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
            "total_spent": F.coalesce(F.col("completed_amount"), F.lit(0).cast(TOTAL)),
            "transaction_count": F.coalesce(F.col("completed_count"), F.lit(0).cast("bigint")),
            "customer_status": customer_status(F.col("days_since_last_flight")),
        }
    )


def spend_of_others(spend: DataFrame, stored: DataFrame) -> DataFrame:
    """Add up the spend of customers who are not members: `customer_key`, `completed_amount`.

    Args:
        spend: Monthly spend of this and all earlier months.
        stored: The month's rows of `kpi_customer_value`: its members.
    """
    others = spend.join(
        stored.select(F.col("customer_key").alias("member")),
        F.col("customer_key") == F.col("member"),
        "left_anti",
    )
    return others.groupBy("customer_key").agg(*sums(_COMPLETED[0]))


def customer_status(days_since_last_flight: Col) -> Col:
    """Label recency: up to 90 days Active, up to 180 At Risk, above Inactive."""
    return v.first_of(
        (days_since_last_flight <= F.lit(ACTIVE_WITHIN_DAYS), ACTIVE_STATUS),
        (days_since_last_flight <= F.lit(180), AT_RISK_STATUS),
        otherwise=INACTIVE_STATUS,
    )


GOLD = (
    GoldTable(FACT_FLIGHTS, fact_flights, {"members": latest(SILVER_FLIGHTS)}),
    GoldTable(FACT_TRANSACTIONS, fact_transactions, {"purchases": SILVER_TRANSACTIONS}),
    GoldTable(CUSTOMER_SPEND, customer_spend, {"fact_transactions": FACT_TRANSACTIONS}),
    GoldTable(
        KPI_CUSTOMER_VALUE,
        kpi_customer_value,
        {
            "dim_customers": DIM_CUSTOMERS,
            "fact_flights": FACT_FLIGHTS,
            "spend": so_far(CUSTOMER_SPEND),
        },
        checks=(
            Check(
                "spenders_are_members",
                "Every customer with completed purchases is a member. Purchases of other customers "
                "are in fact_transactions, but not in total_spent.",
                spend_of_others,
                amount="completed_amount",
                blocking=False,
            ),
        ),
        rows_each_month=True,
    ),
)
