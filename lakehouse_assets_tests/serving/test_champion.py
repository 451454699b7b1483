"""A served champion: the scores of the batch, and another version as soon as the alias moves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.decisions import CHAMPION
from lakehouse_assets.ml.model_registry import load_version
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.serving.app import App
from lakehouse_assets.serving.champion import Champion
from lakehouse_assets.serving.tokens import Tokens
from lakehouse_assets_tests.ml.toy import FEATURES, POINTS
from lakehouse_assets_tests.serving.calls import call
from lakehouse_assets_tests.serving.conftest import members, move
from lakehouse_assets_tests.serving.processes import TOKEN


def served(champion: Champion, rows: pa.Table, at_once: int) -> list[Any]:
    """Ask an application for the scores of rows."""
    app = App(champion, Tokens(TOKEN, None))
    found: list[Any] = []
    records = rows.select(FEATURES).to_pylist()
    for start in range(0, len(records), at_once):
        body = json.dumps({"dataframe_records": records[start : start + at_once]})
        found += call(app, "/invocations", body.encode()).json["predictions"]
    return found


@pytest.mark.parametrize("at_once", [1, 700])
def test_served_scores_are_those_of_the_batch_to_the_last_bit(
    tracking: MlflowTracking, engine: Engine, at_once: int
) -> None:
    prepared = POINTS.prepare(engine.from_arrow(members(700)))
    rows = engine.arrow_stream(prepared).read_all().sort_by("member")
    scorer = POINTS.scorer(load_version(tracking, POINTS, 1))
    batches = rows.select(FEATURES).combine_chunks().to_batches(at_once)
    batch = [score for part in batches for score in scorer(part)["expected_points"].to_pylist()]
    assert served(Champion(POINTS, tracking), rows, at_once) == batch
    assert sum(score is None for score in batch) == 100


def test_another_champion_is_loaded_and_then_takes_the_place_of_the_first(
    tracking: MlflowTracking,
) -> None:
    champion = Champion(POINTS, tracking)
    rows = POINTS.features
    first = champion.loaded
    assert (first.version, champion.refresh()) == (1, None)
    move(tracking, 2)
    assert champion.refresh() == "points: now serving version 2"
    assert (champion.loaded.version, champion.state) == (2, "current")
    assert champion.loaded.digest != first.digest
    one = pa.record_batch({name: pa.array([1.0]) for name in rows})
    assert first.score(one) != champion.loaded.score(one)
    move(tracking, 1)
    assert champion.refresh() == "points: now serving version 1"


def test_a_registry_that_is_gone_leaves_the_loaded_version_serving(
    tracking: MlflowTracking,
) -> None:
    champion = Champion(POINTS, tracking)
    store = Path(tracking.tracking_uri.removeprefix("sqlite:///"))
    kept = store.read_bytes()
    store.write_bytes(b"no database" * 100)
    news = champion.refresh()
    assert news is not None
    assert news.startswith("points: still serving version 1: MLflow at sqlite:")
    assert champion.refresh() is None, "said once"
    app = App(champion, Tokens(TOKEN, None))
    assert call(app, "/ready", token=None).json == {
        "status": "ready", "version": 1, "champion": "unknown",
    }  # fmt: skip
    assert 'champion_current{model="points"} 0.0' in call(app, "/metrics").text
    assert None not in served(champion, pa.table({name: [1.0] for name in FEATURES}), 1)
    store.write_bytes(kept)
    assert champion.refresh() == "points: the registry is available again"
    assert champion.state == "current"


def test_a_champion_whose_files_were_changed_is_not_loaded(
    tracking: MlflowTracking,
) -> None:
    champion = Champion(POINTS, tracking)
    place = tracking.client().get_model_version_download_uri(POINTS.name, "2")
    file = Path(place.removeprefix("file://")) / "requirements.txt"
    kept = file.read_bytes()
    file.write_text("mlflow\n")
    move(tracking, 2)
    assert "are not those that were registered" in str(champion.refresh())
    assert (champion.loaded.version, champion.state) == (1, "refused")
    assert champion.refresh() is None
    file.write_bytes(kept)
    tracking.client().delete_registered_model_alias(POINTS.name, CHAMPION)
    assert champion.refresh() is not None
    assert champion.loaded.version == 1
    with pytest.raises(LakehouseError, match="has no champion yet; run its asset"):
        Champion(POINTS, tracking)


def test_a_version_that_gives_other_columns_or_fails_is_not_served(
    tracking: MlflowTracking,
) -> None:
    def failing(_batch: pa.RecordBatch) -> pa.RecordBatch:
        raise IndexError("row")

    def renaming(_batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"other": pa.nulls(1, pa.float64())})

    declared = dataclasses.replace(POINTS, scored={"other": "double"})
    with pytest.raises(LakehouseError, match="was fitted on other columns than the code declares"):
        Champion(declared, tracking)
    wrong = dataclasses.replace(POINTS, scorer=lambda _model: renaming)
    with pytest.raises(LakehouseError, match="the columns other instead of expected_points"):
        Champion(wrong, tracking)
    broken = dataclasses.replace(POINTS, scorer=lambda _model: failing)
    with pytest.raises(LakehouseError, match=r"cannot score a row of nulls \(IndexError\)"):
        Champion(broken, tracking)
    text = SimpleNamespace(seen=None)

    def remembering(_model: Any) -> Any:
        def score(batch: pa.RecordBatch) -> pa.RecordBatch:
            text.seen = batch.schema
            return pa.record_batch({"expected_points": pa.nulls(1, pa.float64())})

        return score

    Champion(dataclasses.replace(POINTS, texts=frozenset({"km"}), scorer=remembering), tracking)
    assert text.seen.types == [pa.float64(), pa.string(), pa.float64()]
