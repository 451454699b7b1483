"""Online sales: customers' orders in the web shop.

The reference lab copies them from Oracle and does not show their columns; we defined these
ourselves. An order is one product of one brand; its customer number refers to `retail/customers`.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Field, Flag, silver_table
from lakehouse_assets.domains.conformed.city_names import is_place_name
from lakehouse_assets.domains.retail.shared import (
    CURRENCY,
    FINE,
    REGIONS,
    REVENUE_FITS,
    dataset,
    label,
    with_day_of,
)
from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v


def _place(given: Col) -> Col:
    return F.when(is_place_name(given), given)


ONLINE_SALES = dataset(
    name="online_sales",
    grain="day",
    description="One order of a product in the web shop.",
    rows=(
        "One row per order: typed, with normalised labels. The first delivery of an order counts; "
        "to correct an order, deliver its day again."
    ),
    key="order_id",
    columns=(
        Field("order_id", "string", "Number of the order.", "OrderID", need="required",
              parse=v.text_id),
        Field("ordered_at", "timestamp", "Time of the order in UTC.", "OrderedAt",
              need="required"),
        Field("order_date", "date", "Day of the order in UTC.", derived=True, need="checked",
              in_calendar=True),
        Field("customer_id", "string", "Number of the customer; null for a guest.", "CustomerID",
              parse=v.text_id, pii="identifier"),
        Field("country", "string", "Country that the order is sent to.", "Country", need="required",
              labels=tuple(REGIONS)),
        label("city", "City that the order is sent to.", "City", parse=_place, pii="location",
              lost=Flag("city_not_a_place", "City, if given, is a name; numbers and codes became "
                        "Unknown.")),
        label("product_category", "Category of the product.", "ProductCategory"),
        Field("product", "string", "Name of the product.", "Product", need="required"),
        Field("brand", "string", "Brand of the product.", "Brand", need="required"),
        Field("quantity", "bigint", "Pieces ordered.", "Quantity", need="required",
              parse=v.small_number, not_negative=True, unit="pieces"),
        Field("price", FINE, "Price per piece.", "Price", need="required", unit=CURRENCY),
        Field("revenue", FINE, "Revenue, as the source reports it.", "Revenue", need="required",
              unit=CURRENCY),
    ),
    rule=with_day_of("ordered_at", "text_orderedat", "order_date"),
    expectations=(REVENUE_FITS,),
    watched=("country", "brand"),
    clustered=("customer_id",),
    constraints={"sold_not_negative": "quantity >= 0"},
)  # fmt: skip
SILVER_ONLINE_SALES = silver_table(ONLINE_SALES)
