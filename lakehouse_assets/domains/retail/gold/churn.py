"""Churn of customers: what the model reads of each of them, and what it says."""

from __future__ import annotations

from dataclasses import replace

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import INPUTS_DIGEST, MODEL_VERSION, Column, Measure
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.gold.common import gold
from lakehouse_assets.domains.retail.gold.dimensions import DIM_RETAIL_CUSTOMERS
from lakehouse_assets.domains.retail.shared import CURRENCY
from lakehouse_assets.engine import DataFrame, F
from lakehouse_assets.engine import vocabulary as v

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

_REASON = "importance for those who are contacted: a source column and its value; null without one."

GOLD_CUSTOMER_CHURN = gold(
    "gold_customer_churn",
    "How likely each customer is to leave, whether it pays to contact them, and why: one row per "
    "customer as of the end of a month, with what the model read.",
    (
        *CUSTOMER_COLUMNS,
        Column("churn_probability", "double", "Probability that they leave; null without a model.",
               unit="share", pii="demographic", aliases=("ChurnProbability",)),
        Column("predicted_churn", "string",
               "Yes if a contact pays: the probability is above the cost of a contact divided by "
               "the loss of a customer, both settings of the model; else No.",
               pii="demographic", aliases=("PredictedChurn",)),
        Column("reason_1", "string", f"Reason of the first {_REASON}", pii="demographic"),
        Column("reason_2", "string", f"Reason of the second {_REASON}", pii="demographic"),
        Column("reason_3", "string", f"Reason of the third {_REASON}", pii="demographic"),
        MODEL_VERSION,
        replace(INPUTS_DIGEST, pii="demographic"),
    ),
    ("customer_id",),
    kind="snapshot",
    topic="churn",
    watched=(
        "tenure_months", "unit_price", "total_amount", "senior_citizen", "partner", "dependents",
        "discount", "outlet_size", "online_delivery", "order_status", "customer_support", "brand",
        "store_contract", "paperless_billing", "payment_method", "churn_probability",
    ),
    lab="customerchurndataprediction",
    measures=(
        Measure("customers", "count(*)", "count", "semi_additive", "Customers, former ones, too."),
        Measure("churn_rate",
                "1.0 * count(*) filter (where churn = 'Yes') / "
                "nullif(count(*) filter (where churn in ('Yes', 'No')), 0)",
                "share", "non_additive", "Share of customers who have left, as observed."),
        Measure("average_tenure", "avg(tenure_months)", "months", "non_additive",
                "Mean time since they became customers."),
        Measure("average_spend", "avg(total_amount)", CURRENCY, "non_additive",
                "Mean amount that a customer has paid so far."),
        Measure("average_churn_probability", "avg(churn_probability)", "share", "non_additive",
                "Mean probability that a customer leaves, by the model."),
        Measure("customers_to_contact", "count(*) filter (where predicted_churn = 'Yes')", "count",
                "semi_additive", "Customers whose contact pays, by the model."),
    ),
)  # fmt: skip


def churn_features(customers: DataFrame) -> DataFrame:
    """Describe customers to the model; columns as declared for `gold_churn_features`."""
    tenure, price = F.col("tenure_months"), F.col("unit_price").cast("double")
    average = F.when(tenure > F.lit(0), v.ratio(F.col("total_amount"), tenure)).otherwise(price)
    return customers.withColumns(
        {"average_amount": average, "price_drift": price - average}
    ).select(*GOLD_CHURN_FEATURES.column_names)


GOLD = (GoldTable(GOLD_CHURN_FEATURES, churn_features, {"customers": DIM_RETAIL_CUSTOMERS}),)
