"""The churn model's life: who is scored, why, by which version, and what is never fitted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS, SILVER_CUSTOMERS
from lakehouse_assets.domains.retail.gold.churn import (
    CUSTOMER_COLUMNS,
    GOLD_CHURN_FEATURES,
    GOLD_CUSTOMER_CHURN,
)
from lakehouse_assets.domains.retail.gold.dimensions import DIM_RETAIL_CUSTOMERS
from lakehouse_assets.domains.retail.models import churn
from lakehouse_assets.domains.retail.models.churn import CHURN, CHURN_TABLE, SOURCES, ChurnSettings
from lakehouse_assets.domains.retail.models.churn_model import FEATURES, NUMBERS
from lakehouse_assets.engine import current
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.ml.decisions import aliases_of, decisions_of, versions_of
from lakehouse_assets.ml.lifecycle import ModelRun, run_model
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.quality_log import drift_of, lasting, realised_of
from lakehouse_assets.orchestration.retraining import ALARMS, ASKED_TAG
from lakehouse_assets.quality.drift import MOST_MODEL_PSI
from lakehouse_assets.quality.tables import QUALITY_DRIFT
from lakehouse_assets_tests.airline.samples import House, check
from lakehouse_assets_tests.retail.samples import deliver, quoted_csv
from lakehouse_assets_tests.retail.test_churn import Row, people

QUICK = ChurnSettings(trees=40, penalties=(0.1, 0.3), learning_rates=(0.1,))


@pytest.fixture
def tracking(empty_store: Path, tmp_path: Path) -> MlflowTracking:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return MlflowTracking(f"sqlite:///{tmp_path}/mlflow.db")


def features(rows: list[Row], month: date) -> pa.Table:
    """Return generated customers as rows of `gold_churn_features`; an empty label is null."""
    columns: dict[str, pa.Array] = {"as_of_month": pa.array([month] * len(rows))}
    for column in CUSTOMER_COLUMNS:
        given = [str(row[SOURCES[column.name]]).strip() or None for row in rows]
        if column.name in NUMBERS:
            columns[column.name] = pa.array([None if x is None else float(x) for x in given])
        elif column.name == "senior_citizen":
            columns[column.name] = pa.array([{"0": "No", "1": "Yes"}[str(x)] for x in given])
        else:
            columns[column.name] = pa.array(given, pa.string())
    return pa.table(columns)


def run(
    engine: Engine,
    tracking: MlflowTracking,
    rows: pa.Table,
    known: ModelRun | None = None,
    settings: ChurnSettings = QUICK,
) -> ModelRun:
    return run_model(
        CHURN, engine, engine.from_arrow(rows), tracking,
        partition=rows["as_of_month"][0].as_py().isoformat(), run_id="run", most_rows=10_000,
        settings=settings, changed_only=True, known=known.frame if known else None,
    )  # fmt: skip


def stored(engine: Engine, found: ModelRun) -> dict[str, Row]:
    return {row["customer_id"]: row for row in engine.rows(found.frame)}


def test_every_customer_has_a_probability_and_who_is_contacted_has_reasons(
    engine: Engine, tracking: MlflowTracking
) -> None:
    rows = people(500)
    for row in rows[:30]:
        row["Churn"] = ""
    found = run(engine, tracking, features(rows, date(2021, 9, 1)))
    scores = stored(engine, found)
    assert len(scores) == len(rows) == found.scored_now
    assert found.evidence.metrics["customers_without_label"] == 30
    threshold = QUICK.contact_cost / QUICK.loss
    words = {SOURCES[name] for name in FEATURES}
    contacted = 0
    for row in scores.values():
        assert 0 < row["churn_probability"] < 1
        assert row["model_version"] == 1
        assert row["predicted_churn"] == ("Yes" if row["churn_probability"] > threshold else "No")
        reasons = [row[f"reason_{number}"] for number in (1, 2, 3)]
        if row["predicted_churn"] == "No":
            assert reasons == [None] * 3
            continue
        contacted += 1
        given = [reason.split(" is ") for reason in reasons if reason]
        assert given
        assert len({column for column, _ in given}) == len(given)
        for column, value in given:
            assert column in words
            name = next(name for name in FEATURES if SOURCES[name] == column)
            assert value == (f"{row[name]:g}" if name in NUMBERS else row[name])
    assert contacted == found.evidence.metrics["contacted"] > 10
    assert found.version is not None
    client = tracking.client()
    (experiment,) = client.search_experiments(filter_string=f"name = '{CHURN.experiment}'")
    runs = client.search_runs([experiment.experiment_id])
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == found.version.run_id]
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert len(children) == len(runs) - 1 == len(QUICK.trials) + 2
    assert {r.data.params.get("baseline") for r in children} == {None, "logistic", "random_forest"}
    assert all("auc" in r.data.metrics for r in children)
    names = {str(r.info.run_name) for r in runs}
    assert all(f"{name} ".startswith("churn 2021-09 ") for name in names), names
    files = {file.path for file in client.list_artifacts(found.version.run_id)}
    assert files >= {"search.png", "tenure_and_spend.png", "correlations_with_churn.png",
                     "leaks.json"}  # fmt: skip
    assert set(found.evidence.figures) == {
        "search", "tenure_and_spend", "correlations_with_churn"
    }  # fmt: skip


def test_only_new_and_changed_customers_are_scored_again(
    engine: Engine, tracking: MlflowTracking
) -> None:
    rows = people(400)
    first = run(engine, tracking, features(rows, date(2021, 9, 1)))
    later = [dict(row) for row in rows]
    for row in later[:25]:
        row["UnitPrice"] = float(row["UnitPrice"]) + 10
    later += [row | {"CustomerID": f"new-{n}"} for n, row in enumerate(people(7, seed=9))]
    second = run(engine, tracking, features(later, date(2021, 10, 1)), first)
    # 400 customers do not show that the new fit is no worse, so the champion stays.
    assert second.scored_by == 1
    assert second.scored_now == 25 + 7
    before, after = stored(engine, first), stored(engine, second)
    assert len(after) == 407
    same = [key for key in before if key not in {row["CustomerID"] for row in later[:25]}]
    shown = ("churn_probability", "predicted_churn", "reason_1", "reason_2", "reason_3")
    assert all(before[key][name] == after[key][name] for key in same for name in shown)
    changed = (before.keys() & after.keys()) - set(same)
    assert all(before[k]["churn_probability"] != after[k]["churn_probability"] for k in changed)


def one_class(rows: list[Row]) -> list[Row]:
    return [row | {"Churn": "No"} for row in rows]


def leaking(rows: list[Row]) -> list[Row]:
    return [row | {"OrderStatus": {"Yes": "Cancelled", "No": "Shipped"}[row["Churn"]]}
            for row in rows]  # fmt: skip


BAD: Mapping[str, tuple[Callable[[list[Row]], list[Row]], str]] = {
    "one class": (one_class, "0 of them left. Provide at least 100, with 20 or more who left"),
    "20 rows": (lambda rows: rows[:20], "20 customers have Churn and TotalAmount"),
    "a copy of the label": (leaking, "OrderStatus alone nearly determines Churn, so it copies"),
}


@pytest.mark.parametrize("case", BAD)
def test_no_model_is_made_of_bad_customers_who_are_scored_if_there_is_one(
    engine: Engine, tracking: MlflowTracking, case: str
) -> None:
    change, said = BAD[case]
    bad = features(change(people(300)), date(2021, 9, 1))
    alone = run(engine, tracking, bad)
    assert alone.refusal is not None
    assert said in alone.refusal
    assert len(alone.refusal.splitlines()) == 1
    assert alone.version is None
    assert versions_of(tracking, CHURN.name) == []
    scores = stored(engine, alone)
    assert len(scores) == bad.num_rows
    assert {(row["churn_probability"], row["model_version"]) for row in scores.values()} == {
        (None, None)
    }
    if case == "20 rows":
        run(engine, tracking, features(people(300), date(2021, 8, 1)))
        scored = run(engine, tracking, bad)
        assert (scored.scored_by, scored.scored_now) == (1, 20)
        assert all(row["churn_probability"] for row in stored(engine, scored).values())
        assert len(versions_of(tracking, CHURN.name)) == 1


@pytest.mark.parametrize(
    "given",
    [{"folds": 1}, {"trees": 5}, {"penalties": ()}, {"depths": (2, 4)}, {"learning_rates": (0.0,)},
     {"contact_cost": 60.0}, {"loss": 0.0}],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(LakehouseError, match=f"{name}.* out of bounds") as refused:
        replace(QUICK, **given)
    assert len(str(refused.value).splitlines()) == 1


def resampled(rows: list[Row]) -> list[Row]:
    leavers = [row for row in rows if row["Churn"] == "Yes"]
    return rows + [row | {"CustomerID": f"{row['CustomerID']}-{n}"}
                   for n in (1, 2) for row in leavers]  # fmt: skip


def known_in_parts(rows: list[Row]) -> list[Row]:
    """Repeat the label in six columns, each of which is wrong for one customer in ten."""
    random = np.random.default_rng(0)
    other = {"Yes": "No", "No": "Yes"}
    names = ("Partner", "Dependents", "Discount", "OnlineDelivery", "CustomerSupport",
             "PaperlessBilling")  # fmt: skip
    return [
        row | {n: other[row["Churn"]] if random.random() < 0.1 else row["Churn"] for n in names}
        for row in rows
    ]


@pytest.mark.parametrize(
    ("change", "size", "said"),
    [(resampled, 1_500, "resampled or edited before the split"),
     (known_in_parts, 1_000, "too good to be true")],
)  # fmt: skip
def test_a_fit_that_saw_answers_is_no_champion(
    engine: Engine,
    tracking: MlflowTracking,
    change: Callable[[list[Row]], list[Row]],
    size: int,
    said: str,
) -> None:
    found = run(engine, tracking, features(change(people(size)), date(2021, 9, 1)))
    assert found.metrics["leaks"] >= 1
    assert found.decision is not None
    assert found.version is not None
    assert "churn_is_not_leaked" in found.decision.verdict
    assert aliases_of(tracking, CHURN.name) == {}
    kept = tracking.client().download_artifacts(found.version.run_id, "leaks.json")
    assert said in Path(kept).read_text(encoding="utf-8")


def test_a_search_that_was_cut_off_goes_on_where_it_was(
    engine: Engine,
    tracking: MlflowTracking,
    monkeypatch: pytest.MonkeyPatch,
    empty_store: Path,
    tmp_path: Path,
) -> None:
    rows = features(people(300), date(2021, 9, 1))
    settings = replace(QUICK, penalties=(0.03, 0.1, 0.3))
    measured: list[Any] = []
    measure = churn.measure

    def cut_off(*given: Any) -> Any:
        if given[-1].get("penalty") == 0.3:
            raise KeyboardInterrupt
        measured.append(given[-1])
        return measure(*given)

    monkeypatch.setattr(churn, "measure", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(engine, tracking, rows, settings=settings)
    monkeypatch.setattr(
        churn, "measure", lambda *given: measured.append(given[-1]) or measure(*given)
    )
    ended = [r for r in children_of(tracking) if r.info.status == "FINISHED"]
    measured.clear()
    again = run(engine, tracking, rows, settings=settings)
    # The two best trials are fitted again for their predictions, the rest of the ended ones not.
    new = [trial for trial in measured if {"penalty": 0.3}.items() <= trial.items()]
    assert new
    assert len(measured) <= len(settings.trials) - len(ended) + 2
    assert {r.info.status for r in children_of(tracking)} == {"FINISHED"}
    shutil.copy(empty_store, tmp_path / "other.db")
    fresh = MlflowTracking(f"sqlite:///{tmp_path}/other.db")
    whole = run(engine, fresh, rows, settings=settings)
    assert again.metrics == whole.metrics


def children_of(tracking: MlflowTracking) -> list[Any]:
    client = tracking.client()
    (experiment,) = client.search_experiments(filter_string=f"name = '{CHURN.experiment}'")
    runs = client.search_runs([experiment.experiment_id])
    return [run for run in runs if "mlflow.parentRunId" in run.data.tags]


def test_months_of_customers_through_dagster(house: House) -> None:
    """A month with a fit, one without, and what predictions were worth when labels came."""
    tables = (
        bronze_table(CUSTOMERS), rejects_table(CUSTOMERS), SILVER_CUSTOMERS,
        quarantine_table(CUSTOMERS), DIM_RETAIL_CUSTOMERS, GOLD_CHURN_FEATURES,
        GOLD_CUSTOMER_CHURN,
    )  # fmt: skip
    rows = people(700)
    unknown = [row | {"Churn": ""} for row in rows[:300]] + rows[300:]
    deliver(house, CUSTOMERS, "2021-09-06", "a.csv", quoted_csv(CUSTOMERS, unknown))
    deliver(house, CUSTOMERS, "2021-10-04", "a.csv", quoted_csv(CUSTOMERS, one_class(rows)))
    quick = {"trees": 40, "penalties": [0.1], "depths": [2], "learning_rates": [0.1]}
    config = {"ops": {"retail__gold_customer_churn": {"config": quick}}}

    def load(first: str, last: str) -> Any:
        result = house.materialise("retail_monthly", first, *tables, last=last, run_config=config)
        assert result.success
        return result

    result = load("2021-09-01", "2021-10-01")
    made = house.rows(GOLD_CUSTOMER_CHURN, order="as_of_month, customer_id")
    assert len(made) == 2 * len(rows) == house.count(GOLD_CHURN_FEATURES)
    assert {row["model_version"] for row in made} == {1}
    # The same customers have the same scores in a month that has no fit of its own.
    september, october = made[: len(rows)], made[len(rows) :]
    assert [r["churn_probability"] for r in september] == [r["churn_probability"] for r in october]
    fitted = check(result, GOLD_CUSTOMER_CHURN, "model_is_fitted")
    assert not fitted.passed
    assert "0 of them left" in fitted.description
    assert "Version 1 scores the rows." in fitted.description

    labels = {row["CustomerID"]: row["Churn"] for row in rows}
    known = [{**row, "churn": labels[row["customer_id"]]} for row in october]
    other = {"Yes": "No", "No": "Yes"}
    for good in (True, False):
        if good:
            house.put(GOLD_CUSTOMER_CHURN, known, date(2021, 10, 1))
        else:
            later = [row | {"Churn": other[row["Churn"]]} for row in rows]
            deliver(house, CUSTOMERS, "2021-10-04", "a.csv", quoted_csv(CUSTOMERS, later))
            load("2021-10-01", "2021-10-01")
        looked = house.materialise("quality", None, QUALITY_DRIFT)
        found = {r["measure"]: r for r in house.rows(QUALITY_DRIFT)
                 if r["measure"].startswith("realised")}  # fmt: skip
        assert found.keys() == {"realised auc", "realised ece"}
        assert {r["current_rows"] for r in found.values()} == {300}
        assert (found["realised auc"]["value"] > 0.7) == good
        kept = check(looked, QUALITY_DRIFT, "models_are_as_good_as_promised")
        assert kept.passed == found["realised auc"]["usual"] == good
        (event,) = looked.get_asset_materialization_events()
        alarms = event.materialization.metadata[ALARMS].value["churn"]
        assert ("2021-09 realised auc" in alarms) == (not good)

    # What an alarm asks for, and asks for again after a failure of the run: one decision more.
    asked = {ASKED_TAG: "after the alarm: 2021-09 realised auc"}
    for _ in range(2):
        result = house.materialise(
            "retail_monthly", "2021-10-01", GOLD_CUSTOMER_CHURN, run_config=config, tags=asked
        )
        assert result.success
    tracking = MlflowTracking(house.settings.mlflow_uri, CHURN.experiment)
    *_, before, decision = decisions_of(versions_of(tracking, CHURN.name))
    assert before.decided_by == "the rule of the model"
    assert decision.decided_by == "the rule of the model, after the alarm: 2021-09 realised auc"
    assert (decision.candidate, decision.partition) == (before.candidate, "2021-10-01")
    assert aliases_of(tracking, CHURN.name) == decision.aliases


def month_of(number: int, rows: int, moved: bool, last: bool) -> list[Row]:
    """Draw scored customers; those who moved stay longer and have higher scores.

    Every second customer has no label before the last month.
    """
    random = np.random.default_rng(number)
    labels = ("No", "Yes")
    scores = random.beta(5 if moved else 2, 4, rows)
    same = {column.name: "Unknown" for column in GOLD_CUSTOMER_CHURN.columns
            if column.type == "string" and not column.nullable}  # fmt: skip
    return [
        {
            **same,
            "as_of_month": date(2021, number + 1, 1),
            "customer_id": f"c{place}",
            "senior_citizen": "No",
            "tenure_months": int(random.integers(24 if moved else 0, 72)),
            "unit_price": int(random.integers(20, 120)),
            "store_contract": ("One year", "Month-to-month")[int(random.integers(2))],
            "churn_probability": float(scores[place]),
            "churn": labels[int(random.random() < scores[place])] if last or place % 2 else None,
        }
        for place in range(rows)
    ]  # fmt: skip


def test_drift_of_stored_scores_is_found_within_a_month_on_both_engines(
    house: House, engine: Engine, spark_engine: Engine
) -> None:
    months = [date(2021, number, 1) for number in range(1, 10)]
    for number, month in enumerate(months):
        rows = month_of(number, 600, moved=number >= 7, last=number == 8)
        house.put(GOLD_CUSTOMER_CHURN, rows, month)
    found = []
    for one in (engine, spark_engine):
        current.activate(one)
        lake = Lake(house.settings.root, one, REGISTRY)
        drifts = drift_of(lake, GOLD_CUSTOMER_CHURN, MOST_MODEL_PSI)
        found.append((drifts, realised_of(lake, CHURN_TABLE)))
    assert found[0] == found[1]
    drifts, realised = found[0]
    unusual = {(d.partition, d.measure) for d in drifts if d.usual is False}
    moved = {"tenure_months", "churn_probability"}
    assert {measure for month, measure in unusual if month < months[7]} == set()
    assert {measure for month, measure in unusual if month == months[7]} == moved
    for newest, alarms in ((months[6], set()), (months[7], moved)):
        known = [drift for drift in drifts if drift.partition <= newest]
        assert {d.measure for d in lasting(known) if d.usual is False} == alarms
    # Every second customer has a label at last.
    assert {d.current_rows for d in realised} == {300}
    assert {d.partition for d in realised} == set(months[2:8])
