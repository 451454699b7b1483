"""Automation conditions, which decide when an asset is rebuilt after its sources change.

The partition mapping distinguishes four kinds of dependency: *aligned* (the same partition),
*within* (the days of the month), *history* (everything so far) and *last days* (a day and some
before it).

Whether a partition is out of date is read from Dagster's event log, not inferred from what happened
between two ticks, so that no change is lost when the daemon is killed, a run is lost or a disk is
full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import dagster as dg
from dagster import AutomationCondition as When

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.registry import Grain
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.orchestration.partitions import accepting_beta
from lakehouse_assets.orchestration.recorded import (
    READ_AS_OF,
    Failed,
    failed_partitions,
    is_load,
    outdated_days,
    recorded,
)
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
    whole: frozenset[dg.AssetKey] = frozenset()

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

    def read_by(self, siblings: frozenset[dg.AssetKey]) -> Dependencies:
        """Return those that are read from outside the step, which makes `siblings`."""
        return replace(
            self,
            aligned=self.aligned - siblings,
            within=self.within - self.triggers,
            history=self.history - siblings,
        )

    def among(self, keys: frozenset[dg.AssetKey]) -> Dependencies:
        """Return those that are among some partitioned assets."""
        return Dependencies(
            self.aligned & keys,
            self.within & keys,
            self.history & keys,
            {key: days for key, days in self.last_days.items() if key in keys},
        )


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
    datasets = list(datasets)
    days = frozenset(
        dg.AssetKey([d.domain, d.loaded_tables[2]]) for d in datasets if d.grain == "day"
    )
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
            condition = None if reads_itself else _condition_of(key, dep, asset, domain, days)
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
    days: frozenset[dg.AssetKey],
) -> Condition | None:
    """Compose an asset's condition; None if only deliveries or a schedule build it.

    Args:
        key: The asset.
        deps: Its dependencies.
        asset: The step that makes it.
        deliveries: Tables that are written when something is delivered to the asset's domain.
        days: The silver tables of all datasets that are delivered by day.
    """
    if asset.partitions_def is None:
        # The quality log is filled by its schedule.
        return None if key.path[0] == QUALITY else _made_once()
    if not deps.aligned | deps.within | deps.last_days.keys():
        return None
    read = deps.read_by(frozenset(asset.keys))
    return (
        _has_news(deps, read)
        & _may_begin(deps, deliveries)
        & _nothing_moves(
            deps.aligned | deps.within | deps.whole, deps.history | deps.last_days.keys()
        )
        & ~WaitsForDays(read.among(days))
    ).with_label("when a source changes")


def _made_once() -> Condition:
    """Build the calendar and other reference data when they are missing; nothing changes them."""
    return (
        # Requested once each time it goes missing: a failing build is not repeated on every tick.
        When.missing().newly_true().since(When.newly_requested() | When.newly_updated())
        # Not while a run, perhaps a manual one, is already building it.
        & ~When.in_progress()
    ).with_label("when it is missing")


def _has_news(deps: Dependencies, read: Dependencies) -> Condition:
    """Hold if a source was rebuilt since the table was last requested or built."""
    changed: Condition = When.missing() & NeverTried()
    changed = changed | Outdated(read)
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


_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_MONTH = len("yyyy-mm")


class _OfSources(dg.AutomationCondition[dg.AssetKey]):
    """A condition on the events of the partitions that a partition is built from.

    Args:
        sources: The sources by kind.
    """

    def __init__(self, sources: Dependencies) -> None:
        self.sources = sources

    def newest(
        self, partitions: Iterable[str], events_of: Callable[[dg.AssetKey], Mapping[str, int]]
    ) -> dict[str, int]:
        """Return the newest event of the sources' partitions that each partition is built from.

        Args:
            partitions: The asset's partitions.
            events_of: Returns a source's events by its partition.
        """
        found = dict.fromkeys(partitions, 0)
        for key in self.sources.aligned:
            events = events_of(key)
            for partition in found:
                found[partition] = max(found[partition], events.get(partition, 0))
        for key in self.sources.within:
            by_month = _newest_by_month(events_of(key))
            for partition in found:
                found[partition] = max(found[partition], by_month.get(partition[:_MONTH], 0))
        for key in self.sources.history:
            by_month = _newest_by_month(events_of(key))
            months = sorted({*by_month, *(partition[:_MONTH] for partition in found)})
            newest = accumulate((by_month.get(month, 0) for month in months), max)
            until = dict(zip(months, newest, strict=True))
            for partition in found:
                found[partition] = max(found[partition], until[partition[:_MONTH]])
        for key, number in self.sources.last_days.items():
            events = events_of(key)
            for partition in found:
                day = date.fromisoformat(partition)
                days = (str(day - timedelta(days=back)) for back in range(number))
                found[partition] = max(found[partition], *(events.get(d, 0) for d in days))
        return found


class Outdated(_OfSources):
    """Whether a source of a partition has changed since the last attempt to build it began.

    A failed attempt counts too: it is repeated only when a source changes.
    """

    @property
    def description(self) -> str:
        """Text of the condition in the UI."""
        return "A source has changed since the last attempt to build the partition began"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Compare the newest events of the sources with the start of the last attempt."""
        log = _log_of(context)
        attempts = log.attempts(context.key)
        changed = self.newest(attempts, lambda key: log.newest(key, _MADE))
        behind = {partition for partition, event in changed.items() if event > attempts[partition]}
        return _result(context, behind)


