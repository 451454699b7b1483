"""Every table of the registry, built by the same jobs on both engines.

Tables are compared value for value and schema for schema, and so is what the runs report: which
files were refused, which checks failed and on how many rows. The embedded engine is the measure;
that it is right is what the other tests say.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.planning import PlannedRun, plan
from lakehouse_assets.run import Outcome, execute
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.parity.deliveries import deliver_everything
from lakehouse_assets_tests.parity.lakes import differences, empty_tables
from lakehouse_assets_tests.parity.retail_deliveries import deliver_retail
from lakehouse_assets_tests.test_real_data import SHARED

# A lake is built on Spark within one test; a timeout in the midst of it would leave Spark unusable.
pytestmark = pytest.mark.timeout(1200)
REAL_FILES = (SHARED / "flight.csv").is_file()
# A day that the first half has built already.
AGAIN = PlannedRun("airline_daily", "2014-01-02", "2014-01-02")


@dataclass(frozen=True)
class Halves:
    """One landing zone, of which each engine has built January and February.

    Attributes:
        embedded: What the embedded engine built.
        spark: What Spark built.
        here: What came of the embedded engine's runs.
        there: What came of Spark's.
        rest: The runs that complete a lake, with one that was there before.
    """

    embedded: House
    spark: House
    here: Outcome
    there: Outcome
    rest: Sequence[PlannedRun]


@pytest.fixture(scope="module", autouse=True)
def _as_before(spark_session_engine: Engine) -> Iterator[None]:
    """Leave the environment and the active engine as they were found."""
    before = current._active[:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        yield
    current._active[:] = before


@pytest.fixture(scope="module")
def halves(new_house: Callable[..., House]) -> Halves:
    """Build the first half on both engines."""
    embedded, spark = new_house("embedded"), new_house("spark")
    deliver_everything(embedded, SHARED if REAL_FILES else None)
    deliver_retail(embedded)
    spark = changed(spark, engine="spark", landing=embedded.settings.landing)
    runs = plan(embedded.settings, months_per_run=2)
    middle = 1 + next(n for n, run in enumerate(runs) if run.job == "airline_monthly")
    here, there = (execute(house.settings, runs[:middle]) for house in (embedded, spark))
    return Halves(embedded, spark, here, there, [AGAIN, *runs[middle:]])


@pytest.fixture(scope="module")
def whole(halves: Halves, new_house: Callable[..., House]) -> tuple[House, Outcome]:
    """Let the embedded engine finish what it began."""
    house = copied(halves.embedded, new_house)
    return house, execute(house.settings, list(halves.rest))


def changed(house: House, **settings: Any) -> House:
    return House(house.settings.model_copy(update=settings))


def copied(house: House, new_house: Callable[..., House], **settings: Any) -> House:
    """Copy a lake into a house of its own, with the same landing zone."""
    copy = changed(new_house("copy"), landing=house.settings.landing, **settings)
    shutil.copytree(house.settings.root, copy.settings.root)
    return copy


def assert_same(here: House, there: House) -> None:
    assert [str(found) for found in differences(here, there)] == []


def reported(outcome: Outcome) -> dict[str, set[Any]]:
    return {"warnings": set(outcome.warnings), "errors": set(outcome.errors)}


def test_two_months_of_both_engines_are_the_same(halves: Halves) -> None:
    assert_same(halves.embedded, halves.spark)
    assert reported(halves.there) == reported(halves.here)


def test_spark_finishes_and_repeats_what_the_embedded_engine_began(
    halves: Halves, whole: tuple[House, Outcome], new_house: Callable[..., House]
) -> None:
    house = copied(halves.embedded, new_house, engine="spark")
    outcome = execute(house.settings, list(halves.rest))
    assert_same(whole[0], house)
    assert reported(outcome) == reported(whole[1])


def test_the_embedded_engine_finishes_and_repeats_what_spark_began(
    halves: Halves, whole: tuple[House, Outcome], new_house: Callable[..., House]
) -> None:
    house = copied(halves.spark, new_house)
    outcome = execute(house.settings, list(halves.rest))
    assert_same(whole[0], house)
    assert reported(outcome) == reported(whole[1])


def test_there_were_rows_of_every_table_to_compare(whole: tuple[House, Outcome]) -> None:
    house, _ = whole
    # A document is its bytes, whatever they are: none can be unreadable.
    assert empty_tables(house) == {"bronze_documents_rejects"}
    segments = house.rows("gold_segment_summary", "month(as_of_month) = 3")
    assert {row["segment"] for row in segments} == {None, 1, 2, 3, 4, 5}


@pytest.mark.skipif(
    not REAL_FILES, reason="the original files (../shared/data/airline) are not on this machine"
)
def test_the_real_files_were_among_what_was_compared(whole: tuple[House, Outcome]) -> None:
    names = {"flights": "real-flight.csv", "transactions": "real-customer_transactions.json"}
    for dataset, name in names.items():
        assert whole[0].count(f"bronze_{dataset}", f"_source_file LIKE '%/{name}'") > 0
