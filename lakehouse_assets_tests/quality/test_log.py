"""The quality log: what runs found, by partition and rule; drift; rows that get another chance."""

from __future__ import annotations

import math
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.registry import Column
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import value as gold
from lakehouse_assets.engine import F
from lakehouse_assets.lake.predicate import between
from lakehouse_assets.orchestration import assembly
from lakehouse_assets.orchestration.backfill import plan_replay
from lakehouse_assets.orchestration.planning import PlannedRun
from lakehouse_assets.orchestration.run import execute
from lakehouse_assets.quality.declared import check_declared
from lakehouse_assets.quality.drift import (
    MOST_MODEL_PSI,
    Bucket,
    Counts,
    bucket_of,
    distribution_drift,
    persists,
    stability_index,
    volume_drift,
)
from lakehouse_assets.quality.log import latest_verdicts
from lakehouse_assets.quality.tables import QUALITY_DRIFT, QUALITY_EVENTS, QUALITY_RULES
from lakehouse_assets_tests.airline.samples import House, execute_only, purchase, tables_of

ASIDE = quarantine_table(TRANSACTIONS)
TABLE = "airline.silver_transactions"
FIRST, LATER = date(2014, 3, 1), date(2014, 4, 1)


@pytest.fixture(autouse=True)
def _restore_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def days(first: int, last: int | None = None) -> PlannedRun:
    """Plan bronze and silver of some days."""
    names = tuple(t.name for t in tables_of(TRANSACTIONS))
    return PlannedRun("airline_daily", f"2014-03-{first:02}", f"2014-03-{last or first:02}", names)


def events(house: House, rule: str) -> dict[str, tuple[Any, ...]]:
    """Return a rule's counts by partition."""
    rows = house.rows(QUALITY_EVENTS, f"rule = '{rule}' AND table_name = '{TABLE}'")
    return {row["partition"]: (row["failing_rows"], row["rows"], row["passed"]) for row in rows}


def verdicts(house: House, rule: str, table: str = TABLE) -> dict[str, tuple[Any, Any]]:
    """Return a rule's latest verdicts by partition."""
    rows = house.rows(QUALITY_RULES, f"rule = '{rule}' AND table_name = '{table}'")
    return {row["partition"]: (row["passed"], row["failing_rows"]) for row in rows}


def test_runs_are_logged_by_day_once_and_replace_the_verdicts_of_their_days_alone(
    house: House,
) -> None:
    house.deliver_purchases("2014-03-03", [purchase("A", amount="oops"), purchase("B")])
    house.deliver_purchases("2014-03-04", [purchase("C", amount="oops"), purchase("B")])
    house.deliver_purchases("2014-03-05", [purchase("D", amount="oops"), purchase("E")])
    house.deliver("transactions", "2014-03-05", "u.json", b"\xff\xfe\xfd")
    execute(house.settings, [days(3, 6), PlannedRun("quality")])
    assert events(house, "amount_is_readable") == {
        "2014-03-03": (1, 2, False), "2014-03-04": (1, 2, False), "2014-03-05": (1, 2, False),
    }  # fmt: skip
    figures = {
        (row["partition"], row["rule"].partition(": ")[2]): row["rows"]
        for row in house.rows(QUALITY_EVENTS, "kind = 'figure' AND partition < '2014-03-05'")
        if row["table_name"] == TABLE
    }
    assert figures == {
        ("2014-03-03", "bronze"): 2, ("2014-03-03", "silver"): 1,
        ("2014-03-03", "quarantined"): 1, ("2014-03-03", "named duplicates"): 0,
        ("2014-03-04", "bronze"): 2, ("2014-03-04", "silver"): 0,
        ("2014-03-04", "quarantined"): 1, ("2014-03-04", "named duplicates"): 1,
    }  # fmt: skip
    readable = "files_are_readable"
    assert verdicts(house, readable, "airline.bronze_transactions")["2014-03-05"] == (False, 1)
    # Nobody delivered anything on the 6th.
    assert {row["partition"] for row in house.rows(QUALITY_RULES)} == {
        "2014-03-03", "2014-03-04", "2014-03-05",
    }  # fmt: skip
    before = house.rows(QUALITY_EVENTS)
    # Looking again adds nothing; another run adds its own and leaves what was there.
    execute(house.settings, [PlannedRun("quality")])
    assert house.rows(QUALITY_EVENTS) == before
    # One day is mended, of one nothing is left, and one shall stay as it is.
    house.deliver_purchases("2014-03-03", [purchase("A"), purchase("B")])
    shutil.rmtree(house.settings.landing / "airline/transactions/2014-03-05")
    execute(house.settings, [days(3), days(5), PlannedRun("quality")])
    after = house.rows(QUALITY_EVENTS)
    assert all(row in after for row in before)
    assert len({row["run_id"] for row in after}) == 3
    assert verdicts(house, "amount_is_readable") == {
        "2014-03-03": (True, 0), "2014-03-04": (False, 1), "2014-03-05": (True, 0),
    }  # fmt: skip
    assert verdicts(house, readable, "airline.bronze_transactions")["2014-03-05"] == (True, 0)
    (latest,) = house.rows(
        QUALITY_RULES, "rule = 'amount_is_readable' AND partition = '2014-03-03'"
    )
    assert (latest["failing_rows"], latest["pass_rate"], latest["runs"]) == (0, 1.0, 2)
    assert house.count(QUALITY_DRIFT, "measure = 'rows'") == 1


