"""When a table follows the tables it is built from, composed once for every asset.

Three kinds of dependency are told apart by their mapping: *aligned* (the same partition), *within*
(the days of the month) and *history* (everything so far).

Whether a partition is out of date is asked of what Dagster has recorded (`outdated.py`) and not of
what happened between two looks, so that a change is not forgotten when the daemon is killed, a run
is lost or a disk is full.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg
from dagster import AutomationCondition as When

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.orchestration.outdated import Begun, NeverTried, Outdated
from lakehouse_assets.orchestration.schedules import CRON

_LOOK_SECONDS = 30
Condition: TypeAlias = dg.AutomationCondition[Any]


@dataclass(frozen=True)
class Dependencies:
    """Keys of an asset's dependencies by kind.

    Attributes:
        aligned: Their partition is the asset's own.
        within: Their partitions lie inside the asset's.
        history: The asset's partition depends on everything before it as well.
        whole: They have no partitions.
    """

    aligned: frozenset[dg.AssetKey]
    within: frozenset[dg.AssetKey]
    history: frozenset[dg.AssetKey]
    whole: frozenset[dg.AssetKey]

    @classmethod
    def of(cls, spec: dg.AssetSpec, unpartitioned: frozenset[dg.AssetKey]) -> Dependencies:
        """Sort an asset's dependencies."""
        kinds: dict[str, set[dg.AssetKey]] = {
            kind: set() for kind in ("aligned", "within", "history", "whole")
        }
        for dep in spec.deps:
            mapping = dep.partition_mapping
            if dep.asset_key in unpartitioned:
                kind = "whole"
            elif not isinstance(mapping, dg.TimeWindowPartitionMapping):
                kind = "aligned"
            else:
                kind = "history" if mapping.start_offset < 0 else "within"
            kinds[kind].add(dep.asset_key)
        return cls(**{kind: frozenset(keys) for kind, keys in kinds.items()})

    @property
    def begun_by(self) -> frozenset[dg.AssetKey]:
        """What begins a partition of a table that reads its past; it is waited for, not read."""
        return self.within if self.history and not self.aligned else frozenset()


def with_conditions(
    assets: Iterable[dg.AssetsDefinition], datasets: Iterable[Dataset]
) -> list[dg.AssetsDefinition]:
    """Give every asset that is built from others the condition under which it follows them.

    Args:
        assets: The assets of every domain.
        datasets: What is delivered: the first delivery of a month begins all tables of its domain.
    """
    found = list(assets)
    deliveries: dict[str, frozenset[dg.AssetKey]] = {}
    for dataset in datasets:
        cleaned = {dg.AssetKey([dataset.domain, name]) for name in dataset.loaded_tables[2:]}
        deliveries[dataset.domain] = deliveries.get(dataset.domain, frozenset()) | cleaned
    whole = frozenset(key for asset in found if asset.partitions_def is None for key in asset.keys)

    def decided(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        siblings = frozenset(asset.keys)
        return asset.map_asset_specs(
            lambda spec: spec.replace_attributes(
                automation_condition=condition_of(
                    spec, siblings, whole, deliveries.get(spec.key.path[0], frozenset())
                )
            )
        )

    return [decided(asset) for asset in found]


def following_sensor(*, running: bool) -> dg.AutomationConditionSensorDefinition:
    """Make the sensor that looks at every condition.

    Args:
        running: Whether it starts switched on; otherwise users switch it on in the UI.
    """
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            "follow_sources",
            target=dg.AssetSelection.all(),
            description="Builds the tables whose sources have changed, see each asset's condition.",
            default_status=status,
            minimum_interval_seconds=_LOOK_SECONDS,
            # A run for each partition: the conditions see to the order, and one that fails stops no
            # other, as it would in a backfill.
            emit_backfills=False,
            # Conditions of our own are evaluated where our code is, which is in beta.
            use_user_code_server=True,
        )


