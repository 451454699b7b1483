"""The IO manager's contract of ten points, each run through Dagster on real tables."""

from datetime import date
from itertools import pairwise

import dagster as dg
import deltalake
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets import timeouts
from lakehouse_assets.catalog.registry import Column, PartitionColumn
from lakehouse_assets.engine import F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.predicate import Both, Window, Windows, to_test
from lakehouse_assets.orchestration.io_manager import _rectangle_selection, dimension_selection
from lakehouse_assets.storage.identity import DefaultIdentity
from lakehouse_assets.storage.store import files_at
from lakehouse_assets_tests.lake.dagster_samples import (
    CELL,
    CELLS,
    DAYS,
    MONTHLY,
    MONTHS,
    RUNNING,
    SHOPPED,
    SHOPS,
    TOTAL,
    WEEKLY,
    WEEKS,
    counting_asset,
    daily_asset,
    daily_rows,
    days_from,
    lake_at,
    metadata_of,
    rows_asset,
    run,
)
from lakehouse_assets_tests.lake.samples import (
    DAILY,
    WHOLE,
    content,
    day,
    embedded_lake,
    in_order,
    on_both_engines,
    put,
    state,
    table,
    window,
)
from lakehouse_assets_tests.lake.samples import keys as keys_of

# Dagster itself asks a resource's context in this way when resources are nested.
PARTITIONS = {"partition_columns": {"day": "day", "shop": "shop"}}


def fill(root, first: str, last: str) -> None:
    """Fill days by the embedded engine, which the test's own engine then finds."""
    days = [date.fromisoformat(key).toordinal() - day(1).toordinal() + 1 for key in (first, last)]
    keys = days_from(first, days[1] - days[0] + 1)
    put(embedded_lake(root), DAILY, window(*days), daily_rows(keys))


def by_shop(*shops):
    return keys_of("shop", *shops)


def cell_rows(keys):
    return [(date.fromisoformat(k.split("|")[0]), k.split("|")[1], 1) for k in keys]


@on_both_engines
def test_1_only_a_table_that_is_not_found_is_new(tmp_path, monkeypatch):
    fill(tmp_path, "2024-01-01", "2024-01-03")
    lake = lake_at(tmp_path)
    before = state(lake, DAILY)

    def unavailable(*_args, **_options):
        raise OSError("503 Slow Down")

    with monkeypatch.context() as patched:
        patched.setattr(deltalake.DeltaTable, "update_incremental", unavailable)
        patched.setattr(deltalake, "DeltaTable", unavailable)
        patched.setattr(timeouts, "STEP_PAUSES", ())
        with pytest.raises(OSError, match="503"):
            run(tmp_path, daily_asset(tmp_path), "2024-01-02")
    assert state(lake, DAILY) == before


@on_both_engines
def test_2_tables_are_created_from_their_declaration_even_for_an_empty_result(tmp_path):
    run(tmp_path, rows_asset(tmp_path, DAILY, DAYS, lambda _: []), "2024-01-01")
    found = lake_at(tmp_path).open(DAILY)
    assert found.metadata().partition_columns == ["day"]
    assert found.metadata().configuration["delta.constraints.id_not_negative"] == "id >= 0"
    assert [(f.name, f.nullable) for f in found.schema().fields] == [
        ("day", False), ("id", False), ("email", True),
    ]  # fmt: skip


