"""Tracking on real SQLite stores: what is recorded, reused, promoted, loaded and kept secret."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.decisions import promote_by_hand
from lakehouse_assets.ml.mlflow_address import redact_uri
from lakehouse_assets.ml.model_registry import (
    TrackedModel,
    find_version,
    register,
)
from lakehouse_assets.ml.tracking import DEFAULT_EXPERIMENT, MlflowTracking
from lakehouse_assets.orchestration.resources import MlflowResource
from lakehouse_assets_tests.ml.toy import POINTS, champion_of

NAME, FEATURES = "prices", ("a", "b")
TYPES = frozenset({"sklearn.linear_model._base.LinearRegression"})
SPEC = dataclasses.replace(POINTS, name=NAME, features=FEATURES, types=TYPES)
SECRET = "s3cr3t"  # noqa: S105
IDENTITY = {"partition": "2014-01", "input_digest": "d1", "config_digest": "c1"}
ROWS = np.random.default_rng(11).normal(size=(40, 2))


@pytest.fixture(scope="module")
def model() -> LinearRegression:
    return LinearRegression().fit(ROWS, ROWS.sum(axis=1))


@pytest.fixture
def tracking(empty_store, tmp_path, monkeypatch) -> MlflowTracking:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return MlflowTracking(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def _log(tracking: MlflowTracking, model: object, **identity: str) -> TrackedModel:
    tags = {**IDENTITY, **identity, "source_versions": '{"kpi_customer_value": 3}'}
    with tracking.run("fit", tags) as run_id:
        return register(tracking, run_id, SPEC, model, tags)


def _runs(tracking: MlflowTracking):
    return tracking.client().search_runs([tracking.experiment_id()])


def test_the_model_is_typed_pinned_and_registered_with_its_run(tracking, model, tmp_path):
    tracked = _log(tracking, model)
    client = tracking.client()
    version = client.get_model_version(NAME, str(tracked.model_version))
    assert tracked.model_uri == f"models:/{NAME}/1"
    assert (version.run_id, version.status) == (tracked.run_id, "READY")
    assert version.tags["source_versions"] == '{"kpi_customer_value": 3}'
    assert {key: version.tags[key] for key in IDENTITY} == IDENTITY
    assert client.get_run(tracked.run_id).outputs.model_outputs[0].model_id in version.source
    assert not list(Path.cwd().iterdir()), "MLflow used its global store"
    place = client.get_model_version_download_uri(NAME, str(tracked.model_version))
    assert place.startswith(f"{tmp_path.as_uri()}/artifacts/{DEFAULT_EXPERIMENT}/")
    folder = Path(place.removeprefix("file://"))
    described = yaml.safe_load((folder / "MLmodel").read_text())
    inputs = json.loads(described["signature"]["inputs"])
    assert [(column["name"], column["type"]) for column in inputs] == [
        (name, "double") for name in FEATURES
    ]
    assert described["flavors"]["sklearn"]["serialization_format"] == "skops"
    requirements = (folder / "requirements.txt").read_text().split()
    assert [r.partition("==")[0] for r in requirements] == [
        "mlflow", "numpy", "scikit-learn", "skops",
    ]  # fmt: skip
    assert all(r.partition("==")[2] for r in requirements)


def test_one_identity_is_one_version_and_another_is_another(tracking, model):
    changes = ({}, {}, {"partition": "2014-02"}, {"input_digest": "d2"}, {"config_digest": "c2"})
    versions = [_log(tracking, model, **change) for change in changes]
    assert [tracked.model_version for tracked in versions] == [1, 1, 1, 2, 3]
    assert [tracked.reused for tracked in versions] == [False, True, True, False, False]
    assert find_version(tracking, IDENTITY, NAME) == versions[1] == versions[2]


def test_an_identity_that_breaks_the_filter_is_refused(tracking):
    with pytest.raises(LakehouseError, match="model input_digest is \"d' or"):
        find_version(tracking, {**IDENTITY, "input_digest": "d' or 1"}, NAME)
    with pytest.raises(LakehouseError, match="model input_digest is ''"):
        find_version(tracking, {}, NAME)
    with pytest.raises(LakehouseError, match="model name is \"a' or"):
        find_version(tracking, IDENTITY, "a' or name = 'b")


def test_the_champion_scores_as_it_was_trained(tracking, model):
    for _ in range(2):
        with pytest.raises(LakehouseError, match="has no champion yet"):
            champion_of(tracking, SPEC)
        _log(tracking, model)
    promote_by_hand(tracking, NAME, 1, "me", "it is the best")
    assert np.array_equal(champion_of(tracking, SPEC).predict(ROWS), model.predict(ROWS))
    assert not list(Path.cwd().iterdir()), "MLflow used its global store"


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_a_broken_run_is_ended_and_its_error_passes(tracking, error, status):
    with (
        pytest.raises(error, match="on purpose"),
        tracking.run("outer", {}) as outer,
        tracking.run("inner", {}, outer),
    ):
        raise error("on purpose")
    assert [run.info.status for run in _runs(tracking)] == [status, status]


def test_a_model_that_cannot_be_saved_leaves_no_version_and_no_running_run(
    tracking, model, monkeypatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("mlflow.sklearn.save_model", full)
    with pytest.raises(LakehouseError, match="disk full"):
        _log(tracking, model)
    assert [run.info.status for run in _runs(tracking)] == ["FAILED"]
    monkeypatch.undo()
    assert not _log(tracking, model).reused


def test_a_store_that_breaks_while_failing_does_not_hide_the_first_error(tracking, tmp_path):
    def breaking() -> None:
        with tracking.run("x", {}):
            (tmp_path / "mlflow.db").write_bytes(b"no database any more" * 1000)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first") as caught:
        breaking()
    assert "could not be ended as FAILED" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("root", "place"), [("files", "file://{}/work/files/Mine"), ("s3://b/ml/", "s3://b/ml/Mine")]
)
def test_artefacts_go_where_told(tracking, tmp_path, root, place):
    own = MlflowTracking(tracking_uri=tracking.tracking_uri, experiment="Mine", artifact_root=root)
    location = own.client().get_experiment(own.experiment_id()).artifact_location
    assert location == place.format(tmp_path)


def test_a_deleted_experiment_is_named(tracking):
    tracking.client().delete_experiment(tracking.experiment_id())
    fresh = MlflowTracking(tracking_uri=tracking.tracking_uri)
    with pytest.raises(LakehouseError, match="Customer_Segmentation_Experiment is deleted"):
        fresh.experiment_id()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:///tmp/mlruns", "keeps runs in folders; use sqlite"),
        ("mlruns", "keeps runs in folders; use sqlite"),
        ("sqlite://", "names no database file"),
        ("sqlite:///:memory:", "names no database file"),
    ],
)
def test_addresses_that_keep_nothing_are_refused(uri, message):
    with pytest.raises(LakehouseError, match=message):
        MlflowTracking(tracking_uri=uri).client()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////data/a@b/mlflow.db", "sqlite:////data/a@b/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("databricks", "databricks"),
        (f"https://{SECRET}@host/path", "https://***@host/path"),
        (f"postgresql://me:{SECRET}@host:5432/db", "postgresql://***@host:5432/db"),
        (f"postgresql://me:a/{SECRET}@b@host/db", "postgresql://***@host/db"),
        (f"postgresql://host/db?user=me&password={SECRET}", "postgresql://host/db?***"),
        (f"postgresql://me:a?{SECRET}@host/db", "postgresql://***"),
    ],
)
def test_addresses_are_shown_without_their_secrets(uri, shown):
    assert redact_uri(uri) == shown
    for known in (MlflowTracking(tracking_uri=uri), MlflowResource(tracking_uri=uri)):
        for text in (repr(known), str(known), f"{known}"):
            assert SECRET not in text
            assert shown in text


def test_errors_and_logs_of_the_store_show_no_secret(caplog, tracking, monkeypatch):
    uri = f"https://me:{SECRET}@host/db?token={SECRET}"
    hidden = MlflowTracking(tracking_uri=uri)

    def refuse(self: object, tracking_uri: str, **_: object) -> None:
        raise ValueError(f"cannot open {tracking_uri} ({SECRET})")

    with caplog.at_level(logging.DEBUG):
        tracking.client()
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "__init__", refuse)
            with pytest.raises(LakehouseError, match="cannot open") as caught:
                hidden.client()
        monkeypatch.setattr(MlflowClient, "__init__", lambda self, uri, registry_uri: None)
        hidden.client()
    assert "MLflow tracking at https://***@host/db?***" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_resource_works_in_dagster_with_an_environment_variable(tracking, monkeypatch):
    monkeypatch.setenv("TEST_MLFLOW_URI", tracking.tracking_uri)

    @dg.asset
    def tracked(mlflow: MlflowResource) -> str:
        opened = mlflow.open()
        with opened.run("from dagster", {"a": "b"}) as run_id:
            opened.log_batch(run_id, {"p": 1}, {"m": 2.0})
        return run_id

    resource = MlflowResource(tracking_uri=dg.EnvVar("TEST_MLFLOW_URI"))
    outcome = dg.materialize([tracked], resources={"mlflow": resource})
    run = tracking.client().get_run(outcome.output_for_node("tracked"))
    assert (run.data.params, run.data.metrics) == ({"p": "1"}, {"m": 2.0})
    assert run.info.status == "FINISHED"


def test_importing_the_modules_loads_nothing_heavy():
    code = (
        "import sys\n"
        "import lakehouse_assets.ml.lifecycle, lakehouse_assets.domains\n"
        "print([m for m in ('mlflow', 'sklearn', 'matplotlib', 'pandas') if m in sys.modules])\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_newest_experiment_is_that_of_the_newest_run(tracking):
    assert tracking.newest_experiment() is None
    for name in ("Old", "New"):
        with tracking.in_experiment(name).run("a run", {}):
            pass
    assert tracking.newest_experiment() == tracking.in_experiment("New").experiment_id()
