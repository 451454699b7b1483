"""All assets of the airline domain, bronze to segments."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lakehouse_assets.catalog.datasets import Limits
from lakehouse_assets.domains.airline.gold import gold_assets
from lakehouse_assets.domains.airline.movements import movement_assets
from lakehouse_assets.domains.airline.segments import segment_assets
from lakehouse_assets.domains.airline.silver import airline_silver_assets
from lakehouse_assets.domains.airline.tables import DATASETS
from lakehouse_assets.orchestration.bronze_assets import bronze_assets
from lakehouse_assets.orchestration.partitions import Calendar


def airline_assets(
    calendar: Calendar, training_rows: int, limits: Limits = ()
) -> Sequence[dg.AssetsDefinition]:
    """Make every asset of the domain.

    Args:
        calendar: Days and months, and how they map.
        training_rows: Most rows that a model's training fetches.
        limits: How much of a dataset may be lost, where the settings say so.
    """
    return [
        *(bronze_assets(dataset, calendar, limits) for dataset in DATASETS),
        *airline_silver_assets(calendar, limits),
        *gold_assets(calendar),
        *segment_assets(calendar, training_rows),
        *movement_assets(calendar),
    ]
