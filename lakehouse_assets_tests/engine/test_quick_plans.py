"""Plans that are built quickly are those that SQLFrame builds by itself."""

import re
import subprocess
import sys
from itertools import count
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# Joins, windows, groups, nested conditions, names that need quotes, a frame that meets itself.
PLANS = """
import sys
from itertools import count
import pyarrow as pa
import sqlglot.expressions.core as core
from lakehouse_assets.engine import duckdb
from lakehouse_assets.engine.quick_plans import _copied

quickly = sys.argv[1] == "quickly"
if not quickly:
    duckdb.build_plans_quickly = lambda: None
engine = duckdb.DuckDBEngine()
assert (core.deepcopy is _copied) == quickly
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
]
for plan in plans:
    print(plan.sql(dialect="duckdb", optimize=False, pretty=False), plan.columns)
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


def test_quick_plans_are_those_of_sqlframe() -> None:
    quick = plans_built("quickly")
    assert quick == plans_built("plainly")
    assert r"\'total\': 2.5" in quick
    assert quick.count("\n") == 12
