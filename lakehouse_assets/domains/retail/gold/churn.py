"""Customer churn: the inputs of the model, and its scores."""

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
    "Inputs of the churn model: one row per customer as of the end of a month, from the latest "
    "snapshot. The model is fitted on customers with a label (churn) and scores all of them.",
    (
        *CUSTOMER_COLUMNS,
        Column(
            "average_amount", "double",
            "Average amount the customer paid per month: total_amount divided by tenure_months, or "
            "unit_price in the first month. Derived by the model.", unit=CURRENCY,
        ),
        Column(
            "price_drift", "double",
            "unit_price minus average_amount. Derived by the model.", unit=CURRENCY,
        ),
    ),
    ("customer_id",),
    kind="snapshot",
    topic="churn",
)  # fmt: skip

GOLD_CUSTOMER_CHURN = gold(
    "gold_customer_churn",
    "One row per customer as of the end of a month: the probability that the customer leaves, "
    "whether a contact pays off, the reasons, and the model's inputs.",
    (
        *CUSTOMER_COLUMNS,
        Column("churn_probability", "double", "Probability that the customer leaves; null before "
               "the first model.",
               unit="share", pii="demographic", aliases=("ChurnProbability",)),
        Column("predicted_churn", "string",
               "Yes if contacting the customer pays off: the probability exceeds the cost of a "
               "contact divided by the loss of a customer, both settings of the model. Else No.",
               pii="demographic", aliases=("PredictedChurn",)),
        *(
            Column(f"reason_{number}", "string",
                   f"{rank} reason for a Yes: a source column and its value; null if there is "
                   f"none.",
                   pii="demographic")
            for number, rank in enumerate(("Main", "Second", "Third"), 1)
        ),
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
    aliases=("customerchurndataprediction",),
    measures=(
        Measure("customers", "count(*)", "count", "semi_additive",
                "Number of customers, including former ones."),
        Measure("churn_rate",
                "1.0 * count(*) filter (where churn = 'Yes') / "
                "nullif(count(*) filter (where churn in ('Yes', 'No')), 0)",
                "share", "non_additive", "Share of customers with a label who have left."),
        Measure("average_tenure", "avg(tenure_months)", "months", "non_additive",
                "Average months since becoming a customer."),
        Measure("average_spend", "avg(total_amount)", CURRENCY, "non_additive",
                "Average amount that a customer has paid so far."),
        Measure("average_churn_probability", "avg(churn_probability)", "share", "non_additive",
                "Average probability that a customer leaves, by the model."),
        Measure("customers_to_contact", "count(*) filter (where predicted_churn = 'Yes')", "count",
                "semi_additive", "Number of customers whose contact pays off, by the model."),
    ),
)  # fmt: skip


def churn_features(customers: DataFrame) -> DataFrame:
    """Describe customers to the model; columns as declared for `gold_churn_features`."""
    tenure, price = F.col("tenure_months"), F.col("unit_price").cast("double")
    average = F.when(tenure > F.lit(0), v.ratio(F.col("total_amount"), tenure)).otherwise(price)
    return customers.withColumns({"average_amount": average, "price_drift": price - average})


GOLD = (GoldTable(GOLD_CHURN_FEATURES, churn_features, {"customers": DIM_RETAIL_CUSTOMERS}),)
