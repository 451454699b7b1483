"""The IO manager's contract, point by point, run through Dagster on real tables."""

from contextlib import nullcontext
from datetime import date

import dagster as dg
import deltalake
import pytest

from lakehouse_assets import timeouts
from lakehouse_assets.code_version import code_version
from lakehouse_assets.engine import F
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.commits import Commit
from lakehouse_assets.lake.predicate import Everything, Values
from lakehouse_assets.orchestration.io_manager import NewRows, windows_of
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.store import files_at
from lakehouse_assets_tests.lake.dagster_samples import (
    DAYS,
    MONTHLY,
    MONTHS,
    RUNNING,
    TOTAL,
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
    frame,
    in_order,
    on_both_engines,
    put,
    state,
    table,
    tuples,
    window,
)


def fill(root, first: str, last: str) -> None:
    """Fill days by the embedded engine, which the test's own engine then finds."""
    days = [date.fromisoformat(key).toordinal() - day(1).toordinal() + 1 for key in (first, last)]
    keys = days_from(first, days[1] - days[0] + 1)
    put(embedded_lake(root), DAILY, window(*days), daily_rows(keys))


@pytest.mark.parametrize(
    ("text", "heals"),
    [
        ("Generic MicrosoftAzure error: 403 Forbidden", False),
        # What delta-rs says where a store is too busy to answer.
        ("Generic MicrosoftAzure error: Error performing GET https://acc01.blob.core.windows.net/l "
         "in 1s - Server returned non-2xx status code: 503 Service Unavailable: ServerBusy", True),
    ],
)  # fmt: skip
def test_1_only_a_table_that_is_not_found_is_new(tmp_path, monkeypatch, text, heals):
    fill(tmp_path, "2024-01-01", "2024-01-03")
    expected = in_order(daily_rows(days_from("2024-01-01", 3)))
    before = state(lake_at(tmp_path), DAILY)
    real, failures = deltalake.DeltaTable, [OSError(text)]

    def fails_once(*args, **options):
        if failures:
            raise failures.pop()
        return real(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(deltalake, "DeltaTable", fails_once)
        patched.setattr(timeouts, "STEP_PAUSES", (0.0,))
        with nullcontext() if heals else pytest.raises((OSError, LakehouseError)):
            run(tmp_path, daily_asset(tmp_path), "2024-01-02")
    assert failures == []
    assert content(lake_at(tmp_path), DAILY) == expected
    assert (state(lake_at(tmp_path), DAILY) == before) is not heals


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


@pytest.mark.parametrize(
    ("keys", "spans"),
    [
        (["2024-01-09", "2024-01-01", "2024-01-03", "2024-01-02"], [(1, 4), (9, 10)]),
        # As many keys as the span from first to last has days, but not those days.
        (["2024-01-01", "2024-01-09", "2024-01-03"], [(1, 2), (3, 4), (9, 10)]),
        (days_from("2024-01-01", 60), [(1, 61)]),
    ],
)
def test_3_windows_follow_the_keys_and_not_their_number(keys, spans):
    found = windows_of(DAYS, keys, DAILY)
    assert found.spans == tuple((day(first), day(end)) for first, end in spans)


def test_3_months_that_follow_each_other_are_one_window():
    found = windows_of(MONTHS, ["2024-02-01", "2024-01-01"], MONTHLY)
    assert found.spans == ((date(2024, 1, 1), date(2024, 3, 1)),)
    with pytest.raises(LakehouseError, match="No partition of day"):
        windows_of(DAYS, [], DAILY)


@pytest.mark.parametrize(
    ("definition", "key", "declared"),
    [
        (MONTHS, "2024-02-01", DAILY),
        (DAYS, "2024-02-01", MONTHLY),
        (WEEKS, "2024-01-07", DAILY),
        (dg.DailyPartitionsDefinition("2024-01-01", hour_offset=6), "2024-02-01", DAILY),
        (dg.DailyPartitionsDefinition("2024-01-01", timezone="Asia/Kolkata"), "2024-02-01", DAILY),
        (dg.DailyPartitionsDefinition("20240101", fmt="%Y%m%d"), "20240201", DAILY),
        (dg.MonthlyPartitionsDefinition("2024-01-01", day_offset=15), "2024-02-15", MONTHLY),
        (dg.HourlyPartitionsDefinition("2024-01-01-00:00"), "2024-02-01-00:00", DAILY),
        (dg.StaticPartitionsDefinition(["2024-02-01"]), "2024-02-01", DAILY),
        (
            dg.MultiPartitionsDefinition({"d": DAYS, "s": dg.StaticPartitionsDefinition(["x"])}),
            "2024-02-01|x",
            DAILY,
        ),
    ],
)  # fmt: skip
def test_3_partitions_that_are_not_those_of_the_table_are_refused(definition, key, declared):
    with pytest.raises(LakehouseError, match="but its asset is not; give the asset partitions of"):
        windows_of(definition, [key], declared)


def test_3_named_rows_are_replaced_and_no_others(tmp_path):
    put(embedded_lake(tmp_path), TOTAL, Everything(), [(1, "a"), (2, "b"), (3, "c")])

    def made(declared, partitions, rows):
        @dg.asset(key=dg.AssetKey(declared.key), partitions_def=partitions)
        def part():
            return NewRows(frame(lake_at(tmp_path), declared, rows), Values("email", ("b", "c")))

        return part

    run(tmp_path, made(TOTAL, None, [(20, "b")]))
    assert content(lake_at(tmp_path), TOTAL) == [(1, "a"), (20, "b")]
    with pytest.raises(LakehouseError, match="nothing was written"):
        run(tmp_path, made(TOTAL, None, [(1, "a")]))
    days = [(day(1), 1, "a"), (day(1), 2, "b"), (day(2), 3, "b")]
    put(embedded_lake(tmp_path), DAILY, window(1, 2), days)
    run(tmp_path, made(DAILY, DAYS, [(day(1), 20, "b")]), "2024-01-01")
    assert content(lake_at(tmp_path), DAILY) == [days[0], (day(1), 20, "b"), days[2]]
    with pytest.raises(LakehouseError, match="nothing was written"):
        run(tmp_path, made(DAILY, DAYS, [(day(2), 20, "b")]), "2024-01-01")


def test_3_a_partitioned_table_needs_a_partitioned_run_and_the_other_way_round(tmp_path):
    with pytest.raises(LakehouseError, match="this run has no partition"):
        run(tmp_path, rows_asset(tmp_path, DAILY, None, lambda _: []))
    odd = rows_asset(tmp_path, WHOLE, DAYS, lambda _: [(1, None)])
    with pytest.raises(LakehouseError, match="declares no partition column"):
        run(tmp_path, odd, "2024-01-01")
    assert files_at(tmp_path, Identity(kind="default")).children("") == []


def test_4_an_asset_reads_the_days_of_its_own_partition(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-02-29")
    upstream, seen = [daily_asset(tmp_path)], []

    @dg.asset(partitions_def=WEEKS, ins={"daily": dg.AssetIn(dg.AssetKey(DAILY.key))})
    def weekly(daily) -> None:
        seen.extend(tuples(lake_at(tmp_path), daily))

    run(tmp_path, weekly, "2024-01-07", upstream=upstream)
    assert seen == in_order(daily_rows(days_from("2024-01-07", 7)))
    for key in ("2024-01-01", "2024-02-01"):
        run(tmp_path, counting_asset(MONTHLY, MONTHS), key, upstream=upstream)
    assert content(lake_at(tmp_path), MONTHLY) == [(day(1), 62), (day(32), 58)]
    run(tmp_path, counting_asset(TOTAL, None), upstream=upstream)
    assert content(lake_at(tmp_path), TOTAL) == [(120, "2024-02-29@x")]


def test_4_an_upstream_that_nobody_has_delivered_reads_as_empty(tmp_path):
    run(tmp_path, counting_asset(TOTAL, None), upstream=[daily_asset(tmp_path)])
    assert content(lake_at(tmp_path), TOTAL) == [(0, None)]


def test_4_an_input_reads_only_the_columns_it_asks_for(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-02")
    seen = []

    @dg.asset(
        key=dg.AssetKey(TOTAL.key),
        ins={"daily": dg.AssetIn(dg.AssetKey(DAILY.key), metadata={"columns": ["email"]})},
    )
    def narrow(daily):
        seen.append(daily.columns)
        return daily.agg(F.count(F.lit(1)).alias("n"), F.max("email").alias("email"))

    run(tmp_path, narrow, upstream=[daily_asset(tmp_path)])
    assert seen == [["email"]]
    assert content(lake_at(tmp_path), TOTAL) == [(4, "2024-01-02@x")]


def test_4_an_asset_reads_its_own_past(tmp_path):
    past = dg.TimeWindowPartitionMapping(start_offset=-10_000, end_offset=-1)

    @dg.asset(
        key=dg.AssetKey(RUNNING.key),
        partitions_def=DAYS,
        ins={"before": dg.AssetIn(dg.AssetKey(RUNNING.key), partition_mapping=past)},
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


def test_5_a_frame_of_another_schema_is_refused(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-01")

    @dg.asset(key=dg.AssetKey(DAILY.key), partitions_def=DAYS)
    def retyped():
        return lake_at(tmp_path).read(DAILY).withColumn("id", F.col("id").cast("string"))

    with pytest.raises(LakehouseError, match="column id is string instead of bigint"):
        run(tmp_path, retyped, "2024-01-01")
    assert content(lake_at(tmp_path), DAILY) == daily_rows(["2024-01-01"])


def test_7_an_empty_result_empties_its_partition_and_foreign_rows_are_refused(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-03")
    lake = lake_at(tmp_path)
    empty = rows_asset(tmp_path, DAILY, DAYS, lambda _: [])
    assert metadata_of(run(tmp_path, empty, "2024-01-02"))["dagster/partition_row_count"] == 0
    left = daily_rows(["2024-01-01", "2024-01-03"])
    assert content(lake, DAILY) == left
    foreign = rows_asset(tmp_path, DAILY, DAYS, lambda _: [(day(1), 1, None)])
    with pytest.raises(LakehouseError, match="outside the written partition"):
        run(tmp_path, foreign, "2024-01-02")
    assert content(lake, DAILY) == left


def test_7_no_result_at_all_is_an_error_and_not_an_empty_one(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-01")

    @dg.asset(key=dg.AssetKey(DAILY.key), partitions_def=DAYS)
    def nothing() -> object:
        return None

    with pytest.raises(LakehouseError, match="shop/daily returned nothing; return a frame"):
        run(tmp_path, nothing, "2024-01-01")
    assert content(lake_at(tmp_path), DAILY) == daily_rows(["2024-01-01"])


@pytest.mark.parametrize(
    ("last", "partition", "options"),
    [
        (None, "2024-01-01", {"code_version": "7"}),
        ("2024-01-03", "2024-01-01...2024-01-03", {}),
    ],
)
def test_8_a_commit_names_run_asset_partition_and_code_version(tmp_path, last, partition, options):
    result = run(tmp_path, daily_asset(tmp_path, **options), "2024-01-01", last)
    (newest,) = lake_at(tmp_path).history(DAILY, 1)
    version = options.get("code_version", code_version())
    assert newest.commit == Commit(result.run_id, "shop/daily", partition, version)


@on_both_engines
def test_9_a_materialisation_shows_size_schema_place_and_version(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-03")
    shown = metadata_of(run(tmp_path, daily_asset(tmp_path), "2024-01-02"))
    lake = lake_at(tmp_path)
    day_2 = "day=2024-01-02"
    files = files_at(tmp_path, Identity(kind="default")).below(
        "shop/daily", lambda name: name == day_2
    )
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
        ("email", "string", True, {"pii": "contact"}),
    ]
    assert "dagster/column_lineage" not in shown, "these rows come from no table"


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


def test_9_column_lineage_is_that_of_the_plan(tmp_path):
    fill(tmp_path, "2024-01-01", "2024-01-02")

    @dg.asset(key=dg.AssetKey(TOTAL.key), ins={"daily": dg.AssetIn(dg.AssetKey(DAILY.key))})
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
