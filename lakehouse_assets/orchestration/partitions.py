"""The partitions of every asset, and how they map to each other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import dagster as dg

from lakehouse_assets import clock
from lakehouse_assets.domains import DOMAINS


@contextmanager
def accepting_beta() -> Iterator[None]:
    """Use features of Dagster that are beta without a warning.

    They are backfill policies, mappings to partitions that do not exist, and conditions of ours.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


@accepting_beta()
def _mapping(start_offset: int = 0, end_offset: int = 0) -> dg.TimeWindowPartitionMapping:
    """Map to the partitions that exist so far: of the current month, the days up to today."""
    return dg.TimeWindowPartitionMapping(
        start_offset, end_offset, allow_nonexistent_upstream_partitions=True
    )


def last_days(days: int) -> dg.TimeWindowPartitionMapping:
    """Return the daily mapping of a day to itself and the days before it, `days` in all."""
    return _mapping(start_offset=1 - days)


# Most partitions in one run: a range shares the start-up cost, and its length bounds the memory and
# how much one failure affects.
LONGEST_SPAN = {"day": 31, "month": 3}
# The same span of time in another grain: a month's days.
WITHIN = _mapping()


@dataclass(frozen=True)
class Calendar:
    """Partition definitions from the first partition to the current day and month.

    Attributes:
        first: First day of the first month.
    """

    first: date

    @classmethod
    def of(cls, domain: str, first: date | None) -> Calendar:
        """Return a domain's partitions.

        Args:
            domain: Name of the domain.
            first: First partition from the settings; if None, the domain's own.
        """
        return cls(first or next(d.first_partition for d in DOMAINS if d.name == domain))

    @cached_property
    def so_far(self) -> dg.TimeWindowPartitionMapping:
        """Monthly mapping: a month and everything delivered before its end."""
        return _mapping(start_offset=-self._months())

    @cached_property
    def earlier(self) -> dg.TimeWindowPartitionMapping:
        """Daily mapping: everything delivered before a day, excluding that day."""
        return _mapping(start_offset=-self._months() * 31, end_offset=-1)

    def _months(self) -> int:
        """Return a number of months that will exceed the partitions for years to come.

        Dagster clips the window at the first partition but walks the offset month by month, so it
        should not be much longer than needed.
        """
        return (clock.today().year + 5 - self.first.year) * 12

    @cached_property
    def daily(self) -> dg.DailyPartitionsDefinition:
        """Days, including the current one."""
        return dg.DailyPartitionsDefinition(self.first.isoformat(), end_offset=1)

    @cached_property
    def monthly(self) -> dg.MonthlyPartitionsDefinition:
        """Months by their first day, including the current one."""
        return dg.MonthlyPartitionsDefinition(self.first.isoformat(), end_offset=1)

    def of_grain(self, grain: str) -> dg.TimeWindowPartitionsDefinition:
        """Return the partitions of a dataset's grain."""
        return self.daily if grain == "day" else self.monthly

    def attributes_of(self, grain: str) -> dict[str, Any]:
        """Return the attributes of an asset with partitions of a grain.

        All assets of a job must have the same backfill policy.
        """
        return {
            "partitions_def": self.of_grain(grain),
            "backfill_policy": dg.BackfillPolicy.multi_run(LONGEST_SPAN[grain]),
        }
