"""The partitions of every asset, and how they map to each other.

Belongs here: partition definitions and mappings that domains share. Not here: the columns that hold
partitions (`lake/registry.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import dagster as dg

# A century reaches behind the first partition of any lake; Dagster clips the window there.
_CENTURY_OF_MONTHS = 1_200
_CENTURY_OF_DAYS = 36_500

# Monthly: as of the end of a month, it and everything delivered before.
SO_FAR = dg.TimeWindowPartitionMapping(start_offset=-_CENTURY_OF_MONTHS)
# Daily: everything delivered before a day, without it.
EARLIER = dg.TimeWindowPartitionMapping(start_offset=-_CENTURY_OF_DAYS, end_offset=-1)
# The same span of time, whatever its grain: a month's days.
WITHIN = dg.TimeWindowPartitionMapping()


@dataclass(frozen=True)
class Calendar:
    """Partition definitions from the first partition to the running day and month.

    Attributes:
        first: First day of the first month.
    """

    first: date

    @property
    def daily(self) -> dg.DailyPartitionsDefinition:
        """Days, the running one included."""
        return dg.DailyPartitionsDefinition(self.first.isoformat(), end_offset=1)

    @property
    def monthly(self) -> dg.MonthlyPartitionsDefinition:
        """Months by their first day, the running one included."""
        return dg.MonthlyPartitionsDefinition(self.first.isoformat(), end_offset=1)

    def of_grain(self, grain: str) -> dg.TimeWindowPartitionsDefinition:
        """Return the partitions of a dataset's grain."""
        return self.daily if grain == "day" else self.monthly
