"""Automation conditions, which decide when an asset is rebuilt after its sources change.

The partition mapping distinguishes four kinds of dependency: *aligned* (the same partition),
*within* (the days of the month), *history* (everything so far) and *last days* (a day and some
before it).

Whether a partition is out of date is read from Dagster's event log (`outdated.py`), not inferred
from what happened between two ticks, so that no change is lost when the daemon is killed, a run is
lost or a disk is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dagster as dg
from dagster import AutomationCondition as When

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.orchestration.outdated import Delivered, NeverTried, Outdated
from lakehouse_assets.orchestration.partitions import accepting_beta
from lakehouse_assets.orchestration.schedules import CRON

_LOOK_SECONDS = 30
# How often tables that are built from streams are rebuilt at most; their sources change constantly.
_STREAMS_CRON = "*/5 * * * *"
Condition: TypeAlias = dg.AutomationCondition[Any]


@dataclass(frozen=True)
class Dependencies:
    """Keys of an asset's dependencies by kind.

    Attributes:
        aligned: Dependencies with the same partition.
        within: Dependencies whose partitions are inside the asset's.
        history: Dependencies whose earlier partitions are needed too.
        last_days: Dependencies whose last days up to the asset's day are needed, with their number.
        whole: Unpartitioned dependencies.
    """

    aligned: frozenset[dg.AssetKey]
    within: frozenset[dg.AssetKey]
    history: frozenset[dg.AssetKey]
    last_days: Mapping[dg.AssetKey, int]
    whole: frozenset[dg.AssetKey]

    @classmethod
    def of(cls, spec: dg.AssetSpec, unpartitioned: frozenset[dg.AssetKey]) -> Dependencies:
        """Sort an asset's dependencies by kind."""
        kinds: dict[str, set[dg.AssetKey]] = {
            kind: set() for kind in ("aligned", "within", "history", "whole")
        }
        last_days: dict[dg.AssetKey, int] = {}
        daily = isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)
        for dep in spec.deps:
            mapping = dep.partition_mapping
            if dep.asset_key in unpartitioned:
                kind = "whole"
            elif not isinstance(mapping, dg.TimeWindowPartitionMapping):
                kind = "aligned"
            elif daily and mapping.start_offset < 0 and not mapping.end_offset:
                last_days[dep.asset_key] = 1 - mapping.start_offset
                continue
            else:
                kind = "history" if mapping.start_offset < 0 else "within"
            kinds[kind].add(dep.asset_key)
        return cls(**{kind: frozenset(keys) for kind, keys in kinds.items()}, last_days=last_days)

    @property
    def triggers(self) -> frozenset[dg.AssetKey]:
        """Dependencies that trigger a partition of a history table: waited for, but not read."""
        return self.within if self.history and not self.aligned else frozenset()


def conditions_of(
    assets: Sequence[dg.AssetsDefinition],
    datasets: Iterable[Dataset],
    live: frozenset[dg.AssetKey],
) -> dict[dg.AssetKey, Condition | None]:
    """Return each asset's condition; None if only deliveries or a schedule build it.

    Args:
        assets: The assets of every domain.
        datasets: All datasets; the first delivery of a month triggers all tables of its domain.
        live: Tables that are built from streams.
    """
    deliveries: dict[str, frozenset[dg.AssetKey]] = {}
    for dataset in datasets:
        cleaned = {dg.AssetKey([dataset.domain, name]) for name in dataset.loaded_tables[2:]}
        deliveries[dataset.domain] = deliveries.get(dataset.domain, frozenset()) | cleaned
    whole = frozenset(key for asset in assets if asset.partitions_def is None for key in asset.keys)
    found: dict[dg.AssetKey, Condition | None] = {}
    for asset in assets:
        deps = {spec.key: Dependencies.of(spec, whole) for spec in asset.specs}
        # A table that depends on its own history (purchases: the first delivery of an id counts) is
        # built by the runs of its deliveries and late days. For a requested day, Dagster would also
        # request all earlier days of everything the same step makes, and then fail.
        reads_itself = any(dep.history & asset.keys for dep in deps.values())
        for key, dep in deps.items():
            domain = deliveries.get(key.path[0], frozenset())
            condition = None if reads_itself else _condition_of(key, dep, asset, domain)
            if condition is not None and key in live:
                due = When.cron_tick_passed(_STREAMS_CRON).since(When.newly_requested())
                condition = (condition & due).with_label(
                    "when a source changes, at most every 5 minutes"
                )
            found[key] = condition
    return found


