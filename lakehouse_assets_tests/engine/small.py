"""Spark for tables of some rows: how its Java runs and how it plans in every test.

Belongs here: what each Spark of the tests is given. Not here: what only one of them needs.
"""

from __future__ import annotations

# A Java that lives for minutes gains nothing from its second compiler. Without it, however, Java
# keeps 48 MiB for compiled code, which Spark's planner fills within two minutes: from then on code
# is thrown away and compiled anew. Classes outgrow what is kept for them, too, and each time the
# whole heap is swept.
JAVA = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=512m"
)
SMALL = {
    "spark.driver.extraJavaOptions": JAVA,
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Planning anew after each stage takes longer than the rows.
    "spark.sql.adaptive.enabled": "false",
}
# Writing and compiling Java for each expression is 40 % of what Spark computes for small tables. It
# interprets them instead, but in the tests of `engine`, where every function that it has in code is
# compared, on the standalone cluster and for users.
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
