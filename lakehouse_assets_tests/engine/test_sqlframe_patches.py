"""Plans that are built with the patches are those that SQLFrame builds without them."""

import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse_assets.engine.duckdb import DuckDBEngine
from lakehouse_assets.errors import LakehouseError

REPOSITORY = Path(__file__).parents[2]

# Joins, windows, groups, nested conditions, names that need quotes, a frame that meets itself.
PLANS = """
import sys
from itertools import count
import pyarrow as pa
import sqlglot.expressions.core as core
from lakehouse_assets.engine import duckdb
from lakehouse_assets.engine import sqlframe_patches

patched = sys.argv[1] == "patched"
if not patched:
    duckdb.apply_patches = lambda: None
    def frame_of(session, name, columns):
        types = engine._types(name)
        assert list(types) == list(columns)
        session.catalog.add_table(name, dict(types))
        return session.table(name)
    duckdb.frame_of = frame_of
engine = duckdb.DuckDBEngine()
assert (core.deepcopy is sqlframe_patches._copy_of) == patched
numbers = count()
duckdb.new_name = lambda start: f"{start}_{next(numbers)}"  # the same in both processes

F, W = engine.functions, engine.window
sales = engine.from_arrow(pa.table({
    "number": [1, 2, 2], "id": ["a", "b", None], "end": [1.5, 2.5, None], "Größe": [1, 2, 3],
}))
names = engine.from_arrow(pa.table({"id": ["a", "b", "c"], "name": ["it's", 'say "x"', None]}))
size = F.when(F.col("Größe") > 1, F.lit("l")).when(F.col("end").isNull(), F.lit(None))
plans = [
    sales.select("id", F.col("number").alias("order"), (F.col("Größe") * 2).alias("double")),
    sales.withColumn("size", size.otherwise(F.concat(F.col("id"), F.lit("'"))))
    .withColumn("size", F.coalesce(F.col("size"), F.lit("?"))).where("size != 'l'"),
    sales.join(names, "id", "left").groupBy("name")
    .agg(F.sum("end").alias("total"), F.count(F.lit(1)).alias("rows")),
    sales.withColumn("n", F.row_number().over(W.partitionBy("id").orderBy(F.col("end").desc())))
    .where(F.col("n") == 1).drop("n"),
    sales.alias("l").join(sales.alias("r"), F.col("l.id") == F.col("r.id"))
    .select(F.col("l.id").alias("left"), F.col("r.end").alias("right")),
    engine.union([sales.select("id"), names.select("id")]).distinct(),
    # A frame and what was made of it meet; so do two frames of one origin, renamed apart.
    sales.join(sales.groupBy("number").agg(F.max("end").alias("most")), "number")
    .withColumn("whole", F.col("end") == F.col("most")),
    sales.where("number > 1").select("id", "number").join(
        sales.where("number > 1").select("id", "end"), "id", "left"
    ),
    (lambda late: late.alias("a").join(late.alias("b"), F.col("a.number") < F.col("b.number"))
     .select(F.col("a.id").alias("one"), F.col("b.id").alias("other"))
     )(sales.withColumn("late", F.col("end") > 2).where("number > 0")),
    sales.select("id").unionByName(names.select("id")).exceptAll(sales.select("id").limit(0)),
    sales.select("id").hint("broadcast").where("id = 'a'"),
    sales.withColumnRenamed("Größe", "Total Size").drop("end").orderBy("number", "Total Size"),
    engine.stage(sales.select("id", (F.col("number") + 1).alias("More"))).select("More", "id"),
]
for plan in plans:
    print(engine.sql_of(plan), plan.columns)
    # Twice, and after what was made of it.
    assert engine.sql_of(plan.select(*plan.columns)) and engine.sql_of(plan) == engine.sql_of(plan)
    print(sorted(map(str, engine.rows(plan))))
"""


def plans_built(how: str) -> str:
    """Return the plans and their rows; what SQLFrame makes up by chance is numbered."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", PLANS, how],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    numbers = count()
    names: dict[str, str] = {}
    return re.sub(
        r"\b(?:[0-9a-f]{32}|t[0-9]{6,8})\b",
        lambda found: names.setdefault(found[0], f"name_{next(numbers)}"),
        found.stdout,
    )


def test_patched_plans_are_those_of_sqlframe() -> None:
    patched = plans_built("patched")
    assert patched == plans_built("plain")
    assert r"\'total\': 2.5" in patched
    assert patched.count("\n") == 26


def test_an_element_of_an_array_is_refused_in_one_sentence(engine: DuckDBEngine) -> None:
    pair = engine.from_arrow(pa.table({"pair": [[1, 2]]}))
    asked = pair.select(engine.functions.col("pair")[0].alias("first"))
    with pytest.raises(LakehouseError, match="access to elements of arrays and maps"):
        engine.rows(asked)