@accepting_beta()
def following_sensor(status: dg.DefaultSensorStatus) -> dg.AutomationConditionSensorDefinition:
    """Make the sensor that evaluates every condition."""
    return dg.AutomationConditionSensorDefinition(
        "build_downstream",
        target=dg.AssetSelection.all(),
        description="Builds tables whose sources have changed; see each asset's condition.",
        default_status=status,
        minimum_interval_seconds=_LOOK_SECONDS,
        # One run per partition: the conditions enforce the order, and a failed run does not stop
        # the others, as it would in a backfill.
        emit_backfills=False,
        # Custom conditions must be evaluated on the code server, a beta feature.
        use_user_code_server=True,
    )


def _condition_of(
    key: dg.AssetKey,
    deps: Dependencies,
    asset: dg.AssetsDefinition,
    deliveries: frozenset[dg.AssetKey],
) -> Condition | None:
    """Compose an asset's condition; None if only deliveries or a schedule build it.

    Args:
        key: The asset.
        deps: Its dependencies.
        asset: The step that makes it.
        deliveries: Tables that are written when something is delivered to the asset's domain.
    """
    if asset.partitions_def is None:
        # The quality log is filled by its schedule.
        return None if key.path[0] == QUALITY else _made_once()
    if not deps.aligned | deps.within | deps.last_days.keys():
        return None
    return (
        _has_news(deps, frozenset(asset.keys))
        & _may_begin(deps, deliveries)
        & _nothing_moves(
            deps.aligned | deps.within | deps.whole, deps.history | deps.last_days.keys()
        )
    ).with_label("when a source changes")


def _made_once() -> Condition:
    """Build the calendar and other reference data when they are missing; nothing changes them."""
    return (
        # Requested once each time it goes missing: a failing build is not repeated on every tick.
        When.missing().newly_true().since(When.newly_requested() | When.newly_updated())
        # Not while a run, perhaps a manual one, is already building it.
        & ~When.in_progress()
    ).with_label("when it is missing")


def _has_news(deps: Dependencies, siblings: frozenset[dg.AssetKey]) -> Condition:
    """Hold if a source was rebuilt since the table was last requested or built."""
    changed: Condition = When.missing() & NeverTried()
    changed = changed | Outdated(
        aligned=deps.aligned - siblings,
        within=deps.within - deps.triggers,
        so_far=deps.history - siblings,
        last_days=deps.last_days,
    )
    if deps.aligned:
        # A source is requested in this same tick: both go into one run, in order.
        changed = changed | When.any_deps_match(When.will_be_requested()).allow(_only(deps.aligned))
    # A run that used up its retries, as in a long outage of the storage, changes no source. Its
    # partitions are requested again once a day, at the time of the refresh.
    again = (When.execution_failed() & When.cron_tick_passed(CRON)).since(When.newly_requested())
    return changed | again


def _may_begin(deps: Dependencies, deliveries: frozenset[dg.AssetKey]) -> Condition:
    """Keep months without a delivery from being created.

    A change in March reaches every later month, up to the current one, through the history: the
    months that exist are rebuilt, the others wait for a delivery of their own.
    """
    if deps.aligned:
        # No source may be missing; one that is requested in this tick will be built in time.
        begins: Condition = ~When.any_deps_match(When.missing() & ~When.will_be_requested()).allow(
            _only(deps.aligned | deps.whole)
        )
    elif deps.last_days:
        # Later days without rows of their own are not built.
        begins = Delivered(frozenset(deps.last_days), "day")
    elif deps.within & deliveries:
        # The first gold tables of a month: any delivery to the domain triggers them all, so that
        # either every table of a month exists or none does.
        begins = Delivered(deliveries, "month")
    else:
        begins = When.any_deps_match(~When.missing()).allow(_only(deps.within))
    return ~When.missing() | begins


def _nothing_moves(direct: frozenset[dg.AssetKey], history: frozenset[dg.AssetKey]) -> Condition:
    """Wait while the table or one of its sources is being built."""
    # Two runs of one partition would do the same work twice.
    still = ~When.in_progress()
    # A build on sources that are about to change would be outdated at once.
    still = still & ~When.any_deps_in_progress().allow(_only(direct | history))
    if history:
        # Other months' sources cannot be part of this month's run, so wait for them.
        still = still & ~When.any_deps_match(When.will_be_requested()).allow(_only(history))
    return still


def _only(keys: Iterable[dg.AssetKey]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*sorted(keys))
