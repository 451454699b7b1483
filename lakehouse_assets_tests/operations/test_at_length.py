"""Months of work at once: 400 partitions, 10,000 files, history in PostgreSQL, an MLflow server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy

from lakehouse_assets.catalog.datasets import bronze_table, rejects_table
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.domains.airline.gold import segments as gold
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets_tests.airline.samples import (
    REPOSITORY,
    House,
    command,
    purchase,
    variables_of,
)
from lakehouse_assets_tests.automation.caretaker import Caretaker
from lakehouse_assets_tests.operations.services import DEPLOY, Services, running
from lakehouse_assets_tests.sources.servers import MissingError, running_postgres

pytestmark = pytest.mark.timeout(600)
BRONZE, REJECTS = bronze_table(TRANSACTIONS), rejects_table(TRANSACTIONS)
FIRST = date(2014, 1, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(400)]
_LAUNCH = """
mutation ($given: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $given) {
    __typename
    ... on PythonError { message }
  }
}
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    try:
        with running_postgres() as url:
            yield url
    except MissingError as error:
        pytest.skip(str(error))


@contextmanager
def team_instance(
    house: House, monkeypatch: pytest.MonkeyPatch, url: str
) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's instance of a house with the team's example of a `dagster.yaml`."""
    house.settings.dagster_home.mkdir(parents=True)
    shutil.copy(DEPLOY / "dagster.yaml", house.settings.dagster_home)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    with dagster_instance(house.settings) as instance:
        yield instance


def span_of(tags: Mapping[str, str]) -> tuple[str, str]:
    first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return first, last


def wait_for(done: Callable[[], bool], services: Services, seconds: float = 240) -> None:
    ends = time.monotonic() + seconds
    while not done():
        logs = "".join(file.read_text("utf-8")[-1500:] for file in services.folder.glob("*.log"))
        assert time.monotonic() < ends, logs
        time.sleep(1)


def test_a_backfill_of_400_partitions_runs_a_month_at_a_time_and_is_recorded_in_postgres(
    house: House, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, day in enumerate(DAYS):
        house.deliver_purchases(str(day), [purchase(f"T{number}", amount=number)])
    days = [str(day) for day in DAYS]
    given = {
        "assetSelection": [{"path": [*table.key]} for table in (BRONZE, REJECTS)],
        "partitionNames": days,
    }
    with (
        team_instance(house, monkeypatch, postgres) as instance,
        running(house, tmp_path, "code", "daemon", DAGSTER_POSTGRES_URL=postgres) as services,
    ):
        asked = subprocess.run(
            [Path(sys.executable).parent / "dagster-graphql", "-w", services.workspace,
             "-t", _LAUNCH, "-v", json.dumps({"given": given})],
            env=services.variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "LaunchBackfillSuccess" in asked.stdout, asked.stdout + asked.stderr
        spans = [(days[first], days[min(first + 30, 399)]) for first in range(0, 400, 31)]

        def is_done() -> bool:
            runs = instance.get_runs()
            return len(runs) >= len(spans) and all(run.is_finished for run in runs)

        wait_for(is_done, services, 480)
        runs = instance.get_runs()
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        assert sorted(span_of(run.tags) for run in runs) == spans
        made = instance.get_materialized_partitions(dg.AssetKey(BRONZE.key))
        assert made == set(days)
    with closing(psycopg.connect(postgres)) as database:
        assert database.execute("select count(*) from runs").fetchall() == [(13,)]
        (events,) = database.execute("select count(*) from event_logs").fetchone() or (0,)
    assert events > 800
    assert not [*house.settings.dagster_home.rglob("*.db")]
    rows = house.sql(
        "SELECT count(*) AS n, count(DISTINCT delivered_on) AS days, sum(amount::int) AS amount "
        "FROM {t}", t=BRONZE,
    )  # fmt: skip
    assert rows == [{"n": 400, "days": 400, "amount": sum(range(400))}]


def test_the_pipeline_runs_against_an_mlflow_server_and_dagster_on_postgres(
    house: House, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for delivery in ("flights/2014-03-31", "transactions/2014-03-11"):
        shutil.copytree(
            REPOSITORY / "data" / "airline" / delivery,
            house.settings.landing / "airline" / delivery,
        )
    with closing(psycopg.connect(postgres, autocommit=True)) as database:
        database.execute("create database second")
    url = postgres.replace("/postgres", "/second")
    with (
        team_instance(house, monkeypatch, url) as instance,
        running(house, tmp_path, "mlflow") as services,
    ):
        variables = {
            **variables_of(house), "DAGSTER_POSTGRES_URL": url,
            "LAKEHOUSE_MLFLOW_URI": f"http://127.0.0.1:{services.mlflow}",
        }  # fmt: skip
        for name in ("run", "doctor"):
            done = command(name, variables=variables, cwd=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
        assert (
            instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
            == instance.get_runs_count()
        )
        client = MlflowTracking(tracking_uri=variables["LAKEHOUSE_MLFLOW_URI"]).client()
        (model,) = client.search_registered_models()
        assert "champion" in model.aliases
        files = {file.name for file in (tmp_path / "artifacts").rglob("*") if file.is_file()}
    assert "MLmodel" in files
    assert house.count(gold.GOLD_CUSTOMER_SEGMENTS_ML) > 100


def test_a_tick_over_10000_files_asks_no_more_than_one_over_ten(house: House) -> None:
    line = json.dumps(purchase("A"))

    def land(first: int, last: int) -> None:
        for number in range(first, last):
            day = FIRST + timedelta(days=number % 100)
            house.deliver("transactions", str(day), f"{number:05}.jsonl", f"{line}\n")

    with dg.DagsterInstance.ephemeral() as instance:
        caretaker = Caretaker(house, instance)

        def tick() -> tuple[dg.SensorResult, int]:
            """Look, and count what was asked of Dagster's storage."""
            caretaker.settle()
            statements: list[str] = []

            def count(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
                statements.append(text)

            sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
            try:
                return caretaker.tick("deliveries"), len(statements)
            finally:
                sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", count)

        land(0, 10)
        few, asked = tick()
        assert len(few.run_requests or []) == 1
        land(10, 10_000)
        many, asked_of_many = tick()
        spans = [span_of(request.tags) for request in many.run_requests or []]
        assert [(a, str(DAYS[min(n * 31 + 30, 99)])) for n, (a, _) in enumerate(spans)] == spans
        assert (spans[0][0], spans[-1][1], len(spans)) == (str(DAYS[0]), str(DAYS[99]), 4)
        assert asked_of_many == asked
        # Files that rest are not remembered.
        assert many.cursor == "{}"
