"""Declarations of gold tables: what is refused, and that a rule gets what it takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lakehouse_assets.catalog.gold import Check, GoldTable, last_days
from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.lake.samples import table

MONTHLY = table(
    "monthly", Column("month", "date", "Month.", False),
    partition=PartitionColumn("month", "month"),
)  # fmt: skip
DAILY = table(
    "daily", Column("day", "date", "Day.", False), partition=PartitionColumn("day", "day")
)
WHOLE = table("whole", Column("id", "bigint", "Number.", False))


def rule(rows: Any, month: Any) -> Any:
    return rows, month


def of_day(rows: Any, day: Any) -> Any:
    return rows, day


def whole(rows: Any, loaded_at: Any) -> Any:
    return rows, loaded_at


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ((MONTHLY, rule, {}), "take month, rows, but its reads are "),
        ((MONTHLY, rule, {"rows": WHOLE, "other": WHOLE}), "its reads are other, rows"),
        ((WHOLE, rule, {"rows": WHOLE}), "take month, rows"),
        ((MONTHLY, of_day, {"rows": WHOLE}), "take day, rows"),
        ((DAILY, of_day, {"rows": last_days(DAILY, 3)}), None),
        ((DAILY, of_day, {"rows": last_days(DAILY, 1)}), "the days must be 2 or more"),
        ((DAILY, of_day, {"rows": last_days(MONTHLY, 3)}), "both must be daily"),
        ((DAILY, whole, {"rows": last_days(DAILY, 3)}), "the rule must take `day`"),
        ((WHOLE, whole, {"rows": WHOLE}, (MONTHLY,)), "only a monthly table can have"),
        ((MONTHLY, rule, {"rows": WHOLE}, (), (lambda stored: stored,)), None),
        ((MONTHLY, rule, {"rows": WHOLE}, (), (), (Check("c", "", lambda x: x),)), "take month"),
        (
            (MONTHLY, rule, {"rows": WHOLE}, (), (), (Check("c", "", lambda stored: stored),)),
            None,
        ),
    ],
)
def test_a_rule_that_takes_what_it_is_not_given_is_refused(
    declared: tuple[Any, ...], fault: str | None
) -> None:
    if fault is None:
        GoldTable(*declared)
        return
    with pytest.raises(LakehouseError, match=fault):
        GoldTable(*declared)


def test_declarations_of_gold_import_no_dagster() -> None:
    code = (
        "import sys, lakehouse_assets.catalog.gold, lakehouse_assets.domains; "
        "print('dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