def test_verdicts_on_ranges_from_before_do_not_stand_beside_those_on_their_parts(
    house: House,
) -> None:
    shared = {
        "table_name": TABLE, "rule": "r", "kind": "check", "passed": False,
        "recorded_at": datetime(2014, 3, 9, tzinfo=UTC),
    }  # fmt: skip
    house.put(
        QUALITY_EVENTS,
        [
            {**shared, "run_id": "a", "partition": "2014-03-01...2014-03-04"},
            {**shared, "run_id": "b", "partition": "2014-03-02"},
        ],
    )
    lake = house.lake
    with lake.engine.scope():
        (found,) = lake.engine.rows(latest_verdicts(lake.read(QUALITY_EVENTS)))
    assert (found["partition"], found["passed"], found["runs"]) == ("2014-03-02", False, 1)


def test_the_verdicts_on_months_are_told_apart(house: House) -> None:
    """Of a range of two months the second one alone has a key twice."""
    lake, table = house.lake, gold.CUSTOMER_SPEND
    assert table.partition is not None
    for month in (FIRST, LATER):
        row = {
            "customer_key": 1, "as_of_month": month, "completed_amount": 1, "completed_count": 1,
        }  # fmt: skip
        house.put(table, [row] * (2 if month == LATER else 1), month)
    window = between(table.partition, FIRST, date(2014, 5, 1))
    with lake.engine.scope():
        (keys,) = check_declared(table, lake, window, window)
    assert not keys.passed
    assert keys.metadata["by_partition"] == {"2014-04-01": {"failing": 1}}


