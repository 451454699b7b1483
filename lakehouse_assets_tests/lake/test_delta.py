"""Delta tables in a folder: created as declared, replaced exactly, never by accident."""

from __future__ import annotations

import dataclasses
import traceback
from datetime import date
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine import F
from lakehouse_assets.errors import DamagedTableError, LakehouseError
from lakehouse_assets.lake import log
from lakehouse_assets.lake.commits import Commit, Transaction
from lakehouse_assets.lake.predicate import Both, Everything
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
    keys,
    log_of,
    make_lake,
    on_both_engines,
    put,
    state,
    table,
    window,
)

SECRET = "jane.doe@example.org"  # noqa: S105


def changed(declared, **attributes):
    """Declare a table again, a little differently."""
    return dataclasses.replace(declared, **attributes)


# -- creating ------------------------------------------------------------------------------------


@on_both_engines
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


@on_both_engines
def test_ensure_leaves_an_existing_table_alone(three_days):
    before = state(three_days, DAILY)
    three_days.ensure(DAILY)
    assert state(three_days, DAILY) == before


@on_both_engines
def test_a_missing_table_has_no_version_and_reads_as_empty(lake):
    assert lake.version(DAILY) is None
    assert lake.open(DAILY) is None
    assert lake.read(DAILY).columns == ["day", "id", "email"]
    assert content(lake, DAILY) == []
    assert lake.rows_by_partition(DAILY) == {}


@on_both_engines
@pytest.mark.parametrize("error", [OSError("503 Slow Down"), DeltaError("Generic error")])
def test_any_error_but_not_found_propagates_and_nothing_is_written(three_days, monkeypatch, error):
    before = state(three_days, DAILY)

    def fail(*_args, **_options):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(deltalake, "DeltaTable", fail)
        for attempt in (
            lambda: three_days.open(DAILY),
            lambda: three_days.read(DAILY),
            lambda: put(three_days, DAILY, window(1, 1), [A]),
        ):
            with pytest.raises((OSError, DamagedTableError), match=str(error)):
                attempt()
    assert state(three_days, DAILY) == before
    assert content(three_days, DAILY) == [A, B, C]


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


@on_both_engines
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"columns": (DAILY.columns[0], DAILY.columns[1])}, "column email is not declared"),
        (
            {"columns": (*DAILY.columns, Column("more", "int", "M."))},
            "column more is missing",
        ),
        (
            {"columns": (*DAILY.columns[:2], Column("email", "int", "E."))},
            "column email is string where int is declared",
        ),
        (
            {"columns": (*DAILY.columns[:2], Column("email", "string", "E.", nullable=False))},
            "column email is nullable but declared not nullable",
        ),
        (
            {"columns": (DAILY.columns[0], Column("id", "bigint", "I."), DAILY.columns[2])},
            "column id is not nullable but declared nullable",
        ),
        ({"partition": None}, r"partition columns \['day'\] but declared with \[\]"),
        ({"constraints": {"id_not_negative": "id > 7"}}, "constraint id_not_negative as id >= 0"),
    ],
)
def test_a_table_stored_otherwise_than_declared_is_refused(three_days, attributes, reason):
    other = changed(DAILY, **attributes)
    before = state(three_days, DAILY)
    with pytest.raises(LakehouseError, match=reason):
        three_days.ensure(other)
    if "constraints" not in attributes:
        with pytest.raises(LakehouseError, match=reason):
            three_days.read(other)
    assert state(three_days, DAILY) == before


@on_both_engines
def test_a_constraint_declared_later_is_added_and_enforced(three_days):
    stricter = changed(
        DAILY, constraints={**DAILY.constraints, "known": "email <> 'nobody'", "small": "id < 9"}
    )
    three_days.ensure(stricter)
    three_days.ensure(stricter)  # delta-rs stores `<>` as `!=`; the rule is still the same
    with pytest.raises(LakehouseError, match="break a constraint"):
        put(three_days, stricter, window(1, 1), [(day(1), 9, "a@x")])
    assert content(three_days, stricter) == [A, B, C]


@on_both_engines
def test_a_constraint_that_stored_rows_break_is_refused(three_days):
    with pytest.raises(LakehouseError, match="break a constraint") as caught:
        three_days.ensure(changed(DAILY, constraints={**DAILY.constraints, "small": "id < 2"}))
    assert "b@x" not in str(caught.value)
    assert content(three_days, DAILY) == [A, B, C]


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
    assert in_order(tuple(r.values()) for r in report.sample) == in_order(new)
    assert "n@x" not in repr(report)


