"""The event log: events stored together are the events stored one by one."""

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


def test_events_of_a_range_stored_together_are_those_stored_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    alone = stored(tmp_path / "alone")
    # Smaller than the range, so that it takes several batches.
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "5")
    together = stored(tmp_path / "together")
    assert together == alone
    days = {f"2024-01-{day:02d}" for day in range(2, 9)}
    assert together[:3] == (days, "2024-01-08", 7)
    assert set(together[3]) == days  # type: ignore[call-overload]


def test_events_are_stored_as_dagsters_own_log_stores_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    theirs = stored(tmp_path / "theirs", SqliteEventLogStorage)
    assert stored(tmp_path / "ours") == theirs


def test_the_database_of_a_run_is_a_copy_of_an_empty_one_and_nobody_elses_is_touched(
    tmp_path: Path,
) -> None:
    history = tmp_path / "history"
    plain = SqliteEventLogStorage(str(tmp_path / "plain"))
    log = PooledSqliteEventLogStorage(str(history))
    for run in ("first", "second"):
        with log.run_connection(run) as connection:
            connection.execute(text("CREATE TABLE mine (n INTEGER)"))
    with plain.run_connection("first") as connection:
        want = set(inspect(connection).get_table_names())
    with log.run_connection("second") as connection:
        assert set(inspect(connection).get_table_names()) == {*want, "mine"}
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        made = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    with plain.run_connection("first") as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == made
    # Another process opens a run that is there.
    with PooledSqliteEventLogStorage(str(history)).run_connection("first") as connection:
        assert "mine" in inspect(connection).get_table_names()
    assert sorted(path.name for path in history.glob("*.db")) == [
        "first.db", "index.db", "second.db",
    ]  # fmt: skip


def test_where_files_cannot_be_linked_a_runs_database_is_made_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("lakehouse_assets.orchestration.event_log.os.link", refuse)
    log = PooledSqliteEventLogStorage(str(tmp_path))
    with log.run_connection("first") as connection:
        assert "event_logs" in inspect(connection).get_table_names()
