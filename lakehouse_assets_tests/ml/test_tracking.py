"""Tracking on real SQLite stores: what is recorded, reused, promoted, loaded and kept secret."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from mlflow import MlflowClient

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import recording
from lakehouse_assets.ml.clustering import SEGMENT_FEATURES, ClusteringConfig, fit_clusters
from lakehouse_assets.ml.mlflow_address import redact_uri
from lakehouse_assets.ml.model_files import score
from lakehouse_assets.ml.model_registry import (
    DEFAULT_MODEL_NAME,
    find_version,
    load_champion,
    promote_version,
    register,
)
from lakehouse_assets.ml.personas import PERSONAS
from lakehouse_assets.ml.recording import log_segmentation, segmentation_tags
from lakehouse_assets.ml.tracking import DEFAULT_EXPERIMENT, MlflowTracking
from lakehouse_assets.orchestration.mlflow_resource import MlflowResource

CONFIG = ClusteringConfig(n_init=2, sweep=(4, 5))
PROFILE = [{"segment": 1, "customer_count": 399}, {"segment": None, "customer_count": 1}]
SECRET = "s3cr3t"  # noqa: S105
IDENTITY = {"partition": "2014-01", "input_digest": "d1", "config_digest": "c1"}


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    rng = np.random.default_rng(11)
    groups = rng.integers(5, size=400)
    return rng.normal(size=(400, 10)) + groups[:, None] * np.arange(1, 11)


@pytest.fixture(scope="module")
def result(features):
    return fit_clusters(features, CONFIG)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """A store with tables only: making them takes a second, copying them does not."""
    path = tmp_path_factory.mktemp("template") / "deep" / "down" / "mlflow.db"
    MlflowTracking(tracking_uri=f"sqlite:///{path}").client()
    return path


@pytest.fixture
def tracking(empty_store, tmp_path, monkeypatch) -> MlflowTracking:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return MlflowTracking(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


def _figure() -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    return figure


def _log(tracking, result, partition="2014-01", digest="d1", config=CONFIG):
    return log_segmentation(
        tracking, result, config, PROFILE, _figure(),
        {"dagster_run_id": "run-7", "source_versions": '{"kpi_customer_value": 3}'},
        partition, digest, SEGMENT_FEATURES,
    )  # fmt: skip


def _runs(tracking: MlflowTracking):
    return tracking.client().search_runs([tracking.experiment_id()])


def test_a_segmentation_is_recorded_with_its_sweep_files_and_model(tracking, result, tmp_path):
    tracked = _log(tracking, result)
    client = tracking.client()
    run = client.get_run(tracked.run_id)
    assert (run.info.run_name, run.info.status) == ("KMeans_5_Clusters", "FINISHED")
    assert client.get_experiment(run.info.experiment_id).name == DEFAULT_EXPERIMENT
    assert run.data.params == {
        "n_clusters": "5", "algorithm": "KMeans (lloyd)", "random_state": "42", "n_init": "2",
        "max_iter": "300", "features": ",".join(SEGMENT_FEATURES),
        "silhouette_sample_rows": "400", "trained_by": "scikit-learn on all rows",
    }  # fmt: skip
    metrics = run.data.metrics
    assert metrics["inertia"] == result.inertia
    assert metrics["silhouette_squared_euclidean"] == result.silhouette_squared_euclidean
    assert metrics["silhouette_euclidean"] == result.silhouette_euclidean
    sizes = [metrics[f"size_cluster_{cluster}"] for cluster in range(5)]
    assert sizes == list(result.sizes)
    assert sum(sizes) == metrics["rows"] == 400
    assert {name for name in metrics if "segment" in name} == {"size_segment_1"}
    assert metrics["size_segment_1"] == 399
    assert run.data.tags["dagster_run_id"] == "run-7"

    files = {file.path for file in client.list_artifacts(tracked.run_id)}
    assert files == {"segment_analysis.png", "centres.json", "personas.json"}
    centres, personas = (
        json.loads(Path(client.download_artifacts(tracked.run_id, name, str(tmp_path))).read_text())
        for name in ("centres.json", "personas.json")
    )
    assert [entry["size"] for entry in centres] == list(result.sizes)
    assert centres[0]["centre"]["age"] == result.centres[0, 0]
    assert [(p["name"], p["rule"]) for p in personas] == [(p.name, p.rule) for p in PERSONAS]

    children = [r for r in _runs(tracking) if r.info.run_id != tracked.run_id]
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {tracked.run_id}
    assert {r.info.status for r in children} == {"FINISHED"}
    found = {
        (int(r.data.params["n_clusters"]), r.data.metrics["inertia"],
         r.data.metrics["silhouette_squared_euclidean"], r.data.metrics["silhouette_euclidean"])
        for r in children
    }  # fmt: skip
    assert found == {
        (p.k, p.inertia, p.silhouette_squared_euclidean, p.silhouette_euclidean)
        for p in result.sweep
    }

    version = client.get_model_version(DEFAULT_MODEL_NAME, str(tracked.model_version))
    assert tracked.model_uri == f"models:/{DEFAULT_MODEL_NAME}/1"
    assert (version.run_id, version.status) == (tracked.run_id, "READY")
    assert version.tags["source_versions"] == '{"kpi_customer_value": 3}'
    identity = segmentation_tags("2014-01", "d1", CONFIG, SEGMENT_FEATURES)
    assert {key: version.tags[key] for key in identity} == identity
    assert client.get_run(tracked.run_id).outputs.model_outputs[0].model_id in version.source
    assert not list(Path.cwd().iterdir()), "MLflow used its global store"


def test_the_model_is_typed_pinned_and_safe_to_load(tracking, result, features, tmp_path):
    tracked = _log(tracking, result)
    place = tracking.client().get_model_version_download_uri(
        DEFAULT_MODEL_NAME, str(tracked.model_version)
    )
    assert place.startswith(f"{tmp_path.as_uri()}/artifacts/{DEFAULT_EXPERIMENT}/")
    folder = Path(place.removeprefix("file://"))
    model = yaml.safe_load((folder / "MLmodel").read_text())
    inputs = json.loads(model["signature"]["inputs"])
    assert [(column["name"], column["type"]) for column in inputs] == [
        (name, "double") for name in SEGMENT_FEATURES
    ]
    assert model["flavors"]["sklearn"]["serialization_format"] == "skops"
    requirements = (folder / "requirements.txt").read_text().split()
    assert [r.partition("==")[0] for r in requirements] == [
        "mlflow", "numpy", "scikit-learn", "skops",
    ]  # fmt: skip
    assert all(r.partition("==")[2] for r in requirements)

    served = mlflow.pyfunc.load_model(str(folder))
    table = pd.DataFrame(features, columns=list(SEGMENT_FEATURES))
    answer = served.predict(table[list(reversed(SEGMENT_FEATURES))])
    assert np.array_equal(np.asarray(answer), result.labels)


def test_the_same_input_and_settings_are_reused_without_a_run(tracking, result):
    first = _log(tracking, result)
    before = len(_runs(tracking))
    again = _log(tracking, result)
    assert again.reused
    assert not first.reused
    assert (again.run_id, again.model_version) == (first.run_id, first.model_version)
    assert len(_runs(tracking)) == before


def test_another_partition_input_or_setting_is_another_version(tracking, result):
    versions = [
        _log(tracking, result),
        _log(tracking, result, partition="2014-02"),
        _log(tracking, result, digest="d2"),
        _log(tracking, result, config=ClusteringConfig(n_init=3, sweep=(4, 5))),
    ]
    assert [tracked.model_version for tracked in versions] == [1, 2, 3, 4]
    assert not any(tracked.reused for tracked in versions)


def test_what_trained_and_the_rule_of_names_are_part_of_the_identity(monkeypatch):
    def digest(*trained_by: str) -> str:
        tags = segmentation_tags("2014-01", "d1", CONFIG, SEGMENT_FEATURES, *trained_by)
        return tags["config_digest"]

    found = {digest(), digest("Spark ML on all rows")}
    monkeypatch.setattr(recording, "PERSONAS", PERSONAS[:4])
    assert len({*found, digest()}) == 3


def test_registering_twice_under_one_identity_writes_one_version(tracking, result):
    with tracking.run("a", {}) as run_id:
        first = register(tracking, run_id, result.pipeline, SEGMENT_FEATURES, IDENTITY, "other")
        second = register(tracking, run_id, result.pipeline, SEGMENT_FEATURES, IDENTITY, "other")
    assert first.model_uri == second.model_uri == "models:/other/1"
    assert (first.reused, second.reused) == (False, True)


def test_an_identity_that_breaks_the_filter_is_refused(tracking):
    with pytest.raises(LakehouseError, match="model input_digest is \"d' or"):
        find_version(tracking, {**IDENTITY, "input_digest": "d' or 1"})
    with pytest.raises(LakehouseError, match="model partition is ''"):
        find_version(tracking, {})
    with pytest.raises(LakehouseError, match="model name is \"a' or"):
        find_version(tracking, IDENTITY, "a' or name = 'b")


def test_the_champion_never_goes_back_in_time(tracking, result):
    january, march = (
        _log(tracking, result, partition=month).model_version for month in ("2014-01", "2014-03")
    )
    assert promote_version(tracking, january, "2014-01")
    assert promote_version(tracking, march, "2014-03")
    assert not promote_version(tracking, january, "2014-01")
    assert load_champion(tracking).model_version == march
    newer = _log(tracking, result, partition="2014-03", digest="corrected").model_version
    assert promote_version(tracking, newer, "2014-03")
    assert load_champion(tracking).model_version == newer


def test_a_champion_of_unknown_partition_is_left_alone(tracking, result):
    version = _log(tracking, result).model_version
    promote_version(tracking, version, "2014-01")
    tracking.client().delete_model_version_tag(DEFAULT_MODEL_NAME, str(version), "partition")
    with pytest.raises(LakehouseError, match="version 1, has no tag partition"):
        promote_version(tracking, version, "2014-01")


def test_the_champion_scores_as_it_was_trained(tracking, result, features):
    promote_version(tracking, _log(tracking, result).model_version, "2014-01")
    champion = load_champion(tracking)
    assert np.array_equal(score(champion.pipeline, features), result.labels)
    assert np.array_equal(score(result.pipeline, features), result.labels)
    assert champion.partition == "2014-01"
    assert not list(Path.cwd().iterdir()), "MLflow used its global store"
    for rows in (features[:, :9], np.full((2, 10), np.nan)):
        with pytest.raises(LakehouseError, match="rows of 10 finite values"):
            score(champion.pipeline, rows)


def test_without_a_usable_champion_there_is_a_plain_message(tracking, result):
    with pytest.raises(LakehouseError, match="has no champion yet"):
        load_champion(tracking)
    _log(tracking, result)
    with pytest.raises(LakehouseError, match="has no champion yet"):
        load_champion(tracking)


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


def test_a_segmentation_that_fails_half_way_leaves_no_version_and_no_running_run(
    tracking, result, monkeypatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("mlflow.sklearn.save_model", full)
    with pytest.raises(LakehouseError, match="disk full"):
        _log(tracking, result)
    statuses = {run.info.run_name: run.info.status for run in _runs(tracking)}
    assert statuses["KMeans_5_Clusters"] == "FAILED"
    assert "RUNNING" not in statuses.values()
    monkeypatch.undo()
    assert not _log(tracking, result).reused


def test_an_interrupt_signal_leaves_the_run_killed(tracking):
    def interrupted() -> None:
        with tracking.run("long", {}):
            signal.raise_signal(signal.SIGINT)

    # A shell starts background jobs with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert [run.info.status for run in _runs(tracking)] == ["KILLED"]


def test_a_store_that_breaks_while_failing_does_not_hide_the_first_error(tracking, tmp_path):
    def breaking() -> None:
        with tracking.run("x", {}):
            (tmp_path / "mlflow.db").write_bytes(b"no database any more" * 1000)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first") as caught:
        breaking()
    assert "could not be ended as FAILED" in caught.value.__notes__[0]


def test_a_new_store_makes_its_folder(empty_store):
    assert empty_store.exists()


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
    uri = f"nosuchdatabase+driver://me:{SECRET}@host/db?token={SECRET}"
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
    assert "MLflow tracking at nosuchdatabase+driver://***@host/db?***" in caplog.text
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
        "import lakehouse_assets.ml.tracking, lakehouse_assets.ml.clustering\n"
        "import lakehouse_assets.ml.personas, lakehouse_assets.ml.figures\n"
        "import lakehouse_assets.ml.model_registry, lakehouse_assets.ml.recording\n"
        "print([m for m in ('mlflow', 'sklearn', 'matplotlib', 'pandas') if m in sys.modules])\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
