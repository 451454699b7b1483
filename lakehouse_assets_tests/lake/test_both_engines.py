"""One table in the hands of two engines: read, extended and written at once by both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import deltalake
import pytest

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.lake.samples import (
    COMMIT,
    DAILY,
    content,
    day,
    embedded_lake,
    in_order,
    log_of,
    make_lake,
    put,
    table,
    window,
)
from lakehouse_assets_tests.lake.spark_writer import rows as rows_of_day
from lakehouse_assets_tests.lake.writer import Rows, arrow_lake, batch

ROOT = Path(__file__).parents[2]
WIDE = table(
    "wide",
    Column("day", "date", "Day.", nullable=False),
    Column("id", "bigint", "Number.", nullable=False),
    Column("small", "int", "Small."),
    Column("ratio", "double", "Ratio."),
    Column("flag", "boolean", "Flag."),
    Column("at", "timestamp", "Moment."),
    Column("local", "timestamp_ntz", "Wall clock."),
    Column("price", "decimal(18,2)", "Price.", unit="CNY"),
    Column("tags", "array<string>", "Tags."),
    Column("name", "string", "Name."),
    partition=PartitionColumn("day", "day"),
    keys=("id",),
    constraints={"id_not_negative": "id >= 0"},
)


def wide(number, identity, name):
    """Make a row with a value at an edge of each type."""
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999)
    return (
        day(number), identity, -(2**31), 5e-324, False, moment.replace(tzinfo=UTC), moment,
        Decimal("-9999999999999999.99"), ["", None, "\u3000é"], name,
    )  # fmt: skip


def test_each_engine_reads_and_replaces_what_the_other_wrote(tmp_path, spark_engine):
    spark, embedded = make_lake(tmp_path, WIDE), embedded_lake(tmp_path, WIDE)
    expected, lakes = {}, [embedded, spark]
    for number, lake in enumerate(lakes * 6):
        first = number % 3 + 1
        rows = [wide(first, number, lake.engine.name), (day(first), 99, *[None] * 8)]
        put(lake, WIDE, window(first, first), rows)
        expected[first] = rows
        if number < 2 or number > 9:
            found = in_order(row for rows in expected.values() for row in rows)
            assert [content(reader, WIDE) == found for reader in lakes] == [True, True]
            counts = [reader.rows_by_partition(WIDE) for reader in lakes]
            assert counts[0] == counts[1] == {day(n): 2 for n in expected}
    # Both write a checkpoint of their own after ten commits, and read the other's.
    assert len({path.name[:20] for path in log_of(spark, WIDE).glob("*.checkpoint*.parquet")}) == 2
    put(spark, WIDE, window(2, 2), [])
    assert content(embedded, WIDE) == in_order([*expected[1], *expected[3]])
    for lake in lakes:
        with pytest.raises(LakehouseError, match="violate a constraint"):
            put(lake, WIDE, window(1, 1), [wide(1, -1, "bad")])
    assert [version.commit for version in embedded.history(WIDE)[:-1]] == [COMMIT] * 13


@pytest.mark.parametrize(
    ("feature", "properties"),
    [
        ("deletionVectors", "'delta.enableDeletionVectors' = 'true'"),
        ("columnMapping", "'delta.columnMapping.mode' = 'name'"),
    ],
)
def test_a_feature_that_only_spark_knows_is_refused_by_the_other(
    tmp_path, spark_engine, feature, properties
):
    spark, embedded = make_lake(tmp_path), embedded_lake(tmp_path)
    path = f"delta.`{spark.uri(DAILY)}`"
    rows = [(day(d), d * 10 + i, "x") for d in (1, 2) for i in range(3)]
    put(embedded, DAILY, window(1, 2), rows)
    spark_engine.session.sql(f"ALTER TABLE {path} SET TBLPROPERTIES ({properties})")
    spark_engine.session.sql(f"DELETE FROM {path} WHERE id IN (10, 21)")  # noqa: S608 - our own
    with pytest.raises(LakehouseError, match=f"uses {feature}, which .* read it on Spark"):
        embedded.read(DAILY)
    left = [row for row in rows if row[1] not in (10, 21)]
    assert content(spark, DAILY) == left
    assert spark.rows_by_partition(DAILY) == {day(1): 2, day(2): 2}
    report = put(spark, DAILY, window(3, 3), [(day(3), 1, "new")])
    assert (report.rows, report.partition_rows) == (5, 1)


def test_a_table_whose_features_spark_refuses_is_named(tmp_path, spark_engine, monkeypatch):
    lake = make_lake(tmp_path, WIDE)
    with monkeypatch.context() as patched:
        # As delta-rs lists them if it is left to itself.
        created = deltalake.DeltaTable.create
        patched.setattr(
            deltalake.DeltaTable, "create",
            lambda *a, configuration, **k: created(
                *a, configuration=configuration | {"delta.minWriterVersion": "3"}, **k
            ),
        )  # fmt: skip
        lake.ensure(WIDE)
    with pytest.raises(LakehouseError, match=r"features that Spark cannot write .*: invariants"):
        put(lake, WIDE, window(1, 1), [wide(1, 1, "x")])


# -- several writers, kills ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_spark(spark_session_engine, tmp_path_factory):
    """A second Spark, in a process of its own, and the lake that it writes."""
    root = tmp_path_factory.mktemp("shared")
    jars = Path(spark_session_engine.session.conf.get("spark.jars").split(",")[0]).parent
    with heard(root).open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "lakehouse_assets_tests.lake.spark_writer", jars, root],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    yield process, root
    if process.poll() is None:
        process.communicate()


def heard(root: Path) -> Path:
    """Where the other process' complaints go, beside the lake."""
    return root.with_suffix(".stderr")


