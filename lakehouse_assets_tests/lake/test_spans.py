"""Which rows of a table a month or a day is built from."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.gold import Read, before, last_days, so_far
from lakehouse_assets.catalog.registry import Column, PartitionColumn, Table
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import Windows, between
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.lake.spans import rows_of, rows_of_days
from lakehouse_assets_tests.lake.samples import COMMIT, make_lake, table

_N = Column("n", "bigint", "Number.", False)
DAYS = table(
    "days", Column("day", "date", "Day.", False), _N, partition=PartitionColumn("day", "day")
)
MONTHS = table(
    "months", Column("month", "date", "Month.", False), _N,
    partition=PartitionColumn("month", "month"),
)  # fmt: skip
DATES = {
    DAYS: [date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 29), date(2024, 3, 1)],
    MONTHS: [date(2024, 1, 1), date(2024, 3, 1), date(2024, 4, 1)],
}


@pytest.mark.parametrize(
    ("read", "month", "rows"),
    [
        (Read(DAYS), 2, [2, 3]),
        (so_far(DAYS), 2, [1, 2, 3]),
        (so_far(DAYS), 1, [1]),
        (Read(MONTHS), 3, [2]),
        (Read(MONTHS), 2, []),
        (so_far(MONTHS), 3, [1, 2]),
        (before(MONTHS), 4, [2]),
        # February has no rows: the month before March is January.
        (before(MONTHS), 3, [1]),
        (before(MONTHS), 1, []),
        # Nobody has left in a month of which nothing was delivered.
        (before(MONTHS), 2, []),
    ],
)
def test_a_read_has_the_rows_of_its_span(
    tmp_path: Path, read: Read, month: int, rows: list[int]
) -> None:
    lake = _lake(tmp_path, read.table)
    found = rows_of(read, lake.read(read.table), date(2024, month, 1), lake)
    assert sorted(row["n"] for row in lake.engine.rows(found)) == rows


@pytest.mark.parametrize(
    ("read", "day", "rows"),
    [
        (Read(DAYS), date(2024, 2, 1), [2]),
        (Read(DAYS), date(2024, 2, 2), []),
        (last_days(DAYS, 2), date(2024, 2, 1), [1, 2]),
        (last_days(DAYS, 2), date(2024, 2, 2), [2]),
        (last_days(DAYS, 3), date(2024, 3, 2), [3, 4]),
    ],
)
def test_a_day_is_built_from_itself_and_the_days_before_it(
    tmp_path: Path, read: Read, day: date, rows: list[int]
) -> None:
    lake = _lake(tmp_path, read.table)
    found = rows_of_days(read, lake.read(read.table), day)
    assert sorted(row["n"] for row in lake.engine.rows(found)) == rows


def _lake(folder: Path, stored: Table) -> Lake:
    lake = make_lake(folder, DAYS, MONTHS)
    columns = {stored.column_names[0]: DATES[stored], "n": range(1, len(DATES[stored]) + 1)}
    frame = lake.engine.from_arrow(pa.table(columns, arrow_schema(stored)))
    lake.write(stored, frame, _year(stored), COMMIT)
    return lake


def _year(stored: Table) -> Windows:
    assert stored.partition
    return between(stored.partition, date(2024, 1, 1), date(2025, 1, 1))
