"""Every model of the sample gives a row the same scores embedded, on Spark, and served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pyarrow as pa
import pytest
from mlflow.pyfunc.scoring_server import infer_and_parse_data as parsed

from lakehouse_assets.domains import DOMAINS
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.lifecycle import score_frame
from lakehouse_assets.ml.spec import ModelSpec, ModelTable
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.serving.export import export
from lakehouse_assets.serving.rows import Inputs, predictions
from lakehouse_assets_tests.airline.samples import SampleRun
from lakehouse_assets_tests.ml.toy import champion_of

TABLES = {model.spec.name: model for domain in DOMAINS for model in domain.models}
MOST = 2_000


def rows_of(model: ModelTable, sample: SampleRun) -> pa.Table:
    """Return features of the sample's rows, and of a row that lacks each feature in turn."""
    spec = model.spec
    lake = LakeResource.of(sample.house.settings).open()
    with lake.engine.scope():
        prepared = spec.prepare(lake.read(model.read.table)).select(*spec.features)
        rows = lake.engine.arrow_stream(prepared).read_all().slice(0, MOST).combine_chunks()
    (first, *_) = rows.to_pylist()
    lacking = [{**first, name: None} for name in spec.features]
    unknown = {name: "never seen \u0130" if name in spec.texts else first[name] for name in first}
    more = pa.Table.from_pylist([*lacking, dict.fromkeys(first), unknown], schema=rows.schema)
    whole = pa.concat_tables([rows, more]).combine_chunks()
    return whole.append_column("n", pa.array(range(whole.num_rows), pa.int64()))


def scored(engine: Engine, model: ModelTable, rows: pa.Table, champion: Any) -> pa.Table:
    """Return the scores that an engine gives rows, in their order."""
    frame = score_frame(model.spec, engine, engine.from_arrow(rows), champion)
    found = engine.arrow_stream(frame.select("n", *model.spec.scored)).read_all()
    return found.sort_by("n").combine_chunks()


@pytest.fixture(scope="module", params=sorted(TABLES))
def case(request: pytest.FixtureRequest, sample: SampleRun) -> tuple[ModelTable, pa.Table, Any]:
    """A model, rows, and its champion."""
    model = TABLES[request.param]
    tracking = MlflowTracking.of(sample.house.settings)
    return model, rows_of(model, sample), champion_of(tracking, model.spec)


def test_served_scores_are_those_of_the_embedded_engine(
    case: tuple[ModelTable, pa.Table, Any], engine: Engine
) -> None:
    model, rows, champion = case
    spec = model.spec
    batch = scored(engine, model, rows, champion).select([*spec.scored]).to_pylist()
    assert all(any(row[name] is not None for row in batch) for name in spec.scored)
    score = spec.scorer(champion)
    records = _as_sent(rows, spec)
    wanted = batch if len(spec.scored) > 1 else [value for (value,) in map(dict.values, batch)]

    def served(some: list[Any]) -> list[Any]:
        body = json.dumps({"dataframe_records": some}).encode()
        given = Inputs(spec.features, spec.texts).read(body)
        found: list[Any] = json.loads(predictions(score(given), [given.num_rows])[0])["predictions"]
        return found

    assert served(records) == wanted
    # One by one: those at the end lack something.
    for place in range(-50, 0):
        assert served([records[place]]) == [wanted[place]]


def test_an_exported_champion_gives_an_mlflow_server_the_scores_of_the_batch(
    case: tuple[ModelTable, pa.Table, Any], sample: SampleRun, engine: Engine, tmp_path: Path
) -> None:
    model, rows, champion = case
    spec = model.spec
    tracking = MlflowTracking.of(sample.house.settings)
    export(spec, tracking, tmp_path / "served")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "served"))
    # What a server makes of a request, before the model sees it.
    records = json.dumps({"dataframe_records": _as_sent(rows, spec)})
    given = parsed(json.loads(records), loaded.metadata.get_input_schema())
    found = loaded.predict(given).to_dict("list")
    batch = scored(engine, model, rows, champion)
    for name in spec.scored:
        assert _without_nan(found[name]) == batch[name].to_pylist(), name
    with pytest.raises(LakehouseError, match="served exists already"):
        export(spec, tracking, tmp_path / "served")
    file = tmp_path / "served" / "artifacts" / "files" / "model.skops"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LakehouseError, match="files are not those that were registered"):
        mlflow.pyfunc.load_model(str(tmp_path / "served"))


def _as_sent(rows: pa.Table, spec: ModelSpec) -> list[dict[str, Any]]:
    return [
        {
            name: value if name in spec.texts or value is None else float(value)
            for name, value in row.items()
            if name != "n"
        }
        for row in rows.to_pylist()
    ]


def _without_nan(values: list[Any]) -> list[Any]:
    return [None if value != value else value for value in values]


def test_scores_on_spark_are_those_of_the_embedded_engine(
    case: tuple[ModelTable, pa.Table, Any], engine: Engine, spark_engine: Engine
) -> None:
    model, rows, champion = case
    embedded = scored(engine, model, rows, champion)
    on_spark = scored(spark_engine, model, rows, champion)
    for name in model.spec.scored:
        # To the last bit: doubles are compared as they are.
        assert on_spark[name].to_pylist() == embedded[name].to_pylist(), name
