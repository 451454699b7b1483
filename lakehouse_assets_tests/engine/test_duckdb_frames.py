"""Frames of the embedded engine: what a plan computes, refuses, and costs to build."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.engine import F, W
from lakehouse_assets.engine.duckdb_columns import Column
from lakehouse_assets.engine.lint import PROVEN
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError


def frame_of(engine: Any, **columns: list[Any]) -> Any:
    return engine.from_arrow(pa.table(columns))


def test_what_is_read_twice_is_written_once(engine):
    """A plan that joins with itself again and again stays as long as its steps."""
    frame = frame_of(engine, k=[1, 2], v=[3, 4])
    lengths = []
    for _ in range(6):
        other = frame.select(F.col("k").alias("other"), F.col("v").alias("more"))
        joined = frame.join(other, F.col("k") == F.col("other"))
        frame = joined.select("k", (F.col("v") + F.col("more")).alias("v"))
        lengths.append(len(frame.query))
    steps = [after - before for before, after in pairwise(lengths)]
    assert max(steps) - min(steps) < 10
    assert sorted(row["v"] for row in engine.rows(frame)) == [3 * 2**6, 4 * 2**6]


def test_a_step_costs_what_it_says_however_long_the_plan_is(engine):
    frame = frame_of(engine, **{f"c{n}": [n] for n in range(40)})
    started = time.thread_time()
    for n in range(100):
        frame = frame.withColumn("c0", F.col("c0") + F.lit(n))
    assert len(frame.query) < 150_000
    # 40 columns a step: about 0.1 ms each with room for slow machines.
    assert time.thread_time() - started < 2.0
    assert engine.rows(frame.select("c0", "c39")) == [{"c0": sum(range(100)), "c39": 39}]


def test_names_need_no_luck(engine):
    """Names that are SQL's own words, hold signs, or are those of joins' sides."""
    frame = frame_of(engine, **{"select": [1], 'a"b': [2], "l": [3], "r": [4], "{}": [5]})
    same = F.col("l") == F.col("other")
    joined = frame.join(frame.select(F.col("l").alias("other")), same, "left")
    row = {"select": 1, 'a"b': 2, "l": 3, "r": 4, "{}": 5, "other": 3}
    assert engine.rows(joined) == [row]
    assert engine.rows(joined.groupBy('a"b', "{}").agg(F.sum("r").cast("int").alias("s"))) == [
        {'a"b': 2, "{}": 5, "s": 4}
    ]


def test_a_changed_column_is_not_read_where_it_is_changed(engine):
    """Expressions of one step see the columns before it, whatever names the step gives."""
    frame = frame_of(engine, a=[1], b=[10])
    swapped = frame.withColumns({"a": F.col("b"), "b": F.col("a"), "c": F.col("a") + F.col("b")})
    assert engine.rows(swapped) == [{"a": 10, "b": 1, "c": 11}]
    assert swapped.columns == ["a", "b", "c"]
    grouped = frame.groupBy((F.col("a") % F.lit(1)).alias("b")).agg(F.max("b").alias("a"))
    assert engine.rows(grouped) == [{"b": 0, "a": 10}]


def test_joins_by_name_have_the_key_once(engine):
    left, right = frame_of(engine, k=[1, 2], a=[3, 4]), frame_of(engine, k=[2, 3], b=[5, 6])
    rows = engine.rows(left.join(right, "k", "left"))
    assert sorted(rows, key=lambda row: row["k"]) == [
        {"k": 1, "a": 3, "b": None}, {"k": 2, "a": 4, "b": 5},
    ]  # fmt: skip
    assert engine.rows(left.join(right, ["k"], "left_anti")) == [{"k": 1, "a": 3}]


def test_sorted_rows_are_those_that_a_limit_takes(engine):
    frame = frame_of(engine, x=list(range(10_000)))
    top = frame.orderBy(F.col("x").desc_nulls_last()).limit(3)
    assert sorted(row["x"] for row in engine.rows(top)) == [9_997, 9_998, 9_999]


def test_windows_see_the_rows_they_name(engine):
    frame = frame_of(engine, n=[1, 2, 3, 4])
    order = W.orderBy(F.col("n").asc_nulls_last())
    near = F.sum("n").over(order.rowsBetween(-1, W.currentRow)).cast("int").alias("near")
    rest = F.sum("n").over(order.rowsBetween(0, W.unboundedFollowing)).cast("int").alias("rest")
    rows = engine.rows(frame.select("n", near, rest).orderBy(F.col("n").asc_nulls_last()))
    assert [(row["near"], row["rest"]) for row in rows] == [(1, 10), (3, 9), (5, 7), (7, 4)]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda f: f.select("a", "nothing"), "There is no column nothing; the frame has a, b."),
        (lambda f: f.filter(F.col("c") > F.lit(1)), "There is no column c"),
        (lambda f: f.select(F.col("a") + F.lit(1)), "has no name"),
        (lambda f: f.select("a", F.col("b").alias("a")), "Columns are selected twice: a."),
        (lambda f: f.join(f, F.lit(True)), "Both sides of a join have a, b"),
        (lambda f: f.join(f.select("a"), F.col("a") == F.col("b"), "semi"), "which its condition"),
        (lambda f: f.join(f.select("a"), "a", "sideways"), "There is no join 'sideways'"),
        (lambda f: f.unionByName(f.select("a")), "cannot stand below"),
        (lambda f: f.select(F.col("a").cast("money").alias("m")), "There is no type 'money'"),
        (lambda f: f.filter(F.lit(object()) == F.col("a")), "A object is no literal"),
        (lambda f: f.filter(F.col("a") and F.col("b")), "neither true nor false"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(engine, build, sentence):
    with pytest.raises(LakehouseError, match="^" + ".*" + sentence.replace(".", r"\.")):
        build(frame_of(engine, a=[1], b=[2]))


def test_every_permitted_function_is_there_and_another_says_where_it_belongs(engine):
    assert [name for name in PROVEN if not callable(getattr(F, name))] == []
    with pytest.raises(AttributeError, match="no function soundex; use one that lint"):
        F.soundex("a")


values = st.one_of(
    st.none(), st.booleans(), st.text(max_size=12), st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False), st.dates(date(1, 1, 1)),
    st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)),
    st.decimals(-(10**12), 10**12, places=4),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(values)
def test_literals_come_back_as_they_went_in(value):
    engine = start_engine()
    with engine.scope():
        column = F.lit(value)
        assert isinstance(column, Column)
        frame = frame_of(engine, one=[1]).select(column.alias("x"))
        ((found,),) = (row.values() for row in engine.rows(frame))
    assert found == value
    if isinstance(value, Decimal):
        assert isinstance(found, Decimal)
