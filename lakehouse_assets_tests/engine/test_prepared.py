"""A transformation whose plan is made once gives the rows of each call's frames."""

from __future__ import annotations

import gc
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.engine import F
from lakehouse_assets.engine import vocabulary as v
from lakehouse_assets.engine.base import Engine


def rows(engine: Engine, frame: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in engine.rows(frame))


@pytest.mark.parametrize("fixture", ["engine", "spark_engine"])
def test_each_call_sees_its_own_frames(request: pytest.FixtureRequest, fixture: str) -> None:
    engine: Engine = request.getfixturevalue(fixture)
    made = []

    def transform(left: Any, right: Any) -> tuple[Any, Any]:
        made.append(1)
        named = v.staged(right.select(F.col("id").alias("other"), "name"))
        joined = v.staged(left.join(named, F.col("id") == F.col("other"), "left"))
        return joined.select("id", "name"), left.agg(F.count(F.lit(1)).alias("n"))

    prepared = engine.prepared(transform)
    for ids, names in (([1, 2], ["a", "b"]), ([3], ["c"]), ([], [])):
        with engine.scope():
            left = engine.from_arrow(pa.table({"id": pa.array(ids, pa.int64())}))
            right = engine.from_arrow(
                pa.table({"id": pa.array(ids, pa.int64()), "name": pa.array(names, pa.string())})
            )
            joined, counted = prepared(left=left, right=right)
            assert rows(engine, joined) == list(zip(ids, names, strict=True))
            assert rows(engine, counted) == [(len(ids),)]
    assert len(made) == (1 if engine.name == "duckdb" else 3)


def test_the_views_of_a_plan_are_dropped_with_it(engine: Engine) -> None:
    def views() -> int:
        with engine.scope():
            return int(engine.query("SELECT count(*) FROM duckdb_views()").read_all()[0][0].as_py())

    before = views()
    prepared = engine.prepared(lambda one: v.staged(one.select("id")))
    with engine.scope():
        prepared(one=engine.from_arrow(pa.table({"id": [1]})))
    assert views() > before
    del prepared
    gc.collect()
    assert views() == before


def test_a_transformation_that_failed_once_is_made_by_the_next_call(engine: Engine) -> None:
    failing = [ValueError("once")]

    def transform(one: Any) -> Any:
        if failing:
            raise failing.pop()
        return one.select("id")

    prepared = engine.prepared(transform)
    with engine.scope():
        given = engine.from_arrow(pa.table({"id": [1]}))
        with pytest.raises(ValueError, match="once"):
            prepared(one=given)
        assert rows(engine, prepared(one=given)) == [(1,)]
    del prepared
    gc.collect()
    # What is no longer used is dropped when the next scope begins.
    with engine.scope():
        assert rows(engine, engine.from_arrow(pa.table({"id": [2]}))) == [(2,)]
