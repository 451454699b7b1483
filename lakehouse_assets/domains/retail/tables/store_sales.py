"""Store sales: what each store sold of a brand in a week.

The source is text without header of eight values (spec, section 3.4), landed from the shops'
operational database.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import CURRENCY, DOMAIN, FINE, OWNER

STORE_SALES = Dataset(
    domain=DOMAIN,
    name="store_sales",
    grain="day",
    description="What a store sold of a brand in a week.",
    owner=OWNER,
    header=False,
    aliases=("bronze_salestrans",),
    fields=(
        text_field("ID", "Number of the row at the source."),
        text_field("WeekStarting", "First day of the week, yyyy-MM-dd or M/d/yyyy."),
        text_field("Store", "Number of the store."),
        text_field("Brand", "Brand."),
        text_field("Quantity", "Pieces sold."),
        text_field("Advert", "1 if the brand was advertised in the week, or 0."),
        text_field("Price", "Price of a piece.", unit=CURRENCY),
        text_field("Revenue", "Quantity times price.", unit=CURRENCY),
    ),
)

SILVER_STORE_SALES = silver_table(
    STORE_SALES,
    (
        "One row per sale as the source numbers it: a store, a brand, a week. The first delivery "
        "of a number counts; correct one by delivering its day again."
    ),
    "sale_id",
    (
        Column("sale_id", "string", "Number of the row at the source.", False),
        Column("week_starting", "date", "First day of the week.", False, source="weekstarting"),
        Column("store", "int", "Number of the store.", False, "id"),
        Column("brand", "string", "Brand.", False),
        Column("quantity", "bigint", "Pieces sold.", False, "pieces"),
        Column("advert", "int", "1 if the brand was advertised in the week, or 0.", unit="code"),
        Column("price", FINE, "Price of a piece.", False, CURRENCY),
        Column("revenue", FINE, "Revenue as the source has it.", False, CURRENCY),
    ),
    watched=("brand", "quantity"),
    clustered=("store", "week_starting"),
    constraints={"sold_not_negative": "quantity >= 0"},
)
