"""Sales of both channels: the fact table, its aggregates, and training and test data."""

from __future__ import annotations

from datetime import date
from functools import partial

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import Check, GoldTable, so_far, sums
from lakehouse_assets.catalog.registry import LOADED, Column, Measure, Reference, same_month
from lakehouse_assets.domains.conformed.gold.calendar import dates
from lakehouse_assets.domains.conformed.gold.countries import DIM_COUNTRIES, with_country_code
from lakehouse_assets.domains.conformed.reference import UNKNOWN_COUNTRY
from lakehouse_assets.domains.retail.datasets.online_sales import SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.gold.common import (
    COUNTRIES,
    COUNTRY_CODE,
    FINE_TOTAL,
    gold,
)
from lakehouse_assets.domains.retail.gold.dimensions import (
    DIM_STORES,
    PRODUCT,
    SOLD,
    by_brand,
    product_key,
)
from lakehouse_assets.domains.retail.shared import CURRENCY, FINE
from lakehouse_assets.engine import DataFrame, F, W
from lakehouse_assets.engine import vocabulary as v

_CHANNEL = Column("channel", "string", "Sales channel: store or online.", False)
_STORE = Column("store", "int", "Number of the store; null for online sales.", unit="id")
_BRAND = Column("brand", "string", "Brand of the product.", False)

FACT_SALES = gold(
    "fact_sales",
    "One row per sale delivered in a month: the sales of a brand in a store in a week, or an "
    "online order.",
    (
        Column(
            "sale_key",
            "bigint",
            "Key of the sale: hash of the channel and the source's number.",
            False,
            "id",
        ),
        _CHANNEL,
        Column(
            "sale_date", "date", "Day of the online order, or first day of the store's week.", False
        ),
        Column(
            "period", "string", "Period that sale_date begins: day (online) or week (store).", False
        ),
        _STORE,
        COUNTRY_CODE,
        Column("product_key", "bigint", "Key of the product in dim_products.", False, "id"),
        _BRAND,
        Column(
            "customer_id",
            "string",
            "Number of the customer; null for stores and guests.",
            pii="identifier",
        ),
        Column("quantity", "bigint", "Pieces sold.", False, "pieces"),
        Column("price", FINE, "Price per piece.", False, CURRENCY),
        Column("revenue", FINE, "Revenue, as the source reports it.", False, CURRENCY),
        LOADED,
    ),
    ("sale_key",),
    kind="event",
    topic="sales",
    references=(
        dates("sale_date"),
        COUNTRIES,
        same_month(("product_key",), "dim_products"),
        # Sales of an unknown store or customer must not block the build.
        Reference(("store",), "dim_stores", ("store",), required=False),
        same_month(("customer_id",), "dim_retail_customers", required=False),
    ),
    # The key is a hash; sales are looked up by date.
    clustered=("sale_date",),
    measures=(
        Measure("sales", "count(*)", "count", "additive", "Number of sales."),
        Measure("pieces", "sum(quantity)", "pieces", "additive", "Pieces sold."),
        Measure("revenue", "sum(revenue)", CURRENCY, "additive", "Revenue of both channels."),
        Measure(
            "revenue_per_piece",
            "sum(revenue) / nullif(sum(quantity), 0)",
            CURRENCY,
            "non_additive",
            "Average revenue per piece.",
        ),
    ),
)

_SUMS = (
    Column("sale_count", "bigint", "Number of sales: rows of fact_sales.", False, "count"),
    Column("quantity", "bigint", "Pieces sold.", False, "pieces"),
    Column("revenue", FINE_TOTAL, "Revenue of the sales.", False, CURRENCY),
)

SALES_DAYS = gold(
    "sales_days",
    "Sales delivered in a month, by day, channel, store, country and brand. A store's week is on "
    "its first day. sales_weeks adds up the months.",
    (
        Column("sale_date", "date", "Day of the sales; the first day of a store's week.", False),
        _CHANNEL,
        _STORE,
        COUNTRY_CODE,
        _BRAND,
        *_SUMS,
    ),
    ("sale_date", "channel", "store", "country_code", "brand"),
    kind="aggregate",
    topic="sales",
    references=(dates("sale_date"), COUNTRIES),
)