def tell(process, order) -> None:
    process.stdin.write(order + "\n")
    process.stdin.flush()


def test_writers_of_both_engines_at_once_lose_no_commit(spark_engine, other_spark):
    """Two Sparks and two threads of the embedded engine, each with a day of its own."""
    process, root = other_spark
    lake, times, finished = make_lake(root), 3, threading.Event()

    def replace(number: int) -> int:
        own = arrow_lake(str(root))
        for again in range(1000):
            rows = Rows([batch([(day(number), again, text) for text in "xyz"])])
            own.write(DAILY, rows, window(number, number), COMMIT)
            if finished.wait(0.1):
                break
        return again

    with ThreadPoolExecutor(2) as pool:
        tell(process, f"replace 1 {times}")
        threads = [pool.submit(replace, number) for number in (3, 4)]
        try:
            for again in range(times):
                put(lake, DAILY, window(2, 2), rows_of_day(2, again))
            assert process.stdout.readline() == "done\n"
        finally:
            finished.set()
        lasts = [thread.result() for thread in threads]
    embedded = [(day(d), n, s) for d, n in zip((3, 4), lasts, strict=True) for s in "xyz"]
    expected = [*rows_of_day(1, times - 1), *rows_of_day(2, times - 1), *embedded]
    assert content(lake, DAILY) == in_order(expected)
    commits = [version.commit for version in lake.history(DAILY)]
    assert commits.count(COMMIT) == 2 * times + sum(lasts) + 2


def test_neither_errors_nor_logs_of_spark_repeat_a_value_that_was_refused(other_spark):
    process, root = other_spark
    tell(process, "refuse 7654321")
    told = [process.stdout.readline() for _ in range(2)]
    assert ["nothing was written" in line for line in told] == [True] * 2, told
    assert "7654321" not in "".join(told) + heard(root).read_text()


def test_a_killed_spark_leaves_the_old_version_and_a_rerun_repairs_it(
    spark_engine, other_spark, tmp_path
):
    process, root = other_spark
    lake, marker = make_lake(root), tmp_path / "marker"
    old = [(day(2), 1, "old")]
    put(embedded_lake(root), DAILY, window(1, 4), old)
    tell(process, f"hang {marker}")
    while not marker.exists():
        assert process.poll() is None
        time.sleep(0.05)
    # Python and the Java that it started; Python alone would let Java go on.
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert content(lake, DAILY) == old
    put(lake, DAILY, window(2, 2), [(day(2), 2, "again")])
    assert content(lake, DAILY) == [(day(2), 2, "again")]
