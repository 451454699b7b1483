"""Planning runs from deliveries, and what comes of runs that do not go well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.schema import create_schema
from deltalake import write_deltalake

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS
from lakehouse_assets.domains.airline.gold import segments as gold_segments
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.landing import LandedFile
from lakehouse_assets.ingest.reader import Delivery, read_delivery
from lakehouse_assets.lake.format import stamp
from lakehouse_assets.orchestration import dataset_assets
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.planning import PlannedRun, plan
from lakehouse_assets.orchestration.run import execute
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets_tests.airline.samples import House, SampleRun, member, purchase


@pytest.fixture(autouse=True)
def _restore_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Undo what opening the persistent instance does to the environment."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def test_runs_are_planned_by_month_oldest_first_days_before_their_month(house: House) -> None:
    house.deliver_members("2014-02-28", [member(1)])
    house.deliver_purchases("2014-02-03", [purchase("A")])
    house.deliver_purchases("2014-02-20", [purchase("B")])
    house.deliver_purchases("2014-01-31", [purchase("C")])
    house.deliver_members("2014-05-31", [member(1)])
    assert plan(house.settings, months_per_run=1).runs == [
        PlannedRun("reference_data"),
        PlannedRun("airline_daily", "2014-01-31", "2014-01-31"),
        PlannedRun("airline_monthly", "2014-01-01", "2014-01-01"),
        PlannedRun("airline_daily", "2014-02-03", "2014-02-20"),
        PlannedRun("airline_monthly", "2014-02-01", "2014-02-01"),
        PlannedRun("airline_monthly", "2014-05-01", "2014-05-01"),
        PlannedRun("quality"),
    ]
    # Months that follow each other may share a run; March and April have no deliveries.
    assert plan(house.settings, months_per_run=3).runs == [
        PlannedRun("reference_data"),
        PlannedRun("airline_daily", "2014-01-31", "2014-02-20"),
        PlannedRun("airline_monthly", "2014-01-01", "2014-02-01"),
        PlannedRun("airline_monthly", "2014-05-01", "2014-05-01"),
        PlannedRun("quality"),
    ]


def test_unfinished_and_hidden_files_are_no_deliveries(house: House) -> None:
    house.deliver_members("2014-02-28", [member(1)], "flight.csv.part")
    house.deliver_members("2014-02-28", [member(1)], ".hidden.csv")
    house.deliver_members("2014-02-28", [member(1)], "_SUCCESS")
    with pytest.raises(LakehouseError, match="holds no deliveries"):
        plan(house.settings)


def test_a_refused_file_is_named_and_the_others_go_on(house: House) -> None:
    house.deliver_members("2014-03-31", [member(1), member(2)])
    house.deliver("flights", "2014-03-31", "wrong.csv", "a,b\n1,2\n")
    outcome = house.run(FLIGHTS)
    assert house.count(SILVER_FLIGHTS) == house.count(gold_value.KPI_CUSTOMER_VALUE) == 2
    (sentence,) = outcome.errors
    assert "airline/flights/2014-03-31/wrong.csv" in sentence
    assert "airline_monthly 2014-03-01" in sentence


def test_a_step_that_breaks_is_one_sentence_and_the_other_runs_go_on(house: House) -> None:
    house.deliver_members("2014-02-28", [member(1)])
    house.deliver_members("2014-03-31", [member(1)])
    stamp(LocalFiles(house.settings.root))
    write_deltalake(house.path(SILVER_FLIGHTS), pa.table({"another": ["table in its place"]}))
    started: list[str] = []
    outcome = execute(
        house.settings,
        plan(house.settings, months_per_run=1).runs,
        lambda run: started.append(run.label),
    )
    months = ["airline_monthly 2014-02-01", "airline_monthly 2014-03-01"]
    assert started == ["reference_data", *months, "quality"]
    broken = [line for line in outcome.errors if "is not ready" not in line]
    assert [line.split(":")[0] for line in broken] == [
        *(f"airline__clean_flights ({month})" for month in months),
        "quality__quality_drift (quality)",
    ]
    assert not any("\n" in line for line in outcome.errors)


BRONZE = ("airline.bronze_flights", "airline.bronze_flights_rejects")


@pytest.mark.parametrize(
    ("broken", "ranges"),
    [
        # Halves until two parts in a row have failed in the same way; the rest stays whole.
        (range(1, 9), ["1..8", "1..4", "1..2", "1", "2", "3..4", "5..8"]),
        ([2, 7], ["1..8", "1..4", "1..2", "1", "2", "3..4", "5..8", "5..6", "7..8", "7", "8"]),
    ],
)
def test_a_range_is_divided_as_long_as_that_may_help(
    house: House, monkeypatch: pytest.MonkeyPatch, broken: Sequence[int], ranges: list[str]
) -> None:
    def read(dataset: Dataset, files: Sequence[LandedFile], *rest: Any) -> Delivery:
        if any(file.delivered_on.month in broken for file in files):
            raise LakehouseError("The rule is wrong; correct it.")
        return read_delivery(dataset, files, *rest)

    monkeypatch.setattr(dataset_assets, "read_delivery", read)
    for month in range(1, 9):
        house.deliver_members(f"2014-0{month}-28", [member(1)])
    started: list[str] = []
    outcome = execute(
        house.settings,
        [PlannedRun("airline_monthly", "2014-01-01", "2014-08-01", BRONZE)],
        lambda run: started.append(run.label),
    )
    found = re.findall(r"2014-0(\d)-01(?:\.\.2014-0(\d)-01)?", " ".join(started))
    assert [f"{first}..{last}" if last else first for first, last in found] == ranges
    assert all("The rule is wrong; correct it." in line for line in outcome.errors)
    loaded = house.rows("bronze_flights") if len(broken) < 8 else []
    assert len(loaded) == 8 - len(broken)


def test_a_run_that_cannot_start_stops_with_its_reason(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource that does not open fails the run before any step."""
    from lakehouse_assets.orchestration.io_manager import DeltaIOManager

    def refuse(_self: DeltaIOManager, _context: dg.InitResourceContext) -> None:
        raise LakehouseError("The store is closed; open it.")

    monkeypatch.setattr(DeltaIOManager, "setup_for_execution", refuse)
    house.deliver_members("2014-03-31", [member(1)])
    started: list[str] = []
    outcome = execute(
        house.settings, plan(house.settings).runs, lambda run: started.append(run.label)
    )
    assert started == ["reference_data"]
    assert outcome.errors == [
        "reference_data: The store is closed; open it.",
        "2 further runs did not start after reference_data; fix what failed and run again.",
    ]


