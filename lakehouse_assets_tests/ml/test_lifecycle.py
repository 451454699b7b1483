"""The life cycle of any model, shown with one that is not the project's: `toy.py`."""

from __future__ import annotations

import dataclasses
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.comparison import by_metric
from lakehouse_assets.ml.decisions import aliases_of, decisions_of, versions_of
from lakehouse_assets.ml.held_out import load_held_out
from lakehouse_assets.ml.lifecycle import ModelRun, run_model, score_frame, score_with_champion
from lakehouse_assets.ml.model_card import metric_text
from lakehouse_assets.ml.model_registry import load_version, required_champion
from lakehouse_assets.ml.sampling import feature_matrix, fetch_sample
from lakehouse_assets.ml.spec import Agreement, Gate, ModelSpec
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.model_assets import model_metadata
from lakehouse_assets.serving.champion import Champion
from lakehouse_assets_tests.airline.samples import REPOSITORY, members_of
from lakehouse_assets_tests.ml.toy import (
    FEATURES,
    POINTS,
    PointsSettings,
    champion_of,
    fit_points,
    points_scorer,
    rmse,
)


@pytest.fixture
def tracking(empty_store: Path, tmp_path: Path) -> MlflowTracking:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return MlflowTracking(f"sqlite:///{tmp_path}/mlflow.db")


@cache
def members() -> pa.Table:
    """Return the sample's members, of whom one in fifty lacks the number of flights."""
    path = REPOSITORY / "data" / "airline" / "flights" / "2014-03-31" / "flight.csv"
    rows = {
        int(row["MEMBER_NO"]): row
        for row in members_of(path)
        if row["MEMBER_NO"].isdigit() and row["Point_NotFlight"]
    }
    flights = [int(row["FLIGHT_COUNT"]) if n % 50 else None for n, row in rows.items()]
    return pa.table(
        {
            "member": pa.array(rows, pa.int64()),
            "flights": pa.array(flights, pa.int32()),
            "km": pa.array([int(row["SEG_KM_SUM"]) for row in rows.values()], pa.int64()),
            "points": [float(row["Points_Sum"]) for row in rows.values()],
        }
    )


def run(
    engine: Engine, tracking: MlflowTracking, rows: pa.Table, month: str = "2014-03", **other: Any
) -> ModelRun:
    """Take the model through its life cycle."""
    options = {
        "partition": month,
        "run_id": "run-7",
        "most_rows": 10_000,
        "domain": "club",
        **other,
    }
    spec = options.pop("spec", POINTS)
    return run_model(spec, engine, engine.from_arrow(rows), tracking, **options)


def predictions(engine: Engine, found: ModelRun) -> dict[int, float | None]:
    return {row["member"]: row["expected_points"] for row in engine.rows(found.frame)}


def unfittable(*_: object) -> Any:
    raise AssertionError("fitted again")


