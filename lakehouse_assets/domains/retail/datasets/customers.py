"""Customers: their attributes, their contracts, and whether they left.

The source is a monthly snapshot of eighteen columns, copied from Teradata. Some of its names are
unclear: `Discount` says whether customers have a discount, `Brand` whether they buy local or
national brands.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Field, silver_table
from lakehouse_assets.catalog.expectations import Expectation
from lakehouse_assets.catalog.registry import Pii
from lakehouse_assets.domains.retail.shared import CURRENCY, MONEY, UNKNOWN, dataset, label, yes_no
from lakehouse_assets.engine import Col, F
from lakehouse_assets.engine import vocabulary as v

YES_NO = ("Yes", "No")


def _senior(given: Col) -> Col:
    senior = v.boolean(given)
    return v.first_of((senior, "Yes"), (~senior, "No"))


def _yes_no(name: str, description: str, source: str, *, pii: Pii | None = None) -> Field:
    return label(name, f"{description}: Yes or No.", source, YES_NO, parse=yes_no, pii=pii)


CUSTOMERS = dataset(
    name="customers",
    grain="month",
    description="Monthly snapshot: one customer with their contract.",
    rows=(
        "One row per customer and snapshot month: typed, with normalised labels. Customers without "
        "a payment or a churn label are kept, with null as total_amount or churn. If a customer is "
        "delivered several times in a month, the latest delivery counts, and in it the first row."
    ),
    key="customer_id",
    counts="latest",
    columns=(
        Field("customer_id", "string", "Number of the customer.", "CustomerID", need="required",
              parse=v.text_id, pii="identifier"),
        label("gender", "Male or Female.", "Gender", ("Male", "Female"), pii="demographic"),
        Field("senior_citizen", "string", "Whether the customer is a senior citizen: Yes or No.",
              "SeniorCitizen", need="required", parse=_senior, pii="demographic"),
        _yes_no("partner", "Whether the customer has a partner", "Partner", pii="demographic"),
        _yes_no("dependents", "Whether the customer has dependents", "Dependents",
                pii="demographic"),
        Field("tenure_months", "int", "Whole months since becoming a customer.", "tenure_month",
              need="required", not_negative=True, unit="months"),
        _yes_no("discount", "Whether the customer has a discount", "Discount"),
        label("outlet_size", "Size of the outlet: Big, Medium or Small.", "OutletSize",
              ("Big", "Medium", "Small")),
        _yes_no("online_delivery", "Whether the customer has orders delivered", "OnlineDelivery"),
        label("order_status", "Order status: Shipped or Cancelled.", "OrderStatus",
              ("Shipped", "Cancelled", UNKNOWN),
              unknown="Order status is given; missing values became Unknown."),
        _yes_no("customer_support", "Whether the customer uses customer support",
                "CustomerSupport"),
        label("brand", "Whether the customer buys Local or National brands.", "Brand",
              ("Local", "National")),
        label("store_contract", "Contract: Month-to-month, One year or Two year.", "StoreContract",
              ("Month-to-month", "One year", "Two year")),
        _yes_no("paperless_billing", "Whether the customer gets paperless bills",
                "PaperlessBilling"),
        label("payment_method", "Payment method.", "PaymentMethod"),
        Field("unit_price", MONEY, "Amount the customer pays per month.", "UnitPrice",
              need="required", unit=CURRENCY),
        Field("total_amount", MONEY, "Amount the customer has paid so far; null before the first "
              "payment.",
              "TotalAmount", need="fact", unit=CURRENCY),
        Field("churn", "string", "Whether the customer has left: Yes or No; null if unknown.",
              "Churn", parse=yes_no),
    ),
    expectations=(
        Expectation(
            "total_amount_is_given", "warn",
            "total_amount is given, except in the customer's first month.",
            lambda: F.col("total_amount").isNotNull() | (F.col("tenure_months") == F.lit(0)),
        ),
        Expectation(
            "churn_is_yes_or_no", "drop",
            "churn, if given, is Yes or No; other rows are quarantined.",
            lambda: F.col("churn").isNull() | F.col("churn").isin(*YES_NO),
        ),
    ),
    watched=("tenure_months", "store_contract", "churn"),
    clustered=("customer_id",),
    constraints={"tenure_not_negative": "tenure_months >= 0"},
)  # fmt: skip
SILVER_CUSTOMERS = silver_table(CUSTOMERS)