def test_some_rows_are_read_from_small_files_of_one_partition(three_days, monkeypatch):
    found = three_days.open(DAILY)
    files = log.files_of(found)
    second = [file for file in files if file.partition == date(2024, 1, 2)]
    (row,) = log.some_rows(found, second, 5) or ()
    assert tuple(row.values()) == B
    assert log.some_rows(found, [], 5) is None
    monkeypatch.setattr(log, "_SMALL", second[0].bytes - 1)
    assert log.some_rows(found, second, 5) is None


@on_both_engines
def test_an_empty_frame_empties_only_its_partition(three_days):
    report = put(three_days, DAILY, window(2, 2), [])
    assert content(three_days, DAILY) == [A, C]
    assert (report.rows, report.partition_rows, report.files, report.bytes) == (2, 0, 0, 0)
    assert report.sample == ()


@on_both_engines
def test_a_whole_table_is_replaced_as_a_whole(lake):
    put(lake, WHOLE, Everything(), [(1, ["a", None]), (2, None)])
    assert content(lake, WHOLE) == in_order([(1, ["a", None]), (2, None)])
    put(lake, WHOLE, Everything(), [(3, [])])
    assert content(lake, WHOLE) == [(3, [])]


@on_both_engines
def test_a_partitioned_table_is_never_replaced_as_a_whole(three_days):
    before = state(three_days, DAILY)
    with pytest.raises(LakehouseError, match="a write must name its partitions"):
        put(three_days, DAILY, Everything(), [A])
    assert state(three_days, DAILY) == before


@on_both_engines
@pytest.mark.parametrize(
    "row",
    [
        (day(3), 9, SECRET),
        (None, 9, SECRET),
        (day(2), -1, SECRET),
        (day(2), None, SECRET),
    ],
    ids=["outside the partition", "no partition", "constraint", "null in a non-null column"],
)
@pytest.mark.parametrize("how", ["write", "merge"])
def test_bad_rows_are_refused_without_showing_them(three_days, row, how):
    before = state(three_days, DAILY)
    good = (day(2), 22, SECRET)
    with pytest.raises(LakehouseError, match="nothing was written") as caught:
        getattr(three_days, how)(DAILY, frame(three_days, DAILY, [good, row]), window(2, 2), COMMIT)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert state(three_days, DAILY) == before
    assert content(three_days, DAILY) == [A, B, C]


@on_both_engines
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.select("day", "id"), "column email is missing"),
        (lambda f: f.withColumn("more", F.lit(1)), "column more is not declared"),
        (
            lambda f: f.withColumn("id", F.col("id").cast("int")),
            "column id is int32 where bigint is declared",
        ),
    ],
)
def test_a_frame_that_does_not_fit_the_declaration_is_refused(three_days, change, reason):
    before = state(three_days, DAILY)
    odd = change(frame(three_days, DAILY, [B]))
    for how in (three_days.write, three_days.merge):
        with pytest.raises(LakehouseError, match=reason):
            how(DAILY, odd, window(2, 2), COMMIT)
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


@on_both_engines
def test_a_commit_says_where_it_came_from(lake):
    commit = Commit("run-7", "shop/daily", "2024-01-01", "v9")
    lake.write(DAILY, frame(lake, DAILY, [A]), window(1, 1), commit)
    lake.merge(DAILY, frame(lake, DAILY, [A]), window(1, 1), commit)
    merged, written, created = lake.history(DAILY)
    assert [v.number for v in (merged, written, created)] == [2, 1, 0]
    assert (merged.operation, written.operation) == ("MERGE", "WRITE")
    assert merged.commit == written.commit == commit
    assert created.commit is None
    assert lake.history(DAILY, 1) == [merged]
    assert lake.history(WHOLE) == []


