"""Partitions: a delivery changes its own and nothing else, whatever the order and the format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets_tests.airline.samples import House, member, purchase, steps

ASIDE = quarantine_table(TRANSACTIONS)
BRONZE = bronze_table(TRANSACTIONS)
# When a run began is no value of the data.
CLOCKS = ("load_timestamp", "_ingested_at", "_file_version")
MONTHLY = tuple(x for x in REGISTRY if x.partition and x.partition.grain == "month")


@pytest.fixture
def copy(three_months: House, tmp_path: Path) -> House:
    """Three months that a test may change."""
    shutil.copytree(three_months.settings.landing.parent, tmp_path / "copy")
    return House.at(tmp_path / "copy")


def values(house: House) -> dict[str, dict[date | None, list[dict[str, Any]]]]:
    """Return every table's rows by partition, without clocks."""
    found: dict[str, dict[date | None, list[dict[str, Any]]]] = {}
    for table in REGISTRY:
        # The quality log tells of runs, which are other ones each time.
        if not house.path(table).is_dir() or table is DIM_DATE or table.domain == "quality":
            continue
        partitions = found.setdefault(table.name, {})
        rows = house.rows(table, order=", ".join(f'"{key}"' for key in table.keys))
        for row in rows:
            key = row[table.partition.column] if table.partition else None
            partitions.setdefault(key, []).append({k: v for k, v in row.items() if k not in CLOCKS})
    return found