def test_rows_in_quarantine_get_their_chance_after_a_fix(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deliver_purchases("2014-03-03", [purchase("A", amount="1 000,50"), purchase("B")])
    house.deliver_purchases("2014-03-04", [purchase("C")])
    assert execute(house.settings, [days(3, 4)]).errors == []
    assert [row["transaction_id"] for row in house.rows(ASIDE)] == ["A"]
    bronze = house.commits("bronze_transactions")

    def mended(rows: Any, _given: Any) -> Any:
        amount = F.when(F.col("text_amount") == F.lit("1 000,50"), F.lit("1000.50"))
        fixed = F.coalesce(F.col("amount"), amount.cast("decimal(18,2)"))
        return rows.withColumn("amount", fixed)

    fix = replace(TRANSACTIONS, rule=mended)
    monkeypatch.setattr(
        assembly, "DATASETS", [fix if d == TRANSACTIONS else d for d in assembly.DATASETS]
    )
    # A fix is a new process, which makes its assets anew.
    monkeypatch.setattr(assembly, "_assets", assembly._assets.__wrapped__)
    silver = [table.name for table in tables_of(TRANSACTIONS)[2:]]
    runs = plan_replay(TRANSACTIONS, [date(2014, 3, 3)])
    assert [run.job for run in runs] == ["airline_daily", "airline_monthly", "quality"]
    log = [QUALITY_EVENTS.name, QUALITY_RULES.name]
    outcome = execute_only(house.settings, runs, {"airline_daily": silver, "quality": log})
    assert outcome.errors == []
    assert house.count(ASIDE) == 0
    (row,) = house.rows(SILVER_TRANSACTIONS, "transaction_id = 'A'")
    assert float(row["amount"]) == 1000.5
    # Nothing was delivered again, and the balance of the day still adds up.
    assert house.commits("bronze_transactions") == bronze
    (verdict,) = house.rows(
        QUALITY_RULES, f"rule = 'bronze_rows_are_conserved' AND table_name = '{TABLE}' "
        "AND partition = '2014-03-03'",
    )  # fmt: skip
    assert verdict["passed"]


# --- drift ------------------------------------------------------------------------------------


def series(*numbers: int) -> dict[date, int]:
    return {FIRST + timedelta(days=n): number for n, number in enumerate(numbers)}


@pytest.mark.parametrize(
    ("numbers", "value", "usual"),
    [
        ((100, 110, 90, 100, 100, 100), 1.0, True),
        ((100, 110, 90, 100, 100, 40), 0.4, False),
        ((100, 110, 90, 100, 100, 201), 2.01, False),
        ((100, 110, 90, 100, 100, 50), 0.5, True),
        # One outlier moves a mean, not the median.
        ((100, 100, 90_000, 100, 100, 100), 1.0, True),
        ((100, 110, 100, 40), None, None),
    ],
)
def test_rows_are_compared_with_the_trailing_median(
    numbers: tuple[int, ...], value: float | None, usual: bool | None
) -> None:
    rows = series(*numbers)
    found = volume_drift(rows, max(rows), "day")
    assert (found.value, found.usual) == (value, usual)


def test_only_the_partitions_before_count() -> None:
    rows = series(*[100] * 40, *[1] * 30)
    assert volume_drift(rows, FIRST + timedelta(days=40), "day").reference_rows == 2800


def test_the_index_is_that_of_the_definition() -> None:
    same = {"a": 500, "b": 500}
    assert stability_index(same, {"a": 5000, "b": 5000}) < 0.001
    moved = stability_index({"a": 900, "b": 100}, same)
    # (0.9 - 0.5) ln(0.9 / 0.5) + (0.1 - 0.5) ln(0.1 / 0.5), but for the half rows.
    assert moved == pytest.approx(0.4 * math.log(1.8) - 0.4 * math.log(0.2), rel=0.01)
    assert stability_index(same, {"a": 900, "b": 100}) == pytest.approx(moved, rel=0.02)
    assert math.isfinite(stability_index({"new": 10}, {"old": 10}))


def test_a_distribution_needs_rows_to_be_judged() -> None:
    few = {FIRST: {"a": 500}, FIRST + timedelta(days=1): {"b": 10}}
    assert distribution_drift(few, max(few), "month", "x").usual is None
    many = {FIRST: {"a": 500}, FIRST + timedelta(days=1): {"b": 500}}
    assert distribution_drift(many, max(many), "day", "x").usual is False


def test_small_days_are_pooled_until_they_can_be_judged() -> None:
    day = {FIRST + timedelta(days=n): Counter({"a": 20, "b": 10}) for n in range(60)}
    newest = max(day)
    same = distribution_drift(day, newest, "day", "x")
    # Seven days of 30 rows make 210; the 28 days before them are the reference.
    assert (same.current_rows, same.reference_rows, same.usual) == (210, 840, True)
    for number in range(7):
        day[newest - timedelta(days=number)] = Counter({"a": 5, "b": 25})
    assert distribution_drift(day, newest, "day", "x").usual is False
    assert (
        distribution_drift({FIRST: day[FIRST], newest: day[newest]}, newest, "day", "x").usual
        is None
    )


def drawn(seed: int, rows: int, draw: Callable[[random.Random], Bucket]) -> Counter[Bucket]:
    source = random.Random(seed)  # noqa: S311
    return Counter(draw(source) for _ in range(rows))


def age(source: random.Random) -> float:
    return float(round(source.gauss(42, 8.5)))


def spent(source: random.Random) -> float:
    return round(source.lognormvariate(5, 1), 2)


def word(source: random.Random) -> str:
    return str(int(60 * source.random() ** 2))


@pytest.mark.parametrize("draw", [age, spent, word])
@pytest.mark.parametrize("rows", [200, 1000])
def test_two_samples_of_one_population_are_not_told_apart(
    draw: Callable[[random.Random], Bucket], rows: int
) -> None:
    """What is promised is one false alarm in a thousand."""
    alarms = 0
    for seed in range(200):
        months = {FIRST: drawn(seed, 400, draw), LATER: drawn(-1 - seed, rows, draw)}
        alarms += distribution_drift(months, LATER, "month", "x").usual is False
    assert alarms <= 1


@pytest.mark.parametrize(
    ("draw", "moved"),
    [
        (age, lambda source: age(source) + 5),
        (spent, lambda source: spent(source) * 2),
        (word, lambda source: str(int(60 * source.random()))),
    ],
    ids=["five years older", "twice the amount", "even shares"],
)
def test_a_population_that_moved_is_seen(
    draw: Callable[[random.Random], Bucket], moved: Callable[[random.Random], Bucket]
) -> None:
    for seed in range(20):
        months = {FIRST: drawn(seed, 2000, draw), LATER: drawn(-1 - seed, 2000, moved)}
        found = distribution_drift(months, LATER, "month", "x")
        assert found.value is not None
        assert found.value > 0.25
        assert found.usual is False


def watch(months: Mapping[date, Mapping[str, Counts]]) -> dict[date, set[str]]:
    """Return the columns of a model that raise an alarm, by the month in which it is looked at."""
    alarms: dict[date, set[str]] = {}
    for newest in months:
        seen = {month: columns for month, columns in months.items() if month <= newest}
        for column in months[newest]:
            counts = {month: columns[column] for month, columns in seen.items()}
            found = [distribution_drift(counts, month, "month", column, MOST_MODEL_PSI)
                     for month in sorted(seen)[-3:]]  # fmt: skip
            if persists(found):
                alarms.setdefault(newest, set()).add(column)
    return alarms


def model_months(
    seed: int, rows: int, moved: int | None = None
) -> dict[date, dict[str, Counter[Bucket]]]:
    """Draw 24 months of a model's inputs and scores; age and scores move from one month on."""
    months = {}
    for number in range(24):
        later = moved is not None and number >= moved
        draws: dict[str, Callable[[random.Random], Bucket]] = {
            "age": (lambda source: age(source) + 5) if later else age,
            "spent": spent,
            "word": word,
            "score": lambda source: round(source.betavariate(2, 5 - 2 * later), 2),  # noqa: B023
        }
        months[date(2020 + number // 12, number % 12 + 1, 1)] = {
            name: drawn(seed * 1000 + number * 10 + place, rows, draw)
            for place, (name, draw) in enumerate(draws.items())
        }
    return months


@pytest.mark.parametrize("rows", [300, 2_000])
def test_24_stable_months_of_a_model_raise_no_alarm(rows: int) -> None:
    for seed in range(3 if rows < 2_000 else 1):
        assert watch(model_months(seed, rows)) == {}


@pytest.mark.parametrize("rows", [300, 2_000])
def test_drift_of_a_model_is_told_within_a_month(rows: int) -> None:
    months = model_months(7, rows, moved=20)
    alarms = watch(months)
    first = min(alarms)
    assert first in sorted(months)[20:22]
    assert alarms[sorted(months)[21]] >= {"age", "score"}
    assert set().union(*alarms.values()) == {"age", "score"}


VALUES = {
    None: None, 0.0: 0.0, 7.0: 7.0, 42.0: 42.0, -42.0: -42.0, 999.0: 999.0, 1234.0: 1230.0,
    -98765.0: -98700.0, 0.4567: 0.456, 12.345: 12.3, 1e15: 1e15,
}  # fmt: skip


@pytest.mark.parametrize("fixture", ["engine", "spark_engine"])
def test_numbers_keep_three_digits(fixture: str, request: pytest.FixtureRequest) -> None:
    engine = request.getfixturevalue(fixture)
    frame = engine.from_arrow(pa.table({"x": pa.array([*VALUES], pa.float64())}))
    rows = engine.rows(frame.select("x", bucket_of(Column("x", "double", "x")).alias("found")))
    assert {row["x"]: row["found"] for row in rows} == {
        value: None if bucket is None else pytest.approx(bucket) for value, bucket in VALUES.items()
    }


def test_a_shift_in_the_newest_day_is_a_warning_that_names_it(house: House) -> None:
    for number in range(1, 8):
        status = "failed" if number == 7 else "completed"
        rows = [purchase(f"{number}-{n}", status=status) for n in range(250)]
        house.deliver_purchases(f"2014-03-{number:02}", rows)
    outcome = execute(house.settings, [days(1, 7), PlannedRun("quality")])
    (warning,) = [w for w in outcome.warnings if w.check == "distributions_are_stable"]
    assert warning.description.startswith("silver_transactions 2014-03-07 status: ")
    assert not [w for w in outcome.warnings if w.check == "volume_is_usual"]
    index = {(row["partition"], row["measure"]): row["usual"] for row in house.rows(QUALITY_DRIFT)}
    assert index["2014-03-07", "status"] is False
    assert index["2014-03-06", "status"] is True
    assert index["2014-03-07", "amount"] is True
