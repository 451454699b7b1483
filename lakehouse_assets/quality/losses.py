"""The check that stops downstream tables if a partition lost too many records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from lakehouse_assets.catalog.datasets import Dataset, LossLimit
from lakehouse_assets.quality.checks import Check, Finding
from lakehouse_assets.text import counted, visible

Verb: TypeAlias = Literal["rejected", "quarantined"]
_SHOWN = 5


@dataclass(frozen=True)
class Loss:
    """The losses of a partition.

    Attributes:
        lost: Number of records that were rejected or quarantined.
        records: Number of all records.
        refused: Number of files of which no record could be read.
    """

    lost: int
    records: int
    refused: int = 0

    def too_much(self, limit: LossLimit) -> bool:
        """Return whether too much is lost to build downstream tables."""
        nothing_left = self.refused > 0 and self.lost >= self.records
        return (limit.whole and nothing_left) or limit.exceeded(self.lost, self.records)


def losses_check(limit: LossLimit, verb: Verb) -> Check:
    """Return the check of a table's losses: how much of it may be rejected or quarantined."""
    whole = ", and not all of them" if limit.whole else ""
    return Check(
        "losses_are_within_limits",
        f"At most {limit.share:.0%} of a partition's records, or {limit.rows} records, are "
        f"{verb}{whole}.",
        blocking=True,
    )


def check_losses(
    dataset: Dataset,
    verb: Verb,
    losses: Mapping[date, Loss],
    reasons: Callable[[Sequence[date]], Mapping[date, Sequence[tuple[str, int]]]],
) -> Finding:
    """Check each partition of a run by itself.

    Args:
        dataset: The dataset.
        verb: What happened to lost records.
        losses: The losses of each partition of the run.
        reasons: Returns the most frequent reasons and their number of records, for some partitions.
    """
    limit = dataset.rejected if verb == "rejected" else dataset.quarantined
    bad = sorted(day for day, loss in losses.items() if loss.too_much(limit))
    lost = sum(loss.lost for loss in losses.values())
    records = sum(loss.records for loss in losses.values())
    text = f"{lost:,} of {records:,} records were {verb}."
    if bad:
        why = reasons(bad[:_SHOWN])
        found = [_sentence(day, losses[day], verb, why.get(day, ())) for day in bad[:_SHOWN]]
        more = f"; and {len(bad) - _SHOWN} more partitions" if len(bad) > _SHOWN else ""
        text = (
            f"Too many records of {dataset.path} were lost: {'; '.join(found)}{more}. Downstream "
            "tables are not built. Correct the files and deliver them again (lakehouse land "
            "--replace). If such losses are expected, raise LAKEHOUSE_LOSS_LIMITS or the dataset's "
            f"`{verb}` limit (now {limit.share:.0%} and {limit.rows} records)."
        )
    return Finding(
        losses_check(limit, verb),
        visible(text),
        {day: max(losses[day].lost, 1) for day in bad},
        numbers={"lost_records": lost, "records": records, "partitions_over_limit": len(bad)},
    )


def _sentence(day: date, loss: Loss, verb: str, reasons: Sequence[tuple[str, int]]) -> str:
    parts = []
    if loss.records:
        share = loss.lost / loss.records
        parts.append(f"{loss.lost:,} of {loss.records:,} records ({share:.0%}) {verb}")
    if loss.refused:
        parts.append(f"{counted(loss.refused, 'file')} refused")
    because = ", ".join(f"{reason} ({count:,})" for reason, count in reasons)
    return f"{day} {' and '.join(parts)}" + (f": {because}" if because else "")
