"""Members: who they are, where they work, what they fly and buy, and what they are worth."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import Check, GoldTable, latest, so_far
from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.transforms import gold as rules

GOLD = (
    GoldTable(
        t.DIM_GEOGRAPHY,
        rules.dim_geography,
        {"members": latest(t.SILVER_FLIGHTS)},
        # The month begins with whatever of it was delivered and cleaned; what was set aside is
        # written last. Gold's first table says so for all that are built on it.
        triggered_by=(quarantine_table(t.FLIGHTS), quarantine_table(t.TRANSACTIONS)),
    ),
    GoldTable(t.DIM_CUSTOMERS, rules.dim_customers, {"members": latest(t.SILVER_FLIGHTS)}),
    GoldTable(t.FACT_FLIGHTS, rules.fact_flights, {"members": latest(t.SILVER_FLIGHTS)}),
    GoldTable(t.FACT_TRANSACTIONS, rules.fact_transactions, {"purchases": t.SILVER_TRANSACTIONS}),
    GoldTable(t.CUSTOMER_SPEND, rules.customer_spend, {"fact_transactions": t.FACT_TRANSACTIONS}),
    GoldTable(
        t.KPI_CUSTOMER_VALUE,
        rules.kpi_customer_value,
        {
            "dim_customers": t.DIM_CUSTOMERS,
            "fact_flights": t.FACT_FLIGHTS,
            "spend": so_far(t.CUSTOMER_SPEND),
        },
        checks=(
            Check(
                "spenders_are_members",
                "Whoever has completed purchases so far is a member; what others spent is in "
                "fact_transactions and not in total_spent.",
                rules.spend_of_others,
                amount="completed_amount",
                blocking=False,
            ),
        ),
    ),
)
