"""Pipelines on a store that lose their connection or their life, and heal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest

from lakehouse_assets import timeouts
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets_tests.airline.samples import House, purchase
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT
from lakehouse_assets_tests.recovery.test_kills import furnished, played

DAYS = ("2014-03-03", "2014-03-04")
_PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _as_the_application(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes enter by the default identity, which these variables decide."""
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients give up after one more attempt, and leave the rest to Dagster."""
    monkeypatch.setattr(timeouts, "RETRIES", 1)


@pytest.fixture
def instance(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance(house.settings) as opened:
        yield opened


@dataclass
class Electrician(threading.Thread):
    """Connects the store again as soon as Dagster says that a step will be tried again."""

    cloud: Cloud
    instance: dg.DagsterInstance

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.seen = ""

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for run in self.instance.get_runs(limit=1):
                for record in self.instance.all_logs(
                    run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY
                ):
                    self.seen = str(record.dagster_event)
                    self.cloud.order("heal")
                    return
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("target", "step"),
    [
        (r"bronze_transactions/_delta_log", "airline__load_transactions"),
        (r"silver_transactions/delivered_on=", "airline__clean_transactions"),
        (r"silver_transactions/_delta_log/0+1\.json", "airline__clean_transactions"),
    ],
    ids=["before a table exists", "while rows are written", "at the commit"],
)
def test_a_lost_connection_is_tried_again_and_healed(
    cloud: Cloud,
    house: House,
    folder: str,
    instance: dg.DagsterInstance,
    impatient: None,
    target: str,
    step: str,
) -> None:
    house.deliver_purchases(DAYS[0], [purchase("A"), purchase("B")])
    house.deliver_purchases(DAYS[1], [purchase("B"), purchase("C", amount="oops")])
    root = CloudLocation.adls(ACCOUNT, "lake", folder)
    far = House(house.settings.model_copy(update={"root": root}))
    cloud.fault(target, action="cut", times=-1)
    electrician = Electrician(cloud, instance)
    electrician.start()
    result = far.materialise("airline_daily", DAYS[0], last=DAYS[1], instance=instance)
    electrician.join(_PATIENCE)
    cut = [request for request in cloud.requests() if request["status"] == 0]
    assert cut, "the connection was lost"
    assert step in electrician.seen
    assert result.success

    def ids(table: str | Table) -> list[str]:
        return [row["transaction_id"] for row in far.lake_rows(table)]

    assert sorted(ids("bronze_transactions")) == ["A", "B", "B", "C"]
    assert sorted(ids(SILVER_TRANSACTIONS)) == ["A", "B"]
    assert sorted(ids("silver_transactions_quarantine")) == ["B", "C"]


def test_killed_pipelines_on_a_store_heal_when_they_run_again(house: House, folder: str) -> None:
    store = str(CloudLocation.adls(ACCOUNT, "lake", folder))
    task = {"task": "kills_in_a_store", "load": "purchases", "store": store}
    found = played(furnished(house), **task, points=3, seed=11)
    assert found["hit"] == 3
    expected = found["expected"]
    assert len(expected["silver_transactions"]) == 80
    assert len(expected["silver_transactions_quarantine"]) == 6
    assert all(found["healed"])
    assert {status for statuses in found["runs"] for status in statuses} <= {"SUCCESS", "FAILURE"}