@on_both_engines
def test_a_transaction_is_written_once_however_often_it_is_tried(three_days):
    def step(number: int, rows, how=three_days.write):
        commit = dataclasses.replace(COMMIT, transaction=Transaction("feed", number))
        return how(DAILY, frame(three_days, DAILY, rows), window(2, 2), commit)

    new = (day(2), 5, "n@x")
    assert not step(7, [B, new]).skipped
    for number, how in [(7, three_days.write), (6, three_days.merge)]:
        report = step(number, [(day(2), 6, "again")], how)
        assert report.skipped
        assert (report.version, report.rows, report.partition_rows) == (2, 4, 2)
        assert report.sample == ()
    other = dataclasses.replace(COMMIT, transaction=Transaction("other", 1))
    later = (day(2), 5, "later")
    three_days.merge(DAILY, frame(three_days, DAILY, [later]), window(2, 2), other)
    assert content(three_days, DAILY) == [A, B, later, C]
    assert three_days.open(DAILY).transaction_version("feed") == 7
    assert three_days.open(DAILY).transaction_version("other") == 1
    # A commit without a transaction that follows is none of the last one's.
    put(three_days, DAILY, window(2, 2), [])
    assert content(three_days, DAILY) == [A, C]


# -- opt-in: new columns and merge ---------------------------------------------------------------

OPEN = changed(DAILY, allow_new_columns=True)


@on_both_engines
def test_new_columns_extend_the_table_where_that_is_allowed(three_days):
    wider = changed(OPEN, columns=(*DAILY.columns, Column("more", "int", "M.")))
    assert content(three_days, wider) == [(*row, None) for row in (A, B, C)]
    put(three_days, wider, window(2, 2), [(*B, 5)])
    assert content(three_days, wider) == [(*A, None), (*B, 5), (*C, None)]
    # What an undeclared column of a frame adds stays in the table and is not read.
    odd = frame(three_days, wider, [(*C, 6)]).withColumn("odd", F.lit("y"))
    three_days.write(wider, odd, window(3, 3), COMMIT)
    put(three_days, wider, window(1, 1), [(*A, 4)])
    assert content(three_days, wider) == [(*A, 4), (*B, 5), (*C, 6)]
    stored = pa.schema(three_days.open(wider).schema().to_arrow())
    assert {f.name: f.nullable for f in stored} == {
        "day": False, "id": False, "email": True, "more": True, "odd": True
    }  # fmt: skip
    before = state(three_days, wider)
    with pytest.raises((LakehouseError, ValueError)) as caught:
        put(three_days, wider, window(1, 1), [(day(1), None, SECRET, 4)])
    assert SECRET not in str(caught.value)
    assert state(three_days, wider) == before


def test_a_type_change_is_refused_even_where_columns_may_be_added(three_days):
    odd = frame(three_days, OPEN, [C]).withColumn("odd", F.lit("y"))
    three_days.write(OPEN, odd, window(3, 3), COMMIT)
    before = state(three_days, OPEN)
    other = frame(three_days, OPEN, [C]).withColumn("odd", F.lit(7))
    with pytest.raises(LakehouseError, match="column odd is int32 where string is stored"):
        three_days.write(OPEN, other, window(3, 3), COMMIT)
    retyped = changed(OPEN, columns=(*DAILY.columns[:2], Column("email", "int", "E.")))
    with pytest.raises(LakehouseError, match="column email is string where int is declared"):
        put(three_days, retyped, window(3, 3), [(day(3), 3, 1)])
    short = frame(three_days, OPEN, [C]).select("day", "id")
    with pytest.raises(LakehouseError, match="column email is missing"):
        three_days.write(OPEN, short, window(3, 3), COMMIT)
    strict = changed(OPEN, columns=(*DAILY.columns, Column("n", "int", "N.", nullable=False)))
    with pytest.raises(LakehouseError, match="column n is missing"):
        three_days.ensure(strict)
    assert state(three_days, OPEN) == before


@on_both_engines
def test_a_merge_inserts_and_updates_within_its_partitions_only(three_days):
    # Key 1 also lives in day 1, which is not written.
    rows = [(day(2), 2, "new"), (day(2), 1, "same key, other day"), (day(3), 4, "d@x")]
    report = three_days.merge(DAILY, frame(three_days, DAILY, rows), window(2, 3), COMMIT)
    assert content(three_days, DAILY) == in_order([A, *rows, C])
    assert (report.rows, report.partition_rows) == (5, 4)
    assert {r["email"] for r in report.sample} == {r[2] for r in rows}


