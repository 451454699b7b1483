"""When a table follows the tables it is built from, composed once for every asset.

Three kinds of dependency are told apart by their mapping: *aligned* (the same partition), *within*
(the days of the month) and *history* (everything so far).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg
from dagster import AutomationCondition as When

from lakehouse_assets.orchestration.jobs import QUALITY
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


def with_conditions(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give every asset that is built from others the condition under which it follows them."""
    found = list(assets)
    whole = frozenset(key for asset in found if asset.partitions_def is None for key in asset.keys)

    def decided(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        siblings = frozenset(asset.keys)
        return asset.map_asset_specs(
            lambda spec: spec.replace_attributes(
                automation_condition=condition_of(spec, siblings, whole)
            )
        )

    return [decided(asset) for asset in found]


def following_sensor(*, running: bool) -> dg.AutomationConditionSensorDefinition:
    """Make the sensor that looks at every condition.

    Args:
        running: Whether it runs from the start; otherwise people switch it on in the UI.
    """
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    return dg.AutomationConditionSensorDefinition(
        "follow_sources",
        target=dg.AssetSelection.all(),
        description="Builds the tables whose sources have changed, see each asset's condition.",
        default_status=status,
        minimum_interval_seconds=_LOOK_SECONDS,
        # A run for each partition: the conditions see to the order, and one that fails stops no
        # other, as it would in a backfill.
        emit_backfills=False,
    )


def condition_of(
    spec: dg.AssetSpec, siblings: frozenset[dg.AssetKey], unpartitioned: frozenset[dg.AssetKey]
) -> Condition | None:
    """Compose an asset's condition; None for what only a delivery can make.

    Args:
        spec: The asset.
        siblings: Keys of the assets that the same step makes, its own among them.
        unpartitioned: Keys of the assets without partitions.
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
        _has_news(deps)
        & _may_exist(deps)
        & _nothing_moves(deps.aligned | deps.within | deps.whole, deps.history)
    ).with_label("follows its sources")


def _made_once() -> Condition:
    """Make a calendar, or other reference data, when it is missing; nothing else changes it."""
    return (
        # Asked once each time it goes missing: a calendar that fails is not asked for every tick.
        When.missing().newly_true().since(_handled())
        # A run that makes it is already under way, say by hand.
        & ~When.in_progress()
    ).with_label("made when missing")


def _has_news(deps: Dependencies) -> Condition:
    """Say that a source was rebuilt since the table was last asked for or built."""
    direct = deps.aligned | deps.within
    # What was delivered before the sensors were switched on is news at the first look.
    arrived = When.missing() & When.any_deps_match(~When.missing()).allow(_only(direct))
    news = arrived.newly_true()
    read = direct - deps.begun_by
    if read:
        # A source that is asked for in this very tick counts: both go into one run, in order.
        news = news | When.any_deps_updated().allow(_only(read))
    if deps.history:
        # Months after a corrected one add it up as well. Whether the correcting run also built this
        # table does not matter: it did so for its own month, not for the later ones.
        news = news | When.any_deps_match(When.newly_updated()).allow(_only(deps.history))
    # No source reports a change for a table that used up its retries, as when the store was gone
    # for longer: it is requested again once a day, with the files that are behind.
    news = news | (When.execution_failed() & When.cron_tick_passed(CRON))
    return news.since(_handled()) | _changed_meanwhile(read | deps.history)


def _changed_meanwhile(sources: frozenset[dg.AssetKey]) -> Condition:
    """Say that a source changed while the table was being built, perhaps after it was read."""
    changed = When.any_deps_match(When.newly_updated() & ~When.executed_with_root_target()).allow(
        _only(sources)
    )
    built = When.in_progress() | When.newly_updated()
    return (changed & built).since(When.newly_requested())


def _may_exist(deps: Dependencies) -> Condition:
    """Keep the months that nobody delivered from coming into being.

    News of March reaches every later month through the history, up to the running one: those that
    exist are rebuilt, the others wait for a delivery of their own.
    """
    if deps.aligned:
        # Complete sources only; one that is asked for in this tick will be there in time.
        begins = ~When.any_deps_match(When.missing() & ~When.will_be_requested()).allow(
            _only(deps.aligned | deps.whole)
        )
    else:
        # The first gold table of a month: any of the month's deliveries begins it.
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


def _handled() -> Condition:
    """Say that the table was asked for or built: news before that are no news.

    Unlike `since_last_handled`, the first look after switching on forgets nothing.
    """
    return When.newly_requested() | When.newly_updated()


def _only(keys: Iterable[dg.AssetKey]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*sorted(keys))
