"""Settings of Spark and its Java for tests, whose tables are small."""

from __future__ import annotations

# A process that runs for minutes gains nothing from Java's second compiler. Without it, Java
# reserves only 48 MiB for compiled code, which Spark's planner fills in two minutes, and then
# compiles the same code again and again. The same goes for metaspace, whose growth triggers full
# collections. Spark's classes need no verification in each process.
JAVA = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=512m"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
SMALL = {
    "spark.driver.extraJavaOptions": JAVA,
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Planning again after each stage takes longer than processing the rows.
    "spark.sql.adaptive.enabled": "false",
    # By default, each aggregation or sort allocates a page of 64 MB and each broadcast 4 MB,
    # however few the rows: clearing and copying them was a tenth of the time.
    "spark.buffer.pageSize": "1m",
    "spark.broadcast.blockSize": "128k",
    # No test looks at earlier executions or at the source lines of columns.
    "spark.sql.ui.retainedExecutions": "1",
    "spark.ui.retainedJobs": "1",
    "spark.ui.retainedStages": "1",
    "spark.ui.retainedTasks": "1",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
# Generating and compiling Java code is 40 % of Spark's work on small tables, so tests interpret
# expressions. Code is generated on the cluster, for users, and in the tests of `engine`, which
# compare every function both ways.
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
