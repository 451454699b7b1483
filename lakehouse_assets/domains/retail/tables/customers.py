"""Customers: who they are, what they have, and whether they left.

The source is a monthly snapshot of eighteen columns (spec, section 4.1), landed from Teradata. What
a name means follows the source, odd as some are: `Discount` is whether they have a discount,
`Brand` whether they buy local or national brands.
"""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, silver_table, text_field
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.tables.common import CURRENCY, DOMAIN, MONEY, OWNER

CUSTOMERS = Dataset(
    domain=DOMAIN,
    name="customers",
    grain="month",
    description="One customer, as a snapshot.",
    owner=OWNER,
    fields=(
        text_field("CustomerID", "Number of the customer.", pii=True),
        text_field("Gender", "Male or Female.", pii=True),
        text_field("SeniorCitizen", "1 for a senior citizen, or 0.", pii=True),
        text_field("Partner", "Yes or No: whether they have a partner.", pii=True),
        text_field("Dependents", "Yes or No: whether they have dependents.", pii=True),
        text_field("tenure_month", "How long they have been customers.", unit="months"),
        text_field("Discount", "Yes or No: whether they have a discount."),
        text_field("OutletSize", "Big, Medium or Small."),
        text_field("OnlineDelivery", "Yes or No: whether they have orders delivered."),
        text_field("OrderStatus", "Shipped or Cancelled; may be empty."),
        text_field("CustomerSupport", "Yes or No: whether they were supported."),
        text_field("Brand", "Local or National."),
        text_field("StoreContract", "Month-to-month, One year or Two year."),
        text_field("PaperlessBilling", "Yes or No."),
        text_field("PaymentMethod", "One of four ways to pay."),
        text_field("UnitPrice", "What they pay a month.", unit=CURRENCY),
        text_field("TotalAmount", "What they paid so far; empty in the first month.",
                   unit=CURRENCY),
        text_field("Churn", "Yes or No: whether they left."),
    ),
)  # fmt: skip

ATTRIBUTES = (
    Column("gender", "string", "Male, Female or Unknown.", False, pii=True),
    Column("senior_citizen", "string", "Yes or No.", False, pii=True),
    Column("partner", "string", "Whether they have a partner: Yes, No or Unknown.", False,
           pii=True),
    Column("dependents", "string", "Whether they have dependents: Yes, No or Unknown.", False,
           pii=True),
    Column("tenure_months", "int", "How long they have been customers.", False, "months",
           source="tenure_month"),
    Column("discount", "string", "Whether they have a discount: Yes, No or Unknown.", False),
    Column("outlet_size", "string", "Big, Medium, Small or Unknown.", False),
    Column("online_delivery", "string", "Yes, No or Unknown.", False),
    Column("order_status", "string", "Shipped, Cancelled or Unknown.", False),
    Column("customer_support", "string", "Yes, No or Unknown.", False),
    Column("brand", "string", "Local, National or Unknown.", False),
    Column("store_contract", "string", "Month-to-month, One year, Two year or Unknown.", False),
    Column("paperless_billing", "string", "Yes, No or Unknown.", False),
    Column("payment_method", "string", "How they pay; Unknown if not given.", False),
    Column("unit_price", MONEY, "What they pay a month.", False, CURRENCY, source="unitprice"),
    Column("total_amount", MONEY, "What they paid so far.", False, CURRENCY,
           source="totalamount"),
    Column("churn", "string", "Whether they left: Yes or No.", False),
)  # fmt: skip
"""What is known of a customer, in the order of the source."""

SILVER_CUSTOMERS = silver_table(
    CUSTOMERS,
    (
        "One row per customer and snapshot month: typed, SeniorCitizen as Yes or No. A customer "
        "without TotalAmount is quarantined (section 4.1 cleans so). Of several deliveries in a "
        "month the latest counts, then the first row."
    ),
    "customer_id",
    (
        Column("customer_id", "string", "Number of the customer.", False, pii=True),
        *ATTRIBUTES,
    ),
    watched=("tenure_months", "store_contract", "churn"),
    clustered=("customer_id",),
    constraints={"tenure_not_negative": "tenure_months >= 0"},
)
