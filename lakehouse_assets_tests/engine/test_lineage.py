"""Column lineage as frames of the embedded engine carry it."""

from __future__ import annotations

from lakehouse_assets.engine import F, W
from lakehouse_assets.engine.base import SourceColumn


def test_plans_of_the_dataframe_api(engine, scan):
    t = scan("t", {"a": [1, 2], "b": [3, 4], "k": [1, 1]})
    u = scan("u", {"b": [5], "c": [6], "k": [1]})
    joined = t.join(u.select(F.col("k").alias("uk"), "c"), F.col("k") == F.col("uk"), "left")
    order = W.partitionBy("k").orderBy(F.col("b").asc_nulls_last())
    frame = (
        joined.withColumn("s", F.col("a") + F.coalesce(F.col("c"), F.lit(0)))
        .withColumn("n", F.row_number().over(order))
        .filter(F.col("b") > F.lit(0))
        .select("a", "s", "n", F.lit(1).alias("one"))
    )
    want = {
        "a": {("t", "a")},
        "s": {("t", "a"), ("u", "c")},
        "n": {("t", "k"), ("t", "b")},
        "one": set(),
    }
    assert as_pairs(engine.lineage(frame)) == want
    # A checkpoint passes on where its columns come from.
    kept = engine.checkpoint(frame)
    assert as_pairs(engine.lineage(kept)) == want
    doubled = kept.unionByName(kept).select((F.col("s") * F.lit(2)).alias("d"))
    assert as_pairs(engine.lineage(doubled)) == {"d": {("t", "a"), ("u", "c")}}


def test_aggregates_and_unions_by_name(engine, scan):
    t = scan("t", {"a": [1], "b": [2], "k": [3]})
    u = scan("u", {"b": [5], "a": [6]})
    both = t.select("a", "b").unionByName(u.select("b", "a"))
    frame = both.groupBy("a").agg(F.sum("b").alias("s"), F.count(F.lit(1)).alias("n"))
    assert as_pairs(engine.lineage(frame)) == {
        "a": {("t", "a"), ("u", "a")},
        "s": {("t", "b"), ("u", "b")},
        "n": set(),
    }


def test_a_union_by_place_comes_from_both_columns_of_a_place(engine, scan):
    t = scan("t", {"a": [1], "b": [2]})
    u = scan("u", {"c": [5], "d": [6]})
    assert as_pairs(engine.lineage(t.union(u))) == {
        "a": {("t", "a"), ("u", "c")},
        "b": {("t", "b"), ("u", "d")},
    }
    assert sorted(row["b"] for row in engine.rows(t.union(u))) == [2, 6]


def test_columns_that_only_filter_join_or_sort_do_not_count(engine, scan):
    t = scan("t", {"a": [1], "b": [2], "k": [3]})
    u = scan("u", {"uk": [3]})
    same = F.col("k") == F.col("uk")
    frame = t.filter(F.col("b") > F.lit(0)).join(u, same, "left_semi")
    frame = frame.orderBy(F.col("b").asc_nulls_last()).limit(1).select("a")
    assert as_pairs(engine.lineage(frame)) == {"a": {("t", "a")}}
    assert engine.rows(frame) == [{"a": 1}]


def test_data_from_outside_has_no_origin(engine):
    import pyarrow as pa

    frame = engine.from_arrow(pa.table({"x": [1]}))
    assert engine.lineage(frame.select((F.col("x") + F.lit(1)).alias("y"))) == {"y": frozenset()}


def as_pairs(found: dict[str, frozenset[SourceColumn]]) -> dict[str, set[tuple[str, str]]]:
    return {name: {(s.table, s.column) for s in origins} for name, origins in found.items()}
