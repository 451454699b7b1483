"""Spark as an engine: what it keeps, streams, refuses and knows about its plans."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from py4j.java_gateway import JVMView

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine import F
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError

NUMBER = [Column("x", "bigint", "A number.")]


def stored(engine: Engine) -> int:
    """Count the frames that Spark keeps; Delta's own notes on tables aside."""
    kept_rdds = engine.session.sparkContext._jsc.getPersistentRDDs()
    return sum("localCheckpoint" in str(kept_rdds[key].toString()) for key in kept_rdds)


def test_a_scope_frees_what_was_kept_inside(spark_engine):
    before = stored(spark_engine)

    def fail() -> None:
        with spark_engine.scope():
            spark_engine.checkpoint(spark_engine.from_arrow(pa.table({"x": [1]})))
            raise ZeroDivisionError

    with spark_engine.scope():
        outer = spark_engine.checkpoint(spark_engine.from_arrow(pa.table({"x": [1, 2]})))
        with spark_engine.scope():
            inner = spark_engine.checkpoint(outer.filter(F.col("x") > F.lit(1)))
            assert spark_engine.rows(inner) == [{"x": 2}]
            assert stored(spark_engine) == before + 2
        with pytest.raises(ZeroDivisionError):
            fail()
        assert stored(spark_engine) == before + 1
        assert sorted(row["x"] for row in spark_engine.rows(outer)) == [1, 2]
    assert stored(spark_engine) == before


def test_a_checkpoint_is_computed_once(spark_engine):
    source = spark_engine.from_arrow(pa.table({"x": list(range(100))}))
    frame = spark_engine.checkpoint(source.select(spark_engine.functions.rand().alias("r")))
    first = sorted(row["r"] for row in spark_engine.rows(frame))
    assert first == sorted(row["r"] for row in spark_engine.rows(frame))
    assert len(set(first)) == 100


def test_a_checkpoint_does_not_change_with_what_it_was_read_from(spark_engine, tmp_path):
    path = str(tmp_path / "x.parquet")
    spark_engine.session.range(3).write.parquet(path)
    frame = spark_engine.checkpoint(spark_engine.session.read.parquet(path))
    spark_engine.session.range(9).write.mode("overwrite").parquet(path)
    assert len(spark_engine.rows(frame)) == 3


def test_a_stream_is_in_batches_and_part_by_part(spark_engine):
    n = 400_000
    frame = spark_engine.session.range(0, n, 1, 8).select("id", F.lit("x" * 50).alias("pad"))
    sizes, peak, before = [], 0, pa.total_allocated_bytes()
    for batch in spark_engine.arrow_stream(frame):
        sizes.append(batch.num_rows)
        peak = max(peak, pa.total_allocated_bytes() - before)
        del batch
    assert sum(sizes) == n
    assert max(sizes) == n // 8
    assert peak < 4 << 20


def test_a_stream_leaves_the_session_free_and_may_be_left(spark_engine):
    source = spark_engine.session.range(0, 50_000, 1, 4).withColumnRenamed("id", "x")
    stream = spark_engine.arrow_stream(source)
    first = stream.read_next_batch()
    assert spark_engine.rows(source.agg(F.count(F.lit(1)).alias("n"))) == [{"n": 50_000}]
    assert first.num_rows + sum(batch.num_rows for batch in stream) == 50_000
    left = spark_engine.arrow_stream(source)
    left.read_next_batch()
    del left
    assert spark_engine.rows(source.limit(1).select(F.lit(1).alias("one"))) == [{"one": 1}]


def test_rows_are_python_values(spark_engine):
    moment = datetime(2014, 3, 31, 22, 30, tzinfo=UTC)
    table = pa.table(
        {
            "s": ["ü"], "i": pa.array([2**62]), "d": pa.array([date(2014, 2, 28)]),
            "m": pa.array([Decimal("1250.50")], pa.decimal128(18, 2)),
            "t": pa.array([moment], pa.timestamp("us", "UTC")),
            "z": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
            "l": pa.array([["a", "b"]]), "n": pa.array([None], pa.string()),
        }
    )  # fmt: skip
    want = {
        "s": "ü", "i": 2**62, "d": date(2014, 2, 28), "m": Decimal("1250.50"), "t": moment,
        "z": moment.replace(tzinfo=None), "l": ["a", "b"], "n": None,
    }  # fmt: skip
    for data in (table, table.to_reader()):
        frame = spark_engine.from_arrow(data)
        assert spark_engine.rows(frame) == [want]
        read = spark_engine.arrow_stream(frame).read_all()
        assert read.to_pylist() == [want]
        assert read.schema.types == table.schema.types
    midnight = spark_engine.from_arrow(table).select(F.col("t").cast("date").alias("d"))
    assert spark_engine.rows(midnight) == [{"d": date(2014, 3, 31)}]


