"""What is added up from sales, and how store sales are split for training."""

from __future__ import annotations

from datetime import date

from lakehouse_assets.domains.retail.tables.sales import SALES_DAYS, SALES_TRAIN, SALES_WEEKS
from lakehouse_assets.domains.retail.transforms.star import STORE
from lakehouse_assets.engine import DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

_PLACE = ("channel", "store", "country_code", "brand")


def sales_days(sales: DataFrame) -> DataFrame:
    """Add up a month's sales by day; columns as declared for `sales_days`.

    Args:
        sales: The month's rows of `fact_sales`.
    """
    return (
        sales.groupBy("as_of_month", "sale_date", *_PLACE)
        .agg(
            F.count(F.lit(1)).cast("bigint").alias("sale_count"),
            F.sum("quantity").cast("bigint").alias("quantity"),
            v.total(F.col("revenue"), 4).alias("revenue"),
        )
        .select(*SALES_DAYS.column_names)
    )


def sales_weeks(days: DataFrame, month: date, week_starts_on: v.Weekday) -> DataFrame:
    """Add days up by week; columns as declared for `sales_weeks`.

    What a store sold in a week is not known by day, so its week keeps the first day it has.

    Args:
        days: Rows of `sales_days` of this and all earlier months.
        month: The month, as its first day.
        week_starts_on: First day of a week of daily sales.
    """
    day = F.col("sale_date")
    start = F.when(F.col("channel") == F.lit(STORE), day).otherwise(
        v.week_start(day, week_starts_on)
    )
    return (
        days.select(start.alias("week_start"), *_PLACE, "sale_count", "quantity", "revenue")
        .groupBy("week_start", *_PLACE)
        .agg(
            F.sum("sale_count").cast("bigint").alias("sale_count"),
            F.sum("quantity").cast("bigint").alias("quantity"),
            v.total(F.col("revenue"), 4).alias("revenue"),
        )
        .withColumn("as_of_month", F.lit(month))
        .select(*SALES_WEEKS.column_names)
    )


def totals_of_days(days: DataFrame) -> DataFrame:
    """Add up, in one row, what the weeks must hold of the days."""
    return days.agg(
        F.sum("sale_count").cast("bigint").alias("sale_count"),
        F.sum("quantity").cast("bigint").alias("quantity"),
        v.total(F.col("revenue"), 4).alias("revenue"),
    )


def split_by_time(sales: DataFrame, month: date, *, train: bool) -> DataFrame:
    """Take the sales of one side; columns as declared for `sales_train` and `sales_test`.

    A sale's percent rank is the number of sales of earlier weeks, divided by the number of all
    sales less one: 0 for the first week. All sales of a week have the same one, so that a week lies
    on one side as a whole, and every week of the test is later than every week of training.

    Args:
        sales: Rows of `silver_store_sales` delivered by the end of the month.
        month: The month, as its first day.
        train: Whether the side is that of training, with percent ranks up to 0.8.
    """
    month_of = F.lit(month).alias("as_of_month")
    weeks = sales.groupBy("week_starting").agg(F.count(F.lit(1)).cast("bigint").alias("sales"))
    over = W.partitionBy("as_of_month")
    ordered = over.orderBy(F.col("week_starting").asc_nulls_last())
    counted = v.staged(weeks.select(month_of, *weeks.columns)).select(
        F.col("week_starting").alias("week"),
        (F.sum("sales").over(ordered) - F.col("sales")).cast("bigint").alias("before"),
        (F.sum("sales").over(over) - F.lit(1)).cast("bigint").alias("others"),
    )
    # before / others <= 0.8 in whole numbers, so that no rounding decides.
    early = F.col("before") * F.lit(10) <= F.col("others") * F.lit(8)
    side = v.staged(counted).filter(early if train else ~early).select("week")
    chosen = sales.join(side, F.col("week_starting") == F.col("week"), "inner")
    return chosen.select(month_of, *SALES_TRAIN.column_names[1:])


def not_after_training(stored: DataFrame, train: DataFrame) -> DataFrame:
    """Find the rows of a test that are not later than all of its training."""
    last = train.agg(F.max("week_starting").alias("last_week"))
    return stored.join(last, F.col("week_starting") <= F.col("last_week"), "inner")


def not_on_one_side(sales: DataFrame, stored: DataFrame, train: DataFrame) -> DataFrame:
    """Find the sales that are in neither side, or more than once."""
    sides = train.select("sale_id").unionByName(stored.select("sale_id"))
    taken = sides.groupBy("sale_id").agg(F.count(F.lit(1)).alias("sides"))
    sold = sales.select(F.col("sale_id").alias("sold"))
    found = sold.join(taken, F.col("sold") == F.col("sale_id"), "left")
    return found.filter(F.coalesce(F.col("sides"), F.lit(0)) != F.lit(1))
