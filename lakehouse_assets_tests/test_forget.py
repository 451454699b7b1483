"""`lakehouse forget`: a person's records leave every table, and do not come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from lakehouse_assets.catalog.datasets import Dataset, bronze_table, rejects_table
from lakehouse_assets.catalog.subjects import Subject
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import TRANSACTIONS
from lakehouse_assets.domains.airline.gold.value import KPI_CUSTOMER_VALUE
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.datasets.visits import VISITS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.removal import REMOVED, Digests, Kind, Removal
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.forgetting import (
    Request,
    remaining,
    remove_records,
    request_of,
    subject_named,
)
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.orchestration.run import execute
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import House, Lakehouse, member, purchase
from lakehouse_assets_tests.retail.samples import customer, deliver, quoted_csv, seen, tweet

KEY = "k" * 32
# In no other record, nor in any key or hash by chance.
NUMBER, NAME, EMAIL = 76543219, "Zebulon Quagmire", "zebulon@quagmire.example"
MINE = {"customer_id": NUMBER, "customer_name": NAME, "email": EMAIL}
BROKEN = f'{{"transaction_id": "T8", "customer_id": {NUMBER}, "customer_name": "{NAME}", "amou\n'


@pytest.fixture(scope="module")
def lived_in(new_house: Callable[..., House]) -> House:
    """A lake with two months in which one of three members has records of every kind."""
    house = new_house("lived-in")
    others = [member(1), member(2, WORK_CITY="paris", WORK_COUNTRY="FR")]
    for day in ("2014-01-31", "2014-02-28"):
        house.deliver_members(day, [*others, member(f"0{NUMBER}")])
    house.deliver_purchases(
        "2014-01-15",
        [
            purchase("T1", customer_id=1, amount=10),
            purchase("T2", amount=1000, **MINE),
            # Quarantined, for it has no amount.
            purchase("T3", **{**MINE, "amount": None}),
        ],
    )
    house.deliver(
        "transactions", "2014-01-16", "more.jsonl",
        json.dumps(purchase("T4", customer_id=2, amount=20)) + "\n" + BROKEN
        + '{"transaction_id": "T9", "amou\n',
    )  # fmt: skip
    house.deliver_purchases("2014-02-03", [purchase("T5", customer_id=1, amount=5)])
    assert house.run(FLIGHTS, TRANSACTIONS).errors == []
    assert house.count(KPI_CUSTOMER_VALUE, "total_spent = 1000") == 2
    # Two members are too few for a model, so one is registered by hand.
    client = MlflowTracking.of(house.settings).client()
    client.create_registered_model(SEGMENTS.name)
    client.create_model_version(SEGMENTS.name, "runs:/none")
    return house


def stored(folder: Path) -> list[Path]:
    """Return the files of a lake that name the person, in Parquet's values or anywhere else."""
    words = [text.encode() for text in (str(NUMBER), NAME, EMAIL)]
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path, partitioning=None)
            content = repr(table.to_pylist()).encode()
        if any(word in content for word in words):
            found.append(path.relative_to(folder))
    return found


def without_clocks(house: House, name: str, but: int | None = None) -> list[dict[str, object]]:
    """Return the rows of a table, without those of one person."""
    clocks = ("load_timestamp", "_ingested_at", "_file_version")
    rows = house.rows(name)
    return [
        {k: v for k, v in row.items() if k not in clocks}
        for row in rows
        if row["customer_key"] != but
    ]


