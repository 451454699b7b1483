"""Customers: their attributes, their contracts, and whether they left.

The source is a monthly snapshot of eighteen columns (spec, section 4.1), landed from Teradata. Some
of its names are odd: `Discount` is whether customers have a discount, `Brand` whether they buy
local or national brands.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, Field, silver_table
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Pii
from lakehouse_assets.domains.retail.shared import (
    CURRENCY,
    DOMAIN,
    MONEY,
    NOTHING,
    OWNER,
    UNKNOWN,
    yes_no,
)
from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v

YES_NO = ("Yes", "No")


def _senior(given: Col) -> Col:
    senior = v.boolean(given)
    return F.when(senior, F.lit("Yes")).when(~senior, F.lit("No"))


def _yes_no(name: str, description: str, source: str, *, pii: Pii | None = None) -> Field:
    return Field(
        name, "string", f"{description}: Yes, No or Unknown.", source, parse=yes_no,
        missing=UNKNOWN, labels=YES_NO, pii=pii,
    )  # fmt: skip


CUSTOMERS = Dataset(
    domain=DOMAIN,
    name="customers",
    grain="month",
    description="One customer, as a snapshot.",
    owner=OWNER,
    rows=(
        "One row per customer and snapshot month: typed, SeniorCitizen as Yes or No. Customers "
        "without a first payment or a churn label are kept, with null as TotalAmount or Churn. Of "
        "several deliveries in a month the latest counts, then the first row."
    ),
    key="customer_id",
    counts="latest",
    nothing=NOTHING,
    columns=(
        Field("customer_id", "string", "Number of the customer.", "CustomerID", need="required",
              parse=v.text_id, pii="identifier"),
        Field("gender", "string", "Male, Female or Unknown.", "Gender", missing=UNKNOWN,
              labels=("Male", "Female"), pii="demographic"),
        Field("senior_citizen", "string", "Whether they are a senior citizen: Yes or No.",
              "SeniorCitizen", need="required", parse=_senior, pii="demographic"),
        _yes_no("partner", "Whether they have a partner", "Partner", pii="demographic"),
        _yes_no("dependents", "Whether they have dependents", "Dependents", pii="demographic"),
        Field("tenure_months", "int", "How long they have been a customer.", "tenure_month",
              need="required", not_negative=True, unit="months"),
        _yes_no("discount", "Whether they have a discount", "Discount"),
        Field("outlet_size", "string", "Big, Medium, Small or Unknown.", "OutletSize",
              missing=UNKNOWN, labels=("Big", "Medium", "Small")),
        _yes_no("online_delivery", "Whether they have orders delivered", "OnlineDelivery"),
        Field("order_status", "string", "Shipped, Cancelled or Unknown.", "OrderStatus",
              missing=UNKNOWN, unknown="A customer has the status of an order.",
              labels=("Shipped", "Cancelled", UNKNOWN)),
        _yes_no("customer_support", "Whether they were supported", "CustomerSupport"),
        Field("brand", "string", "Local, National or Unknown.", "Brand", missing=UNKNOWN,
              labels=("Local", "National")),
        Field("store_contract", "string", "Month-to-month, One year, Two year or Unknown.",
              "StoreContract", missing=UNKNOWN, labels=("Month-to-month", "One year", "Two year")),
        _yes_no("paperless_billing", "Whether bills are sent without paper", "PaperlessBilling"),
        Field("payment_method", "string", "How they pay; Unknown if not given.", "PaymentMethod",
              missing=UNKNOWN),
        Field("unit_price", MONEY, "What they pay a month.", "UnitPrice", need="required",
              unit=CURRENCY),
        Field("total_amount", MONEY, "What they paid so far; null until the first payment.",
              "TotalAmount", need="fact", unit=CURRENCY),
        Field("churn", "string", "Whether they left: Yes or No; null if it is not known.", "Churn",
              parse=yes_no),
    ),
    expectations=(
        Expectation(
            "total_amount_is_given", "warn",
            "Customers have a TotalAmount, except in their first month.",
            lambda: F.col("total_amount").isNotNull() | (F.col("tenure_months") == F.lit(0)),
        ),
        Expectation(
            "churn_is_yes_or_no", "drop",
            "Churn is Yes or No if it is given.",
            lambda: F.col("churn").isNull() | F.col("churn").isin(*YES_NO),
        ),
    ),
    watched=("tenure_months", "store_contract", "churn"),
    clustered=("customer_id",),
    constraints={"tenure_not_negative": "tenure_months >= 0"},
)  # fmt: skip
SILVER_CUSTOMERS = silver_table(CUSTOMERS)