def test_a_merge_over_a_range_does_what_one_merge_per_partition_does(tmp_path):
    stored = [(day(1), 1, "a"), (day(2), 1, "b")]
    rows = [(day(1), 1, "A"), (day(2), 1, "B"), (day(2), 2, "C")]
    results = []
    for number, ranges in enumerate([[(1, 2)], [(1, 1), (2, 2)]]):
        lake = make_lake(tmp_path / str(number))
        put(lake, DAILY, window(1, 2), stored)
        for first, last in ranges:
            part = [r for r in rows if day(first) <= r[0] <= day(last)]
            lake.merge(DAILY, frame(lake, DAILY, part), window(first, last), COMMIT)
        results.append(content(lake, DAILY))
    assert results == [in_order(rows)] * 2


@on_both_engines
def test_a_merge_refuses_ambiguous_keys_and_tables_without_keys(three_days):
    before = state(three_days, DAILY)
    twice = frame(three_days, DAILY, [(day(2), 2, "x"), (day(2), 2, "y")])
    with pytest.raises(LakehouseError, match="0 keys are null and 1 come more than once"):
        three_days.merge(DAILY, twice, window(2, 2), COMMIT)
    with pytest.raises(LakehouseError, match="declares no keys"):
        three_days.merge(changed(DAILY, keys=()), twice, window(2, 2), COMMIT)
    assert state(three_days, DAILY) == before


@on_both_engines
def test_a_merge_knows_text_that_looks_like_a_column(tmp_path):
    declared = table(
        "t", Column("p", "string", "P."), Column("n", "bigint", "N."), keys=("n",),
        partition=PartitionColumn("p", "keys"),
    )  # fmt: skip
    lake = make_lake(tmp_path, declared)
    odd = """o'say "p" \\ `p`"""
    put(lake, declared, keys("p", odd), [(odd, 1)])
    lake.merge(declared, frame(lake, declared, [(odd, 1)]), keys("p", odd), COMMIT)
    assert content(lake, declared, keys("p", odd)) == [(odd, 1)]


@on_both_engines
def test_a_rectangle_replaces_its_cells_only(tmp_path):
    declared = table(
        "cells", Column("day", "date", "D."), Column("shop", "string", "S."),
        Column("n", "bigint", "N."), partition=PartitionColumn("day", "day"),
    )  # fmt: skip
    lake = make_lake(tmp_path, declared)

    def cells(first, last, *shops):
        return Both((window(first, last), keys("shop", *shops)))

    rows = [(day(d), s, d) for d in (1, 2, 3) for s in ("a", "b", "c")]
    put(lake, declared, cells(1, 3, "a", "b", "c"), rows)
    report = put(lake, declared, cells(2, 3, "a", "c"), [(day(2), "c", 77)])
    left = [r for r in rows if r[0] == day(1) or r[1] == "b"]
    assert content(lake, declared) == in_order([*left, (day(2), "c", 77)])
    assert (report.rows, report.partition_rows) == (6, 1)
    with pytest.raises(LakehouseError, match="nothing was written"):
        put(lake, declared, cells(2, 3, "a", "c"), [(day(2), "b", 1)])
    assert content(lake, declared, cells(1, 2, "b")) == [(day(1), "b", 1), (day(2), "b", 2)]
    # The columns that select need not be among those that are asked for.
    assert content(lake, declared, cells(1, 2, "b"), columns=["n"]) == [(1,), (2,)]


def test_a_fault_in_lineage_costs_no_rows_and_is_told(lake, monkeypatch, caplog):
    def broken(_frame):
        raise ValueError("no such\nplan")

    monkeypatch.setattr(lake.engine, "lineage", broken)
    assert put(lake, DAILY, window(1, 1), [A]).lineage == {}
    assert content(lake, DAILY) == [A]
    assert "come from is not known (ValueError: no such plan)" in caplog.text


@on_both_engines
def test_a_lake_may_lie_under_any_name_that_is_let_in(engine, tmp_path):
    names = ["a b", "it's", 'say "x"', "ü∂é", "{c};$d&e=f,g+h(i)<j>`k"]
    for number, name in enumerate(names, start=1):
        root = lake_root(str(tmp_path / name))
        put(make_lake(root), DAILY, window(1, 3), [(day(1), number, name)])
    for number, name in enumerate(names, start=1):
        assert content(make_lake(tmp_path / name), DAILY) == [(day(1), number, name)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
