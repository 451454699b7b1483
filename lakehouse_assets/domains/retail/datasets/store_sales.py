"""Store sales: what each store sold of a brand in a week.

The source is text with eight values per line and no header, copied from the stores' operational
database.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Field, silver_table
from lakehouse_assets.domains.retail.shared import CURRENCY, DAYS, FINE, REVENUE_FITS, dataset
from lakehouse_assets.engine import vocabulary as v

STORE_SALES = dataset(
    name="store_sales",
    grain="day",
    description="Sales of one brand in one store in one week.",
    header=False,
    rows=(
        "One row per store, brand and week: typed. The first delivery of a row number counts; to "
        "correct a row, deliver its day again."
    ),
    key="sale_id",
    dates=DAYS,
    columns=(
        Field("sale_id", "string", "Number of the row in the source.", "ID", need="required",
              parse=v.text_id),
        Field("week_starting", "date", "First day of the week.", "WeekStarting", need="required",
              in_calendar=True),
        Field("store", "int", "Number of the store.", "Store", need="required", unit="id"),
        Field("brand", "string", "Brand of the products.", "Brand", need="required",
              labels=("BrandA", "BrandB", "BrandC")),
        Field("quantity", "bigint", "Pieces sold.", "Quantity", need="required",
              parse=v.small_number, not_negative=True, unit="pieces"),
        Field("advert", "int", "1 if the brand was advertised in the week, else 0.", "Advert",
              parse=v.boolean, unit="code"),
        Field("price", FINE, "Price per piece.", "Price", need="required", unit=CURRENCY),
        Field("revenue", FINE, "Revenue, as the source reports it.", "Revenue", need="required",
              unit=CURRENCY),
    ),
    expectations=(REVENUE_FITS,),
    watched=("brand", "quantity"),
    clustered=("store", "week_starting"),
    constraints={"sold_not_negative": "quantity >= 0"},
    aliases=("bronze_salestrans",),
)  # fmt: skip
SILVER_STORE_SALES = silver_table(STORE_SALES)
