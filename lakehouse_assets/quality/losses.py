"""The check that stops everything downstream of a partition that lost too many of its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg

from lakehouse_assets.catalog.datasets import Dataset, LossLimit
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.quality.log import BY_PARTITION
from lakehouse_assets.text import visible

LOSSES = "losses_are_within_limits"
_SHOWN = 5


@dataclass(frozen=True)
class Loss:
    """What a partition lost of what it was delivered.

    Attributes:
        lost: Records that are not in the table.
        records: Records that there were.
        refused: Files of which no record could be read.
    """

    lost: int
    records: int
    refused: int = 0

    def too_much(self, limit: LossLimit) -> bool:
        """Say whether nothing may be built from what is left."""
        nothing_left = self.refused > 0 and self.lost >= self.records
        return (limit.whole and nothing_left) or limit.exceeded(self.lost, self.records)


def losses_check_spec(table: Table, limit: LossLimit, verb: str) -> dg.AssetCheckSpec:
    """Declare the check of a table.

    Args:
        table: The table.
        limit: How much it may lose.
        verb: What happens to lost records: rejected or quarantined.
    """
    whole = ", and not all of them" if limit.whole else ""
    return dg.AssetCheckSpec(
        LOSSES,
        asset=table.asset_key,
        blocking=True,
        description=(
            f"Of each partition at most {limit.share:.0%} or {limit.rows} records are "
            f"{verb}{whole}."
        ),
    )


def losses_check_result(
    dataset: Dataset,
    table: Table,
    limit: LossLimit,
    verb: str,
    losses: Mapping[date, Loss],
    reasons: Callable[[Sequence[date]], Mapping[date, Sequence[tuple[str, int]]]],
) -> dg.AssetCheckResult:
    """Judge each partition of a run by itself.

    Args:
        dataset: What was delivered.
        table: The table that was written.
        limit: How much it may lose.
        verb: What happened to lost records: rejected or quarantined.
        losses: What each partition of the run lost.
        reasons: Finds, for some partitions, the most frequent reasons and their records.
    """
    bad = sorted(day for day, loss in losses.items() if loss.too_much(limit))
    lost = sum(loss.lost for loss in losses.values())
    records = sum(loss.records for loss in losses.values())
    text = f"{lost:,} of {records:,} records were {verb}."
    if bad:
        why = reasons(bad[:_SHOWN])
        found = [_sentence(day, losses[day], verb, why.get(day, ())) for day in bad[:_SHOWN]]
        more = f"; and {len(bad) - _SHOWN} more partitions" if len(bad) > _SHOWN else ""
        field = "rejected" if verb == "rejected" else "quarantined"
        text = (
            f"Too much of {dataset.path} is lost: {'; '.join(found)}{more}. Nothing is built from "
            "it. Correct the files and deliver them again (lakehouse land --replace), or, if that "
            f"much is to be expected, set LAKEHOUSE_LOSS_LIMITS or the dataset's `{field}` limit "
            f"(now {limit.share:.0%} and {limit.rows} records)."
        )
    return dg.AssetCheckResult(
        asset_key=table.asset_key,
        check_name=LOSSES,
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR,
        description=visible(text),
        metadata={
            "lost_records": lost,
            "records": records,
            "partitions_over_limit": len(bad),
            BY_PARTITION: {str(day): {"failing": max(losses[day].lost, 1)} for day in bad},
        },
    )


def _sentence(day: date, loss: Loss, verb: str, reasons: Sequence[tuple[str, int]]) -> str:
    parts = []
    if loss.records:
        share = loss.lost / loss.records
        parts.append(f"{loss.lost:,} of {loss.records:,} records ({share:.0%}) {verb}")
    if loss.refused:
        parts.append(f"{loss.refused:,} file{'s' * (loss.refused != 1)} refused")
    because = ", ".join(f"{reason} ({count:,})" for reason, count in reasons)
    return f"{day} {' and '.join(parts)}" + (f": {because}" if because else "")
