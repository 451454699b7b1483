"""`lakehouse status`: what is there, what is missing, how old and how good it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from deltalake import DeltaTable

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import LossLimit
from lakehouse_assets.cli import inspect as cli
from lakehouse_assets.cli.status import TableStatus, status
from lakehouse_assets.cli.terminal import Terminal
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.lake.maintenance import maintain
from lakehouse_assets_tests.airline.samples import (
    House,
    Lakehouse,
    SampleRun,
    member,
    purchase,
    variables_of,
)


def by_name(found: list[TableStatus]) -> dict[str, TableStatus]:
    return {table.table: table for table in found}


def test_an_empty_lake_misses_what_was_delivered(house: House) -> None:
    house.deliver_purchases("2014-03-03", [purchase("A")])
    found = by_name(status(house.settings))
    assert found["airline.silver_transactions"].missing == ("2014-03-03",)
    assert found["airline.kpi_customer_value"].missing == ("2014-03-01",)
    assert found["airline.silver_flights"].missing is None
    assert {table.freshness for table in found.values()} == {"never"}


def test_tables_are_told_by_their_logs(house: House) -> None:
    for day in ("2014-03-03", "2014-03-05"):
        house.deliver_purchases(day, [purchase(day)])
    assert house.materialise("airline_daily", "2014-03-03").success
    now = clock.now()
    silver = by_name(status(house.settings, now))["airline.silver_transactions"]
    assert (silver.rows, silver.partitions, silver.missing) == (1, 1, ("2014-03-05",))
    assert silver.freshness == "fresh"
    assert silver.run_id
    assert silver.updated_at is not None
    assert abs(silver.updated_at - now) < timedelta(minutes=5)
    for hours, freshness in ((27, "fresh"), (29, "aging"), (191, "aging"), (193, "late")):
        later = by_name(status(house.settings, now + timedelta(hours=hours)))
        assert later["airline.silver_transactions"].freshness == freshness


def test_facts_and_aggregates_that_were_not_made_are_missing(house: House) -> None:
    house.deliver_purchases("2014-03-03", [purchase("A", status="pending")])
    house.deliver_members("2014-03-31", [member(1)])
    obstacle = house.path("customer_spend")
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("a file in its place", encoding="utf-8")
    assert house.run(FLIGHTS, TRANSACTIONS).errors != []
    obstacle.unlink()
    missing = {s.table for s in status(house.settings) if s.missing == ("2014-03-01",)}
    assert missing == {
        "airline.customer_spend", "airline.kpi_customer_value", "airline.gold_segment_summary",
    }  # fmt: skip
    # Nobody has paid: the aggregate was made, and has no rows.
    assert house.run(FLIGHTS, TRANSACTIONS).errors == []
    assert house.count("customer_spend") == 0
    assert not any(table.missing for table in status(house.settings))


def test_a_day_whose_rows_were_all_set_aside_is_not_missing(house: House) -> None:
    few = LossLimit(whole=False)
    limits = {"airline/transactions": {"rejected": few, "quarantined": few}}
    house = replace(house, settings=house.settings.model_copy(update={"loss_limits": limits}))
    house.deliver_purchases("2014-03-03", [purchase("A")])
    house.deliver_purchases("2014-03-04", [purchase("A")])
    house.deliver_purchases("2014-03-05", [purchase("B", amount="oops")])
    house.deliver("transactions", "2014-03-06", "t.json", "no record")
    both = f"no record\n{json.dumps(purchase('C'))}"
    house.deliver("transactions", "2014-03-07", "t.json", both)
    house.materialise("airline_daily", "2014-03-03", last="2014-03-07")
    found = by_name(status(house.settings))
    assert house.count("silver_transactions") == 2
    assert found["airline.bronze_transactions"].missing == ()
    assert found["airline.silver_transactions"].missing == ()
    # Silver has not run: a day with rejects is explained by them only if they are all there is.
    for name in ("silver_transactions", "silver_transactions_quarantine"):
        shutil.rmtree(house.path(name))
        house.lake.ensure(REGISTRY[name])
    missing = by_name(status(house.settings))["airline.silver_transactions"].missing
    assert missing == ("2014-03-03", "2014-03-04", "2014-03-05", "2014-03-07")


def test_who_wrote_last_stays_known_however_often_a_table_is_maintained(house: House) -> None:
    house.deliver_purchases("2014-03-03", [purchase("A")])
    house.materialise("airline_daily", "2014-03-03")
    before = by_name(status(house.settings))["airline.silver_transactions"]
    for number in range(4):
        assert maintain(house.lake, SILVER_TRANSACTIONS) is not None
        after = by_name(status(house.settings))["airline.silver_transactions"]
        assert (after.updated_at, after.run_id) == (before.updated_at, before.run_id)
        # In the long run the log forgets what came before its checkpoint.
        for commit in sorted((house.path("silver_transactions") / "_delta_log").glob("*.json")):
            if number > 1 and int(commit.stem) < after.version:
                commit.unlink()
    other = by_name(status(house.settings))["airline.bronze_transactions"]
    for _ in range(9):
        # Nor do commits of others hide it.
        DeltaTable(house.path("bronze_transactions")).vacuum(dry_run=False)
    assert by_name(status(house.settings))["airline.bronze_transactions"].run_id == other.run_id


def test_the_sample_is_complete_and_its_failing_rules_are_counted(
    sample: SampleRun, lakehouse_on: Callable[[House], Lakehouse]
) -> None:
    house, lakehouse = sample.house, lakehouse_on(sample.house)
    found = by_name(status(house.settings))
    assert found["conformed.dim_date"].freshness == "no deadline"
    assert found["airline.silver_flights"].rows == house.count("silver_flights")
    assert found["airline.silver_transactions"].missing == ()
    failing = house.rows(
        "quality_rules", "NOT passed AND table_name = 'airline.silver_transactions'"
    )
    assert found["airline.silver_transactions"].failing_rules == len({r["rule"] for r in failing})
    partitions = {row["partition"] for row in failing}
    assert 0 < found["airline.silver_transactions"].failing_partitions == len(partitions)
    code, out, err = lakehouse("status", "--json")
    assert code == 0, err
    told = {table["table"]: table for table in json.loads(out)}
    assert told.keys() == found.keys()
    assert told["airline.silver_flights"]["rows"] == house.count("silver_flights")
    text = lakehouse("status")[1]
    assert "airline.silver_flights" in text
    assert "fresh" in text


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (140, []),
        (110, ["run", "last written (UTC)"]),
        (80, ["run", "last written (UTC)", "partitions", "failing rules"]),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_no_shorter_values(
    house: House, monkeypatch: pytest.MonkeyPatch, width: int, left_out: list[str]
) -> None:
    house.deliver_purchases("2014-03-03", [purchase("A")])
    for name, value in variables_of(house).items():
        monkeypatch.setenv(name, value)
    shown = StringIO()
    monkeypatch.setattr(cli, "console", Terminal(file=shown, width=width))
    cli.status()
    text = shown.getvalue()
    # The sentence that there is no lake yet is one line, however long.
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith("There is"))
    assert "\u2026" not in text
    assert "airline.silver_transactions_quarantine" in text
    named = [name for name in cli._STATUS_COLUMNS if f" {name} " not in text.split("\n")[1]]
    assert sorted(named) == sorted(left_out)
    assert ("A wider terminal" in text) == bool(left_out)
