"""Store and online sales: delivered text to silver."""

from __future__ import annotations

from lakehouse_assets.domains.conformed.transforms.places import is_place_name
from lakehouse_assets.domains.retail.tables.common import FINE
from lakehouse_assets.domains.retail.tables.online_sales import ONLINE_SALES, SILVER_ONLINE_SALES
from lakehouse_assets.domains.retail.tables.store_sales import SILVER_STORE_SALES, STORE_SALES
from lakehouse_assets.domains.retail.transforms.labels import (
    DAYS,
    NOTHING,
    UNKNOWN,
    count,
    given,
    labelled,
)
from lakehouse_assets.engine import Col, DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import lineage_columns, with_text
from lakehouse_assets.quality.fields import Fields, Flag

STORE_FIELDS = Fields(STORE_SALES, SILVER_STORE_SALES, NOTHING)
ONLINE_FIELDS = Fields(
    ONLINE_SALES,
    SILVER_ONLINE_SALES,
    NOTHING,
    flags={"city_not_a_place": Flag("A given city has a name; numbers and codes became Unknown.")},
)
# Sources keep amounts as doubles: a product of theirs is right to the cent.
TOLERANCE = "0.01"


def type_store_sales(bronze: DataFrame) -> DataFrame:
    """Type store sales.

    Args:
        bronze: Rows of `bronze_store_sales`.

    Returns:
        One row per bronze row: the columns of `silver_store_sales` (null where a key or fact cannot
        be read) and `raw_*` text.
    """
    frame = with_text(bronze, STORE_SALES)
    text = {c.name: F.col(f"text_{c.name}") for c in STORE_SALES.fields}
    advert = v.boolean(text["advert"])
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        v.text_id(text["id"]).alias("sale_id"),
        v.parse_date(text["weekstarting"], *DAYS).alias("week_starting"),
        v.small_number(text["store"]).alias("store"),
        given(text["brand"]).alias("brand"),
        count(text["quantity"]).alias("quantity"),
        advert.cast("int").alias("advert"),
        v.decimal(text["price"], 18, 4).alias("price"),
        v.decimal(text["revenue"], 18, 4).alias("revenue"),
        *lineage_columns(STORE_SALES),
    )
    return STORE_FIELDS.flagged(typed)


def type_online_sales(bronze: DataFrame) -> DataFrame:
    """Type online sales.

    Args:
        bronze: Rows of `bronze_online_sales`.

    Returns:
        One row per bronze row: the columns of `silver_online_sales` (null where a key or fact
        cannot be read) and `raw_*` text.
    """
    frame = with_text(bronze, ONLINE_SALES)
    text = {c.name: F.col(f"text_{c.name}") for c in ONLINE_SALES.fields}
    ordered_at = v.parse_timestamp(text["orderedat"])
    city = ONLINE_FIELDS.given("city")
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        v.text_id(text["orderid"]).alias("order_id"),
        ordered_at.alias("ordered_at"),
        F.when(
            ordered_at.isNotNull(),
            v.parse_date(F.substring(text["orderedat"], 1, 10), "yyyy-MM-dd"),
        ).alias("order_date"),
        v.text_id(given(text["customerid"])).alias("customer_id"),
        given(text["country"]).alias("country"),
        F.coalesce(F.when(is_place_name(city), city), F.lit(UNKNOWN)).alias("city"),
        labelled(text["productcategory"]).alias("product_category"),
        given(text["product"]).alias("product"),
        given(text["brand"]).alias("brand"),
        count(text["quantity"]).alias("quantity"),
        v.decimal(text["price"], 18, 4).alias("price"),
        v.decimal(text["revenue"], 18, 4).alias("revenue"),
        (~is_place_name(city)).alias("flag_city_not_a_place"),
        *lineage_columns(ONLINE_SALES),
    )
    return ONLINE_FIELDS.flagged(typed)


def revenue_fits() -> Col:
    """Say whether revenue is quantity times price, to the cent."""
    difference = F.abs(F.col("revenue") - F.col("quantity") * F.col("price"))
    return difference <= F.lit(TOLERANCE).cast(FINE)
