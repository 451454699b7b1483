"""A partition that lost too much stops what is downstream, and says which, why and the remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse_assets.catalog.datasets import LossLimit, bronze_table, with_limits
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.assembly import build_defs
from lakehouse_assets.orchestration.dataset_assets import bronze_assets
from lakehouse_assets.orchestration.partitions import Calendar
from lakehouse_assets.quality.losses import Loss
from lakehouse_assets_tests.airline.samples import House, check, purchase, steps, tables_of

DAY, NEXT = "2014-03-05", "2014-03-06"
BRONZE = bronze_table(TRANSACTIONS)
REMEDY = (
    ". Downstream tables are not built. Correct the files and deliver them again (lakehouse land "
    "--replace). If such losses are expected, raise LAKEHOUSE_LOSS_LIMITS or the dataset's "
    "`{}` limit (now 5% and 50 records)."
)


@pytest.mark.parametrize(
    ("lost", "records", "limit", "exceeded"),
    [
        # More than the share and more than the rows.
        (51, 1_000, LossLimit(), True),
        (50, 1_000, LossLimit(), False),
        (50, 60, LossLimit(), False),
        (51, 1_021, LossLimit(), False),
        (51, 1_019, LossLimit(), True),
        # All of it, however few.
        (4, 4, LossLimit(), True),
        (1, 1, LossLimit(), True),
        (1, 4, LossLimit(), False),
        (0, 0, LossLimit(), False),
        (4, 4, LossLimit(whole=False), False),
        (60, 60, LossLimit(whole=False), True),
        (3, 4, LossLimit(share=0.5, rows=0), True),
        (2, 4, LossLimit(share=0.5, rows=0), False),
        (100, 100, LossLimit(share=1.0, whole=False), False),
    ],
)
def test_limits(lost: int, records: int, limit: LossLimit, exceeded: bool) -> None:
    assert limit.exceeded(lost, records) is exceeded


def test_refused_files_count_when_nothing_else_is_left() -> None:
    assert Loss(0, 0, refused=1).too_much(LossLimit())
    assert Loss(2, 2, refused=1).too_much(LossLimit())
    assert not Loss(1, 2, refused=1).too_much(LossLimit())
    assert not Loss(0, 0, refused=1).too_much(LossLimit(whole=False))


def test_settings_go_before_what_is_declared() -> None:
    ten, half = LossLimit(share=0.1), LossLimit(share=0.5)
    everyone = ("*", "rejected", ten)
    assert with_limits(FLIGHTS, (everyone,)).rejected == ten
    flights = with_limits(FLIGHTS, (("airline/flights", "rejected", half), everyone))
    assert (flights.rejected, flights.quarantined) == (half, FLIGHTS.quarantined)
    assert with_limits(FLIGHTS, ()) == FLIGHTS
    with pytest.raises(ValueError, match="from 0 to 1"):
        LossLimit(share=5)


def test_settings_name_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    settings = House.at(tmp_path).settings.model_copy(update={"loss_limits": {"airline/x": {}}})
    with pytest.raises(LakehouseError, match="LAKEHOUSE_LOSS_LIMITS names airline/x, which is no"):
        build_defs(settings)


def run(house: House, first: str = DAY, last: str | None = None) -> dg.ExecuteInProcessResult:
    return house.materialise("airline_daily", first, *tables_of(TRANSACTIONS), last=last)


def cards(count: int, **more: Any) -> list[dict[str, Any]]:
    return [purchase(f"T{n}", loyalty_card=str(n), **more) for n in range(count)]


def test_a_new_attribute_in_every_record_stops_the_day(house: House) -> None:
    house.deliver_purchases(DAY, cards(4))
    result = run(house)
    verdict = check(result, BRONZE, "losses_are_within_limits")
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert verdict.description == (
        f"Too many records of airline/transactions were lost: {DAY} 4 of 4 records (100%) "
        f"rejected: "
        "undeclared attribute loyalty_card (4)" + REMEDY.format("rejected")
    )
    new = check(result, BRONZE, "attributes_are_declared")
    assert (new.passed, new.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert new.description == (
        f"New attribute loyalty_card in 4 of 4 records of {DAY}, which are rejected. Ask the "
        "source, or declare the field or set additive=True on the dataset."
    )
    assert not result.success
    assert "clean_transactions" not in steps(result, "START")


def test_a_bad_day_does_not_hide_in_a_range(house: House) -> None:
    house.deliver_purchases(DAY, [purchase(f"A{n}") for n in range(200)])
    # All of them readable as records, and none as a purchase.
    house.deliver_purchases(NEXT, [purchase(f"B{n}", amount="x", customer_id=None)
                                   for n in range(3)])  # fmt: skip
    result = run(house, DAY, NEXT)
    assert check(result, BRONZE, "losses_are_within_limits").passed
    verdict = check(result, SILVER_TRANSACTIONS, "losses_are_within_limits")
    assert not verdict.passed
    assert verdict.description == (
        f"Too many records of airline/transactions were lost: {NEXT} 3 of 3 records (100%) "
        f"quarantined: "
        "amount_is_readable (3), customer_id_is_readable (3)" + REMEDY.format("quarantined")
    )
    assert not result.success


def test_a_refused_file_stops_its_day_if_nothing_else_was_delivered(house: House) -> None:
    text = ";".join(purchase("T1")) + "\n" + "a;b;c;d;e;f;g;h;i\n" * 200
    house.deliver("transactions", DAY, "semicolons.csv", text)
    verdict = check(run(house), BRONZE, "losses_are_within_limits")
    assert not verdict.passed
    assert (
        f"{DAY} 1 file refused: semicolons.csv seems to be separated by ';'" in verdict.description
    )
    # Beside a file that can be read it is only refused.
    house.deliver_purchases(DAY, [purchase("T1")])
    result = run(house)
    assert check(result, BRONZE, "losses_are_within_limits").passed
    assert not check(result, BRONZE, "files_are_readable").passed
    assert "clean_transactions" in steps(result, "SUCCESS")


def test_few_bad_records_stop_nothing_and_settings_decide_what_is_few(house: House) -> None:
    house.deliver_purchases(DAY, [*cards(5), *[purchase(f"G{n}") for n in range(10)]])
    assert check(run(house), BRONZE, "losses_are_within_limits").passed
    strict = {"airline/transactions": {"rejected": LossLimit(share=0.3, rows=2)}}
    narrow = replace(house, settings=house.settings.model_copy(update={"loss_limits": strict}))
    verdict = check(run(narrow), BRONZE, "losses_are_within_limits")
    assert not verdict.passed
    assert f"{DAY} 5 of 15 records (33%) rejected" in verdict.description
    assert "(now 30% and 2 records)" in verdict.description


def test_an_additive_dataset_goes_on_with_a_warning(house: House) -> None:
    house.deliver_purchases(DAY, cards(4))
    row = ",".join(str(value) for value in cards(1, amount=9)[0].values())
    house.deliver("transactions", DAY, "more.csv", f"{','.join(cards(1)[0])}\n{row}\n")
    additive = replace(TRANSACTIONS, additive=True)
    calendar = Calendar.of("airline", house.settings.first_partition)
    result = dg.materialize(
        [bronze_assets(additive, calendar)],
        partition_key=DAY,
        resources=house.definitions().resources,
    )
    assert check(result, BRONZE, "losses_are_within_limits").passed
    warning = check(result, BRONZE, "attributes_are_declared")
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert warning.description == (
        f"New attribute loyalty_card in 5 of 5 records of {DAY}, whose values bronze does not "
        "store. Ask the source, or declare the field to load its values."
    )
    assert house.count(BRONZE, "customer_id = '7'") == 5
