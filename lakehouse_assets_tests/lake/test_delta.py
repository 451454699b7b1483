"""Delta tables in a folder: created as declared, replaced exactly, never by accident."""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine import F
from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.lake.predicate import Everything, Values, between
from lakehouse_assets.storage.location import lake_root
from lakehouse_assets_tests.lake.samples import (
    COMMIT,
    DAILY,
    WHOLE,
    A,
    B,
    C,
    content,
    day,
    frame,
    in_order,
    log_of,
    make_lake,
    on_both_engines,
    put,
    state,
    window,
)

SECRET = "jane.doe@example.org"  # noqa: S105


def changed(declared, **attributes):
    """Declare a table again, a little differently."""
    return dataclasses.replace(declared, **attributes)


# -- creating ------------------------------------------------------------------------------------


def test_a_table_is_created_as_declared(lake):
    lake.ensure(DAILY)
    found = lake.ensure(WHOLE)
    stored = pa.schema(found.schema().to_arrow())
    assert [(f.name, f.nullable) for f in stored] == [("id", False), ("tags", True)]
    assert stored.field("id").metadata[b"comment"] == b"Number. Unit: pieces."
    assert stored.field("tags").type == pa.list_(pa.string())
    assert found.metadata().partition_columns == []
    assert found.metadata().name == "whole"

    daily = lake.open(DAILY)
    assert daily.metadata().partition_columns == ["day"]
    assert daily.version() == 0, "constraints are part of the first commit"
    assert daily.metadata().configuration["delta.constraints.id_not_negative"] == "id >= 0"
    assert daily.protocol().min_writer_version == 3
    assert lake.version(DAILY) == 0


def test_a_corrupt_log_propagates_and_is_not_replaced(three_days):
    first = log_of(three_days, DAILY) / f"{0:020}.json"
    first.write_text("{broken")
    with pytest.raises(DamagedTableError):
        put(three_days, DAILY, window(1, 1), [A])
    assert first.read_text() == "{broken"


def test_a_log_that_delta_calls_missing_is_not_treated_as_new(three_days, monkeypatch):
    def missing(*_args, **_options):
        raise deltalake.exceptions.TableNotFoundError("not found")

    with monkeypatch.context() as patched:
        patched.setattr(deltalake, "DeltaTable", missing)
        with pytest.raises(DamagedTableError):
            three_days.open(DAILY)
        with pytest.raises(DamagedTableError):
            put(three_days, DAILY, window(1, 1), [A])
    assert content(three_days, DAILY) == [A, B, C]


def test_leftovers_of_an_interrupted_creation_are_no_table(lake):
    log_of(lake, DAILY).mkdir(parents=True)
    (log_of(lake, DAILY) / f"{0:020}.json#1").write_text("{half a comm")
    assert lake.open(DAILY) is None
    put(lake, DAILY, window(1, 1), [A])
    assert content(lake, DAILY) == [A]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"columns": (DAILY.columns[0], DAILY.columns[1])}, "column email is not declared"),
        (
            {"columns": (*DAILY.columns, Column("more", "int", "M.", nullable=False))},
            "column more is missing",
        ),
        (
            {"columns": (*DAILY.columns[:2], Column("email", "int", "E."))},
            "column email is string instead of int",
        ),
        (
            {"columns": (*DAILY.columns[:2], Column("email", "string", "E.", nullable=False))},
            "column email is nullable but declared not nullable",
        ),
        ({"partition": None}, r"partitioned by \['day'\] instead of \[\]"),
        (
            {"constraints": {"id_not_negative": "id > 7"}},
            "id_not_negative is id >= 0 instead of id > 7",
        ),
        ({"constraints": {"small": "id < 9"}}, "constraint small is missing instead of id < 9"),
    ],
)
def test_a_table_stored_otherwise_than_declared_is_refused(three_days, attributes, reason):
    other = changed(DAILY, **attributes)
    before = state(three_days, DAILY)
    with pytest.raises(LakehouseError, match=reason):
        three_days.ensure(other)
    with pytest.raises(LakehouseError, match=reason):
        three_days.read(other)
    assert state(three_days, DAILY) == before


@on_both_engines
def test_a_nullable_column_that_is_declared_later_is_null_until_it_is_written(three_days):
    other = changed(DAILY, columns=(*DAILY.columns, Column("more", "int", "M.")))
    assert content(three_days, other) == [(*row, None) for row in (A, B, C)]
    assert content(three_days, other, columns=["id"]) == [(1,), (2,), (3,)]
    put(three_days, other, window(1, 1), [(*A, 7)])
    assert content(three_days, other) == [(*A, 7), (*B, None), (*C, None)]
    (stored,) = [f for f in three_days.open(DAILY).schema().fields if f.name == "more"]
    assert stored.metadata == {"comment": "M."}


@on_both_engines
def test_a_column_that_is_declared_nullable_later_may_be_null_from_then_on(lake):
    strict = Column("email", "string", "E.", nullable=False)
    put(lake, changed(DAILY, columns=(*DAILY.columns[:2], strict)), window(1, 2), [A, B])
    assert content(lake, DAILY) == [A, B]
    put(lake, DAILY, window(2, 2), [(day(2), 2, None)])
    assert content(lake, DAILY) == [A, (day(2), 2, None)]
    # Nothing is left to change, so the next write is one commit.
    version = lake.version(DAILY)
    put(lake, DAILY, window(2, 2), [B])
    assert (content(lake, DAILY), lake.version(DAILY)) == ([A, B], version + 1)