def touched(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> set[str | None]:
    """Return the partitions in which commits since then add or remove files."""
    found: set[str | None] = set()
    assert {name: after[name] for name in before} == before
    for name in after.keys() - before.keys():
        for line in after[name].splitlines():
            action = json.loads(line)
            for kind in ("add", "remove"):
                if kind in action:
                    found |= set((action[kind].get("partitionValues") or {}).values())
    return found


def logs(house: House) -> dict[str, dict[str, bytes]]:
    """Return every table's Delta log."""
    return {table.name: house.commits(table) for table in REGISTRY}


def test_months_are_run_again_and_a_new_one_writes_its_own_partitions_only(copy: House) -> None:
    before, history = values(copy), logs(copy)
    result = copy.materialise("airline_monthly", "2014-01-01")
    assert result.success
    assert values(copy) == before
    for table in REGISTRY:
        found = touched(history[table.name], copy.commits(table))
        assert found <= ({"2014-01-01"} if table in MONTHLY else set()), table.name
    assert touched(history["dim_customers"], copy.commits("dim_customers")) == {"2014-01-01"}
    history = logs(copy)
    copy.deliver_members("2014-04-30", [member(1, FLIGHT_COUNT="20"), member(9)])
    copy.deliver_purchases("2014-04-02", [purchase("N", customer_id=1, amount=100)])
    assert copy.materialise("airline_daily", "2014-04-02").success
    assert copy.materialise("airline_monthly", "2014-04-01").success
    after = values(copy)
    april = {date(2014, 4, 1), date(2014, 4, 2)}
    for name, partitions in after.items():
        assert {k: v for k, v in partitions.items() if k not in april} == before.get(name, {}), name
    for table in REGISTRY:
        found = touched(history[table.name], copy.commits(table))
        assert found <= {"2014-04-01", "2014-04-02"}, table.name
    (row,) = copy.rows(gold_value.KPI_CUSTOMER_VALUE, "customer_key = 1 AND month(as_of_month) = 4")
    assert (row["total_flights"], float(row["total_spent"])) == (20, 107.0)
    # Everything in one run is the same as month by month.
    made = [made.table for made in (*gold_customers.GOLD, *gold_value.GOLD)]
    assert copy.run(FLIGHTS, TRANSACTIONS, gold=made).errors == []
    assert values(copy) == after


# --- days -----------------------------------------------------------------------------------


def silver(house: House) -> dict[str, tuple[date, float]]:
    """Return the day and amount of every purchase in silver."""
    return {
        row["transaction_id"]: (row["delivered_on"], float(row["amount"]))
        for row in house.rows(SILVER_TRANSACTIONS)
    }


def day(number: int) -> str:
    """Return a day of March 2014 as a partition key."""
    return f"2014-03-{number:02}"


def march(number: int) -> date:
    """Return a day of March 2014."""
    return date(2014, 3, number)


def test_an_id_delivered_on_two_days_counts_once_and_is_named(house: House) -> None:
    house.deliver_purchases(day(3), [purchase("A", amount=1), purchase("B", amount=2)])
    house.deliver_purchases(day(5), [purchase("B", amount=99), purchase("C", amount=3)])
    for number in (3, 5):
        assert house.materialise("airline_daily", day(number)).success
    assert silver(house) == {"A": (march(3), 1.0), "B": (march(3), 2.0), "C": (march(5), 3.0)}
    (row,) = house.rows(ASIDE)
    assert (row["transaction_id"], row["amount"], row["disposition"]) == ("B", "99", "duplicate")
    assert row["duplicate_of"] == f"airline/transactions/{day(3)}/transactions.json#2"
    assert row["reasons"] == []


def test_two_days_in_one_run_are_the_same_as_two_runs(
    house: House, new_house: Callable[..., House]
) -> None:
    other = new_house()
    for one in (house, other):
        one.deliver_purchases(day(3), [purchase("A", amount=1), purchase("B", amount=2)])
        one.deliver_purchases(day(4), [purchase("A", amount=7), purchase("A", amount=8)])
    assert house.materialise("airline_daily", day(3), last=day(4)).success
    # Again: what the run itself stored the first time is no earlier delivery.
    assert house.materialise("airline_daily", day(3), last=day(4)).success
    for number in (3, 4):
        assert other.materialise("airline_daily", day(number)).success
    assert silver(house) == silver(other) == {"A": (march(3), 1.0), "B": (march(3), 2.0)}
    originals = {r["_row_number"]: r["duplicate_of"] for r in house.rows(ASIDE)}
    first = f"airline/transactions/{day(3)}/transactions.json#1"
    assert set(originals.values()) == {first}
    assert other.rows(ASIDE) == house.rows(ASIDE)


def test_a_late_day_leaves_later_days_alone_until_they_run_again(house: House) -> None:
    house.deliver_purchases(day(5), [purchase("A", amount=9), purchase("C", amount=3)])
    assert house.materialise("airline_daily", day(5)).success
    before = house.rows(SILVER_TRANSACTIONS)
    history = house.commits(SILVER_TRANSACTIONS)
    house.deliver_purchases(day(3), [purchase("A", amount=1)])
    assert house.materialise("airline_daily", day(3)).success
    assert house.rows(SILVER_TRANSACTIONS, f"delivered_on = DATE '{day(5)}'") == before
    assert touched(history, house.commits(SILVER_TRANSACTIONS)) == {day(3)}
    # An id that both days have counts once after the later day ran again.
    assert house.materialise("airline_daily", day(5)).success
    assert silver(house) == {"A": (march(3), 1.0), "C": (march(5), 3.0)}


def test_a_corrected_delivery_replaces_its_day_and_a_withdrawn_one_empties_it(house: House) -> None:
    house.deliver_purchases(day(3), [purchase("A", amount=1), purchase("B", amount="oops")])
    house.deliver_purchases(day(4), [purchase("C", amount=3)])
    house.materialise("airline_daily", day(3), last=day(4))
    assert silver(house) == {"A": (march(3), 1.0), "C": (march(4), 3.0)}
    file = house.deliver_purchases(day(3), [purchase("B", amount=2), purchase("D", amount=4)])
    house.materialise("airline_daily", day(3))
    assert silver(house) == {"B": (march(3), 2.0), "D": (march(3), 4.0), "C": (march(4), 3.0)}
    assert house.count(ASIDE) == 0
    assert house.count(BRONZE) == 3
    # A withdrawn one empties it.
    file.unlink()
    assert house.materialise("airline_daily", day(3)).success
    assert silver(house) == {"C": (march(4), 3.0)}
    assert house.count(BRONZE, f"delivered_on = DATE '{day(3)}'") == 0


def test_formats_compressed_or_not_and_marked_or_not_mix_in_one_day(house: House) -> None:
    house.deliver_purchases(day(3), [purchase("A", amount=1)], "a.json")
    house.deliver_purchases(
        day(3), [purchase("B", amount=2), purchase("A", amount=9)], "b.jsonl.gz"
    )
    house.deliver_purchases(day(3), [purchase("C", amount=3)], "c.csv")
    house.deliver_purchases(day(3), [purchase("D", amount=4)], "d.csv.gz")
    text = json.dumps([purchase("E", amount=5)])
    house.deliver("transactions", day(3), "e.json", b"\xef\xbb\xbf" + text.encode())
    line = json.dumps(purchase("F", amount=6, customer_name="王 芳"), ensure_ascii=False)
    house.deliver("transactions", day(3), "f.jsonl", ("\ufeff" + line + "\r\n").encode())
    result = house.materialise("airline_daily", day(3))
    assert result.success
    amounts = {name: amount for name, (_, amount) in silver(house).items()}
    assert amounts == {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 6}
    (row,) = house.rows(ASIDE)
    assert row["duplicate_of"] == f"airline/transactions/{day(3)}/a.json#1"
    (named,) = house.rows(SILVER_TRANSACTIONS, "transaction_id = 'F'")
    assert named["customer_name"] == "王 芳"
    # A refused file does not stop the others of its day.
    house.deliver("transactions", day(3), "wrong.csv", "id,name\n1,x\n")
    result = house.materialise("airline_daily", day(3))
    assert {name: amount for name, (_, amount) in silver(house).items()} == amounts
    assert "clean_transactions" in steps(result, "SUCCESS")
    (row,) = house.rows(f"{BRONZE.name}_rejects")
    assert (row["_source_file"], row["line_number"]) == (
        f"airline/transactions/{day(3)}/wrong.csv",
        0,
    )
