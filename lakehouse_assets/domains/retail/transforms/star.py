"""The star schema of sales: products, customers, and store and online sales as one fact."""

from __future__ import annotations

from datetime import date, datetime

from lakehouse_assets.domains.conformed.tables import UNKNOWN_COUNTRY
from lakehouse_assets.domains.conformed.transforms.countries import with_country_code
from lakehouse_assets.domains.retail.tables.dimensions import (
    DIM_PRODUCTS,
    DIM_RETAIL_CUSTOMERS,
    DIM_STORES,
)
from lakehouse_assets.domains.retail.tables.sales import FACT_SALES
from lakehouse_assets.domains.retail.tables.store_sales import SILVER_STORE_SALES
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

STORE, ONLINE = "store", "online"
ALL_PRODUCTS, ALL_CATEGORIES = "All products", "All categories"
_PRODUCT = ("product_category", "product", "brand")
_MEASURES = ("quantity", "price", "revenue")


def dim_stores(stores: DataFrame, loaded_at: datetime) -> DataFrame:
    """Describe stores; columns as declared for `dim_stores`.

    Args:
        stores: The declared columns but `place_name` and `load_timestamp`.
        loaded_at: When the run began.
    """
    return stores.withColumns(
        {
            "place_name": v.lower(F.col("city")),
            "load_timestamp": F.lit(loaded_at).cast("timestamp"),
        }
    ).select(*DIM_STORES.column_names)


def dim_products(
    store_sales: DataFrame, online_sales: DataFrame, month: date, loaded_at: datetime
) -> DataFrame:
    """List what was sold; columns as declared for `dim_products`."""
    sold = online_sales.select(*_PRODUCT).unionByName(_by_brand(store_sales).select(*_PRODUCT))
    return (
        sold.distinct()
        .withColumns(
            {
                "as_of_month": F.lit(month),
                "product_key": product_key(),
                "load_timestamp": F.lit(loaded_at).cast("timestamp"),
            }
        )
        .select(*DIM_PRODUCTS.column_names)
    )


def dim_retail_customers(customers: DataFrame, month: date, loaded_at: datetime) -> DataFrame:
    """Describe the customers of a snapshot; columns as declared for `dim_retail_customers`."""
    return customers.withColumns(
        {
            "as_of_month": F.lit(month),
            "load_timestamp": F.lit(loaded_at).cast("timestamp"),
        }
    ).select(*DIM_RETAIL_CUSTOMERS.column_names)


def fact_sales(
    store_sales: DataFrame,
    online_sales: DataFrame,
    stores: DataFrame,
    countries: DataFrame,
    month: date,
    loaded_at: datetime,
) -> DataFrame:
    """Put the sales delivered in a month together; columns as declared for `fact_sales`.

    Args:
        store_sales: Rows of `silver_store_sales` delivered in the month.
        online_sales: Rows of `silver_online_sales` delivered in the month.
        stores: Rows of `dim_stores`; a store that is not among them is in no known country.
        countries: Rows of `dim_countries`.
        month: The month, as its first day.
        loaded_at: When the run began.
    """
    places = stores.select(
        F.col("store").alias("known_store"), F.col("country_code").alias("store_country")
    )
    here = (
        _by_brand(store_sales)
        .join(places, F.col("store") == F.col("known_store"), "left")
        .select(
            F.lit(STORE).alias("channel"),
            F.col("sale_id").alias("number"),
            F.col("week_starting").alias("sale_date"),
            F.lit("week").alias("period"),
            "store",
            F.coalesce(F.col("store_country"), F.lit(UNKNOWN_COUNTRY)).alias("country_code"),
            *_PRODUCT,
            F.lit(None).cast("string").alias("customer_id"),
            *_MEASURES,
        )
    )
    there = with_country_code(online_sales, "country", countries).select(
        F.lit(ONLINE).alias("channel"),
        F.col("order_id").alias("number"),
        F.col("order_date").alias("sale_date"),
        F.lit("day").alias("period"),
        F.lit(None).cast("int").alias("store"),
        "country_code",
        *_PRODUCT,
        "customer_id",
        *_MEASURES,
    )
    both = v.staged(here.unionByName(there))
    return both.withColumns(
        {
            "as_of_month": F.lit(month),
            "sale_key": v.hash_key(F.col("channel"), F.col("number")),
            "product_key": product_key(),
            "load_timestamp": F.lit(loaded_at).cast("timestamp"),
        }
    ).select(*FACT_SALES.column_names)


def totals_of_sales(store_sales: DataFrame, online_sales: DataFrame) -> DataFrame:
    """Add up, in one row, what the fact must hold of both channels."""
    both = store_sales.select("quantity", "revenue").unionByName(
        online_sales.select("quantity", "revenue")
    )
    return both.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum("quantity").cast("bigint").alias("quantity"),
        v.total(F.col("revenue"), 4).alias("revenue"),
    )


def product_key() -> Col:
    """Identify a product by its names alone, so that the key never changes."""
    return v.hash_key(*[F.col(name) for name in _PRODUCT])


def _by_brand(store_sales: DataFrame) -> DataFrame:
    """Say of store sales what they leave open: which product of the brand."""
    return store_sales.select(
        *[name for name in SILVER_STORE_SALES.column_names if name in store_sales.columns],
        F.lit(ALL_CATEGORIES).alias("product_category"),
        F.lit(ALL_PRODUCTS).alias("product"),
    )
