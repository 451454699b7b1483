"""Every way in which dagster-deltalake 0.29.27 loses or misses rows, replayed on our IO manager.

Each test fills a table, does what made the other one replace it whole (or read too little), and
compares every row.
"""

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import deltalake
import pytest

from lakehouse_assets import timeouts
from lakehouse_assets.catalog.registry import Column, PartitionColumn, Registry
from lakehouse_assets.engine import current
from lakehouse_assets.lake import kept_logs
from lakehouse_assets.lake.predicate import Window
from lakehouse_assets.orchestration.io_manager import DeltaIOManager, dimension_selection
from lakehouse_assets.orchestration.lake_resource import LakeResource
from lakehouse_assets_tests.lake.dagster_samples import (
    DAYS,
    TOTAL,
    WEEKLY,
    WEEKS,
    counting_asset,
    daily_asset,
    daily_rows,
    days_from,
    lake_at,
    rows_asset,
    run,
)
from lakehouse_assets_tests.lake.samples import (
    COMMIT,
    DAILY,
    content,
    day,
    embedded_lake,
    frame,
    in_order,
    make_lake,
    on_both_engines,
    put,
    table,
    window,
)

# Dagster itself asks a resource's context in this way when resources are nested.
HOURS = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-02-00:00")
BY_INTEGER = table(
    "by_integer", Column("p", "int", "P."), Column("n", "bigint", "N."),
    partition=PartitionColumn("p", "day", "%Y%m%d"),
)  # fmt: skip
BY_KEY = table(
    "by_key", Column("p", "bigint", "P."), Column("n", "bigint", "N."),
    partition=PartitionColumn("p", "keys"),
)  # fmt: skip
BY_NTZ = table(
    "by_ntz", Column("p", "timestamp_ntz", "P."), Column("n", "bigint", "N."),
    partition=PartitionColumn("p", "day"),
)  # fmt: skip

# What delta-rs says where a store is too busy to answer.
BUSY = (
    "Generic MicrosoftAzure error: Error performing GET https://acc01.blob.core.windows.net/l in "
    "1.2s - Server returned non-2xx status code: 503 Service Unavailable: ServerBusy"
)


class OddLake(LakeResource):
    """A lake of the tables with unusual partition columns."""

    def registry(self) -> Registry:
        """Return those tables."""
        return Registry((BY_INTEGER, BY_KEY, BY_NTZ))


def materialise(root, declared, partitions, rows, key) -> None:
    lake = OddLake(root=str(root), engine=current.active().name)

    @dg.asset(key=declared.asset_key, partitions_def=partitions)
    def made():
        return frame(lake.open(), declared, rows)

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(
            [made], partition_key=key, instance=instance,
            resources={"io_manager": DeltaIOManager(lake=lake)},
        )  # fmt: skip


def fill_three_days(root) -> None:
    """Fill days by the embedded engine, which the test's own engine then finds."""
    put(embedded_lake(root), DAILY, window(1, 3), daily_rows(days_from("2024-01-01", 3)))


@on_both_engines
def test_a_single_run_backfill_of_two_of_three_keys_keeps_the_third(tmp_path):
    fill_three_days(tmp_path)
    again = rows_asset(
        tmp_path, DAILY, DAYS, lambda keys: [(date.fromisoformat(k), 1, "again") for k in keys]
    )
    run(tmp_path, again, "2024-01-01", "2024-01-02")
    expected = [
        (day(1), 1, "again"), (day(2), 1, "again"), *daily_rows(["2024-01-03"]),
    ]  # fmt: skip
    assert content(lake_at(tmp_path), DAILY) == in_order(expected)