SALES_WEEKS = gold(
    "sales_weeks",
    "Sales by week, channel, store, country and brand, from all sales delivered so far. Weeks of "
    "stores start on the day delivered; weeks of online sales start on LAKEHOUSE_WEEK_STARTS_ON.",
    (
        Column("week_start", "date", "First day of the week: as delivered for stores, as "
               "LAKEHOUSE_WEEK_STARTS_ON sets it for online sales.", False),
        _CHANNEL, _STORE, COUNTRY_CODE, _BRAND, *_SUMS,
    ),
    ("week_start", "channel", "store", "country_code", "brand"),
    kind="cumulative",
    topic="sales",
    references=(dates("week_start"),),
)  # fmt: skip

_SALE = SILVER_STORE_SALES.pick(
    "sale_id", "week_starting", "store", "brand", "quantity", "advert", "price", "revenue"
)

SALES_TRAIN = gold(
    "sales_train",
    "Training data of a forecast: store sales so far of the earlier weeks, up to a percent rank of "
    "0.8 by week_starting. Sales of a week share a rank, so no week is in both training and test.",
    _SALE,
    ("sale_id",),
    kind="cumulative",
    topic="sales",
    aliases=("gold_train",),
)

SALES_TEST = gold(
    "sales_test",
    "Test data of a forecast: store sales so far of the later weeks, above a percent rank of 0.8 "
    "by week_starting. Empty while there is no such week.",
    _SALE,
    ("sale_id",),
    kind="cumulative",
    topic="sales",
    latest_with="sales_train",
    aliases=("gold_test",),
)

STORE, ONLINE = "store", "online"

_MEASURES = ("quantity", "price", "revenue")


def fact_sales(
    store_sales: DataFrame, online_sales: DataFrame, stores: DataFrame, countries: DataFrame
) -> DataFrame:
    """Combine the sales delivered in a month; columns as declared for `fact_sales`.

    Args:
        store_sales: Rows of `silver_store_sales` delivered in the month.
        online_sales: Rows of `silver_online_sales` delivered in the month.
        stores: Rows of `dim_stores`; sales of other stores have the country Unknown.
        countries: Rows of `dim_countries`.
    """
    places = stores.select(
        F.col("store").alias("known_store"), F.col("country_code").alias("store_country")
    )
    here = (
        by_brand(store_sales)
        .join(places, F.col("store") == F.col("known_store"), "left")
        .select(
            F.lit(STORE).alias("channel"),
            F.col("sale_id").alias("number"),
            F.col("week_starting").alias("sale_date"),
            F.lit("week").alias("period"),
            "store",
            F.coalesce(F.col("store_country"), F.lit(UNKNOWN_COUNTRY)).alias("country_code"),
            *PRODUCT,
            F.lit(None).cast("string").alias("customer_id"),
            *_MEASURES,
        )
    )
    there = with_country_code(online_sales, countries).select(
        F.lit(ONLINE).alias("channel"),
        F.col("order_id").alias("number"),
        F.col("order_date").alias("sale_date"),
        F.lit("day").alias("period"),
        F.lit(None).cast("int").alias("store"),
        "country_code",
        *PRODUCT,
        "customer_id",
        *_MEASURES,
    )
    sale_key = v.hash_key(F.col("channel"), F.col("number"))
    return v.staged(here.unionByName(there)).withColumns(
        {"sale_key": sale_key, "product_key": product_key()}
    )


def totals_of_sales(store_sales: DataFrame, online_sales: DataFrame) -> DataFrame:
    """Return one row of totals of both channels, which `fact_sales` must match."""
    both = store_sales.select("quantity", "revenue").unionByName(
        online_sales.select("quantity", "revenue")
    )
    return both.agg(F.count(F.lit(1)).alias("rows"), *sums(*_SUMS[1:]))


_PLACE = ("channel", "store", "country_code", "brand")


def sales_days(sales: DataFrame) -> DataFrame:
    """Add up a month's sales by day; columns as declared for `sales_days`.

    Args:
        sales: The month's rows of `fact_sales`.
    """
    return sales.groupBy("as_of_month", "sale_date", *_PLACE).agg(
        F.count(F.lit(1)).cast("bigint").alias("sale_count"), *sums(*_SUMS[1:])
    )


