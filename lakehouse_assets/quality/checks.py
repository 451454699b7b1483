"""Checks and their findings, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Metadata of a check: its verdicts by partition, each with the number `failing` and, if rows were
# counted, the number of `rows`. A partition that is left out passes.
BY_PARTITION = "by_partition"
# Metadata of a check: numbers to keep that are not verdicts, by partition and name.
FIGURES = "figures"


@dataclass(frozen=True)
class Check:
    """A condition that must hold for a table.

    Attributes:
        name: Name of the check.
        description: What must hold.
        blocking: Whether a failure stops downstream tables; otherwise it is a warning.
        error: Whether a failure is an error although it stops nothing.
    """

    name: str
    description: str
    blocking: bool = False
    error: bool = False


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: The check.
        description: What was found, in a sentence.
        failing: Number of failures, by partition; a partition that is left out passes.
        rows: Number of rows checked, by partition, if they were counted.
        numbers: Other numbers to report, by name.
        figures: Numbers to keep in the quality log, by partition and name.
    """

    check: Check
    description: str
    failing: Mapping[Any, int]
    rows: Mapping[Any, int] | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[Any, Mapping[str, int]] | None = None

    @property
    def passed(self) -> bool:
        """Whether the check holds."""
        return not any(self.failing.values())

    @property
    def metadata(self) -> dict[str, Any]:
        """The numbers, the verdicts by partition and the figures."""
        rows = self.rows
        found: dict[str, Any] = {
            **self.numbers,
            BY_PARTITION: {
                str(part): {"failing": number, **({"rows": rows[part]} if rows else {})}
                for part, number in self.failing.items()
            },
        }
        if self.figures is not None:
            found[FIGURES] = {str(part): dict(named) for part, named in self.figures.items()}
        return found
