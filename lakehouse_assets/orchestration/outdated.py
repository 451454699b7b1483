"""Conditions that check in Dagster's event log whether a partition is older than its sources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from lakehouse_assets.catalog.registry import Grain
from lakehouse_assets.orchestration.recorded import recorded

# Metadata of a materialisation: id of the newest event in Dagster's log when its step first read.
READ_AS_OF = "lakehouse/read_as_of_event"
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_MONTH = len("yyyy-mm")


class Outdated(dg.AutomationCondition[dg.AssetKey]):
    """Whether a source of a partition has changed since the last attempt to build it began.

    A failed attempt counts too: it is repeated only when a source changes.

    Args:
        aligned: Sources whose same partition counts.
        within: Sources whose partitions in the asset's month count.
        so_far: Sources whose partitions up to the asset's month count.
        last_days: Sources whose last days up to the asset's day count, with their number.
    """

    def __init__(
        self,
        aligned: frozenset[dg.AssetKey],
        within: frozenset[dg.AssetKey],
        so_far: frozenset[dg.AssetKey],
        last_days: Mapping[dg.AssetKey, int],
    ) -> None:
        self.aligned = aligned
        self.within = within
        self.so_far = so_far
        self.last_days = last_days

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
        changed = dict.fromkeys(attempts, 0)
        for key in self.aligned:
            events = log.newest(key, _MADE)
            for partition in attempts:
                changed[partition] = max(changed[partition], events.get(partition, 0))
        for key in self.within:
            by_month = _newest_by_month(log.newest(key, _MADE))
            for partition in attempts:
                changed[partition] = max(changed[partition], by_month.get(partition[:_MONTH], 0))
        for key in self.so_far:
            by_month = _newest_by_month(log.newest(key, _MADE))
            months = sorted({*by_month, *(partition[:_MONTH] for partition in attempts)})
            newest = accumulate((by_month.get(month, 0) for month in months), max)
            until = dict(zip(months, newest, strict=True))
            for partition in attempts:
                changed[partition] = max(changed[partition], until[partition[:_MONTH]])
        for key, number in self.last_days.items():
            events = log.newest(key, _MADE)
            for partition in attempts:
                day = date.fromisoformat(partition)
                days = (str(day - timedelta(days=back)) for back in range(number))
                changed[partition] = max(changed[partition], *(events.get(d, 0) for d in days))
        behind = {partition for partition, event in changed.items() if event > attempts[partition]}
        return _result(context, behind)


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

    def newest(self, key: dg.AssetKey, kind: dg.DagsterEventType) -> dict[str, int]:
        """Return the storage id of the newest event of a kind, by partition."""
        if (key, kind) not in self._newest:
            found = self._instance.get_latest_storage_id_by_partition(key, kind)
            self._newest[key, kind] = {part: event for part, event in found.items() if part}
        return self._newest[key, kind]

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
