"""Sales of both channels: one fact, what is added up from it, and what a forecast learns from."""

from __future__ import annotations

from lakehouse_assets.catalog.registry import LOADED, Column, Reference, same_month
from lakehouse_assets.domains.retail.tables.common import (
    COUNTRIES,
    COUNTRY_CODE,
    CURRENCY,
    FINE,
    FINE_TOTAL,
    dates,
    gold,
)
from lakehouse_assets.domains.retail.tables.store_sales import SILVER_STORE_SALES

_CHANNEL = Column("channel", "string", "store or online.", False)
_STORE = Column("store", "int", "Number of the store; null for online sales.", unit="id")
_BRAND = Column("brand", "string", "Brand.", False)

FACT_SALES = gold(
    "fact_sales",
    "One row per sale delivered in a month: what a store sold of a brand in a week, or an order.",
    (
        Column("sale_key", "bigint", "Hash of channel and the source's number.", False, "id"),
        _CHANNEL,
        Column("sale_date", "date", "Day of the order, or first day of the store's week.", False),
        Column("period", "string", "What sale_date begins: day or week.", False),
        _STORE,
        COUNTRY_CODE,
        Column("product_key", "bigint", "Product.", False, "id"),
        _BRAND,
        Column("customer_id", "string", "Customer; null for stores and guests.", pii=True),
        Column("quantity", "bigint", "Pieces.", False, "pieces"),
        Column("price", FINE, "Price of a piece.", False, CURRENCY),
        Column("revenue", FINE, "Revenue as the source has it.", False, CURRENCY),
        LOADED,
    ),
    ("sale_key",),
    kind="event",
    topic="sales",
    references=(
        dates("sale_date"),
        COUNTRIES,
        same_month(("product_key",), "dim_products"),
        # A store or customer that is not known yet must not stop what was sold.
        Reference(("store",), "dim_stores", ("store",), required=False),
        same_month(("customer_id",), "dim_retail_customers", required=False),
    ),
    # The key is a hash; sales are looked up by when they were.
    clustered=("sale_date",),
)

_SUMS = (
    Column("sale_count", "bigint", "Sales: rows of fact_sales.", False, "count"),
    Column("quantity", "bigint", "Pieces.", False, "pieces"),
    Column("revenue", FINE_TOTAL, "Revenue.", False, CURRENCY),
)

SALES_DAYS = gold(
    "sales_days",
    "Sales delivered in a month by day (a store's week by its first day), channel, store, country "
    "and brand: the aggregate that sales_weeks adds up over months.",
    (Column("sale_date", "date", "Day.", False), _CHANNEL, _STORE, COUNTRY_CODE, _BRAND, *_SUMS),
    ("sale_date", "channel", "store", "country_code", "brand"),
    kind="aggregate",
    topic="sales",
    references=(dates("sale_date"), COUNTRIES),
)

SALES_WEEKS = gold(
    "sales_weeks",
    "Sales per week, store (or country of online sales) and brand, of all delivered so far. A "
    "store's week begins where the store says; LAKEHOUSE_WEEK_STARTS_ON puts online sales into the "
    "same weeks.",
    (
        Column("week_start", "date", "First day of the week: the store's own, or of online sales "
               "by LAKEHOUSE_WEEK_STARTS_ON.", False),
        _CHANNEL, _STORE, COUNTRY_CODE, _BRAND, *_SUMS,
    ),
    ("week_start", "channel", "store", "country_code", "brand"),
    kind="cumulative",
    topic="sales",
    references=(dates("week_start"),),
)  # fmt: skip

_SALE = tuple(
    SILVER_STORE_SALES.column(name)
    for name in (
        "sale_id", "week_starting", "store", "brand", "quantity", "advert", "price", "revenue",
    )
)  # fmt: skip

SALES_TRAIN = gold(
    "sales_train",
    "Store sales so far of the earlier weeks, up to a percent rank of 0.8 over WeekStarting: what "
    "a forecast learns from. Sales of one week share a rank, so a week is never on both sides.",
    _SALE,
    ("sale_id",),
    kind="cumulative",
    topic="sales",
    lab="gold_train",
)

SALES_TEST = gold(
    "sales_test",
    "Store sales so far of the later weeks, above a percent rank of 0.8 over WeekStarting: what a "
    "forecast is tested on. Empty as long as no week lies there.",
    _SALE,
    ("sale_id",),
    kind="cumulative",
    topic="sales",
    latest_with="sales_train",
    lab="gold_test",
)
