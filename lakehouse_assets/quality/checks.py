"""What every check has in common: what it expects, and what it found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A check's metadata by which it tells its verdicts apart: of each partition that has something to
# tell, how much is `failing` and, where rows were counted, of how many `rows`.
BY_PARTITION = "by_partition"
# Numbers to be kept that are no verdict: partition to name to number.
FIGURES = "figures"


@dataclass(frozen=True)
class Check:
    """Something that must hold of a table.

    Attributes:
        name: Name of the check.
        description: What must hold.
        blocking: Whether its failure stops what is downstream; otherwise it is a warning.
        error: Whether its failure is an error although it stops nothing.
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
        failing: How much fails, by partition; a partition that is not named passes.
        rows: How many rows were judged, by partition, if they were counted.
        numbers: What else was counted, by name.
        figures: Numbers to be kept in the quality log: partition to name to number.
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
