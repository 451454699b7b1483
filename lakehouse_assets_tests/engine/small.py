"""Spark for tables of some rows: how its Java runs and how it plans in every test."""

from __future__ import annotations

# A Java that lives for minutes gains nothing from its second compiler. Without it, however, Java
# keeps 48 MiB for compiled code, which Spark's planner fills within two minutes: from then on code
# is thrown away and compiled anew. Classes outgrow what is kept for them, too, and each time the
# whole heap is swept. That the classes of Spark are sound is not for each Java to find out.
JAVA = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=512m"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
SMALL = {
    "spark.driver.extraJavaOptions": JAVA,
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Planning anew after each stage takes longer than the rows.
    "spark.sql.adaptive.enabled": "false",
    # For each group or order of rows Spark takes a page of 64 MB, and 4 MB for what it tells its
    # workers, however little there is: to clear and to copy them was a tenth of its time.
    "spark.buffer.pageSize": "1m",
    "spark.broadcast.blockSize": "128k",
    # Nobody looks at what ran before, nor where a column was named.
    "spark.sql.ui.retainedExecutions": "1",
    "spark.ui.retainedJobs": "1",
    "spark.ui.retainedStages": "1",
    "spark.ui.retainedTasks": "1",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
# Writing and compiling Java for each expression is 40 % of what Spark computes for small tables. It
# interprets them instead, but in the tests of `engine`, where every function that it has in code is
# compared, on the standalone cluster and for users.
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
