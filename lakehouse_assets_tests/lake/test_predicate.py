"""Selections: reads, writes and reports mean the same rows, on both engines and real tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.predicate import (
    Everything,
    Values,
    Windows,
    between,
    columns_of,
    to_filter,
    to_python_predicate,
    to_sql,
)
from lakehouse_assets_tests.lake.samples import (
    DAILY,
    content,
    day,
    in_order,
    make_lake,
    on_both_engines,
    put,
    table,
    window,
)

DAY, MONTH = PartitionColumn("day", "day"), PartitionColumn("month", "month")
SOME = Windows(DAY, ((day(3), day(5)), (day(10), day(11))))
HOSTILE = [
    "a", "o'west", 'say "x"', "back\\slash", "\\'", "`p`", "%", "日本", "", "\n", "A", "${x}",
]  # fmt: skip
FILES = table(
    "files", Column("file", "string", "File.", nullable=False), Column("n", "bigint", "N.")
)


@settings(derandomize=True, deadline=None, database=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 40)), min_size=1, max_size=3))
def test_a_frame_and_a_file_are_told_by_the_half_open_window(spans):
    start = date(1999, 12, 25)
    spans = [(start + timedelta(a), start + timedelta(a + n)) for a, n in spans]
    # The ends themselves are where half-open matters.
    days = [day for span in spans for end in span for day in (end - timedelta(1), end)]
    wanted = [any(first <= d < end for first, end in spans) for d in days]
    inside = to_python_predicate(Windows(DAY, tuple(spans)))
    assert [inside(d) for d in days] == wanted
    assert not inside(None)
    engine = start_engine("duckdb", "1GB", 2)
    frame = engine.from_arrow(pa.table({"day": days, "n": range(len(days))}))
    found = engine.rows(frame.filter(to_filter(Windows(DAY, tuple(spans)))))
    assert sorted(row["n"] for row in found) == [n for n, hit in enumerate(wanted) if hit]


@on_both_engines
def test_windows_are_read_and_replaced_on_a_real_table(lake):
    stored = [(day(n), n, None) for n in range(1, 13)]
    put(lake, DAILY, window(1, 12), stored)
    assert content(lake, DAILY, SOME, columns=["id"]) == [(10,), (3,), (4,)]
    report = put(lake, DAILY, SOME, [(day(4), 40, None), (day(4), 41, None)])
    left = [row for row in stored if row[1] not in (3, 4, 10)]
    assert content(lake, DAILY) == in_order([*left, (day(4), 40, None), (day(4), 41, None)])
    assert (report.rows, report.partition_rows, report.files) == (11, 2, 1)
    assert report.rows_by_partition == {"2024-01-04": 2}
    with pytest.raises(LakehouseError, match="outside the written partition"):
        put(lake, DAILY, SOME, [(day(5), 5, None)])


@on_both_engines
def test_values_are_read_and_replaced_whatever_their_text(tmp_path, engine):
    lake = make_lake(tmp_path, FILES)
    put(lake, FILES, Everything(), [(text, n) for n, text in enumerate(HOSTILE)])
    chosen = Values("file", tuple(HOSTILE[::2]))
    assert content(lake, FILES, chosen, columns=["n"]) == in_order((n,) for n in range(0, 12, 2))
    report = put(lake, FILES, chosen, [(HOSTILE[4], 77)])
    left = [(text, n) for n, text in enumerate(HOSTILE) if n % 2]
    assert content(lake, FILES) == in_order([*left, (HOSTILE[4], 77)])
    assert (report.rows, report.partition_rows) == (7, 1)
    with pytest.raises(LakehouseError, match="nothing was written"):
        put(lake, FILES, chosen, [(HOSTILE[1], 1)])
    # Of values that no row has, nothing is replaced and the new rows are added.
    put(lake, FILES, Values("file", ("new", "none")), [("new", 1)])
    assert content(lake, FILES) == in_order([*left, (HOSTILE[4], 77), ("new", 1)])


@on_both_engines
def test_some_rows_of_some_partitions_are_read_and_replaced(lake):
    stored = [(day(n), n, name) for n in (1, 2, 3) for name in ("a", "b")]
    put(lake, DAILY, window(1, 3), stored)
    chosen = Windows(DAY, ((day(1), day(2)), (day(3), day(4))), Values("email", ("b", "c")))
    assert content(lake, DAILY, chosen) == [(day(1), 1, "b"), (day(3), 3, "b")]
    report = put(lake, DAILY, chosen, [(day(1), 9, "c")])
    left = [(day(1), 1, "a"), (day(2), 2, "a"), (day(2), 2, "b"), (day(3), 3, "a")]
    assert content(lake, DAILY) == in_order([*left, (day(1), 9, "c")])
    # Row counts are of whole partitions.
    assert report.rows_by_partition == {"2024-01-01": 2, "2024-01-03": 1}
    for row in ((day(2), 9, "c"), (day(1), 9, "a")):
        with pytest.raises(LakehouseError, match="outside the written partition"):
            put(lake, DAILY, chosen, [row])
    assert content(lake, DAILY) == in_order([*left, (day(1), 9, "c")])


def test_of_two_writers_of_the_same_values_one_is_refused(tmp_path, monkeypatch):
    first, second = make_lake(tmp_path, FILES), make_lake(tmp_path, FILES)
    put(first, FILES, Values("file", ("a",)), [("a", 1)])
    stale = [first.open(FILES) for _ in range(2)]
    monkeypatch.setattr(second, "ensure", lambda _table: stale.pop())
    put(first, FILES, Values("file", ("b",)), [("b", 1)])
    put(second, FILES, Values("file", ("c",)), [("c", 1)])
    with pytest.raises(LakehouseError, match="Another writer changed table files"):
        put(second, FILES, Values("file", ("b",)), [("b", 1)])
    assert content(first, FILES) == [("a", 1), ("b", 1), ("c", 1)]


def test_everything_has_no_predicate():
    assert to_sql(Everything()) is None
    assert to_filter(Everything()) is None
    assert to_python_predicate(Everything())(None)
    assert columns_of(Everything()) == ()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: between(DAY, day(2), day(2)), "is empty"),
        (lambda: between(DAY, day(3), day(2)), "is empty"),
        (lambda: between(DAY, datetime(2024, 1, 1, tzinfo=UTC), day(2)), "are not dates"),
        (
            lambda: between(MONTH, date(2024, 1, 5), date(2024, 2, 1)),
            "is not made of whole months",
        ),
        (
            lambda: between(MONTH, date(2024, 1, 1), date(2024, 2, 2)),
            "is not made of whole months",
        ),
        (lambda: Windows(DAY, ()), "No partition of day"),
        (lambda: Values("file", ()), "No value of file"),
    ],
)
def test_a_selection_that_no_predicate_says_exactly_is_refused(make, reason):
    with pytest.raises(LakehouseError, match=reason):
        make()
