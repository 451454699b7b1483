"""Column lineage read off plans, against expectations and against sqlglot's own lineage."""

from __future__ import annotations

import pytest

from lakehouse_assets.engine import F, W
from lakehouse_assets.engine.base import SourceColumn
from lakehouse_assets.engine.lineage import Origins, Relation, columns_of_query


def stored(origins: Origins | str) -> Relation:
    return Relation(origins, {}, "TABLE")


COLUMNS = {"t": ("a", "b", "k"), "u": ("b", "c", "k"), "w": ("a", "b")}
TABLES = {
    name: stored({column: frozenset({SourceColumn(name, column)}) for column in columns})
    for name, columns in COLUMNS.items()
}


def lineage(query: str) -> dict[str, set[str]]:
    found = columns_of_query(query, TABLES)
    return {name: {f"{s.table}.{s.column}" for s in origins} for name, origins in found.items()}


@pytest.mark.parametrize(
    ("query", "want"),
    [
        ("SELECT a, b AS x FROM t", {"a": {"t.a"}, "x": {"t.b"}}),
        ("SELECT t.a + t.b AS s FROM t", {"s": {"t.a", "t.b"}}),
        ("SELECT 1 AS one, 'x' AS word, a FROM t", {"one": set(), "word": set(), "a": {"t.a"}}),
        ("SELECT a FROM t WHERE b > 0 ORDER BY k", {"a": {"t.a"}}),
        ("SELECT CASE WHEN a > 0 THEN b ELSE k END AS x FROM t", {"x": {"t.a", "t.b", "t.k"}}),
        (
            "SELECT t.b AS tb, u.b AS ub, c FROM t LEFT JOIN u ON t.k = u.k",
            {"tb": {"t.b"}, "ub": {"u.b"}, "c": {"u.c"}},
        ),
        ("SELECT x.a, y.c FROM t AS x JOIN u AS y ON x.k = y.k", {"a": {"t.a"}, "c": {"u.c"}}),
        ("SELECT COALESCE(t.k, u.k) AS k FROM t FULL JOIN u ON t.k = u.k", {"k": {"t.k", "u.k"}}),
        (
            "SELECT a, b FROM t UNION ALL SELECT c, b FROM u",
            {"a": {"t.a", "u.c"}, "b": {"t.b", "u.b"}},
        ),
        (
            "SELECT a FROM t UNION ALL SELECT c FROM u UNION ALL SELECT 1",
            {"a": {"t.a", "u.c"}},
        ),
        (
            "WITH x AS (SELECT a AS p, b AS q FROM t), y AS (SELECT p + q AS r, q FROM x) "
            "SELECT r, q AS z FROM y",
            {"r": {"t.a", "t.b"}, "z": {"t.b"}},
        ),
        ("SELECT z.s FROM (SELECT a + b AS s FROM t) AS z", {"s": {"t.a", "t.b"}}),
        (
            "SELECT ROW_NUMBER() OVER (PARTITION BY k ORDER BY b) AS n, "
            "SUM(a) OVER (PARTITION BY k) AS s FROM t",
            {"n": {"t.b", "t.k"}, "s": {"t.a", "t.k"}},
        ),
        (
            "SELECT k, SUM(a) AS s, COUNT(*) AS n FROM t GROUP BY k",
            {"k": {"t.k"}, "s": {"t.a"}, "n": set()},
        ),
        ("SELECT x AS y FROM unknown_relation", {"y": set()}),
    ],
)  # fmt: skip
def test_queries(query, want):
    assert lineage(query) == want


@pytest.mark.parametrize(
    "query",
    [
        "SELECT t.a + u.c AS x FROM t JOIN u ON t.k = u.k",
        "WITH x AS (SELECT a AS p, b AS q FROM t) SELECT CASE WHEN p > 1 THEN q END AS x FROM x",
        "WITH x AS (SELECT a FROM t UNION ALL SELECT c FROM u) SELECT a AS x FROM x",
        "WITH x AS (SELECT k, SUM(a) AS s FROM t GROUP BY k), y AS (SELECT x.s, u.c FROM x "
        "LEFT JOIN u ON x.k = u.k) SELECT COALESCE(s, c) AS x FROM y",
    ],
)
def test_sqlglot_says_the_same(query):
    from sqlglot import exp
    from sqlglot.lineage import lineage as derive

    schema = {name: dict.fromkeys(columns, "int") for name, columns in COLUMNS.items()}
    leaves = {
        f"{node.expression.this.name}.{node.name.split('.')[-1]}"
        for node in derive("x", query, schema=schema, dialect="duckdb").walk()
        if isinstance(node.expression, exp.Table)
    }
    assert lineage(query)["x"] == leaves


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


def test_data_from_outside_has_no_origin(engine):
    import pyarrow as pa

    frame = engine.from_arrow(pa.table({"x": [1]}))
    assert engine.lineage(frame.select((F.col("x") + F.lit(1)).alias("y"))) == {"y": frozenset()}


def as_pairs(found: dict[str, frozenset[SourceColumn]]) -> dict[str, set[tuple[str, str]]]:
    return {name: {(s.table, s.column) for s in origins} for name, origins in found.items()}


def test_a_relation_is_looked_into_when_somebody_asks() -> None:
    definitions: dict[str, Origins | str] = {
        "stored": {"a": frozenset({SourceColumn("orders", "a")})},
        "nobody_asks": "this is no SQL",
        "stage": 'SELECT "a" AS "b", 1 AS "one" FROM "stored" AS "stored"',
        "later": 'SELECT "b" FROM "stage" AS "stage" UNION ALL SELECT "one" FROM "stage"',
    }
    relations = {name: stored(origins) for name, origins in definitions.items()}
    assert columns_of_query('SELECT "b" AS "c" FROM "later" AS "l"', relations) == {
        "c": {SourceColumn("orders", "a")}
    }
    del relations["stored"]
    # What was found out stays.
    assert columns_of_query('SELECT "one", "b" FROM "stage"', relations) == {
        "one": frozenset(),
        "b": {SourceColumn("orders", "a")},
    }
