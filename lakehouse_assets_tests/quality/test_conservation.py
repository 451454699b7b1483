"""Conservation can fail, says where, and stops what is downstream."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import Dataset, bronze_table
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.engine import F
from lakehouse_assets.orchestration.dataset_assets import bronze_assets, silver_assets
from lakehouse_assets.orchestration.partitions import Calendar, accepting_beta
from lakehouse_assets.quality.checks import Check
from lakehouse_assets.quality.conservation import Balance
from lakehouse_assets_tests.airline.samples import House, check, numbers, purchase, steps

DAY = date(2014, 3, 5)
CONSERVED = Check("conserved", "Rows in = rows out.", blocking=True)
BRONZE = bronze_table(TRANSACTIONS)


def balance(silver: int, aside: int, duplicates: int) -> Balance:
    """Balance ten rows of one day."""
    return Balance(
        "bronze",
        {DAY: 10, date(1999, 1, 1): 77},
        {
            "silver": {DAY: silver},
            "quarantined": {DAY: aside},
            "named duplicates": {DAY: duplicates},
        },
        [DAY],
    )


def test_rows_that_add_up_pass_with_their_numbers() -> None:
    found = balance(7, 2, 1).finding(CONSERVED)
    assert found.passed
    assert found.metadata == {
        "bronze": 10, "silver": 7, "quarantined": 2, "named_duplicates": 1, "partitions": 1,
        "by_partition": {},
        "figures": {
            "2014-03-05": {"bronze": 10, "silver": 7, "quarantined": 2, "named duplicates": 1}
        },
    }  # fmt: skip


@pytest.mark.parametrize(("parts", "gap"), [((6, 2, 1), 1), ((8, 2, 1), -1), ((0, 0, 0), 10)])
def test_a_row_too_few_or_too_many_fails_and_names_its_partition(
    parts: tuple[int, int, int], gap: int
) -> None:
    found = balance(*parts)
    assert found.gaps() == {DAY: gap}
    result = found.finding(CONSERVED)
    assert not result.passed
    assert f"2014-03-05: {gap:+}" in str(result.description)


def test_gaps_of_two_partitions_do_not_cancel_out() -> None:
    days = [DAY, date(2014, 3, 6)]
    found = Balance("bronze", dict.fromkeys(days, 5), {"silver": {days[0]: 4, days[1]: 6}}, days)
    assert found.gaps() == {days[0]: 1, days[1]: -1}
    assert not found.finding(CONSERVED).passed


@accepting_beta()
def materialise(house: House, dataset: Dataset) -> dg.ExecuteInProcessResult:
    """Run bronze, silver and something downstream for one day."""
    calendar = Calendar(date(2014, 1, 1))

    @dg.asset(deps=[dg.AssetKey(SILVER_TRANSACTIONS.key)], **calendar.attributes_of("day"))
    def downstream() -> None: ...

    return dg.materialize(
        [bronze_assets(dataset, calendar), silver_assets(dataset, calendar), downstream],
        partition_key=DAY.isoformat(),
        resources=house.definitions().resources,
        raise_on_error=False,
    )


def test_a_transformation_that_loses_a_row_is_found_and_stops_what_is_downstream(
    house: House,
) -> None:
    house.deliver_purchases(
        DAY.isoformat(),
        [purchase("A"), purchase("B", amount=None), purchase("A", region="x"), purchase("C")],
    )
    sound = materialise(house, TRANSACTIONS)
    verdict = check(sound, SILVER_TRANSACTIONS, "bronze_rows_are_conserved")
    assert verdict.passed
    assert numbers(verdict) == {
        "bronze": 4, "silver": 2, "quarantined": 1, "named_duplicates": 1, "partitions": 1,
    }  # fmt: skip
    assert "downstream" in steps(sound, "SUCCESS")
    doctored = materialise(
        house,
        replace(TRANSACTIONS, rule=lambda rows, _: rows.filter(F.col("_row_number") != F.lit(4))),
    )
    verdict = check(doctored, SILVER_TRANSACTIONS, "bronze_rows_are_conserved")
    assert not verdict.passed
    assert "2014-03-05: +1" in verdict.description
    assert "downstream" not in steps(doctored, "START")


def test_a_transformation_that_doubles_rows_is_found(house: House) -> None:
    house.deliver_purchases(DAY.isoformat(), [purchase("A"), purchase("B", amount=None)])
    doubled = replace(TRANSACTIONS, rule=lambda rows, _: rows.unionByName(rows))
    result = materialise(house, doubled)
    verdict = check(result, SILVER_TRANSACTIONS, "bronze_rows_are_conserved")
    assert not verdict.passed
    # Both copies stand at one address, so neither can be called the first.
    assert numbers(verdict) == {
        "bronze": 2, "silver": 0, "quarantined": 2, "named_duplicates": 2, "partitions": 1,
    }  # fmt: skip


def test_delivered_records_are_bronze_and_rejects_file_by_file(house: House) -> None:
    house.deliver_purchases(DAY.isoformat(), [purchase("A")])
    house.deliver("transactions", DAY.isoformat(), "bad.jsonl", '{"transaction_id": "B"\n[1]\n')
    house.deliver("transactions", DAY.isoformat(), "broken.json", b"\xff\xfe nothing")
    result = materialise(house, TRANSACTIONS)
    verdict = check(result, BRONZE, "delivered_rows_are_conserved")
    assert verdict.passed
    assert numbers(verdict) == {"delivered": 3, "bronze": 1, "rejects": 2, "partitions": 1}
    readable = check(result, BRONZE, "files_are_readable")
    assert not readable.passed
    assert "broken.json" in readable.description