@on_both_engines
def test_3_a_run_replaces_its_partitions_and_no_other(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-04")
    other = rows_asset(
        tmp_path, DAILY, DAYS, lambda keys: [(date.fromisoformat(k), 7, None) for k in keys]
    )
    run(tmp_path, other, "2024-01-02", "2024-01-03")
    expected = [
        *daily_rows(["2024-01-01", "2024-01-04"]), (day(2), 7, None), (day(3), 7, None),
    ]  # fmt: skip
    assert content(lake_at(tmp_path), DAILY) == in_order(expected)


@on_both_engines
def test_3_static_keys_are_replaced_by_list(tmp_path):
    def made(n):
        return rows_asset(tmp_path, SHOPPED, SHOPS, lambda keys: [(k, n) for k in keys])

    shops = ("north", "south", "o'west")
    put(embedded_lake(tmp_path), SHOPPED, by_shop(*shops), [(s, 0) for s in shops])
    run(tmp_path, made(1), "south", "o'west")
    run(tmp_path, made(2), "o'west")
    assert content(lake_at(tmp_path), SHOPPED) == in_order(
        [("north", 0), ("o'west", 2), ("south", 1)]
    )


@on_both_engines
def test_3_a_rectangle_of_two_dimensions_is_replaced_and_read(tmp_path):
    def made(n):
        return rows_asset(
            tmp_path, CELL, CELLS,
            lambda keys: [(d, s, n) for d, s, _ in cell_rows(keys)], metadata=PARTITIONS,
        )  # fmt: skip

    shops = ("north", "south")
    cells = [(day(d), shop, 1) for d in (1, 2) for shop in shops]
    put(embedded_lake(tmp_path), CELL, Both((window(1, 2), by_shop(*shops))), cells)
    run(tmp_path, made(5), dg.MultiPartitionKey({"day": "2024-01-02", "shop": "south"}))
    lake = lake_at(tmp_path)
    assert content(lake, CELL) == [
        (day(1), "north", 1), (day(1), "south", 1), (day(2), "north", 1), (day(2), "south", 5),
    ]  # fmt: skip

    # multi -> single: a day reads all shops of that day.
    @dg.asset(key=RUNNING.asset_key, partitions_def=DAYS, ins={"c": dg.AssetIn(CELL.asset_key)})
    def summed(c):
        return c.groupBy("day").agg(F.sum("n").cast("bigint").alias("n"))

    run(tmp_path, summed, "2024-01-02", upstream=[made(1)])
    assert content(lake, RUNNING) == [(day(2), 6)]


def test_3_keys_that_are_no_rectangle_raise(tmp_path):
    keys = ["2024-01-01|north", "2024-01-02|south"]
    with pytest.raises(LakehouseError, match="not a full rectangle"):
        _rectangle_selection(CELLS, keys, CELL, PARTITIONS)
    with pytest.raises(LakehouseError, match="which column holds the dimension shop"):
        _rectangle_selection(CELLS, keys, CELL, {"partition_columns": {"day": "day"}})


def test_3_a_dimension_of_a_rectangle_keeps_its_columns_format():
    texts = table(
        "texts", Column("day", "string", "Day."), Column("shop", "string", "Shop."),
        partition=PartitionColumn("day", "day", "%Y%m%d"),
    )  # fmt: skip
    keys = ["2024-01-01|north", "2024-01-02|north"]
    test = to_test(_rectangle_selection(CELLS, keys, texts, PARTITIONS), texts.columns)
    assert test({"day": "20240102", "shop": "north"})
    assert not test({"day": "20240103", "shop": "north"})
    assert not test({"day": "20240102", "shop": "south"})


def test_3_windows_follow_the_keys_and_not_their_number(tmp_path):
    partition = DAILY.partition
    keys = ["2024-01-09", "2024-01-01", "2024-01-03", "2024-01-02"]
    found = dimension_selection(DAYS, keys, partition, "daily")
    assert isinstance(found, Windows)
    assert [(w.start.day, w.end.day) for w in found.windows] == [(1, 4), (9, 10)]
    # As many keys as the span from first to last has days, but not those days.
    odd = dimension_selection(DAYS, ["2024-01-01", "2024-01-09", "2024-01-03"], partition, "daily")
    assert isinstance(odd, Windows)
    whole = dimension_selection(DAYS, days_from("2024-01-01", 60), partition, "daily")
    assert isinstance(whole, Window)
    assert (whole.start.date(), whole.end.date()) == (date(2024, 1, 1), date(2024, 3, 1))
    with pytest.raises(LakehouseError, match="names no partition"):
        dimension_selection(DAYS, [], partition, "daily")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [
            dg.DailyPartitionsDefinition("2023-12-20"),
            dg.DailyPartitionsDefinition("2023-12-20", hour_offset=6),
            dg.MonthlyPartitionsDefinition("2022-11-01"),
            dg.MonthlyPartitionsDefinition("2022-11-01", day_offset=15),
            dg.WeeklyPartitionsDefinition("2023-12-20"),
        ]
    ),
    st.sets(st.integers(0, 99), min_size=1, max_size=30),
)
def test_whatever_the_partitions_their_spans_are_those_of_each_key(definition, places):
    """Partitions that follow each other are put together without asking Dagster for each."""
    partition = PartitionColumn("delivered_on", "day")
    every = definition.get_partition_keys()
    keys = [every[place % len(every)] for place in places]
    found = dimension_selection(definition, keys, partition, "t")
    windows = found.windows if isinstance(found, Windows) else (found,)
    spans = [(window.start, window.end) for window in windows]
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
    held = [
        key
        for key in every
        for window in [definition.time_window_for_partition_key(key)]
        if any(start <= window.start and window.end <= end for start, end in spans)
    ]
    assert set(held) == set(keys)