def test_nothing_of_a_forgotten_person_is_left_and_files_bring_nothing_back(
    lived_in: House, lakehouse_on: Callable[[House], Lakehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, lakehouse = lived_in, lakehouse_on(lived_in)
    monkeypatch.setenv("LAKEHOUSE_FORGET_KEY", KEY)
    assert len(stored(house.settings.root)) > 10
    gold = ("dim_customers", "fact_transactions", "kpi_customer_value", "fact_flights")
    of_others = {name: without_clocks(house, name, NUMBER) for name in gold}
    request = (f" {NUMBER}.0", "--reason", "request 7", "--purge", "--yes")
    code, said, errors = lakehouse("forget", "airline", "member", *request)
    assert (code, errors) == (0, ""), said
    assert "airline/transactions/2014-01-15/transactions.json" in said.replace("\n", "")
    assert stored(house.settings.root) == []
    # Nor did Dagster or MLflow record anything of them.
    assert stored(house.settings.dagster_home) == []
    assert stored(house.settings.root.parent / "mlflow") == []
    (receipt,) = (house.settings.root / "_forgotten").glob("*.json")
    kept = json.loads(receipt.read_text())
    assert kept["removed"] == {
        "airline.bronze_flights": 2, "airline.bronze_transactions": 2,
        "airline.bronze_transactions_rejects": 1,
    }  # fmt: skip
    assert kept["models"] == [f"{SEGMENTS.name} 1"]
    assert kept["completed_at"]
    assert kept["purged_at"]
    # Each delivered record is still counted, and gold holds what it held of others.
    removed = house.rows(rejects_table(TRANSACTIONS), f"reason = '{REMOVED}'")
    assert sorted((row["line_number"], row["raw_text"]) for row in removed) == [
        (-3, None), (-2, None), (2, None),
    ]  # fmt: skip
    assert house.count(rejects_table(TRANSACTIONS)) == 4
    assert {name: without_clocks(house, name) for name in gold} == of_others
    # The same files again, and one of the files once more under another name.
    again = house.settings.landing / "airline/transactions/2014-01-15/transactions.json"
    again.with_name("again.json").write_bytes(again.read_bytes())
    assert house.materialise("airline_daily", "2014-01-15", last="2014-01-16").success
    snapshots = [REGISTRY[f"airline.{name}"] for name in FLIGHTS.loaded_tables]
    assert house.materialise("airline_monthly", "2014-01-01", *snapshots, last="2014-02-01").success
    assert stored(house.settings.root) == []
    assert {row["transaction_id"] for row in house.rows("silver_transactions")} == {
        "T1", "T4", "T5",
    }  # fmt: skip


def test_a_request_that_was_interrupted_is_completed_by_the_same_command(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_FORGET_KEY", KEY)
    rows = [purchase("T1", customer_id=1, amount=10), purchase("T2", amount=1000, **MINE)]
    house.deliver_purchases("2014-01-15", rows)
    assert house.run(TRANSACTIONS).errors == []
    settings = house.settings.model_copy(update={"forget_key": SecretStr(KEY)})
    write, calls = Lake.write, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forget_in_process(settings, house)
    # Between the two commits the record is counted twice; a load in between counts it once again.
    assert house.count(bronze_table(TRANSACTIONS)) + house.count(rejects_table(TRANSACTIONS)) == 3
    for attempt in range(2):
        runs = forget_in_process(settings, house)
        assert bool(runs) != bool(attempt)
        assert house.count(bronze_table(TRANSACTIONS)) == 1
        (removed,) = house.rows(rejects_table(TRANSACTIONS))
        assert (removed["line_number"], removed["raw_text"]) == (-2, None)
        assert execute(settings, runs).errors == []
    assert [row["transaction_id"] for row in house.rows("fact_transactions")] == ["T1"]
    assert remaining(house.lake, request_for(settings, house)) == {}
    for key, text in (
        ("", "LAKEHOUSE_FORGET_KEY is not set"),
        ("x" * 32, "is not the key that was used for earlier requests"),
    ):
        monkeypatch.setenv("LAKEHOUSE_FORGET_KEY", key)
        stopped = house.materialise("airline_daily", "2014-01-15")
        (failure,) = stopped.filter_events(lambda event: event.is_step_failure)
        assert text in str(failure.step_failure_data.error)
    assert house.count(bronze_table(TRANSACTIONS)) == 1


def request_for(settings: Settings, house: House) -> Request:
    return request_of(settings, house.lake, "airline", "member", str(NUMBER), "r")


def forget_in_process(settings: Settings, house: House) -> list[PlannedRun]:
    return remove_records(settings, house.lake, request_for(settings, house))


@pytest.mark.parametrize(
    ("kind", "dataset", "file"),
    [
        ("customer", CUSTOMERS, quoted_csv(CUSTOMERS, [customer(), customer(CustomerID="B-2")])),
        ("user", TWEETS, f"{json.dumps(tweet(username='7590-VHVEG'))}\n{json.dumps(tweet())}\n"),
        ("visitor", VISITS, quoted_csv(VISITS, [seen(VisitorID="7590-VHVEG"), seen()])),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_a_person_is_found_whatever_the_source_calls_the_column(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: str, dataset: Dataset, file: str
) -> None:
    monkeypatch.setenv("LAKEHOUSE_FORGET_KEY", KEY)
    suffix = ".json" if file.startswith("{") else ".csv"
    deliver(house, dataset, "2021-09-06", f"first{suffix}", file)
    assert house.run(dataset, gold=()).errors == []
    settings = house.settings.model_copy(update={"forget_key": SecretStr(KEY)})

    def request() -> Request:
        return request_of(settings, house.lake, "retail", kind, "7590-VHVEG", "r")

    asked = request()
    assert sum(sum(held.rows.values()) for held in asked.held) == 1
    remove_records(settings, house.lake, asked)
    deliver(house, dataset, "2021-09-06", f"again{suffix}", file)
    assert house.run(dataset, gold=()).errors == []
    assert house.count(bronze_table(dataset)) == 2
    assert [row["reason"] for row in house.rows(rejects_table(dataset))] == [REMOVED] * 2
    assert [held.rows for held in request().held if held.rows] == []
    # The other tweet has the same text, which does not make it theirs.
    assert remaining(house.lake, asked) == {}


def test_an_unknown_kind_of_person_is_one_sentence() -> None:
    with pytest.raises(LakehouseError, match=r"airline pilot.*airline member"):
        subject_named("airline", "pilot")


@pytest.mark.parametrize(("identifier", "said"), [(" ", "is empty"), ("7\udcff", "not UTF-8 text")])
def test_an_identifier_that_no_record_can_have_is_refused(
    lived_in: House, identifier: str, said: str
) -> None:
    house = lived_in
    with pytest.raises(LakehouseError, match=said):
        request_of(house.settings, house.lake, "airline", "member", identifier, "request 8")


@pytest.mark.parametrize(
    ("given", "by_number", "normal"),
    [
        ("7", True, "7"), (" 007.0 ", True, "7"), ("+7", True, "7"), ("7.5", True, "7.5"),
        ("07", False, "07"), ("1001.0", False, "1001"), (" a1 ", False, "a1"), ("", True, ""),
        ("1.0.0", False, "1.0.0"), (".0", False, ".0"),
    ],
)  # fmt: skip
def test_identifiers_are_compared_as_silver_does(given: str, by_number: bool, normal: str) -> None:
    assert Subject("member", {}, by_number=by_number).normal(given) == normal


def test_a_reader_clears_rows_and_malformed_records_of_the_forgotten_only() -> None:
    kind = Kind("shop", Subject("customer", {"orders": "customer_id"}, by_number=True))
    digests = Digests(KEY)
    removal = Removal({kind: "customer_id"}, digests, frozenset({digests.of(kind, "12")}))
    batch = pa.record_batch(
        {
            "customer_id": ["12", "012", "112", None, None, None],
            "city": ["a", "b", "c", "d", None, None],
            "_text": [None, None, None, None, '{"customer_id": 12, "ci', "112;x"],
            "_reason": [None, None, None, None, "cut off", "cut off"],
            "_row_number": pa.array([1, 2, 3, 4, None, None], pa.int64()),
            "_line": pa.array([None, None, None, None, 5, 6], pa.int64()),
            "_file": pa.array([0] * 6, pa.int32()),
        }
    )
    assert [tuple(row.values()) for row in removal.apply(batch).to_pylist()] == [
        (None, None, None, REMOVED, None, -1, 0), (None, None, None, REMOVED, None, -2, 0),
        ("112", "c", None, None, 3, None, 0), (None, "d", None, None, 4, None, 0),
        (None, None, None, REMOVED, None, 5, 0), (None, None, "112;x", "cut off", None, 6, 0),
    ]  # fmt: skip