def test_a_model_is_fitted_tracked_promoted_and_scores_every_row(
    engine: Engine, tracking: MlflowTracking
) -> None:
    table = members()
    frame = POINTS.prepare(engine.from_arrow(table))
    before = engine.rows(score_with_champion(POINTS, engine, frame, tracking)[0])
    assert {(row["expected_points"], row["model_version"]) for row in before} == {(None, None)}
    found = run(engine, tracking, table)
    assert found.version is not None
    assert found.decision is not None
    assert (found.decision.promoted, found.decision.verdict) == (
        True,
        "champion: the first version",
    )
    client = tracking.client()
    tracked = client.get_run(found.version.run_id)
    assert (tracked.info.run_name, tracked.info.status) == ("club points 2014-03 Ridge", "FINISHED")
    assert tracked.data.params["alpha"] == "1.0"
    assert tracked.data.params["rows"] == tracked.data.params["rows_fitted"] == str(found.rows)
    assert tracked.data.metrics == {**found.metrics, "members": float(table.num_rows)}
    assert tracked.data.tags["dagster_run_id"] == "run-7"
    files = {file.path for file in client.list_artifacts(found.version.run_id)}
    assert files == {"points.png", "features.json", "held_out.parquet", "model_card.md"}
    (variant,) = client.search_runs(
        [tracked.info.experiment_id], f"tags.`mlflow.parentRunId` = '{found.version.run_id}'"
    )
    assert variant.info.run_name == "club points 2014-03 Ridge_100.0"
    assert aliases_of(tracking, "points") == {"champion": 1}
    scored = predictions(engine, found)
    assert len(scored) == table.num_rows
    whole = table.filter(table["flights"].is_valid())
    each = pc.divide(whole["km"].cast("double"), whole["flights"].cast("double"))
    inputs = pa.table([whole["flights"], whole["km"], each], names=list(FEATURES))
    expected = champion_of(tracking, POINTS).predict(feature_matrix(inputs))
    for key, value in zip(whole["member"].to_pylist(), expected, strict=True):
        assert scored[key] == pytest.approx(value)
    lacking = set(table["member"].to_pylist()) - set(whole["member"].to_pylist())
    assert {key for key, value in scored.items() if value is None} == lacking
    assert found.rows == table.num_rows - len(lacking)
    # The same rows again are neither fitted nor registered.
    backwards = table.take(list(reversed(range(table.num_rows))))
    spec = dataclasses.replace(POINTS, fit=unfittable)
    again = run(engine, tracking, backwards, spec=spec)
    assert again.version == dataclasses.replace(found.version, reused=True)
    assert again.metrics == pytest.approx(found.metrics | {"members": float(table.num_rows)})
    assert predictions(engine, again) == scored
    assert again.decision == found.decision
    assert len(client.search_model_versions("name = 'points'")) == 1
    # The champion scores rows of its own accord, unless its files were changed.
    rows, version, count = score_with_champion(POINTS, engine, frame, tracking)
    assert (version, count) == (1, table.num_rows)
    alone = engine.rows(rows)
    assert {row["member"]: row["expected_points"] for row in alone} == scored
    assert {row["model_version"] for row in alone} == {1}
    place = client.get_model_version_download_uri("points", "1")
    description = Path(place.removeprefix("file://")) / "MLmodel"
    description.write_text(description.read_text().replace("skops", "cloudpickle"))
    with pytest.raises(LakehouseError, match="Version 1 of the model points is not loaded"):
        run(engine, tracking, table)


def test_another_setting_row_rule_or_column_is_another_version_and_another_month_is_not(
    engine: Engine, tracking: MlflowTracking
) -> None:
    table, quick = members(), PointsSettings(others=())
    changes: list[dict[str, Any]] = [
        {},
        {"settings": PointsSettings(alpha=2.0, others=())},
        {"month": "2014-04"},
        {"rows": table.slice(1)},
        {"spec": dataclasses.replace(POINTS, rules="others")},
    ]
    versions = []
    for change in changes:
        found = run(engine, tracking, **{"rows": table, "settings": quick, **change})
        assert found.version is not None
        versions.append(found.version.model_version)
    assert versions == [1, 2, 1, 3, 4]


def decided(engine: Engine, tracking: MlflowTracking, *rows: Any, **other: Any) -> str:
    """Run the model, and return what the registry holds of the decision."""
    found = run(engine, tracking, *rows, **other)
    assert found.version is not None
    versions = versions_of(tracking, "points")
    made = [d for d in decisions_of(versions) if d.candidate == found.version.model_version]
    assert made[-1] == found.decision
    champion = int(required_champion(tracking, "points").version)
    assert (champion == found.version.model_version) == made[-1].promoted
    assert {row["model_version"] for row in engine.rows(found.frame)} == {made[-1].scoring}
    return made[-1].verdict