class WaitsForDays(_OfSources):
    """Whether a sensor will run a day of a source again first.

    The day's load failed, or a late or corrected day has put it out of date: until it runs again,
    both days may have the same row.
    """

    @property
    def description(self) -> str:
        """Text of the condition in the UI."""
        return "A day of a source has failed or is out of date, and is run again first"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Look for such days among those that the candidates are built from."""
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        found = self.newest(candidates, _log_of(context).days_to_run_again)
        return _result(context, {partition for partition, event in found.items() if event})


class Delivered(dg.AutomationCondition[dg.AssetKey]):
    """Whether anything was delivered on a partition's day or in its month.

    Args:
        deliveries: Tables that are written when something is delivered.
        grain: `day` or `month`.
    """

    def __init__(self, deliveries: frozenset[dg.AssetKey], grain: Grain) -> None:
        self.deliveries = deliveries
        self.grain = grain

    @property
    def description(self) -> str:
        """Text of the condition in the UI."""
        return f"Something was delivered in the partition's {self.grain}"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Look for loaded partitions in the days or months of the candidates."""
        log = _log_of(context)
        length = _MONTH if self.grain == "month" else None
        loaded = {
            partition[:length] for key in self.deliveries for partition in log.newest(key, _MADE)
        }
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        return _result(context, {key for key in candidates if key[:length] in loaded})


class NeverTried(dg.AutomationCondition[dg.AssetKey]):
    """Whether no run was ever requested for a partition."""

    @property
    def description(self) -> str:
        """Text of the condition in the UI."""
        return "No run was requested for the partition yet"

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Look for any attempt."""
        tried = _log_of(context).attempts(context.key)
        candidates = context.candidate_subset.expensively_compute_partition_keys()
        return _result(context, set(candidates) - tried.keys())


def _result(
    context: dg.AutomationContext[dg.AssetKey], partitions: set[str]
) -> dg.AutomationResult[dg.AssetKey]:
    found = context.candidate_subset.compute_intersection_with_partition_keys(partitions)
    return dg.AutomationResult(context, found)


def _newest_by_month(events: Mapping[str, int]) -> dict[str, int]:
    """Return the newest event of each month's partitions, by `yyyy-mm`."""
    newest: dict[str, int] = {}
    for partition, event in events.items():
        month = partition[:_MONTH]
        newest[month] = max(newest.get(month, 0), event)
    return newest


class _EventLog:
    """Dagster's events of assets, fetched once per evaluation of all conditions."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._newest: dict[tuple[dg.AssetKey, dg.DagsterEventType], dict[str, int]] = {}
        self._attempts: dict[dg.AssetKey, dict[str, int]] = {}
        self._again: dict[dg.AssetKey, dict[str, int]] = {}
        self._failed: Failed | None = None

    def newest(self, key: dg.AssetKey, kind: dg.DagsterEventType) -> dict[str, int]:
        """Return the storage id of the newest event of a kind, by partition."""
        if (key, kind) not in self._newest:
            found = self._instance.get_latest_storage_id_by_partition(key, kind)
            self._newest[key, kind] = {part: event for part, event in found.items() if part}
        return self._newest[key, kind]

    def days_to_run_again(self, key: dg.AssetKey) -> dict[str, int]:
        """Return the days that sensors run again, each with a number above 0."""
        if self._failed is None:
            self._failed = failed_partitions(self._instance)
        if key not in self._again:
            failed = {
                day: 1
                for day, run_id in self._failed.get(key, {}).items()
                if day and is_load(self._instance, run_id)
            }
            self._again[key] = outdated_days(self._instance, key) | failed
        return self._again[key]

    def attempts(self, key: dg.AssetKey) -> dict[str, int]:
        """Return, by partition, the newest event that the last attempt could read, or its plan."""
        if key not in self._attempts:
            made, planned = self.newest(key, _MADE), self.newest(key, _PLANNED)
            done = {part for part, event in made.items() if event > planned.get(part, 0)}
            read = recorded(self._instance, key, [made[part] for part in done], READ_AS_OF)
            # A materialisation without that metadata counts by its own event.
            as_of = {part: read.get(made[part]) for part in done}
            self._attempts[key] = planned | {
                part: made[part] if event is None else int(event) for part, event in as_of.items()
            }
        return self._attempts[key]


_logs: WeakKeyDictionary[Any, _EventLog] = WeakKeyDictionary()


def _log_of(context: dg.AutomationContext[Any]) -> _EventLog:
    """Return the log of this evaluation; each evaluation has its own view."""
    view = context.asset_graph_view
    if view not in _logs:
        _logs[view] = _EventLog(view.instance)
    return _logs[view]
