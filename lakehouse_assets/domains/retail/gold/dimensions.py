"""The dimensions of sales and devices: stores, products, customers and devices.

Dates, places and countries are conformed: they mean the same in every domain. Customers are not:
the retailer's customers and the airline's members share no number, and equal names do not prove
that two people are the same. The dimension of campaigns is in `campaigns.py`.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import GoldTable, latest, so_far
from lakehouse_assets.catalog.registry import LOADED, Column, Reference, reference_table
from lakehouse_assets.domains.retail import reference
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.gold.common import COUNTRIES, STORES, gold
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v

DIM_STORES = reference_table(
    DOMAIN,
    "dim_stores",
    "One row per store: S001 (Miami) to S010 (Chicago).",
    (
        Column("store", "int", "Number of the store, as in store sales.", False, "id"),
        Column("store_id", "string", "Id of the store in events of devices: S001 to S010.", False),
        Column("city", "string", "City of the store.", False),
        Column(
            "place_name",
            "string",
            "The city's name in dim_places, which has its coordinates.",
            False,
        ),
        Column("country_code", "string", "Country, ISO alpha-2 code.", False),
    ),
    ("store",),
    OWNER,
    topic="dimensions",
    references=(
        Reference(("place_name",), "dim_places", ("place_name",)),
        COUNTRIES,
    ),
)

DIM_DEVICES = reference_table(
    DOMAIN,
    "dim_devices",
    "The stores' thermostats and visitor counters, with history: a row is valid from the day "
    "valid_from to the day before valid_to. A device has at most one valid row on any day.",
    (
        Column("device_id", "string", "Id of the device: TH001 and so on.", False),
        Column("store_id", "string", "Store of the device: S001 to S010.", False),
        Column("city", "string", "City of the store.", False),
        Column("time_zone", "string", "IANA time zone of the store, which determines its shifts.",
               False),
        Column("model", "string", "Model of the device.", False),
        Column("installed_on", "date", "Day on which the device was installed.", False),
        Column("temp_low", "decimal(4,1)", "Lowest allowed temperature.", False,
               "degrees Fahrenheit"),
        Column("temp_high", "decimal(4,1)", "Highest allowed temperature.", False,
               "degrees Fahrenheit"),
        Column("battery_limit", "int", "Lowest allowed battery charge.", False, "percent"),
        Column("valid_from", "date", "First day (UTC) on which the row is valid.", False),
        Column("valid_to", "date", "First day (UTC) on which the row is no longer valid; null "
               "for the device's last row."),
    ),
    ("device_id", "valid_from"),
    OWNER,
    topic="dimensions",
    references=(STORES,),
)  # fmt: skip

DIM_PRODUCTS = gold(
    "dim_products",
    "One row per product sold by the end of a month. Stores report sales by brand only, as the "
    "product All products.",
    (
        Column(
            "product_key",
            "bigint",
            "Key of the product: hash of category, product and brand.",
            False,
            "id",
        ),
        Column("product", "string", "Name of the product, or All products.", False),
        Column(
            "product_category",
            "string",
            "Category of the product, All categories or Unknown.",
            False,
        ),
        Column("brand", "string", "Brand of the product.", False),
        LOADED,
    ),
    ("product_key",),
    kind="dimension",
    topic="dimensions",
)

DIM_RETAIL_CUSTOMERS = gold(
    "dim_retail_customers",
    "One row per customer as of the end of a month, from the latest snapshot delivered by then.",
    (
        *(column.silver for column in CUSTOMERS.columns),
        Column("snapshot_month", "date", "Month of the snapshot, as its first day.", False),
        LOADED,
    ),
    ("customer_id",),
    kind="dimension",
    topic="dimensions",
)

ALL_PRODUCTS, ALL_CATEGORIES = "All products", "All categories"

PRODUCT = ("product_category", "product", "brand")


def dim_stores(stores: DataFrame) -> DataFrame:
    """Describe stores; columns as declared for `dim_stores`.

    Args:
        stores: The declared columns except `place_name`.
    """
    return stores.withColumn("place_name", v.lower(F.col("city")))


def dim_devices(devices: DataFrame, stores: DataFrame) -> DataFrame:
    """Describe devices; columns as declared for `dim_devices`.

    Args:
        devices: Rows of `reference.device_history`.
        stores: Rows of `reference.stores`.
    """
    return devices.join(stores.select("store_id", "city", "time_zone"), "store_id", "inner")


def dim_products(store_sales: DataFrame, online_sales: DataFrame) -> DataFrame:
    """List the products sold; columns as declared for `dim_products`."""
    sold = online_sales.select(*PRODUCT).unionByName(by_brand(store_sales).select(*PRODUCT))
    return sold.distinct().withColumn("product_key", product_key())


def dim_retail_customers(customers: DataFrame) -> DataFrame:
    """Return the customers of a snapshot, which have the declared columns."""
    return customers


def product_key() -> Col:
    """Hash a product's names only, so that the key never changes."""
    return v.hash_key(*[F.col(name) for name in PRODUCT])


def by_brand(store_sales: DataFrame) -> DataFrame:
    """Add the columns that store sales lack: All products and All categories of the brand."""
    return store_sales.select(
        *[name for name in SILVER_STORE_SALES.column_names if name in store_sales.columns],
        F.lit(ALL_CATEGORIES).alias("product_category"),
        F.lit(ALL_PRODUCTS).alias("product"),
    )


SOLD = (quarantine_table(STORE_SALES), quarantine_table(ONLINE_SALES))

GOLD = (
    GoldTable(DIM_STORES, dim_stores, {"stores": reference.stores}),
    GoldTable(
        DIM_DEVICES,
        dim_devices,
        {"devices": reference.device_history, "stores": reference.stores},
    ),
    GoldTable(
        DIM_PRODUCTS,
        dim_products,
        {"store_sales": so_far(SILVER_STORE_SALES), "online_sales": so_far(SILVER_ONLINE_SALES)},
        triggered_by=SOLD,
    ),
    GoldTable(
        DIM_RETAIL_CUSTOMERS,
        dim_retail_customers,
        {"customers": latest(SILVER_CUSTOMERS)},
        triggered_by=(quarantine_table(CUSTOMERS), *SOLD),
    ),
)
