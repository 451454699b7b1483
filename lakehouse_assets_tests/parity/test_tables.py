"""Every table of the registry, built by the same jobs on both engines.

Tables are compared value for value and schema for schema, and so is what the runs report: which
files were refused, which checks failed and on how many rows. The embedded engine is the measure;
that it is right is what the other tests say.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from lakehouse_assets.catalog.datasets import LossLimit
from lakehouse_assets.catalog.streams import stream_tables
from lakehouse_assets.domains import STREAMS
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.orchestration.jobs import live_keys
from lakehouse_assets.orchestration.planning import PlannedRun, plan
from lakehouse_assets.orchestration.run import RunSummary, execute
from lakehouse_assets_tests.airline.samples import House
from lakehouse_assets_tests.parity.deliveries import deliver_everything
from lakehouse_assets_tests.parity.lakes import differences, empty_tables
from lakehouse_assets_tests.parity.retail_deliveries import deliver_retail
from lakehouse_assets_tests.test_real_data import SHARED

# A lake is built on Spark within one test; a timeout in the midst of it would leave Spark unusable.
pytestmark = pytest.mark.timeout(1200)
REAL_FILES = (SHARED / "flight.csv").is_file()
# The deliveries are bent on purpose, far beyond what may be lost otherwise.
_ANYTHING = LossLimit(share=1.0, whole=False)
# Both domains deliver in the same months.
FIRST = date(2014, 1, 1)
LIMITS = {"*": {"rejected": _ANYTHING, "quarantined": _ANYTHING}}
# A day in the midst of others.
AGAIN = PlannedRun("airline_daily", "2014-01-02", "2014-01-02")


@dataclass(frozen=True)
class Lakes:
    """One landing zone, of which each engine has made everything.

    Attributes:
        runs: The runs of both.
        embedded: What the embedded engine made from nothing.
        spark: What Spark made where the embedded engine had been for two of three months.
        here: What came of the embedded engine's runs.
        there: What came of Spark's.
    """

    runs: Sequence[PlannedRun]
    embedded: House
    spark: House
    here: RunSummary
    there: RunSummary


@pytest.fixture(scope="module", autouse=True)
def _as_before(spark_session_engine: Engine) -> Iterator[None]:
    """Leave the environment and the active engine as they were found."""
    before = current._active[:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        yield
    current._active[:] = before


@pytest.fixture(scope="module")
def lakes(new_house: Callable[..., House]) -> Lakes:
    """Make everything on both engines.

    Spark begins where the embedded engine has been: it makes January and February again, in tables
    of the other, adds March, and makes retail's tables from nothing.
    """
    embedded = changed(new_house("embedded"), loss_limits=LIMITS, first_partition=FIRST)
    begun = changed(new_house("begun"), loss_limits=LIMITS, first_partition=FIRST)
    deliver_everything(embedded, SHARED if REAL_FILES else None)
    deliver_retail(embedded)
    begun = changed(begun, landing=embedded.settings.landing)
    half = plan(begun.settings, months_per_run=2).runs
    middle = 1 + next(n for n, run in enumerate(half) if run.job == "airline_monthly")
    execute(begun.settings, half[:middle])
    runs = plan(embedded.settings, months_per_run=3).runs
    here = execute(embedded.settings, runs)
    spark = copied(begun, new_house, engine="spark")
    return Lakes(runs, embedded, spark, here, execute(spark.settings, runs))


def changed(house: House, **settings: Any) -> House:
    return House(house.settings.model_copy(update=settings))


def copied(house: House, new_house: Callable[..., House], **settings: Any) -> House:
    """Copy a lake into a house of its own, with the same landing zone."""
    copy = changed(
        new_house("copy"),
        landing=house.settings.landing,
        loss_limits=LIMITS,
        first_partition=FIRST,
        **settings,
    )
    shutil.copytree(house.settings.root, copy.settings.root)
    return copy


def assert_same(here: House, there: House) -> None:
    assert [str(found) for found in differences(here, there)] == []


def reported(outcome: RunSummary, but: Sequence[PlannedRun] = ()) -> dict[str, set[Any]]:
    """Return what was told, but not of some runs."""
    labels = {run.label for run in but}
    warnings = {warning for warning in outcome.warnings if warning.run not in labels}
    errors = {e for e in outcome.errors if not any(f"({label})" in e for label in labels)}
    return {"warnings": warnings, "errors": errors}


def test_spark_repeats_and_finishes_what_the_embedded_engine_began(lakes: Lakes) -> None:
    assert_same(lakes.embedded, lakes.spark)
    assert reported(lakes.there) == reported(lakes.here)


def test_the_embedded_engine_repeats_what_spark_finished(
    lakes: Lakes, new_house: Callable[..., House]
) -> None:
    house = copied(lakes.spark, new_house)
    # A day, then everything but the quality log, which is about the runs themselves.
    assert execute(house.settings, [AGAIN]).errors == []
    others = [run for run in lakes.runs if run.domain is None]
    outcome = execute(house.settings, [run for run in lakes.runs if run not in others])
    assert_same(lakes.embedded, house)
    assert reported(outcome) == reported(lakes.here, but=others)


def test_there_were_rows_of_every_table_to_compare(lakes: Lakes) -> None:
    house = lakes.embedded
    # Tables of streams have tests of their own on both engines: streams/test_spark.py, and those of
    # the rules in retail/test_device_crowds.py, test_device_health.py and the tests of series.
    streamed = {key.path[-1] for key in live_keys()}
    streamed |= {table.name for stream in STREAMS for table in stream_tables(stream)}
    # A document is its bytes, whatever they are: none can be unreadable.
    assert empty_tables(house) - streamed == {"bronze_documents_rejects"}
    segments = house.rows("gold_segment_summary", "month(as_of_month) = 3")
    # Cluster 0 is what nobody real has: a trillion points. Its members are no frequent flyers.
    # Without the original files, another persona is empty.
    assert {None, 2, 4, 5} < {row["segment"] for row in segments}


@pytest.mark.skipif(
    not REAL_FILES, reason="the original files (../shared/data/airline) are not on this machine"
)
def test_the_real_files_were_among_what_was_compared(lakes: Lakes) -> None:
    names = {"flights": "real-flight.csv", "transactions": "real-customer_transactions.json"}
    for dataset, name in names.items():
        assert lakes.embedded.count(f"bronze_{dataset}", f"_source_file LIKE '%/{name}'") > 0