def test_the_home_has_telemetry_off_and_keeps_what_people_changed(house: House) -> None:
    with dagster_instance(house.settings) as instance:
        assert not instance.telemetry_enabled
    config = house.settings.dagster_home / "dagster.yaml"
    config.write_text("telemetry:\n  enabled: false\n# mine\n", encoding="utf-8")
    with dagster_instance(house.settings):
        pass
    assert "# mine" in config.read_text(encoding="utf-8")


def test_what_dagster_remembers_of_the_sample_is_what_the_tables_hold(sample: SampleRun) -> None:
    house = sample.house
    with dagster_instance(house.settings) as instance:
        for table in (
            SILVER_FLIGHTS,
            gold_value.KPI_CUSTOMER_VALUE,
            gold_segments.GOLD_CUSTOMER_SEGMENTS_ML,
        ):
            event = instance.get_latest_materialization_event(dg.AssetKey(table.key))
            assert event is not None
            materialization = event.asset_materialization
            assert materialization is not None
            assert materialization.partition == "2014-03-01"
            metadata = {name: value.value for name, value in materialization.metadata.items()}
            assert metadata["dagster/row_count"] == house.count(table)
            assert metadata["delta_version"] == int(max(house.commits(table)).removesuffix(".json"))
            assert metadata["dagster/table_name"] == f"airline.{table.name}"
            assert metadata["dagster/column_lineage"].deps_by_column


