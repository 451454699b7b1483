"""Customers: delivered text to silver.

Belongs here: the cleaning of the spec's section 4.1. Not here: which rows are trusted
(`expectations.py`), and models.
"""

from __future__ import annotations

from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.quality.delivered import flags_of, lineage_columns, with_text
from lakehouse_assets.retail.tables.customers import CUSTOMERS
from lakehouse_assets.retail.transforms.labels import given, labelled

YES_NO = ("Yes", "No")
_LABELS = {
    "gender": "gender", "partner": "partner", "dependents": "dependents", "discount": "discount",
    "outlet_size": "outletsize", "online_delivery": "onlinedelivery",
    "order_status": "orderstatus", "customer_support": "customersupport", "brand": "brand",
    "store_contract": "storecontract", "paperless_billing": "paperlessbilling",
    "payment_method": "paymentmethod",
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
    senior = v.whole_number(text["seniorcitizen"])
    return frame.select(
        *[c for c in frame.columns if c.startswith("raw_")],
        given(text["customerid"]).alias("customer_id"),
        F.when(senior == F.lit(0), F.lit("No"))
        .when(senior == F.lit(1), F.lit("Yes"))
        .otherwise(F.when(text["seniorcitizen"].isin(*YES_NO), text["seniorcitizen"]))
        .alias("senior_citizen"),
        *[labelled(text[field]).alias(name) for name, field in _LABELS.items()],
        v.small_number(text["tenure_month"]).alias("tenure_months"),
        v.decimal(text["unitprice"]).alias("unit_price"),
        v.decimal(text["totalamount"]).alias("total_amount"),
        given(text["churn"]).alias("churn"),
        flags_of({"order_status_unknown": given(text["orderstatus"]).isNull()}).alias(
            "quality_flags"
        ),
        *lineage_columns(CUSTOMERS),
    )