def test_one_champion_which_no_worse_and_no_earlier_fit_replaces(
    engine: Engine, tracking: MlflowTracking
) -> None:
    """The lab promoted whatever was fitted last."""
    table = members()
    assert decided(engine, tracking, table, "2014-02") == "champion: the first version"
    # So strong a penalty leaves little but the mean.
    heavy = PointsSettings(alpha=1e13, others=())
    ungated = dataclasses.replace(POINTS, gates=(), rules="ungated")
    new = dataclasses.replace(POINTS, rules="new")
    for spec, reason, challenger in (
        (POINTS, "points_are_explained (r2 is ", None),
        (ungated, "; the rule is not worse by more than 50 in rmse", 3),
    ):
        month = f"2014-03-0{challenger or 1}"
        refused = decided(engine, tracking, table, month, spec=spec, settings=heavy)
        assert refused.startswith("not the champion: ")
        assert reason in refused
        assert aliases_of(tracking, "points").get("challenger") == challenger
    for _ in range(2):
        promoted = decided(engine, tracking, table, "2014-03-31", spec=new)
        assert promoted.startswith("champion: replaces version 1: rmse differs by ")
        assert aliases_of(tracking, "points") == {"champion": 4, "previous": 1}
    corrected = decided(engine, tracking, table.slice(1), "2014-02")
    assert (
        corrected
        == "not the champion: the champion, version 4, is of the later partition 2014-03-31"
    )


def test_both_are_judged_on_rows_that_neither_was_fitted_on(
    engine: Engine, tracking: MlflowTracking
) -> None:
    table = members()
    run(engine, tracking, table.slice(100), "2014-02")
    found = run(engine, tracking, table, "2014-03").decision
    assert found is not None
    assert found.difference is not None
    assert (found.metric, found.champion) == ("rmse", 1)
    assert found.rows - found.out_of_fold_rows == 98
    assert found.changed_rows == 0
    versions = versions_of(tracking, "points")
    first, second = (load_held_out(tracking, version) for version in versions)
    assert first is not None
    assert second is not None
    known = dict(zip(first["row"].to_pylist(), first["prediction"].to_pylist(), strict=True))
    # The predictions of the first version: out of fold where it has them.
    old = load_version(tracking, POINTS, 1)
    rows = fetched(engine, table)
    scores = points_scorer(old)(rows.select(list(FEATURES)).to_batches()[0]).column(0).to_pylist()
    others = [known.get(row, score) for row, score in zip(second["row"].to_pylist(), scores,
                                                          strict=True)]  # fmt: skip
    ones, labels = np.ones(len(others)), second["label"].to_numpy()
    errors = [rmse(labels, np.array(p), ones) for p in (second["prediction"].to_numpy(), others)]
    assert found.difference.value == pytest.approx(errors[1] - errors[0])