def sales_weeks(days: DataFrame, week_starts_on: v.Weekday) -> DataFrame:
    """Add up days by week; columns as declared for `sales_weeks`.

    Store sales are not known by day, so a store's weeks start on the delivered day.

    Args:
        days: Rows of `sales_days` of this and all earlier months.
        week_starts_on: First day of a week of online sales.
    """
    day = F.col("sale_date")
    start = F.when(F.col("channel") == F.lit(STORE), day).otherwise(
        v.week_start(day, week_starts_on)
    )
    weeks = days.withColumn("week_start", start)
    return weeks.groupBy("week_start", *_PLACE).agg(*sums(*_SUMS))


def totals_of_days(days: DataFrame) -> DataFrame:
    """Return one row of totals of the days, which `sales_weeks` must match."""
    return days.agg(*sums(*_SUMS))


def split_by_time(sales: DataFrame, month: date, *, train: bool) -> DataFrame:
    """Select the training or the test sales; columns as declared for `sales_train`.

    A sale's percent rank is the number of sales of earlier weeks divided by the number of all sales
    minus one: 0 for the first week. All sales of a week have the same rank, so that a week is never
    split, and every test week is later than every training week.

    Args:
        sales: Rows of `silver_store_sales` delivered by the end of the month.
        month: The month, as its first day.
        train: Whether to select the training sales, with percent ranks up to 0.8, or the others.
    """
    weeks = sales.groupBy("week_starting").agg(F.count(F.lit(1)).cast("bigint").alias("sales"))
    over = W.partitionBy("as_of_month")
    ordered = over.orderBy(F.col("week_starting").asc_nulls_last())
    counted = v.staged(weeks.withColumn("as_of_month", F.lit(month))).select(
        F.col("week_starting").alias("week"),
        (F.sum("sales").over(ordered) - F.col("sales")).cast("bigint").alias("before"),
        (F.sum("sales").over(over) - F.lit(1)).cast("bigint").alias("others"),
    )
    # before / others <= 0.8 in whole numbers, so that rounding cannot affect it.
    early = F.col("before") * F.lit(10) <= F.col("others") * F.lit(8)
    side = v.staged(counted).filter(early if train else ~early).select("week")
    return sales.join(side, F.col("week_starting") == F.col("week"), "inner")


def not_after_training(stored: DataFrame, train: DataFrame) -> DataFrame:
    """Find test sales that are not later than all training sales."""
    last = train.agg(F.max("week_starting").alias("last_week"))
    return stored.join(last, F.col("week_starting") <= F.col("last_week"), "inner")


def not_on_one_side(sales: DataFrame, stored: DataFrame, train: DataFrame) -> DataFrame:
    """Find sales that are in neither or both of training and test, or repeated."""
    sides = train.select("sale_id").unionByName(stored.select("sale_id"))
    taken = sides.groupBy("sale_id").agg(F.count(F.lit(1)).alias("sides"))
    sold = sales.select(F.col("sale_id").alias("sold"))
    found = sold.join(taken, F.col("sold") == F.col("sale_id"), "left")
    return found.filter(F.coalesce(F.col("sides"), F.lit(0)) != F.lit(1))


GOLD = (
    GoldTable(
        FACT_SALES,
        fact_sales,
        {
            "store_sales": SILVER_STORE_SALES,
            "online_sales": SILVER_ONLINE_SALES,
            "stores": DIM_STORES,
            "countries": DIM_COUNTRIES,
        },
        totals=(totals_of_sales,),
    ),
    GoldTable(SALES_DAYS, sales_days, {"sales": FACT_SALES}),
    GoldTable(
        SALES_WEEKS,
        sales_weeks,
        {"days": so_far(SALES_DAYS)},
        triggered_by=SOLD,
        totals=(totals_of_days,),
    ),
    GoldTable(
        SALES_TRAIN,
        partial(split_by_time, train=True),
        {"sales": so_far(SILVER_STORE_SALES)},
        triggered_by=(quarantine_table(STORE_SALES),),
    ),
    GoldTable(
        SALES_TEST,
        partial(split_by_time, train=False),
        {"sales": so_far(SILVER_STORE_SALES), "train": SALES_TRAIN},
        checks=(
            Check(
                "weeks_are_apart",
                "Every week of sales_test is later than every week of sales_train.",
                not_after_training,
            ),
            Check(
                "every_sale_is_on_one_side",
                "Each store sale delivered so far is in exactly one of sales_train and sales_test.",
                not_on_one_side,
            ),
        ),
    ),
)