@on_both_engines
def test_3_a_partitioned_table_needs_a_partitioned_run_and_the_other_way_round(tmp_path):
    with pytest.raises(LakehouseError, match="this run has no partition"):
        run(tmp_path, rows_asset(tmp_path, DAILY, None, lambda _: []))
    odd = rows_asset(tmp_path, WHOLE, DAYS, lambda _: [(1, None)])
    with pytest.raises(LakehouseError, match="declares no partition column"):
        run(tmp_path, odd, "2024-01-01")
    assert files_at(tmp_path, DefaultIdentity()).children("") == []


@on_both_engines
def test_4_a_week_reads_its_seven_days(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-20")
    run(tmp_path, counting_asset(WEEKLY, WEEKS), "2024-01-07", upstream=[daily_asset(tmp_path)])
    assert content(lake_at(tmp_path), WEEKLY) == [(day(7), 14)]


@on_both_engines
def test_4_a_month_reads_its_days(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-02-29")
    for key in ("2024-01-01", "2024-02-01"):
        run(tmp_path, counting_asset(MONTHLY, MONTHS), key, upstream=[daily_asset(tmp_path)])
    assert content(lake_at(tmp_path), MONTHLY) == [(day(1), 62), (day(32), 58)]


@on_both_engines
def test_4_an_unpartitioned_asset_reads_every_partition(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-02-29")
    run(tmp_path, counting_asset(TOTAL, None), upstream=[daily_asset(tmp_path)])
    assert content(lake_at(tmp_path), TOTAL) == [(120, "2024-02-29@x")]


@on_both_engines
def test_4_an_upstream_that_nobody_has_delivered_reads_as_empty(tmp_path):
    run(tmp_path, counting_asset(TOTAL, None), upstream=[daily_asset(tmp_path)])
    assert content(lake_at(tmp_path), TOTAL) == [(0, None)]


@on_both_engines
def test_4_an_input_reads_only_the_columns_it_asks_for(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-02")
    seen = []

    @dg.asset(
        key=TOTAL.asset_key,
        ins={"daily": dg.AssetIn(DAILY.asset_key, metadata={"columns": ["email"]})},
    )
    def narrow(daily):
        seen.append(daily.columns)
        return daily.agg(F.count(F.lit(1)).alias("n"), F.max("email").alias("email"))

    run(tmp_path, narrow, upstream=[daily_asset(tmp_path)])
    assert seen == [["email"]]
    assert content(lake_at(tmp_path), TOTAL) == [(4, "2024-01-02@x")]


@on_both_engines
def test_4_an_asset_reads_its_own_past(tmp_path):
    past = dg.TimeWindowPartitionMapping(start_offset=-10_000, end_offset=-1)

    @dg.asset(
        key=RUNNING.asset_key,
        partitions_def=DAYS,
        ins={"before": dg.AssetIn(RUNNING.asset_key, partition_mapping=past)},
    )
    def running(context, before):
        own = F.lit(date.fromisoformat(context.partition_key)).alias("day")
        # 1, 2, 4, 8: each day is one more than the sum of all before.
        return before.agg((F.coalesce(F.sum("n"), F.lit(0)) + 1).cast("bigint").alias("n")).select(
            own, "n"
        )

    for key in days_from("2024-01-01", 4):
        run(tmp_path, running, key)
    run(tmp_path, running, "2024-01-02")  # a re-run sees only what is before it
    lake = lake_at(tmp_path)
    assert content(lake, RUNNING) == [(day(1), 1), (day(2), 2), (day(3), 4), (day(4), 8)]


@on_both_engines
def test_5_a_frame_of_another_schema_is_refused(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-01")

    @dg.asset(key=DAILY.asset_key, partitions_def=DAYS)
    def retyped():
        return lake_at(tmp_path).read(DAILY).withColumn("id", F.col("id").cast("string"))

    with pytest.raises(LakehouseError, match="column id is string where bigint is declared"):
        run(tmp_path, retyped, "2024-01-01")
    assert content(lake_at(tmp_path), DAILY) == daily_rows(["2024-01-01"])


@on_both_engines
def test_6_merge_is_opt_in_and_keeps_to_its_partition(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-02")
    known = daily_rows(["2024-01-02"])[0][1]
    rows = [(day(2), known, "changed"), (day(2), 5, "new")]
    merging = rows_asset(tmp_path, DAILY, DAYS, lambda _: rows, metadata={"merge": True})
    run(tmp_path, merging, "2024-01-02")
    expected = [*daily_rows(["2024-01-01"]), *rows, daily_rows(["2024-01-02"])[1]]
    assert content(lake_at(tmp_path), DAILY) == in_order(expected)
    with pytest.raises(LakehouseError, match="2 rows for table daily lie outside"):
        run(tmp_path, merging, "2024-01-03")


@on_both_engines
def test_7_an_empty_result_empties_its_partition_and_foreign_rows_are_refused(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-03")
    lake = lake_at(tmp_path)
    empty = rows_asset(tmp_path, DAILY, DAYS, lambda _: [])
    assert metadata_of(run(tmp_path, empty, "2024-01-02"))["preview"] == "*no rows*"
    left = daily_rows(["2024-01-01", "2024-01-03"])
    assert content(lake, DAILY) == left
    foreign = rows_asset(tmp_path, DAILY, DAYS, lambda _: [(day(1), 1, None)])
    with pytest.raises(LakehouseError, match="bounds of the written partition"):
        run(tmp_path, foreign, "2024-01-02")
    assert content(lake, DAILY) == left


@on_both_engines
def test_7_no_result_at_all_is_an_error_and_not_an_empty_one(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-01")

    @dg.asset(key=DAILY.asset_key, partitions_def=DAYS)
    def nothing() -> object:
        return None

    with pytest.raises(LakehouseError, match="shop/daily returned nothing; return a frame"):
        run(tmp_path, nothing, "2024-01-01")
    assert content(lake_at(tmp_path), DAILY) == daily_rows(["2024-01-01"])


@on_both_engines
@pytest.mark.parametrize(
    ("last", "partition"), [(None, "2024-01-01"), ("2024-01-03", "2024-01-01...2024-01-03")]
)
def test_8_a_commit_names_run_asset_partition_and_code_version(tmp_path, last, partition):
    result = run(tmp_path, daily_asset(tmp_path, code_version="7"), "2024-01-01", last)
    (newest,) = lake_at(tmp_path).history(DAILY, 1)
    assert newest.commit == Commit(result.run_id, "shop/daily", partition, "7")


@on_both_engines
def test_9_a_materialisation_shows_size_schema_place_and_version(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-03")
    shown = metadata_of(run(tmp_path, daily_asset(tmp_path), "2024-01-02"))
    lake = lake_at(tmp_path)
    day_2 = "day=2024-01-02"
    files = files_at(tmp_path, DefaultIdentity()).below("shop/daily", lambda name: name == day_2)
    assert shown["dagster/row_count"] == 6
    assert shown["dagster/partition_row_count"] == 2
    assert shown["dagster/table_name"] == "shop.daily"
    assert shown["dagster/uri"] == lake.uri(DAILY)
    assert shown["delta_version"] == 2
    assert shown["files"] == 1
    assert shown["bytes"] in {f.size for f in files if f.path.startswith(f"{day_2}/part-")}
    columns = shown["dagster/column_schema"].columns
    assert [(c.name, c.type, c.constraints.nullable, dict(c.tags)) for c in columns] == [
        ("day", "date", False, {}),
        ("id", "bigint", False, {}),
        ("email", "string", True, {"pii": ""}),
    ]
    assert "dagster/column_lineage" not in shown, "these rows come from no table"


@on_both_engines
def test_9_the_preview_masks_personal_data(tmp_path):
    rows = [(day(1), i, f"person{i}@x") for i in range(9)]
    odd = rows_asset(tmp_path, DAILY, DAYS, lambda _: rows)
    text = metadata_of(run(tmp_path, odd, "2024-01-01"))["preview"]
    lines = text.splitlines()
    assert lines[:2] == ["| day | id | email |", "|---|---|---|"]
    assert len(lines) == 2 + 5
    assert all(line.startswith("| 2024-01-01 | ") for line in lines[2:])
    assert all(line.endswith(" | ••• |") for line in lines[2:])
    assert "person" not in text


@on_both_engines
def test_9_column_lineage_is_that_of_the_plan(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-02")

    @dg.asset(key=TOTAL.asset_key, ins={"daily": dg.AssetIn(DAILY.asset_key)})
    def total(daily):
        return daily.agg(
            F.sum("id").cast("bigint").alias("n"),
            F.max(F.concat(F.col("email"), F.col("day").cast("string"))).alias("email"),
        )

    shown = metadata_of(run(tmp_path, total, upstream=[daily_asset(tmp_path)]))
    found = shown["dagster/column_lineage"].deps_by_column
    assert {
        column: {(dep.asset_key.to_user_string(), dep.column_name) for dep in deps}
        for column, deps in found.items()
    } == {
        "n": {("shop/daily", "id")},
        "email": {("shop/daily", "email"), ("shop/daily", "day")},
    }


def test_an_asset_that_is_not_declared_is_refused(tmp_path):
    stranger = table("stranger", *WHOLE.columns)
    with pytest.raises(LakehouseError, match="Asset shop/stranger has no table in the registry"):
        run(tmp_path, rows_asset(tmp_path, stranger, None, lambda _: []))
