"""Maintenance: fewer files, the same rows, and nothing removed that somebody may need."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS
from lakehouse_assets.domains.airline.gold import value as gold
from lakehouse_assets.lake.maintenance import RETENTION_HOURS, maintain
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets.orchestration.instance import _CONFIG, dagster_instance
from lakehouse_assets_tests.airline.samples import House

DAY = date(2014, 3, 3)


def purchases(day: date, first: int, number: int) -> pa.Table:
    """Return rows of silver whose members are scattered over every file."""
    rows = [
        {
            "transaction_id": f"{first}-{n}", "customer_id": (n * 7919) % number,
            "customer_name": "x", "purchase_date": day, "amount": 1, "status": "completed",
            "payment_method": "paypal", "region": "N", "quality_flags": [],
            "_source_file": "f", "_row_number": n + 1, "delivered_on": day,
        }
        for n in range(number)
    ]  # fmt: skip
    schema = arrow_schema(SILVER_TRANSACTIONS)
    return pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema})


@pytest.fixture
def scattered(house: House) -> House:
    """A table of two days, one of them in four files."""
    from deltalake import write_deltalake

    house.lake.ensure(SILVER_TRANSACTIONS)
    for number in range(4):
        write_deltalake(
            str(house.path(SILVER_TRANSACTIONS)), purchases(DAY, number, 2000), mode="append"
        )
    other = purchases(DAY + timedelta(days=1), 9, 10)
    write_deltalake(str(house.path(SILVER_TRANSACTIONS)), other, mode="append")
    return house


def rows(house: House) -> list[dict[str, Any]]:
    return house.rows(SILVER_TRANSACTIONS, order="transaction_id")


def test_files_become_fewer_and_rows_stay(scattered: House) -> None:
    before = rows(scattered)
    found = maintain(scattered.lake, SILVER_TRANSACTIONS)
    assert found is not None
    assert (found["files before"], found["files after"]) == (5, 2)
    assert rows(scattered) == before
    log = scattered.path(SILVER_TRANSACTIONS) / "_delta_log"
    assert list(log.glob("*.checkpoint.parquet"))


def test_versions_of_the_last_week_can_still_be_read(scattered: House) -> None:
    assert RETENTION_HOURS >= 168
    version = scattered.lake.version(SILVER_TRANSACTIONS)
    before = rows(scattered)
    found = maintain(scattered.lake, SILVER_TRANSACTIONS)
    assert found is not None
    assert found["old files removed"] == 0
    lake = scattered.lake
    with lake.engine.scope():
        old = lake.engine.rows(lake.read(SILVER_TRANSACTIONS, version=version))
    assert len(old) == len(before)


def test_a_table_that_is_in_order_is_not_rewritten(scattered: House) -> None:
    maintain(scattered.lake, SILVER_TRANSACTIONS)
    version = scattered.lake.version(SILVER_TRANSACTIONS)
    found = maintain(scattered.lake, SILVER_TRANSACTIONS)
    assert found is not None
    assert found["files before"] == found["files after"]
    assert scattered.lake.version(SILVER_TRANSACTIONS) == version
    assert maintain(scattered.lake, gold.CUSTOMER_SPEND) is None


def test_the_page_of_a_table_shows_both_sides(scattered: House) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = scattered.definitions().resolve_job_def("maintenance")
        assert job.execute_in_process(instance=instance).success
        (seen,) = instance.fetch_observations(
            dg.AssetKey(SILVER_TRANSACTIONS.key), limit=10
        ).records
        nothing = instance.fetch_observations(
            dg.AssetKey(gold.CUSTOMER_SPEND.key), limit=10
        ).records
    told = {n: v.value for n, v in seen.asset_observation.metadata.items()}
    assert (told["files before"], told["files after"]) == (5, 2)
    assert 0 < told["bytes after"] < told["bytes before"]
    assert nothing == []


def test_maintenance_waits_for_the_writers_of_its_tables(house: House) -> None:
    definitions = house.definitions()
    writers = {
        asset.node_def.pool
        for asset in definitions.assets or []
        if isinstance(asset, dg.AssetsDefinition)
        and asset.is_executable
        and isinstance(asset.node_def, dg.OpDefinition)
    }
    ops = definitions.resolve_job_def("maintenance").graph.node_defs
    steps = {table.step for table in REGISTRY}
    assert {op.pool for op in ops} == steps
    # The pages are files beside the lake.
    assert writers == steps | {"pages"}
    assert quarantine_table(FLIGHTS).step == SILVER_FLIGHTS.step
    # A pool takes one at a time.
    assert "default_limit: 1" in _CONFIG


def test_maintenance_begins_when_the_writer_of_its_table_has_ended(
    scattered: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SILVER_TRANSACTIONS.step
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance(scattered.settings) as instance, ThreadPoolExecutor(1) as thread:
        # A writer of the table is at work: it has the one place in the table's pool.
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default(pool)
        assert storage.claim_concurrency_slot(pool, "writer", "load").is_claimed
        job = scattered.definitions().resolve_job_def("maintenance")
        asked: Counter[str] = Counter()
        claim = type(storage).claim_concurrency_slot

        def counted(self: Any, key: str, run: str, step: str, *priority: int) -> Any:
            found = claim(self, key, run, step, *priority)
            asked[run] += not found.is_claimed
            return found

        monkeypatch.setattr(type(storage), "claim_concurrency_slot", counted)
        maintenance = thread.submit(
            job.execute_in_process,
            instance=instance,
            op_selection=[f"maintain_{pool}"],
        )
        # It asks for a place again and again, and gets none.
        while not (asked and max(asked.values()) >= 2):
            assert not maintenance.done()
            time.sleep(0.05)
        version = scattered.lake.version(SILVER_TRANSACTIONS)
        assert not maintenance.done()
        assert version == 5, "nothing was rewritten beside the writer"
        storage.free_concurrency_slots_for_run("writer")
        assert maintenance.result().success
    assert scattered.lake.version(SILVER_TRANSACTIONS) > version
