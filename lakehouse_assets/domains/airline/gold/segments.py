"""Segments of members: their summary, and how members move between them."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse_assets.catalog.gold import GoldTable, Read, before
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline import tables as t
from lakehouse_assets.domains.airline.transforms import movements
from lakehouse_assets.domains.airline.transforms.segments import summarise

# A month's own segments begin it; the earlier ones alone do not.
_TWO_MONTHS: Mapping[str, Read | Table] = {
    "before": before(t.GOLD_CUSTOMER_SEGMENTS_ML), "now": t.GOLD_CUSTOMER_SEGMENTS_ML,
}  # fmt: skip

GOLD = (
    GoldTable(t.GOLD_SEGMENT_SUMMARY, summarise, {"segments": t.GOLD_CUSTOMER_SEGMENTS_ML}),
    GoldTable(
        t.GOLD_SEGMENT_MIGRATION,
        movements.segment_migration,
        _TWO_MONTHS,
        triggered_by=(t.GOLD_SEGMENT_SUMMARY,),
    ),
    GoldTable(
        t.GOLD_NEWLY_AT_RISK,
        movements.newly_at_risk,
        _TWO_MONTHS,
        triggered_by=(t.GOLD_SEGMENT_SUMMARY,),
    ),
)
