"""Predicates against a model in Python: SQL, frame filter and test select the same rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.predicate import (
    Both,
    Everything,
    Keys,
    Window,
    Windows,
    columns_of,
    rectangle,
    to_filter,
    to_sql,
    to_test,
)
from lakehouse_assets.lake.schema import arrow_type
from lakehouse_assets_tests.lake.samples import content, keys, make_lake, put, table, window

BASE = datetime(1999, 12, 25, tzinfo=UTC)
QUICK = settings(derandomize=True, deadline=None, database=None, max_examples=40)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


# How a moment is stored in a column of each kind, in words of Python that the code does not use.
KINDS = {
    "date": ("date", None, timedelta(days=1), lambda m: date(m.year, m.month, m.day)),
    "timestamp": ("timestamp", None, timedelta(hours=7), lambda m: m),
    "timestamp_ntz": (
        "timestamp_ntz", None, timedelta(minutes=5), lambda m: m.replace(tzinfo=None),
    ),
    "string": (
        "string", "%Y/%m/%d", timedelta(days=1), lambda m: f"{m.year:04}/{m.month:02}/{m.day:02}",
    ),
    "int": (
        "int", "%Y%m%d", timedelta(days=1), lambda m: m.year * 10_000 + m.month * 100 + m.day,
    ),
    "bigint": (
        "bigint", "%Y%m%d%H", timedelta(hours=1),
        lambda m: ((m.year * 100 + m.month) * 100 + m.day) * 100 + m.hour,
    ),
}  # fmt: skip


def kind(name: str):
    column_type, fmt, step, store = KINDS[name]
    column = Column("p", column_type, "Partition.")
    return column, PartitionColumn("p", "day", fmt), step, store


def in_duckdb(column: Column, values: list, where: str) -> list[int]:
    data = pa.table({"n": range(len(values)), column.name: pa.array(values, arrow_type(column))})
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        connection.register("data", data)
        return [
            row[0]
            for row in connection.execute(
                f"SELECT n FROM data WHERE {where} ORDER BY n"  # noqa: S608
            ).fetchall()
        ]


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@QUICK
def test_sql_and_test_select_the_rows_of_the_half_open_window(name, data):
    column, partition, step, store = kind(name)
    numbers = st.integers(0, 400)
    moments = [BASE + n * step for n in data.draw(st.lists(numbers, max_size=12))]
    spans = data.draw(
        st.lists(st.tuples(numbers, st.integers(1, 40)), min_size=1, max_size=3, unique=True)
    )
    bounds = [(BASE + a * step, BASE + (a + n) * step) for a, n in spans]
    # The ends themselves are where half-open matters.
    moments += [end for pair in bounds for end in pair]
    windows = tuple(Window(partition, start, end) for start, end in bounds)
    selection = windows[0] if len(windows) == 1 else Windows(windows)

    stored = [*(store(m) for m in moments), None]
    wanted = [i for i, m in enumerate(moments) if any(a <= m < b for a, b in bounds)]

    assert wanted, "each window starts with a row of its own"
    assert in_duckdb(column, stored, to_sql(selection, [column])) == wanted
    test = to_test(selection, [column])
    assert [i for i, value in enumerate(stored) if test({"p": value})] == wanted


@pytest.mark.parametrize("name", KINDS)
def test_frames_and_replace_where_select_the_same_rows_on_a_real_table(tmp_path, name):
    column, partition, step, store = kind(name)
    declared = table("t", Column("n", "bigint", "N."), column, partition=partition)
    lake = make_lake(tmp_path, declared)
    stored = [(n, store(BASE + n * step)) for n in range(12)]
    put(lake, declared, Window(partition, BASE, BASE + 12 * step), stored)

    some = Windows(
        (
            Window(partition, BASE + 2 * step, BASE + 4 * step),
            Window(partition, BASE + 9 * step, BASE + 10 * step),
        )
    )
    assert content(lake, declared, some, columns=["n"]) == [(2,), (3,), (9,)]
    report = put(lake, declared, some, [(30, stored[3][1])])
    left = {0, 1, 4, 5, 6, 7, 8, 10, 11, 30}
    assert {row[0] for row in content(lake, declared)} == left
    assert (report.rows, report.partition_rows, report.files) == (10, 1, 1)
    assert lake.rows_by_partition(declared)[stored[3][1]] == 1


@given(
    wanted=st.lists(st.text(max_size=6), min_size=1, max_size=4),
    others=st.lists(st.text(max_size=6), max_size=6),
)
@QUICK
def test_a_list_of_text_keys_selects_exactly_those_values(wanted, others):
    # NUL cannot stand in SQL text; no file system takes it in a partition's folder either.
    clean = [[v.replace("\x00", "") for v in values] for values in (wanted, others)]
    column = Column("p", "string", "P.")
    selection = keys("p", *clean[0])
    values = [*clean[0], *clean[1], None]
    expected = [i for i, v in enumerate(values) if v in set(clean[0])]
    assert in_duckdb(column, values, to_sql(selection, [column])) == expected
    test = to_test(selection, [column])
    assert [i for i, v in enumerate(values) if test({"p": v})] == expected


@pytest.mark.parametrize(
    ("column_type", "stored", "chosen"),
    [
        ("string", ["o'clock", 'say "x"', "a/b=c d%", "ü", "back\\slash"], [0, 1, 2, 4]),
        ("int", [-5, 0, 7], [0, 2]),
        ("bigint", [2**62, 1], [0]),
        ("date", [date(2024, 2, 29), date(2024, 3, 1)], [0]),
    ],
)
def test_keys_replace_only_their_rows_of_a_real_table(tmp_path, column_type, stored, chosen):
    declared = table(
        "t", Column("n", "bigint", "N."), Column("p", column_type, "P."),
        partition=PartitionColumn("p", "keys"),
    )  # fmt: skip
    lake = make_lake(tmp_path, declared)
    put(lake, declared, keys("p", *map(str, stored)), list(enumerate(stored)))
    selection = keys("p", *[str(stored[i]) for i in chosen])
    assert content(lake, declared, selection, columns=["n"]) == [(i,) for i in chosen]
    put(lake, declared, selection, [])
    left = [i for i in range(len(stored)) if i not in chosen]
    assert [n for n, _ in content(lake, declared)] == left
    assert lake.rows_by_partition(declared) == {stored[i]: 1 for i in left}


def test_names_and_values_are_quoted():
    column = Column('a"b', "string", "X.")
    sql = to_sql(keys('a"b', "x' OR '1'='1"), [column])
    assert sql == "((\"a\"\"b\" IN ('x'' OR ''1''=''1')))"
    assert in_duckdb(column, ["x", "x' OR '1'='1"], sql) == [1]


def test_a_merge_qualifies_names_and_leaves_values_alone():
    column = Column("p", "string", "P.")
    sql = to_sql(keys("p", 'say "p"'), [column], relation="target")
    assert sql == '((target."p" IN (\'say "p"\')))'


def test_everything_has_no_predicate():
    assert to_sql(Everything(), []) is None
    assert to_filter(Everything(), []) is None
    assert to_test(Everything(), [])({"p": None})
    assert columns_of(Everything()) == ()


def test_a_rectangle_is_the_conjunction_of_its_dimensions():
    columns = [Column("day", "date", "D."), Column("shop", "string", "S.")]
    both = Both((window(1, 2, PartitionColumn("day", "day")), keys("shop", "a", "b")))
    test = to_test(both, columns)
    assert columns_of(both) == ("day", "shop")
    assert test({"day": date(2024, 1, 2), "shop": "b"})
    assert not test({"day": date(2024, 1, 3), "shop": "b"})
    assert not test({"day": date(2024, 1, 2), "shop": "c"})
    # A file is told by the partition column alone.
    assert test({"day": date(2024, 1, 2)})
    assert " AND " in to_sql(both, columns)


@given(st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1))
@QUICK
def test_a_rectangle_is_split_into_its_sides_and_nothing_else_is(pairs):
    sides = {a for a, _ in pairs}, {b for _, b in pairs}
    if len(sides[0]) * len(sides[1]) == len(pairs):
        first, second = rectangle(sorted(pairs))
        assert (set(first), set(second)) == sides
    else:
        with pytest.raises(LakehouseError, match="not a full rectangle"):
            rectangle(sorted(pairs))


def refused(selection, column_type: str, reason: str) -> None:
    column = Column("p", column_type, "P.")
    for form in (to_sql, to_filter, to_test):
        with pytest.raises(LakehouseError, match=reason):
            form(selection, [column])


@pytest.mark.parametrize(
    ("column_type", "partition", "start", "end", "reason"),
    [
        ("date", ("day",), datetime(2024, 1, 1), datetime(2024, 1, 2), "no time zone"),
        ("date", ("day",), utc(2024, 1, 2), utc(2024, 1, 2), "is empty"),
        ("date", ("day",), utc(2024, 1, 3), utc(2024, 1, 2), "is empty"),
        ("date", ("day",), utc(2024, 1, 1, 1), utc(2024, 1, 2), "no whole day"),
        ("date", ("keys",), utc(2024, 1, 1), utc(2024, 1, 2), "holds keys"),
        ("date", ("month",), utc(2024, 1, 5), utc(2024, 2, 1), "does not start a month"),
        ("string", ("day",), utc(2024, 1, 1), utc(2024, 1, 2), "give the partition a strftime"),
        ("string", ("day", "%d.%m.%Y"), utc(2024, 1, 1), utc(2024, 1, 2), "not sort like time"),
        ("string", ("day", "%Y%%"), utc(2024, 1, 1), utc(2025, 1, 1), "not sort like time"),
        ("string", ("day", "%m-%d"), utc(2024, 1, 1), utc(2024, 1, 2), "not sort like time"),
        ("string", ("day", "%Y-%j"), utc(2024, 1, 1), utc(2024, 1, 2), "not sort like time"),
        ("string", ("day", "day"), utc(2024, 1, 1), utc(2024, 1, 2), "not sort like time"),
        ("string", ("day", "%Y-%m"), utc(2024, 1, 5), utc(2024, 1, 6), "which is coarser"),
        ("string", ("day", "%Y-%m"), utc(2024, 1, 31), utc(2024, 2, 1), "which is coarser"),
        ("int", ("day", "%Y-%m-%d"), utc(2024, 1, 1), utc(2024, 1, 2), "is no integer"),
        ("int", ("day", "%Y%m%d%H"), utc(2024, 1, 1), utc(9999, 1, 2), "is no integer"),
        ("double", ("day", "%Y"), utc(2024, 1, 1), utc(2025, 1, 1), "cannot select on column"),
        ("boolean", ("day",), utc(2024, 1, 1), utc(2025, 1, 1), "cannot select on column"),
    ],
)
def test_a_window_that_no_predicate_says_exactly_raises(column_type, partition, start, end, reason):
    refused(Window(PartitionColumn("p", *partition), start, end), column_type, reason)


@pytest.mark.parametrize(
    ("column_type", "key", "reason"),
    [
        ("int", "x", "no integer"),
        ("int", "1_0", "no integer"),
        ("int", " 1", "no integer"),
        ("int", "01", "no integer"),
        ("int", "٣", "no integer"),
        ("int", "2147483648", "no integer"),
        ("bigint", "9223372036854775808", "no integer"),
        ("date", "2024-02-30", "is no date"),
        ("date", "20240101", "is no date"),
        ("timestamp", "2024-01-01", "Keys cannot select"),
        ("decimal(4,1)", "1", "Keys cannot select"),
    ],
)
def test_a_key_that_is_no_value_of_the_column_raises(column_type, key, reason):
    refused(keys("p", key), column_type, reason)


def test_selections_of_nothing_or_of_an_unknown_column_raise():
    part, other = PartitionColumn("p", "day"), PartitionColumn("q", "day")
    refused(Keys(part, ()), "string", "No partition key")
    refused(Windows(()), "date", "No partition window")
    refused(Both(()), "date", "No partition dimension")
    refused(window(1, 1, other), "date", "not a column of the table")
    refused(Windows((window(1, 1, part), window(2, 2, other))), "date", "different partition col")


def test_a_window_in_another_zone_is_compared_in_utc():
    column, partition = Column("p", "timestamp", "P."), PartitionColumn("p", "day")
    berlin = timezone(timedelta(hours=1))
    selection = Window(
        partition, datetime(2024, 1, 1, tzinfo=berlin), datetime(2024, 1, 2, tzinfo=berlin)
    )
    moments = [utc(2023, 12, 31, 22, 59), utc(2023, 12, 31, 23), utc(2024, 1, 1, 23)]
    assert in_duckdb(column, moments, to_sql(selection, [column])) == [1]


def test_years_below_1000_keep_four_digits():
    column, partition = Column("p", "string", "P."), PartitionColumn("p", "day", "%Y-%m-%d")
    sql = to_sql(Window(partition, utc(999, 12, 31), utc(1000, 1, 2)), [column])
    assert in_duckdb(column, ["0999-12-30", "0999-12-31", "1000-01-01", "1000-01-02"], sql) == [
        1,
        2,
    ]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_spark_reads_its_sql_as_the_test_does(spark_engine, name):
    column, partition, step, store = kind(name)
    start = utc(999, 12, 31) if name not in ("int", "bigint") else utc(1999, 12, 31)
    selection = Windows((Window(partition, start, start + 2 * step),
                         Window(partition, start + 5 * step, start + 6 * step)))  # fmt: skip
    values = [store(start + n * step) for n in range(-1, 8)] + [None]
    rows = spark_filter(spark_engine, column, values, selection)
    test = to_test(selection, [column])
    assert rows == [n for n, value in enumerate(values) if test({"p": value})] == [1, 2, 6]


def test_spark_reads_keys_as_they_are(spark_engine):
    texts = [
        "a",
        "o'west",
        'say "x"',
        "back\\slash",
        "\\'",
        "`p`",
        "%",
        "日本",
        "",
        "\n",
        "A",
        "${x}",
    ]
    column = Column("p", "string", "P.")
    for chosen in (texts[::2], texts[1::2]):
        rows = spark_filter(spark_engine, column, texts, keys("p", *chosen))
        assert [texts[n] for n in rows] == chosen
    numbers = [-(2**63), -1, 0, 2**63 - 1, None]
    whole = Column("p", "bigint", "P.")
    chosen = keys("p", str(-(2**63)), "0", str(2**63 - 1))
    assert spark_filter(spark_engine, whole, numbers, chosen) == [0, 2, 3]


def spark_filter(engine, column, values, selection) -> list[int]:
    data = pa.table({"n": range(len(values)), column.name: pa.array(values, arrow_type(column))})
    where = to_sql(selection, [column], dialect="spark")
    found = engine.from_arrow(data).filter(where).select("n")
    return sorted(row["n"] for row in engine.rows(found))
