"""Customers: delivered text to silver."""

from __future__ import annotations

from lakehouse_assets.domains.retail.tables.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.transforms.labels import (
    NOTHING,
    UNKNOWN,
    given,
    labelled,
    yes_no,
)
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import lineage_columns, with_text
from lakehouse_assets.quality.fields import Fields, Flag

YES_NO = ("Yes", "No")
FIELDS = Fields(
    CUSTOMERS,
    SILVER_CUSTOMERS,
    NOTHING,
    flags={"order_status_unknown": Flag("A customer has the status of an order.")},
)
_LABELS = {
    "gender": "gender", "outlet_size": "outletsize", "order_status": "orderstatus",
    "brand": "brand", "store_contract": "storecontract", "payment_method": "paymentmethod",
}  # fmt: skip
_YES_NO_LABELS = {
    "partner": "partner", "dependents": "dependents", "discount": "discount",
    "online_delivery": "onlinedelivery", "customer_support": "customersupport",
    "paperless_billing": "paperlessbilling",
}  # fmt: skip


def type_customers(bronze: DataFrame) -> DataFrame:
    """Type customers.

    Args:
        bronze: Rows of `bronze_customers`.

    Returns:
        One row per bronze row: the columns of `silver_customers` (null where a key or fact cannot
        be read) and `raw_*` text.
    """
    frame = with_text(bronze, CUSTOMERS)
    text = {c.name: F.col(f"text_{c.name}") for c in CUSTOMERS.fields}
    senior = v.boolean(text["seniorcitizen"])
    typed = frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        v.text_id(given(text["customerid"])).alias("customer_id"),
        F.when(senior, F.lit("Yes")).when(~senior, F.lit("No")).alias("senior_citizen"),
        *[labelled(text[field]).alias(name) for name, field in _LABELS.items()],
        *[
            F.coalesce(yes_no(text[field]), F.lit(UNKNOWN)).alias(name)
            for name, field in _YES_NO_LABELS.items()
        ],
        v.small_number(text["tenure_month"]).alias("tenure_months"),
        v.decimal(text["unitprice"]).alias("unit_price"),
        v.decimal(text["totalamount"]).alias("total_amount"),
        yes_no(text["churn"]).alias("churn"),
        given(text["orderstatus"]).isNull().alias("flag_order_status_unknown"),
        *lineage_columns(CUSTOMERS),
    )
    return FIELDS.flagged(typed)