def fetched(engine: Engine, table: pa.Table) -> pa.Table:
    """Return the rows that the model is fitted on."""
    frame = engine.checkpoint(POINTS.prepare(engine.from_arrow(table)))
    return fetch_sample(engine, frame, "member", (*FEATURES, "points"), 10_000).rows


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # The lab chose its model by a metric that no run had.
        ({"gates": (Gate("good", "areaUnderROC", 0.5, "It is good."),)},
         "needs the metric areaUnderROC, which the fit does not"),
        ({"fit": lambda *given: dataclasses.replace(fit_points(*given), held_out=None)},
         "fit of points returned no out-of-fold predictions"),
        ({"fit": lambda *given: dataclasses.replace(
            fit_points(*given), held_out=pa.table({"label": [1.0], "prediction": [1.0]}))},
         "must return label and prediction for each"),
    ],
)  # fmt: skip
def test_a_fit_that_cannot_be_judged_is_not_registered(
    engine: Engine, tracking: MlflowTracking, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(LakehouseError, match=said):
        run(engine, tracking, members(), spec=dataclasses.replace(POINTS, **change))
    assert versions_of(tracking, "points") == []


def test_a_fit_with_other_columns_waits_for_a_person(
    engine: Engine, tracking: MlflowTracking
) -> None:
    table = members()
    run(engine, tracking, table, "2014-02")
    renamed = dataclasses.replace(
        POINTS,
        scored={"points_expected": "double"},
        scorer=lambda model: (
            lambda rows: points_scorer(model)(rows).rename_columns(["points_expected"])
        ),
    )
    found = run(engine, tracking, table, "2014-03", spec=renamed)
    assert found.decision is not None
    assert "version 1 was fitted on other columns" in found.decision.verdict
    assert found.scored_by == 2
    frame = engine.from_arrow(pa.table({name: [1.0] for name in FEATURES}))
    said = "Version 1 of the model points was fitted on other columns"
    with pytest.raises(LakehouseError, match=said):
        score_with_champion(renamed, engine, frame, tracking)
    with pytest.raises(LakehouseError, match=said):
        Champion(renamed, tracking.in_experiment(renamed.experiment))


def test_a_card_says_what_a_version_is_and_is_linked_to_it(
    engine: Engine, tracking: MlflowTracking, tmp_path: Path
) -> None:
    told = dataclasses.replace(POINTS, limits=("It knows members only.",), rules={"of": "points"})
    found = run(engine, tracking, members(), spec=told, most_rows=300)
    assert found.version is not None
    client = tracking.client()
    # A sample is fitted, and all rows are scored.
    params = client.get_run(found.version.run_id).data.params
    assert (params["rows_fitted"], params["rows"]) == ("300", str(found.rows))
    assert sum(value is not None for value in predictions(engine, found).values()) == found.rows

    def card() -> str:
        version = client.get_model_version("points", "1")
        page = f"runs/{version.run_id}/artifacts/model_card.md)"
        assert version.description.startswith(
            "champion: the first version\n\n[Model card](#/experiments/"
        )
        assert version.description.endswith(page)
        path = tracking.fetch_file(str(version.run_id), "model_card.md", tmp_path)
        return path.read_text(encoding="utf-8")

    for part in (
        "# points, version 1", f"300 complete rows, a sample of {found.rows:,}, from part",
        "Predicts points from flights, km, km_per_flight.", "- It knows members only.",
        "| rmse | ", "| all | ", "| points_are_explained | passed | r2 is ", "- of: points",
        "A new version replaces the champion if it is not worse by more than 50 in rmse",
        "- alpha: 1.0",
    ):  # fmt: skip
        assert part in card().replace("\\", "")
    # A run that was killed before the card was linked writes it again.
    client.update_model_version("points", "1", "")
    run(engine, tracking, members(), spec=told, most_rows=300)
    assert "# points, version 1" in card()


def test_counts_among_metrics_have_no_decimals() -> None:
    assert [metric_text(value) for value in (600.0, 0.83274)] == ["600", "0.8327"]


def test_a_slow_model_and_one_that_disagrees_are_refused(
    engine: Engine, tracking: MlflowTracking
) -> None:
    table = members()
    slow = dataclasses.replace(POINTS, slowest=0.0, rules="slow")
    verdict = decided_by(engine, tracking, table, "2014-01", slow)
    assert "scoring_is_fast (" in verdict
    run(engine, tracking, table, "2014-02")
    close = Agreement("same", "expected_points", lambda a, b: float(np.corrcoef(a, b)[0, 1]), 2.0)
    odd = dataclasses.replace(POINTS, agreement=close, rules="odd")
    assert "same (1.0000, must be above 2)" in decided_by(engine, tracking, table, "2014-03", odd)


def decided_by(
    engine: Engine, tracking: MlflowTracking, table: pa.Table, month: str, spec: ModelSpec
) -> str:
    """Return the verdict on a fit that is not promoted."""
    found = run(engine, tracking, table, month, spec=spec).decision
    assert found is not None
    assert not found.promoted
    return found.verdict


def test_only_new_and_changed_rows_are_scored(engine: Engine, tracking: MlflowTracking) -> None:
    table = members()
    whole = run(engine, tracking, table, "2014-02", changed_only=True)
    inputs = {row["member"]: (row["flights"], row["km"]) for row in table.to_pylist()}
    assert whole.scored_now == len({*inputs.values()}) < table.num_rows
    # The same fit scores a table of which ten rows are new and twenty have flown further.
    kilometres = table["km"].to_numpy().copy()
    kilometres[:20] += 10_000
    later = table.set_column(2, "km", pa.array(kilometres))
    known = engine.from_arrow(engine.arrow_stream(whole.frame).read_all().slice(10))
    spec = dataclasses.replace(POINTS, comparison=by_metric("rmse", rmse, "expected_points"))
    found = run(
        engine, tracking, later, "2014-03", spec=spec, changed_only=True, known=known
    )  # fmt: skip
    assert found.scored_by == 1
    kept = {inputs[row["member"]] for row in engine.rows(known)}
    wanted = {(row["flights"], row["km"]) for row in later.to_pylist()}
    assert found.scored_now == len(wanted - kept) in range(20, 31)
    again = run(engine, tracking, later, "2014-03", spec=spec)
    assert predictions(engine, found) == predictions(engine, again)


def test_rows_that_cannot_be_scored_are_refused_before_anything_runs(engine: Engine) -> None:
    frame = engine.from_arrow(pa.table({"flights": [1], "km": [2], "expected_points": [1.0]}))
    with pytest.raises(
        LakehouseError,
        match="missing columns: km_per_flight; columns that it would overwrite: expected_points",
    ):
        score_frame(POINTS, engine, frame, None)


def test_the_asset_page_leads_to_mlflow_and_shows_the_figure(
    engine: Engine, tracking: MlflowTracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(engine, tracking, members())
    monkeypatch.setattr(MlflowTracking, "experiment_id", lambda _: "1")
    server = "https://me:secret@mlflow.example.org/base?x=y"
    for uri, page in (
        (tracking.tracking_uri, "run `make mlflow`, then open its page /#/"),
        (server, "https://mlflow.example.org/base/#/"),
    ):
        shown = dataclasses.replace(tracking.in_experiment("Points"), tracking_uri=uri)
        found = model_metadata(POINTS, shown, made)
        assert made.version is not None
        path = f"experiments/1/runs/{made.version.run_id}"
        assert found["mlflow_run"].value == page + path
        assert found["mlflow_model_page"].value == f"{page}models/points/versions/1"
        assert found["model_card"].value == f"{page}{path}/artifacts/model_card.md"
        assert found["champion"] is True
        assert found["decision"] == "champion: the first version"
        assert found["points"].value.startswith("![figure](data:image/png;base64,iVBOR")
        assert len(found["points"].value) < 100_000


def test_too_few_rows_are_refused_by_the_columns_that_they_lack(
    engine: Engine, tracking: MlflowTracking
) -> None:
    spec = dataclasses.replace(POINTS, fewest=lambda _settings: 30)
    flights = [None if n % 2 else 2.0 for n in range(40)]
    whole = {"member": range(40), "km": [9.0] * 40, "points": [1.0] * 40}
    lacking = pa.table({**whole, "flights": flights})
    needed = "needs at least 30 rows with all its columns, but"
    for rows, said in (
        (lacking, f"{needed} only 20 of 40 rows have them. Values are missing in these numbers of "
                  "rows: flights 20, km_per_flight 20. Deliver these values, or more rows."),
        (lacking.filter(pc.is_valid(lacking["flights"])),
         f"{needed} there are only 20. Deliver more rows."),
    ):  # fmt: skip
        found = run(engine, tracking, rows, spec=spec)
        assert found.refusal is not None
        assert found.refusal.endswith(said)
        assert found.version is None
        assert set(predictions(engine, found).values()) == {None}
