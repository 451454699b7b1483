"""Online sales: what customers ordered in the web shop.

The lab lands them from Oracle and does not show their columns; these are our own definition. An
order is one product of one brand, by a customer whose number is that of `retail/customers`.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import CURRENCY, DOMAIN, FINE, OWNER

ONLINE_SALES = Dataset(
    domain=DOMAIN,
    name="online_sales",
    grain="day",
    description="One order of a product in the web shop.",
    owner=OWNER,
    fields=(
        text_field("OrderID", "Number of the order."),
        text_field("OrderedAt", "Moment of the order in UTC, ISO 8601."),
        text_field("CustomerID", "Number of the customer; empty for a guest.", pii=True),
        text_field("Country", "Country to which it is sent."),
        text_field("City", "City to which it is sent."),
        text_field("ProductCategory", "Category of the product."),
        text_field("Product", "Product."),
        text_field("Brand", "Brand."),
        text_field("Quantity", "Pieces ordered."),
        text_field("Price", "Price of a piece.", unit=CURRENCY),
        text_field("Revenue", "Quantity times price.", unit=CURRENCY),
    ),
)

SILVER_ONLINE_SALES = silver_table(
    ONLINE_SALES,
    (
        "One row per order. The first delivery of a number counts; correct one by delivering its "
        "day again."
    ),
    "order_id",
    (
        Column("order_id", "string", "Number of the order.", False),
        Column("ordered_at", "timestamp", "Moment of the order.", False, source="orderedat"),
        Column("order_date", "date", "Its day in UTC.", False),
        Column("customer_id", "string", "Customer; null for a guest.", pii=True),
        Column("country", "string", "Country to which it is sent.", False),
        Column("city", "string", "City to which it is sent; Unknown if not given.", False),
        Column("product_category", "string", "Category; Unknown if not given.", False),
        Column("product", "string", "Product.", False),
        Column("brand", "string", "Brand.", False),
        Column("quantity", "bigint", "Pieces ordered.", False, "pieces"),
        Column("price", FINE, "Price of a piece.", False, CURRENCY),
        Column("revenue", FINE, "Revenue as the source has it.", False, CURRENCY),
    ),
    watched=("country", "brand"),
    clustered=("customer_id",),
    constraints={"sold_not_negative": "quantity >= 0"},
)
