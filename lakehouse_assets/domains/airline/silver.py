"""The silver assets of the airline domain."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import Limits
from lakehouse_assets.domains.airline import expectations
from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.reference import places
from lakehouse_assets.domains.airline.transforms.silver import type_flights, type_transactions
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.orchestration.silver_assets import SilverRule, silver_assets

# A member is a state: the latest snapshot of the month is the truth.
FLIGHTS = SilverRule(
    dataset=t.FLIGHTS,
    table=t.SILVER_FLIGHTS,
    key="member_no",
    expectations=expectations.FLIGHTS,
    transform=lambda bronze, lake: type_flights(bronze, lake.engine.from_arrow(places())),
    newest_delivery_first=True,
)

# A purchase is an event: it happened once, whenever else it is delivered again.
TRANSACTIONS = SilverRule(
    dataset=t.TRANSACTIONS,
    table=t.SILVER_TRANSACTIONS,
    key="transaction_id",
    expectations=expectations.TRANSACTIONS,
    transform=lambda bronze, _lake: type_transactions(bronze),
    unique_over_time=True,
)


def airline_silver_assets(calendar: Calendar, limits: Limits) -> Sequence[dg.AssetsDefinition]:
    """Make the silver and quarantine assets."""
    return [silver_assets(rule, calendar, limits) for rule in (FLIGHTS, TRANSACTIONS)]