@on_both_engines
@pytest.mark.parametrize(
    ("declared", "partitions", "keys", "stored"),
    [
        (BY_INTEGER, DAYS, days_from("2024-01-01", 3), [20240101, 20240102, 20240103]),
        (BY_KEY, dg.StaticPartitionsDefinition(["7", "8", "9"]), ["7", "8", "9"], [7, 8, 9]),
        (
            BY_NTZ,
            HOURS,
            ["2024-01-01-05:00", "2024-01-01-06:00", "2024-01-01-07:00"],
            [datetime(2024, 1, 1, h) for h in (5, 6, 7)],
        ),
    ],
    ids=["integer column of days", "integer column of keys", "timestamp_ntz column"],
)
def test_an_unusual_partition_column_keeps_the_other_partitions(
    tmp_path, declared, partitions, keys, stored
):
    numbered = [(value, number) for number, value in enumerate(stored)]
    selection = dimension_selection(partitions, keys, declared.partition, declared.name)
    put(embedded_lake(tmp_path, declared), declared, selection, numbered)
    materialise(tmp_path, declared, partitions, [(stored[1], 10)], keys[1])
    lake = OddLake(root=str(tmp_path), engine=current.active().name).open()
    assert content(lake, declared) == in_order([(stored[0], 0), (stored[1], 10), (stored[2], 2)])


@on_both_engines
def test_one_failed_open_fails_the_run_and_keeps_every_row(tmp_path, monkeypatch):
    fill_three_days(tmp_path)
    forbidden = failing_once(monkeypatch, "Generic MicrosoftAzure error: 403 Forbidden")
    with forbidden, pytest.raises(OSError, match="403"):
        run(tmp_path, daily_asset(tmp_path), "2024-01-02")
    assert content(lake_at(tmp_path), DAILY) == in_order(daily_rows(days_from("2024-01-01", 3)))


@on_both_engines
def test_an_open_that_fails_for_a_moment_is_tried_again_and_keeps_every_row(tmp_path, monkeypatch):
    fill_three_days(tmp_path)
    monkeypatch.setattr(timeouts, "STEP_PAUSES", (0.0,))
    with failing_once(monkeypatch, BUSY):
        run(tmp_path, daily_asset(tmp_path), "2024-01-02")
    assert content(lake_at(tmp_path), DAILY) == in_order(daily_rows(days_from("2024-01-01", 3)))


@contextmanager
def failing_once(monkeypatch, text):
    """Let the next table that is opened fail, and make sure that one was."""
    real, failures = deltalake.DeltaTable, [1]

    def flaky(*args, **options):
        if failures:
            failures.pop()
            raise OSError(text)
        return real(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(kept_logs, "_kept", {})
        patched.setattr(deltalake, "DeltaTable", flaky)
        yield
    assert failures == []


def test_a_weekly_and_an_unpartitioned_reader_miss_no_day(tmp_path):
    run(tmp_path, daily_asset(tmp_path), "2024-01-01", "2024-01-31")
    upstream = [daily_asset(tmp_path)]
    run(tmp_path, counting_asset(WEEKLY, WEEKS), "2024-01-14", upstream=upstream)
    run(tmp_path, counting_asset(TOTAL, None), upstream=upstream)
    lake = lake_at(tmp_path)
    assert content(lake, WEEKLY) == [(day(14), 14)]
    assert content(lake, TOTAL) == [(62, "2024-01-31@x")]


def test_a_second_first_writer_does_not_replace_the_first(tmp_path, monkeypatch):
    """Both find the table missing; one creates and writes it before the other goes on."""
    first, second = make_lake(tmp_path), make_lake(tmp_path)
    stale = []

    def open_once(declared, **_options):
        # What the second writer saw before the first one had written.
        if not stale:
            stale.append(declared)
            put(first, DAILY, _day(1), [(day(1), 1, "first")])
            return None
        return make_lake(tmp_path).open(declared)

    monkeypatch.setattr(second, "open", open_once)
    second.write(DAILY, frame(second, DAILY, [(day(2), 2, "second")]), _day(2), COMMIT)
    assert stale == [DAILY]
    assert content(first, DAILY) == [(day(1), 1, "first"), (day(2), 2, "second")]


def _day(number: int) -> Window:
    start = datetime(2024, 1, number, tzinfo=UTC)
    return Window(PartitionColumn("day", "day"), start, start + timedelta(days=1))
