"""How old a table may be, by layer.

Belongs here: the freshness policies. Not here: what makes tables new (`conditions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from lakehouse_assets.lake.registry import Table
from lakehouse_assets.tables import REGISTRY

# Deliveries come once a day or month, at no exact hour: the warning leaves them some hours of
# grace, the failure a whole missed delivery.
_DAILY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=28), fail_window=timedelta(hours=52)
)
_MONTHLY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(days=33), fail_window=timedelta(days=63)
)


def policy_of(table: Table) -> dg.FreshnessPolicy | None:
    """Return how old a table may be; None for the calendar, which never ages."""
    if table.partition is None:
        return None
    if table.layer in {"bronze", "silver"}:
        return _DAILY if table.partition.grain == "day" else _MONTHLY
    # Gold and segments hold as of the running month, and follow its daily purchases.
    return _DAILY


def with_freshness(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give every asset the freshness policy of its table."""

    def dated(spec: dg.AssetSpec) -> dg.AssetSpec:
        table = REGISTRY.by_key(tuple(spec.key.path))
        return spec.replace_attributes(freshness_policy=policy_of(table))

    return [asset.map_asset_specs(dated) for asset in assets]
