"""Churn of customers: what the model reads of each of them, and what it says."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.gold.common import gold
from lakehouse_assets.domains.retail.gold.dimensions import DIM_RETAIL_CUSTOMERS
from lakehouse_assets.domains.retail.shared import CURRENCY
from lakehouse_assets.engine import DataFrame, F

CUSTOMER_COLUMNS = tuple(column.silver for column in CUSTOMERS.columns)

GOLD_CHURN_FEATURES = gold(
    "gold_churn_features",
    "What the model of churn is fitted on and scores: one row per customer as of the end of a "
    "month, from the latest snapshot. Customers without a label are scored only.",
    (
        *CUSTOMER_COLUMNS,
        Column(
            "average_amount", "double",
            "What they paid a month on average: the total amount by tenure, in the first month "
            "the unit price. The model derives it from these.", unit=CURRENCY,
        ),
        Column(
            "price_drift", "double",
            "How far the unit price is above that average; the model derives it.", unit=CURRENCY,
        ),
    ),
    ("customer_id",),
    kind="snapshot",
    topic="churn",
)  # fmt: skip


def churn_features(customers: DataFrame) -> DataFrame:
    """Describe customers to the model; columns as declared for `gold_churn_features`."""
    tenure, price = F.col("tenure_months"), F.col("unit_price").cast("double")
    average = F.when(
        tenure > F.lit(0), F.col("total_amount").cast("double") / tenure.cast("double")
    ).otherwise(price)
    return customers.withColumns(
        {"average_amount": average, "price_drift": price - average}
    ).select(*GOLD_CHURN_FEATURES.column_names)


GOLD = (GoldTable(GOLD_CHURN_FEATURES, churn_features, {"customers": DIM_RETAIL_CUSTOMERS}),)
