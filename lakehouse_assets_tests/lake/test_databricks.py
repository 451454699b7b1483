"""How far Databricks can be shown without Databricks: what follows bronze, on a lake at abfss://.

Its session is stood in for by Spark on this machine, which gets no credentials and, under the
lake's real address, sees a folder; delta-rs in this process sees the same folder. That Databricks
starts, and that Unity Catalog grants access, is not shown.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold.customers import DIM_CUSTOMERS, DIM_GEOGRAPHY
from lakehouse_assets.domains.airline.gold.value import FACT_FLIGHTS, FACT_TRANSACTIONS
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.store import CloudFiles
from lakehouse_assets_tests.airline.samples import House, member, purchase
from lakehouse_assets_tests.parity.lakes import differences

PLACE = CloudLocation.adls("acc01", "lake", "house")
PARTITIONS = {"airline_daily": "2014-03-10", "airline_monthly": "2014-03-01"}
# The tables of each job that are compared: bronze, and what follows from it without a model.
BRONZE = {
    "airline_daily": [bronze_table(TRANSACTIONS), rejects_table(TRANSACTIONS)],
    "airline_monthly": [bronze_table(FLIGHTS), rejects_table(FLIGHTS)],
}
REST = {
    "reference_data": [DIM_DATE],
    "airline_daily": [SILVER_TRANSACTIONS, quarantine_table(TRANSACTIONS)],
    "airline_monthly": [
        SILVER_FLIGHTS, quarantine_table(FLIGHTS), DIM_CUSTOMERS, DIM_GEOGRAPHY,
        FACT_FLIGHTS, FACT_TRANSACTIONS,
    ],
}  # fmt: skip


@pytest.fixture
def far(spark_engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Spark and delta-rs see at the lake's address."""
    folder = tmp_path / "far"
    folder.mkdir()
    mounts = "fs.viewfs.mounttable.lake@acc01.dfs.core.windows.net"
    hadoop = {
        "fs.abfss.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "fs.viewfs.overload.scheme.target.abfss.impl": (
            "org.apache.hadoop.fs.azurebfs.SecureAzureBlobFileSystem"
        ),
        f"{mounts}.link./house": folder.as_uri(),
    }
    for name, value in hadoop.items():
        spark_engine.session.conf.set(name, value)
    monkeypatch.setattr(Access, "address", property(lambda _: str(folder)))
    monkeypatch.setattr(Access, "delta_rs", lambda _: {})
    # The session is granted access by Unity Catalog, and gets no credentials from here.
    monkeypatch.delattr(Access, "spark")
    files = LocalFiles(folder)
    monkeypatch.setattr(CloudFiles, "list_all", lambda _, path: files.below(path, lambda _: False))
    yield folder
    for name in hadoop:
        spark_engine.session.conf.unset(name)


def test_silver_and_gold_run_on_bronze_that_the_embedded_engine_loaded(far: Path, tmp_path: Path):
    here = House.at(tmp_path / "here")
    here.deliver_members("2014-03-31", [member(1, FLIGHT_COUNT="12"), member(2), member(4)])
    here.deliver_purchases(
        "2014-03-10",
        [purchase("C", customer_id=1, amount=4), purchase("E", customer_id=77, amount=16)],
    )
    there = House(
        here.settings.model_copy(
            update={"root": PLACE, "engine": "spark", "spark_databricks": "serverless"}
        )
    )
    loaded = House(here.settings.model_copy(update={"root": far}))

    def run(house: House, tables: dict[str, list[Table]]) -> str:
        """Run the tables of each job; return the errors."""
        results = [
            house.materialise(job, PARTITIONS.get(job), *made) for job, made in tables.items()
        ]
        return " ".join(str(event) for r in results for event in r.all_events if event.is_failure)

    assert run(here, BRONZE) == run(here, REST) == ""
    assert "load bronze with LAKEHOUSE_ENGINE=duckdb" in run(there, BRONZE)
    assert run(loaded, BRONZE) == run(there, REST) == ""
    assert differences(loaded, here) == []
    assert loaded.count(FACT_TRANSACTIONS) == 2
    assert loaded.count(FACT_FLIGHTS) == 3
