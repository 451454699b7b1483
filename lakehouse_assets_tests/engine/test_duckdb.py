"""The embedded engine: what it keeps, streams, refuses and knows about its plans."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.engine import F, current
from lakehouse_assets.engine.base import BATCH_ROWS
from lakehouse_assets.engine.duckdb import DuckDBEngine
from lakehouse_assets.engine.duckdb_readers import load
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError


def relations(engine: DuckDBEngine) -> set[str]:
    found = engine.query("SELECT table_name FROM information_schema.tables").read_all()
    return {name for name in found["table_name"].to_pylist() if not name.startswith("scan_")}


def test_a_scope_frees_what_was_kept_inside(engine):
    before = relations(engine)
    with engine.scope():
        outer = engine.from_arrow(pa.table({"x": [1, 2]}))
        kept = relations(engine)
        with engine.scope():
            inner = engine.checkpoint(outer.filter(F.col("x") > F.lit(1)))
            assert engine.rows(inner) == [{"x": 2}]
            assert len(relations(engine)) == len(kept) + 1
        assert relations(engine) == kept
        assert sorted(row["x"] for row in engine.rows(outer)) == [1, 2]
    assert relations(engine) == before


def test_a_scope_frees_on_errors_too(engine):
    before = relations(engine)

    def fail() -> None:
        with engine.scope():
            engine.checkpoint(engine.from_arrow(pa.table({"x": [1]})))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert relations(engine) == before


def test_a_checkpoint_is_computed_once(engine):
    source = engine.from_arrow(pa.table({"x": list(range(100))}))
    kept = engine.checkpoint(source.select(engine.functions.rand().alias("r")))
    first = sorted(row["r"] for row in engine.rows(kept))
    assert first == sorted(row["r"] for row in engine.rows(kept))
    assert len(set(first)) == 100


@pytest.mark.timeout(60)
def test_a_union_of_joins_streams_to_its_end_however_many_rows_it_has(engine):
    """DuckDB by itself never gives the first row of this one."""
    n = 1_000_000
    left = engine.from_arrow(pa.table({"x": range(n)}))
    right = engine.from_arrow(pa.table({"y": range(n)}))
    joined = left.join(right, F.col("x") == F.col("y"), "inner")
    within = joined.unionByName(joined)
    for union, times in (
        (engine.union([joined, joined]), 2),
        (within, 2),
        (engine.union([joined, within]), 3),
        (engine.union([within, joined]).filter(F.col("x") >= F.lit(0)), 3),
        (engine.stage(within).select("x"), 2),
    ):
        found = engine.arrow_stream(union).read_all()
        assert found.num_rows == times * n
        assert pc.sum(found["x"]).as_py() == times * n * (n - 1) // 2


def test_a_union_has_the_types_of_all_its_parts(engine):
    small = engine.from_arrow(pa.table({"x": pa.array([1], pa.int32())}))
    large = engine.from_arrow(pa.table({"x": pa.array([2**40], pa.int64())}))
    found = engine.arrow_stream(engine.union([small, large])).read_all()
    assert found.schema.field("x").type == pa.int64()
    assert sorted(found["x"].to_pylist()) == [1, 2**40]


def test_a_stream_is_lazy_and_in_batches(engine):
    n = 3_000_000
    source = engine.from_arrow(pa.table({"x": pa.array(range(1000))}))
    many = source.crossJoin(source.withColumnRenamed("x", "y")).crossJoin(
        source.filter(F.col("x") < F.lit(3)).withColumnRenamed("x", "z")
    )
    stream = engine.arrow_stream(many)
    before = pa.total_allocated_bytes()
    sizes, peak = [], 0
    for batch in stream:
        sizes.append(batch.num_rows)
        peak = max(peak, pa.total_allocated_bytes() - before)
        del batch
    assert sum(sizes) == n
    assert max(sizes) <= BATCH_ROWS
    assert peak < 8 << 20


def test_a_stream_leaves_the_session_free(engine):
    source = engine.from_arrow(pa.table({"x": list(range(200_000))}))
    stream = engine.arrow_stream(source)
    first = stream.read_next_batch()
    assert engine.rows(source.agg(F.count(F.lit(1)).alias("n"))) == [{"n": 200_000}]
    with engine.scope():
        engine.checkpoint(source.filter(F.col("x") < F.lit(10)))
    second = engine.arrow_stream(source)
    rest = sum(batch.num_rows for batch in stream)
    assert first.num_rows + rest == 200_000
    assert second.read_all().num_rows == 200_000


def test_rows_are_python_values(engine):
    moment = datetime(2014, 3, 31, 22, 30, tzinfo=UTC)
    table = pa.table(
        {
            "s": ["ü"], "i": pa.array([2**62]), "d": pa.array([date(2014, 2, 28)]),
            "m": pa.array([Decimal("1250.50")], pa.decimal128(18, 2)),
            "t": pa.array([moment], pa.timestamp("us", "UTC")),
            "l": pa.array([["a", "b"]]), "n": pa.array([None], pa.string()),
        }
    )  # fmt: skip
    (row,) = engine.rows(engine.from_arrow(table))
    assert row == {
        "s": "ü", "i": 2**62, "d": date(2014, 2, 28), "m": Decimal("1250.50"), "t": moment,
        "l": ["a", "b"], "n": None,
    }  # fmt: skip


def test_the_clock_is_utc(engine):
    moment = datetime(2014, 3, 31, 23, 30, tzinfo=UTC)
    table = pa.table({"t": pa.array([moment], pa.timestamp("us", "UTC"))})
    frame = engine.from_arrow(table).select(F.col("t").cast("date").alias("d"))
    assert engine.rows(frame) == [{"d": date(2014, 3, 31)}]
    assert engine.query("SELECT current_setting('TimeZone') AS z").read_all()["z"].to_pylist() in (
        ["UTC"],
        ["Etc/UTC"],
    )


ELSEWHERE = """
from datetime import UTC, datetime
import pyarrow as pa
from lakehouse_assets.engine.start import start_engine
engine = start_engine()
moment = pa.array([datetime(2014, 3, 31, 23, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))
frame = engine.from_arrow(pa.table({"t": moment}))
print(engine.arrow_stream(frame).schema.field("t").type)
query = "SELECT current_setting('TimeZone') || ' ' || t::date AS z FROM x"
found = engine.query(query, {"x": frame})
print(found.read_all()["z"][0])
"""


def test_every_cursor_is_in_utc_wherever_the_machine_is():
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        env={**os.environ, "TZ": "Pacific/Kiritimati"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["timestamp[us, tz=UTC]", "UTC 2014-03-31"]


def test_nothing_is_fetched_from_anywhere(engine):
    names = ("autoinstall_known_extensions", "autoload_known_extensions")
    for name in names:
        found = engine.query(f"SELECT current_setting('{name}') AS x").read_all()
        assert found["x"].to_pylist() == [False]
    with pytest.raises(LakehouseError, match="The query does not run"):
        engine.query("SELECT * FROM read_csv('https://localhost:1/x.csv')")


def test_no_extension_but_the_environments_own_is_loaded_unchecked(engine):
    found = engine.query("SELECT current_setting('allow_unsigned_extensions') AS x").read_all()
    assert found["x"].to_pylist() == [False]
    with pytest.raises(LakehouseError, match="Cannot change allow_unsigned_extensions"):
        engine.query("SET allow_unsigned_extensions = true")


@pytest.mark.parametrize("name", ["delta", "of_nobody"])
def test_a_wheel_that_is_missing_or_of_another_version_is_named(name, monkeypatch):
    connection = duckdb.connect()
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    with pytest.raises(LakehouseError, match=f"install duckdb-extension-{name}==9.9.9"):
        load(connection, name)


def test_a_scan_reads_the_version_it_names(engine, tmp_path):
    uri = str(tmp_path / "t")
    write_deltalake(uri, pa.table({"x": [1]}))
    write_deltalake(uri, pa.table({"x": [2]}), mode="append")
    declared = [Column("x", "bigint", "A number.")]
    old, new = (engine.scan_delta(uri, version, "t", declared) for version in (0, 1))
    assert engine.rows(old) == [{"x": 1}]
    assert sorted(row["x"] for row in engine.rows(new)) == [1, 2]
    assert engine.versions_read(old) == {"t": 0}
    assert engine.versions_read(new.filter(F.col("x") > F.lit(0))) == {"t": 1}


def test_a_deleted_table_fails_only_the_frames_that_read_it(tmp_path):
    engine = DuckDBEngine("256MB", 1)
    declared = [Column("x", "bigint", "A number.")]
    frames = []
    # So many that the engine detaches the first ones again.
    for number in range(80):
        write_deltalake(tmp_path / f"t{number}", pa.table({"x": [number]}))
        frames.append(engine.scan_delta(str(tmp_path / f"t{number}"), 0, f"t{number}", declared))
        if number == 2:
            shutil.rmtree(tmp_path / "t0")
    assert engine.rows(frames[1]) == [{"x": 1}]
    assert engine.rows(frames[79]) == [{"x": 79}]
    with pytest.raises(Exception, match="Version 0 of table t0 can no longer be read"):
        engine.rows(frames[0])


def test_tables_of_one_name_in_two_lakes_stay_apart(engine, scan):
    here = scan("same", {"x": [1]}, lake="one")
    there = scan("same", {"x": [2]}, lake="two")
    assert engine.rows(here) == [{"x": 1}]
    assert engine.rows(there) == [{"x": 2}]


def test_versions_are_those_of_the_plan_and_pass_through_checkpoints(engine, scan):
    a, b = scan("ta", {"x": [1]}), scan("tb", {"x": [1]})
    scan("tc", {"x": [1]})
    kept = engine.checkpoint(a)
    assert engine.versions_read(kept) == {"ta": 0}
    joined = kept.join(b.withColumnRenamed("x", "y"), F.col("x") == F.col("y"))
    assert engine.versions_read(joined) == {"ta": 0, "tb": 0}
    assert engine.versions_read(engine.from_arrow(pa.table({"x": [1]}))) == {}


def test_the_sql_of_a_plan_is_generated_once(engine, monkeypatch):
    frame = engine.from_arrow(pa.table({"x": [1]})).select("x")
    engine.lineage(frame)

    def twice(**_: object) -> str:
        raise AssertionError("the plan was generated again")

    monkeypatch.setattr(frame, "sql", twice)
    assert engine.versions_read(frame) == {}
    assert engine.rows(frame) == [{"x": 1}]


def test_two_engines_in_one_process_stay_apart(engine):
    here = engine.from_arrow(pa.table({"x": [1]}))
    other = DuckDBEngine(memory_limit="100MB", threads=1)
    for name in ("y", "z"):
        there = other.from_arrow(pa.table({name: [2]}))
        assert other.rows(there.select(name)) == [{name: 2}]
    assert engine.rows(here.select("x")) == [{"x": 1}]


def test_too_little_memory_is_one_sentence():
    before = current.active()
    try:
        engine = DuckDBEngine(memory_limit="20MB", threads=1)
        current.activate(engine)
        source = engine.from_arrow(pa.table({"x": list(range(3000))}))
        pairs = source.crossJoin(source.withColumnRenamed("x", "y"))
        # A text aggregate has to hold everything at once and cannot spill.
        wide = pairs.agg(
            F.max(F.col("x")).alias("m"),
            F.sort_array(engine.functions.collect_list("y")).alias("l"),
        )
        with pytest.raises(LakehouseError, match="LAKEHOUSE_MEMORY_LIMIT"):
            engine.rows(wide)
    finally:
        current.activate(before)


def test_a_wrong_memory_limit_names_the_setting():
    with pytest.raises(LakehouseError, match="LAKEHOUSE_MEMORY_LIMIT"):
        DuckDBEngine(memory_limit="lots")


def test_an_unknown_engine_is_refused(engine):
    with pytest.raises(LakehouseError, match="There is no engine 'spork'"):
        start_engine("spork")
    assert current.active() is engine


def test_starting_twice_gives_the_running_engine(engine):
    assert start_engine() is engine


def test_no_engine_says_how_to_start_one():
    code = """
        from lakehouse_assets.engine import F
        from lakehouse_assets.errors import LakehouseError
        try:
            F.col
        except LakehouseError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("No engine is running; start one with")


def test_a_wrong_query_says_where(engine):
    with pytest.raises(LakehouseError, match=r"The query does not run: .*nowhere"):
        engine.query("SELECT * FROM nowhere")


def test_views_have_names_that_queries_know(engine):
    things = {"shop.things": engine.from_arrow(pa.table({"x": [1, 2]}))}
    found = engine.query('SELECT sum(x)::INT AS s FROM shop."things"', things).read_all()
    assert found["s"].to_pylist() == [3]
