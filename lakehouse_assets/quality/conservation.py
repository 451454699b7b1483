"""Conservation of rows: every row that goes in is accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse_assets.quality.checks import Check, Finding


@dataclass(frozen=True)
class Balance:
    """One equation per partition: incoming rows = rows of all destinations.

    Attributes:
        source: Name of the source of the incoming rows.
        incoming: Incoming rows, by partition value.
        parts: Name of each destination and its rows, by partition value.
        partitions: The partition values to balance.
    """

    source: str
    incoming: Mapping[Any, int]
    parts: Mapping[str, Mapping[Any, int]]
    partitions: Sequence[Any]

    def gaps(self) -> dict[Any, int]:
        """Return, by partition, the rows that are missing (positive) or too many (negative)."""
        found = {}
        for partition in self.partitions:
            out = sum(part.get(partition, 0) for part in self.parts.values())
            if out != self.incoming.get(partition, 0):
                found[partition] = self.incoming.get(partition, 0) - out
        return found

    def totals(self) -> dict[str, int]:
        """Return the rows of each side, over all balanced partitions."""
        sides = {self.source: self.incoming, **self.parts}
        return {
            name: sum(counts.get(partition, 0) for partition in self.partitions)
            for name, counts in sides.items()
        }

    def finding(self, check: Check) -> Finding:
        """Report the balance with its numbers."""
        gaps = self.gaps()
        totals = self.totals()
        names = " + ".join(f"{count:,} {name}" for name, count in list(totals.items())[1:])
        text = f"{totals[self.source]:,} {self.source} = {names}"
        if gaps:
            worst = ", ".join(f"{key}: {gap:+,}" for key, gap in list(gaps.items())[:5])
            text = (
                f"Rows do not add up ({text}); unaccounted for by partition: {worst}. "
                "Materialise the partition again from its landing files."
            )
        sides = {self.source: self.incoming, **self.parts}
        return Finding(
            check,
            text,
            {partition: abs(gap) for partition, gap in gaps.items()},
            numbers={
                **{name.replace(" ", "_"): count for name, count in totals.items()},
                "partitions": len(self.partitions),
            },
            figures={
                partition: {name: side.get(partition, 0) for name, side in sides.items()}
                for partition in self.partitions
            },
        )
