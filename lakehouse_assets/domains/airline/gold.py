"""The gold assets of the airline domain."""

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.transforms import gold as rules
from lakehouse_assets.domains.conformed.tables import DIM_COUNTRIES, DIM_DATE
from lakehouse_assets.orchestration.partitions import WITHIN, Calendar
from lakehouse_assets.orchestration.table_assets import (
    MonthlyRule,
    delivered_in_month,
    latest_snapshot,
    monthly_asset,
    of_month,
)


def gold_assets(calendar: Calendar) -> Sequence[dg.AssetsDefinition]:
    """Make the gold assets: dimensions, facts, and customer value."""
    monthly, so_far = calendar.monthly, calendar.so_far
    return (
        monthly_asset(
            t.DIM_GEOGRAPHY,
            lambda ctx, f: rules.dim_geography(
                latest_snapshot(ctx, t.SILVER_FLIGHTS, f), ctx.month, ctx.loaded_at
            ),
            monthly,
            {t.SILVER_FLIGHTS: so_far, DIM_COUNTRIES: None},
            # The month begins with whatever of it was delivered and cleaned; what was set aside is
            # written last. Gold's first table says so for all that are built on it.
            begun_by=[quarantine_table(t.FLIGHTS), quarantine_table(t.TRANSACTIONS)],
        ),
        monthly_asset(
            t.DIM_CUSTOMERS,
            lambda ctx, f: rules.dim_customers(
                latest_snapshot(ctx, t.SILVER_FLIGHTS, f), ctx.month, ctx.loaded_at
            ),
            monthly,
            {t.SILVER_FLIGHTS: so_far, t.DIM_GEOGRAPHY: None, DIM_DATE: None},
        ),
        monthly_asset(
            t.FACT_FLIGHTS,
            lambda ctx, f: rules.fact_flights(
                latest_snapshot(ctx, t.SILVER_FLIGHTS, f), ctx.month, ctx.loaded_at
            ),
            monthly,
            {t.SILVER_FLIGHTS: so_far, t.DIM_CUSTOMERS: None, DIM_DATE: None},
        ),
        monthly_asset(
            t.FACT_TRANSACTIONS,
            lambda ctx, f: rules.fact_transactions(
                delivered_in_month(f["silver_transactions"], ctx), ctx.month, ctx.loaded_at
            ),
            monthly,
            {t.SILVER_TRANSACTIONS: WITHIN, t.DIM_CUSTOMERS: None, DIM_DATE: None},
        ),
        monthly_asset(
            t.CUSTOMER_SPEND,
            lambda ctx, f: rules.customer_spend(of_month(f["fact_transactions"], ctx)),
            monthly,
            {t.FACT_TRANSACTIONS: None},
        ),
        monthly_asset(
            t.KPI_CUSTOMER_VALUE,
            lambda ctx, f: rules.kpi_customer_value(
                of_month(f["dim_customers"], ctx),
                of_month(f["fact_flights"], ctx),
                f["customer_spend"],
                ctx.month,
            ),
            monthly,
            {t.DIM_CUSTOMERS: None, t.FACT_FLIGHTS: None, t.CUSTOMER_SPEND: so_far},
            rules=[
                MonthlyRule(
                    "spenders_are_members",
                    "Whoever has completed purchases so far is a member; what others spent is in "
                    "fact_transactions and not in total_spent.",
                    lambda ctx, members, f: rules.spend_of_others(
                        f["customer_spend"], members, ctx.month
                    ),
                    amount="completed_amount",
                    blocking=False,
                )
            ],
        ),
    )