def condition_of(
    spec: dg.AssetSpec,
    siblings: frozenset[dg.AssetKey],
    unpartitioned: frozenset[dg.AssetKey],
    deliveries: frozenset[dg.AssetKey],
) -> Condition | None:
    """Compose an asset's condition; None for what only a delivery can make.

    Args:
        spec: The asset.
        siblings: Keys of the assets that the same step makes, its own among them.
        unpartitioned: Keys of the assets without partitions.
        deliveries: Tables that are written when something is delivered to the asset's domain.
    """
    deps = Dependencies.of(spec, unpartitioned)
    if spec.partitions_def is None:
        # Tables about other tables are filled by their schedule.
        return None if spec.key.path[0] == QUALITY else _made_once()
    if not deps.aligned | deps.within:
        return None
    if deps.history & siblings:
        # A table that depends on its own past (purchases: the first delivery of an id counts) is
        # made by the runs of its deliveries and late days. Dagster, asked for a day, asks for all
        # days before it of whatever the same step makes, and then fails.
        return None
    return (
        _has_news(deps, siblings)
        & _may_exist(deps, deliveries)
        & _nothing_moves(deps.aligned | deps.within | deps.whole, deps.history)
    ).with_label("follows its sources")


def _made_once() -> Condition:
    """Make a calendar, or other reference data, when it is missing; nothing else changes it."""
    return (
        # Asked once each time it goes missing: a calendar that fails is not asked for every tick.
        When.missing().newly_true().since(When.newly_requested() | When.newly_updated())
        # A run that makes it is already under way, say by hand.
        & ~When.in_progress()
    ).with_label("made when missing")


def _has_news(deps: Dependencies, siblings: frozenset[dg.AssetKey]) -> Condition:
    """Say that a source was rebuilt since the table was last asked for or built."""
    news: Condition = When.missing() & NeverTried()
    news = news | Outdated(
        aligned=deps.aligned - siblings,
        within=deps.within - deps.begun_by,
        so_far=deps.history - siblings,
    )
    if deps.aligned:
        # A source that is asked for in this very tick: both go into one run, in order.
        news = news | When.any_deps_match(When.will_be_requested()).allow(_only(deps.aligned))
    # A run that used up its retries, as when the store was gone for longer, changes no source: what
    # it should have made is asked for again once a day, with the files that are behind.
    again = (When.execution_failed() & When.cron_tick_passed(CRON)).since(When.newly_requested())
    return news | again


def _may_exist(deps: Dependencies, deliveries: frozenset[dg.AssetKey]) -> Condition:
    """Keep the months that nobody delivered from coming into being.

    News of March reaches every later month through the history, up to the running one: those that
    exist are rebuilt, the others wait for a delivery of their own.
    """
    if deps.aligned:
        # Complete sources only; one that is asked for in this tick will be there in time.
        begins: Condition = ~When.any_deps_match(When.missing() & ~When.will_be_requested()).allow(
            _only(deps.aligned | deps.whole)
        )
    elif deps.within & deliveries:
        # The first gold tables of a month: any delivery to the domain begins them all, so that
        # every table of a month exists or none does.
        begins = Begun(deliveries)
    else:
        begins = When.any_deps_match(~When.missing()).allow(_only(deps.within))
    return ~When.missing() | begins


def _nothing_moves(direct: frozenset[dg.AssetKey], history: frozenset[dg.AssetKey]) -> Condition:
    """Wait while the table or one of its sources is being built."""
    # Two runs of one partition would do the same work twice.
    still = ~When.in_progress()
    # What is about to change is not worth building on.
    still = still & ~When.any_deps_in_progress().allow(_only(direct | history))
    if history:
        # Other months' sources cannot go into this month's run, so they are waited for.
        still = still & ~When.any_deps_match(When.will_be_requested()).allow(_only(history))
    return still


def _only(keys: Iterable[dg.AssetKey]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*sorted(keys))
