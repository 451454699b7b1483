"""The jobs: one per family of partitions, because one run cannot mix them."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

UNPARTITIONED = "calendar"
DAILY = "daily"
MONTHLY = "monthly"


def family_jobs(assets: Iterable[dg.AssetsDefinition]) -> list[dg.UnresolvedAssetJobDefinition]:
    """Make the jobs that materialise all assets of each family of partitions."""
    families: dict[str, list[dg.AssetKey]] = {UNPARTITIONED: [], DAILY: [], MONTHLY: []}
    for definition in assets:
        partitions = definition.partitions_def
        if partitions is None:
            family = UNPARTITIONED
        elif isinstance(partitions, dg.DailyPartitionsDefinition):
            family = DAILY
        else:
            family = MONTHLY
        families[family] += definition.keys
    texts = {
        UNPARTITIONED: "Tables without partitions: the calendar.",
        DAILY: "Daily deliveries to bronze and silver.",
        MONTHLY: "Monthly snapshots, and gold and segments as of the end of the month.",
    }
    return [
        dg.define_asset_job(
            name, selection=dg.AssetSelection.assets(*keys), description=texts[name]
        )
        for name, keys in families.items()
        if keys
    ]
