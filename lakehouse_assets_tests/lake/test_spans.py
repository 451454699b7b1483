"""Which rows of a table a month or a day is built from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.gold import Read, before, last_days, so_far
from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.lake.predicate import between
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


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake with both tables."""
    engine = start_engine("duckdb", "1GB", 2)
    with engine.scope():
        lake = make_lake(tmp_path_factory.mktemp("spans"), DAYS, MONTHS, engine=engine)
        for declared, dates in DATES.items():
            assert declared.partition
            columns = {declared.column_names[0]: dates, "n": range(1, len(dates) + 1)}
            frame = engine.from_arrow(pa.table(columns, arrow_schema(declared)))
            year = between(declared.partition, date(2024, 1, 1), date(2025, 1, 1))
            lake.write(declared, frame, year, COMMIT)
        yield lake


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
    stored: Lake, read: Read, month: int, rows: list[int]
) -> None:
    found = rows_of(read, stored.read(read.table), date(2024, month, 1), stored)
    assert sorted(row["n"] for row in stored.engine.rows(found)) == rows


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
    stored: Lake, read: Read, day: date, rows: list[int]
) -> None:
    found = rows_of_days(read, stored.read(read.table), day)
    assert sorted(row["n"] for row in stored.engine.rows(found)) == rows
