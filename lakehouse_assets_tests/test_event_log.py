"""The event log stores what Dagster's own stores, and keeps few databases open."""

import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import inspect, text

from lakehouse_assets.orchestration.event_log import PooledSqliteEventLogStorage

DAYS = dg.DailyPartitionsDefinition("2024-01-01", "2024-01-11")
KEY = dg.AssetKey(["tests", "daily"])


@dg.asset(
    key=KEY,
    partitions_def=DAYS,
    check_specs=[dg.AssetCheckSpec("sound", asset=KEY)],
)
def daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Materialise all days of a run at once."""
    return dg.MaterializeResult(
        metadata={"days": len(context.partition_keys)},
        check_results=[dg.AssetCheckResult(check_name="sound", passed=True)],
    )


def stored(
    home: Path, kind: type[SqliteEventLogStorage] = PooledSqliteEventLogStorage
) -> tuple[object, ...]:
    """Materialise a range and return what the event log tells of it."""
    home.mkdir()
    with dg.DagsterInstance.local_temp(
        str(home),
        overrides={
            "event_log_storage": {
                "module": kind.__module__,
                "class": kind.__name__,
                "config": {"base_dir": str(home / "history")},
            }
        },
    ) as instance:
        assert type(instance.event_log_storage) is kind
        result = dg.materialize(
            [daily],
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": "2024-01-02",
                "dagster/asset_partition_range_end": "2024-01-08",
            },
        )
        log = instance.event_log_storage
        latest = instance.get_latest_materialization_event(KEY)
        assert latest is not None
        assert latest.asset_materialization is not None
        planned = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, KEY)
        (entry,) = log.get_asset_records([KEY])
        assert entry.asset_entry.last_run_id == result.run_id
        return (
            log.get_materialized_partitions(KEY),
            latest.asset_materialization.partition,
            latest.asset_materialization.metadata["days"].value,
            [record.partition_key for record in log.get_event_records(planned, ascending=True)],
            sorted(
                (str(event.event_type_value), str(event.step_key))
                for record in log.get_records_for_run(result.run_id).records
                if (event := record.event_log_entry.dagster_event)
            ),
            [
                record.status.value
                for record in log.get_asset_check_execution_history(
                    dg.AssetCheckKey(KEY, "sound"), limit=10
                )
            ],
        )


def test_events_are_stored_as_dagsters_own_log_stores_them(tmp_path: Path) -> None:
    theirs = stored(tmp_path / "theirs", SqliteEventLogStorage)
    assert stored(tmp_path / "ours") == theirs
    days = {f"2024-01-{day:02d}" for day in range(2, 9)}
    assert theirs[:3] == (days, "2024-01-08", 7)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells which files are open")
def test_databases_stay_open_a_few_at_a_time_and_others_read_them(tmp_path: Path) -> None:
    log = PooledSqliteEventLogStorage(str(tmp_path))
    for number in range(6):
        with log.run_connection(f"run{number}") as connection:
            connection.execute(text("CREATE TABLE mine (n INTEGER)"))
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    open_files = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    held = {path.name for path in open_files if path.parent == tmp_path and path.suffix == ".db"}
    assert held == {"run2.db", "run3.db", "run4.db", "run5.db"}
    with PooledSqliteEventLogStorage(str(tmp_path)).run_connection("run0") as connection:
        assert "mine" in inspect(connection).get_table_names()
    log.dispose()
