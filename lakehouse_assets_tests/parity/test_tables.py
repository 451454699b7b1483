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
from lakehouse_assets.run import Outcome, PlannedRun, execute, plan
from lakehouse_assets_tests.airline.samples import REPOSITORY, House
from lakehouse_assets_tests.parity.deliveries import deliver_everything
from lakehouse_assets_tests.parity.lakes import differences, empty_tables
from lakehouse_assets_tests.test_real_data import SHARED

# What is built again, by the other engine: a month with everything in it, and one of its days.
AGAIN = (
    PlannedRun("daily", "2014-03-31", "2014-03-31"),
    PlannedRun("monthly", "2014-03-01", "2014-03-01"),
)


@dataclass(frozen=True)
class Pair:
    """One landing zone built on both engines, and on each what came of it."""

    embedded: House
    spark: House
    here: Outcome
    there: Outcome


@dataclass(frozen=True)
class Halves:
    """The hostile landing zone built on both engines; lakes were copied when they were half built.

    Attributes:
        pair: The complete lakes.
        half_embedded: What the embedded engine had built by then.
        half_spark: What Spark had built by then.
        rest: The runs that the halves lack.
    """

    pair: Pair
    half_embedded: House
    half_spark: House
    rest: Sequence[PlannedRun]


@pytest.fixture(scope="module", autouse=True)
def _as_before(spark_session_engine: Engine) -> Iterator[None]:
    """Leave the environment and the active engine as they were found."""
    before = current._active[:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        yield
    current._active[:] = before


def changed(house: House, **settings: Any) -> House:
    return House(house.settings.model_copy(update=settings))


def two_houses(new_house: Callable[..., House], name: str) -> tuple[House, House]:
    """Make two houses with one landing zone, one for each engine."""
    embedded = new_house(name)
    spark = changed(new_house(f"{name}-spark"), engine="spark", landing=embedded.settings.landing)
    return embedded, spark


def build(house: House, runs: Sequence[PlannedRun]) -> Outcome:
    return execute(house.settings, list(runs))


def together(first: Outcome, second: Outcome) -> Outcome:
    return Outcome(warnings=first.warnings + second.warnings, errors=first.errors + second.errors)


def reported(outcome: Outcome) -> dict[str, set[Any]]:
    return {"warnings": set(outcome.warnings), "errors": set(outcome.errors)}


def assert_same(pair: Pair) -> None:
    assert [str(found) for found in differences(pair.embedded, pair.spark)] == []
    assert reported(pair.there) == reported(pair.here)


@pytest.fixture(scope="module")
def hostile(new_house: Callable[..., House], tmp_path_factory: pytest.TempPathFactory) -> Halves:
    """Build the hostile landing zone; half built means January to March."""
    embedded, spark = two_houses(new_house, "hostile")
    deliver_everything(embedded)
    runs = plan(embedded.settings)
    middle = 1 + next(n for n, run in enumerate(runs) if run.job == "monthly")
    outcomes, halves = [], []
    for house in (embedded, spark):
        first = build(house, runs[:middle])
        copied = changed(new_house("half"), landing=embedded.settings.landing)
        shutil.copytree(house.settings.root, copied.settings.root)
        halves.append(copied)
        outcomes.append(together(first, build(house, runs[middle:])))
    return Halves(Pair(embedded, spark, *outcomes), halves[0], halves[1], runs[middle:])


def test_hostile_deliveries_give_the_same_tables(hostile: Halves) -> None:
    assert empty_tables(hostile.pair.embedded) == set()
    assert_same(hostile.pair)


def test_spark_finishes_and_repeats_what_the_embedded_engine_began(hostile: Halves) -> None:
    house = changed(hostile.half_embedded, engine="spark")
    build(house, [*AGAIN, *hostile.rest])
    assert [str(found) for found in differences(hostile.pair.embedded, house)] == []


def test_the_embedded_engine_finishes_and_repeats_what_spark_began(hostile: Halves) -> None:
    build(hostile.half_spark, [*AGAIN, *hostile.rest])
    found = differences(hostile.pair.embedded, hostile.half_spark)
    assert [str(difference) for difference in found] == []


def test_a_month_of_the_sample_gives_the_same_tables(new_house: Callable[..., House]) -> None:
    embedded, spark = two_houses(new_house, "sample")
    for dataset in ("flights", "transactions"):
        for day in sorted((REPOSITORY / "data" / "airline" / dataset).glob("2014-01-*")):
            for file in day.iterdir():
                embedded.deliver(dataset, day.name, file.name, file.read_bytes())
    runs = plan(embedded.settings)
    pair = Pair(embedded, spark, build(embedded, runs), build(spark, runs))
    assert empty_tables(embedded) <= {"bronze_flights_rejects", "bronze_transactions_rejects"}
    assert_same(pair)


@pytest.mark.skipif(
    not (SHARED / "flight.csv").is_file(),
    reason="the original files (../shared/data/airline) are not on this machine",
)
def test_the_real_files_give_the_same_tables(new_house: Callable[..., House]) -> None:
    embedded, spark = two_houses(new_house, "real")
    for dataset, name, day in (
        ("flights", "flight.csv", "2014-03-31"),
        ("transactions", "customer_transactions.json", "2014-03-31"),
    ):
        embedded.deliver(dataset, day, name, (SHARED / name).read_bytes())
    runs = plan(embedded.settings)
    pair = Pair(embedded, spark, build(embedded, runs), build(spark, runs))
    assert embedded.count("gold_customer_segments_ml") == 62_988
    assert_same(pair)