def test_a_range_does_not_pass_its_totals_off_as_those_of_one_partition(
    sample: SampleRun,
) -> None:
    house = sample.house
    with dagster_instance(house.settings) as instance:
        records = instance.fetch_materializations(dg.AssetKey(SILVER_FLIGHTS.key), limit=3).records
    newest, *others = [record.asset_materialization for record in records]
    assert newest is not None
    counts = {
        made.partition: made.metadata["dagster/partition_row_count"].value
        for made in (newest, *others)
        if made is not None
    }
    assert counts == {
        month: house.count(SILVER_FLIGHTS, f"snapshot_month = DATE '{month}'")
        for month in ("2014-01-01", "2014-02-01", "2014-03-01")
    }
    assert newest.metadata["range_row_count"].value == house.count(SILVER_FLIGHTS)
    assert [other.partition for other in others if other] == ["2014-02-01", "2014-01-01"]
    for other in others:
        assert other is not None
        assert other.metadata["delta_version"] == newest.metadata["delta_version"]
        assert {"range_row_count", "bytes", "preview"}.isdisjoint(other.metadata)


def test_runs_of_the_command_line_are_among_those_of_the_code_location(
    sample: SampleRun,
) -> None:
    """What Dagster's home page and run list ask for; without a repository it leaves a run out."""
    question = """{ runsOrError { ... on Runs { results {
        jobName repositoryOrigin { repositoryName repositoryLocationName }
        tags { key value } }}}}"""
    with dagster_instance(sample.house.settings) as instance:
        process = WorkspaceProcessContext(instance, EmptyWorkspaceTarget())
        context = process.create_request_context()
        answer = create_schema().execute(question, context_value=context)
        assert answer.errors is None
        runs = answer.data["runsOrError"]["results"]
        location = dg.RunsFilter(tags={".dagster/repository": "__repository__@lakehouse_assets"})
        assert len(instance.get_runs(location)) == len(runs) > 5
    assert {str(run["repositoryOrigin"]) for run in runs} == {
        str({"repositoryName": "__repository__", "repositoryLocationName": "lakehouse_assets"})
    }
    shown = {
        (run["jobName"], tag["key"], tag["value"])
        for run in runs
        for tag in run["tags"]
        if not tag["key"].startswith("dagster/")
    }
    assert ("airline_monthly", "partitions", "2014-01-01...2014-03-01") in shown
    assert ("reference_data", "user", "lakehouse run") in shown
    assert {key for _, key, _ in shown} == {"partitions", "user"}


def test_each_month_of_a_model_shows_its_own_version(sample: SampleRun) -> None:
    segments = dg.AssetKey(["airline", "gold_customer_segments_ml"])
    with dagster_instance(sample.house.settings) as instance:
        found = instance.fetch_materializations(segments, limit=9).records
    versions = {
        record.partition_key: record.asset_materialization.metadata["model_version"].value
        for record in found
        if record.asset_materialization
    }
    assert versions == {"2014-01-01": 1, "2014-02-01": 2, "2014-03-01": 3}


def test_personal_data_is_not_in_what_dagster_remembers(sample: SampleRun) -> None:
    house = sample.house
    people = house.rows(SILVER_TRANSACTIONS, "email IS NOT NULL")
    emails = {row["email"] for row in people}
    with dagster_instance(house.settings) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(SILVER_TRANSACTIONS.key))
        assert event is not None
        assert event.asset_materialization is not None
        preview = str(event.asset_materialization.metadata["preview"].value)
    assert people[0]["status"] in preview or "completed" in preview
    assert not any(email in preview for email in emails)