# -- writing -------------------------------------------------------------------------------------


@on_both_engines
def test_a_write_replaces_only_its_partitions(three_days):
    new = [(day(2), 20, "n@x"), (day(2), 21, None)]
    report = put(three_days, DAILY, window(2, 2), new)
    assert content(three_days, DAILY) == in_order([A, *new, C])
    assert (report.version, report.rows, report.partition_rows, report.files) == (2, 4, 2, 1)
    files = Path(three_days.uri(DAILY), "day=2024-01-02").glob("*.parquet")
    newest = max(files, key=lambda p: p.stat().st_mtime_ns)
    assert report.bytes == newest.stat().st_size
    if report.sample is not None:  # on Spark no row passes through this process
        assert in_order(tuple(r.values()) for r in report.sample) == in_order(new)
    assert "n@x" not in repr(report)


@on_both_engines
def test_a_whole_table_is_replaced_as_a_whole(lake):
    put(lake, WHOLE, Everything(), [(1, ["a", None]), (2, None)])
    assert content(lake, WHOLE) == in_order([(1, ["a", None]), (2, None)])
    put(lake, WHOLE, Everything(), [(3, [])])
    assert content(lake, WHOLE) == [(3, [])]


def test_a_partitioned_table_is_replaced_by_its_partitions_and_in_no_other_way(three_days):
    before = state(three_days, DAILY)
    other = between(PartitionColumn("id", "day"), day(1), day(2))
    for selection in (Everything(), Values("email", ("a@x",)), other):
        with pytest.raises(LakehouseError, match="by day, so a write must name its partitions"):
            put(three_days, DAILY, selection, [A])
    assert state(three_days, DAILY) == before
    with pytest.raises(LakehouseError, match="whole is partitioned by no column"):
        put(three_days, WHOLE, window(1, 1), [(1, None)])
    assert three_days.version(WHOLE) is None


@on_both_engines
def test_bad_rows_are_refused_without_showing_them(three_days):
    before = state(three_days, DAILY)
    for row in (
        (day(3), 9, SECRET),  # outside the written partition
        (None, 9, SECRET),
        (day(2), -1, SECRET),  # breaks a constraint
        (day(2), None, SECRET),
    ):
        with pytest.raises(LakehouseError, match="nothing was written") as caught:
            put(three_days, DAILY, window(2, 2), [(day(2), 22, SECRET), row])
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert state(three_days, DAILY) == before
    assert content(three_days, DAILY) == [A, B, C]


@on_both_engines
def test_a_frame_that_does_not_fit_the_declaration_is_refused(three_days):
    before = state(three_days, DAILY)
    good = frame(three_days, DAILY, [B])
    for odd, reason in (
        (good.select("day", "id"), "column email is missing"),
        (good.withColumn("more", F.lit(1)), "column more is not declared"),
        (
            good.withColumn("id", F.col("id").cast("int")),
            "column id is int32 instead of bigint",
        ),
    ):
        with pytest.raises(LakehouseError, match=reason):
            three_days.write(DAILY, odd, window(2, 2), COMMIT)
    assert state(three_days, DAILY) == before


def test_columns_of_a_frame_may_come_in_any_order(three_days):
    put_back = frame(three_days, DAILY, [B]).select("email", "id", "day")
    three_days.write(DAILY, put_back, window(2, 2), COMMIT)
    assert content(three_days, DAILY) == [A, B, C]


@on_both_engines
def test_a_failure_while_rows_are_computed_is_raised_as_it_is_and_changes_nothing(three_days):
    before = state(three_days, DAILY)
    rows = [(day(2), i, "x") for i in range(200_000)]
    number = F.when(F.col("id") == 199_999, F.col("email").cast("bigint")).otherwise(F.col("id"))
    bad = frame(three_days, DAILY, rows).withColumn("id", number)
    with pytest.raises(Exception, match=r"(?i)convert|cast|interrupt") as caught:
        three_days.write(DAILY, bad, window(2, 2), COMMIT)
    assert "Python exception: Traceback" not in str(caught.value)
    assert not isinstance(caught.value, LakehouseError)
    assert state(three_days, DAILY) == before


def test_a_fault_in_lineage_costs_no_rows_and_is_told(lake, monkeypatch, caplog):
    def broken(_frame):
        raise ValueError("no such\nplan")

    monkeypatch.setattr(lake.engine, "lineage", broken)
    assert put(lake, DAILY, window(1, 1), [A]).lineage == {}
    assert content(lake, DAILY) == [A]
    assert "could not be derived (ValueError: no such plan)" in caplog.text


@on_both_engines
def test_a_lake_may_lie_under_any_name_that_is_let_in(engine, tmp_path):
    names = ["a b", "it's", 'say "x"', "ü∂é", "{c};$d&e=f,g+h(i)<j>`k"]
    for number, name in enumerate(names, start=1):
        root = lake_root(str(tmp_path / name))
        put(make_lake(root), DAILY, window(1, 3), [(day(1), number, name)])
    for number, name in enumerate(names, start=1):
        assert content(make_lake(tmp_path / name), DAILY) == [(day(1), number, name)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