def test_arrow_data_that_says_it_holds_no_nulls_is_looked_at(spark_engine):
    schema = pa.schema([pa.field("x", pa.int64(), nullable=False)])
    frame = spark_engine.from_arrow(pa.Table.from_arrays([pa.array([1, None])], schema=schema))
    assert spark_engine.rows(frame.filter(F.col("x").isNull())) == [{"x": None}]


def test_a_stream_of_many_chunks_comes_in_whole(spark_engine, monkeypatch):
    from lakehouse_assets.engine import spark

    monkeypatch.setattr(spark, "_CHUNK_ROWS", 100)
    table = pa.table({"x": list(range(1_000))})
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=40))
    frame = spark_engine.from_arrow(reader)
    assert sorted(row["x"] for row in spark_engine.rows(frame)) == list(range(1_000))
    empty = pa.RecordBatchReader.from_batches(table.schema, iter(()))
    assert spark_engine.rows(spark_engine.from_arrow(empty)) == []


def test_a_scan_reads_the_version_it_names(spark_engine, tmp_path):
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"x": [1], "other": ["a"]}))
    write_deltalake(uri, pa.table({"x": [2], "other": ["b"]}), mode="append")
    old, new = (spark_engine.scan_delta(uri, version, "t", NUMBER) for version in (0, 1))
    assert spark_engine.rows(old) == [{"x": 1}]
    assert sorted(row["x"] for row in spark_engine.rows(new)) == [1, 2]
    assert spark_engine.versions_read(old) == {"t": 0}
    assert spark_engine.versions_read(new.filter(F.col("x") > F.lit(0))) == {"t": 1}


def test_versions_pass_through_checkpoints(spark_engine, tmp_path):
    for name in ("ta", "tb"):
        write_deltalake(str(tmp_path / name), pa.table({"x": [1]}))
    a, b = (spark_engine.scan_delta(str(tmp_path / n), 0, n, NUMBER) for n in ("ta", "tb"))
    kept_a = spark_engine.checkpoint(a.select((F.col("x") + F.lit(1)).alias("y")))
    joined = kept_a.join(b, F.col("x") == F.col("y"), "left")
    # Twice the same frame: Spark gives its columns new numbers.
    twice = joined.unionByName(joined).groupBy("x").agg(F.sum("y").alias("s"))
    assert spark_engine.versions_read(kept_a) == {"ta": 0}
    assert spark_engine.versions_read(twice) == {"ta": 0, "tb": 0}
    assert spark_engine.versions_read(spark_engine.from_arrow(pa.table({"x": [1]}))) == {}


def test_a_union_goes_by_name(spark_engine):
    one = spark_engine.from_arrow(pa.table({"a": [1], "b": ["x"]}))
    two = spark_engine.from_arrow(pa.table({"b": ["y"], "a": [2]}))
    rows = spark_engine.rows(spark_engine.union([one, two]))
    assert sorted(rows, key=lambda row: row["a"]) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_queries_over_named_views(spark_engine):
    frames = {
        "shop.things": spark_engine.from_arrow(pa.table({"x": [1, 2]})),
        "plain": spark_engine.from_arrow(pa.table({"y": [2]})),
    }
    found = spark_engine.query(
        "SELECT Shop.Things.x, 'shop.things' AS s FROM SHOP.things JOIN plain ON x = y", frames
    )
    assert found.read_all().to_pylist() == [{"x": 2, "s": "shop.things"}]
    for wrong in ("SELEC 1", "SELECT z FROM plain", "SELECT 'x FROM plain", "SELECT 1/0"):
        with pytest.raises(LakehouseError, match="The query does not run: ") as caught:
            spark_engine.query(wrong)
        assert "at org.apache" not in str(caught.value)


def test_the_session_means_what_the_engine_needs(spark_engine):
    conf = spark_engine.session.conf
    assert conf.get("spark.sql.session.timeZone") == "UTC"
    assert conf.get("spark.sql.ansi.enabled") == "true"
    config = spark_engine.session.sparkContext.getConf()
    assert config.get("spark.driver.bindAddress") == "127.0.0.1"
    assert config.get("spark.ui.enabled") == "false"
    assert start_engine("spark") is spark_engine


def test_columns_are_named_without_asking_java_for_their_classes(
    spark_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = spark_engine.from_arrow(pa.table({"x": [1, None]}))
    asked: list[str] = []
    monkeypatch.setattr(JVMView, "__getattr__", lambda _self, name: asked.append(name))
    wider = frame.select("x", F.coalesce(F.col("x"), F.lit(0)).alias("y"))
    monkeypatch.undo()
    assert asked == []
    assert spark_engine.rows(wider) == [{"x": 1, "y": 1}, {"x": None, "y": 0}]
