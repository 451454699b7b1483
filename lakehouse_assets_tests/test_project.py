"""Where a project lies, what its settings say, and that a copy of it leaves the original alone."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import dagster as dg
import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.project import project_folder
from lakehouse_assets.settings import Settings, load_settings, unknown_variables
from lakehouse_assets.sources.connection import is_configured


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder without any setting."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("made", "home"),
    [
        ({}, "project/deep/er"),
        ({"project/.lakehouse/x": ""}, "project"),
        ({"project/.env": "LAKEHOUSE_THREADS=1"}, "project"),
        ({"project/.env": "OTHER=1", ".lakehouse/x": ""}, "."),
        ({"project/pyproject.toml": '[project]\nname = "lakehouse_assets"\n'}, "project"),
        ({"project/pyproject.toml": '[project]\nname = "other"\n'}, "project/deep/er"),
        ({"project/.lakehouse/x": "", "project/deep/er/.lakehouse/x": ""}, "project/deep/er"),
    ],
)
def test_the_project_is_found_from_within(
    folder: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, str], home: str
) -> None:
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "project/deep/er").mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder / "project/deep/er")
    assert project_folder() == folder / home
    # What everybody may write to is nobody's project, unless somebody works right there.
    (folder / home).chmod(0o777)
    assert (project_folder() == folder / home) == (home == "project/deep/er")
    monkeypatch.setenv("LAKEHOUSE_HOME", str(folder))
    assert project_folder() == folder
    monkeypatch.setenv("LAKEHOUSE_HOME", "nowhere")
    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_HOME is .*nowhere, which is not a folder"):
        load_settings()


def test_every_relative_path_and_env_lie_in_the_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text(
        "LAKEHOUSE_ROOT=lake\nLAKEHOUSE_SOURCE_SHOP=sqlite:///shop.db\n", encoding="utf-8"
    )
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    settings = load_settings()
    state = folder / ".lakehouse"
    assert (settings.landing, settings.root) == (folder / "data", folder / "lake")
    assert settings.dagster_home == state / "dagster"
    assert settings.mlflow_uri == f"sqlite:///{state}/mlflow/mlflow.db"
    assert is_configured("shop")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CAMPAIGN_TAGS", "#a,#b", "must be written as JSON"),
        ("CAMPAIGN_TAGS", "[1]", "valid string"),
        ("SPARK_OPTIONS", "a=b", "must be written as JSON"),
        ("MLFLOW_URI", "sqlite://rel.db", "two slashes, and SQLite's has three"),
        ("MLFLOW_URI", "sqlite+pysqlite://rel.db", "two slashes, and SQLite's has three"),
        ("MLFLOW_URI", "./runs", "use sqlite:///<folder>/mlflow.db"),
        ("MLFLOW_URI", "sqlite:///", "names no database file"),
        ("MLFLOW_URI", "sqlite:///a%20b/m.db", "contains %"),
        ("MLFLOW_ARTIFACTS", "a#b", "contains #"),
        ("THREADS", "many", "valid integer"),
        *(("ROOT", f"a{odd}b", "use a path without any of") for odd in "%\\?#*[]^|"),
        ("ROOT", "a\udcffb", "cannot be printed"),
        ("LANDING", "a\udcffb", "cannot be printed"),
        ("DAGSTER_HOME", "what?", "contains ?"),
        ("DAGSTER_HOME", "abfss://a@b/c", "must be a local folder"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"LAKEHOUSE_{name}", value)
    with pytest.raises(LakehouseError) as caught:
        load_settings()
    sentence = str(caught.value)
    assert sentence.startswith(f"Setting LAKEHOUSE_{name} cannot be used: ")
    assert told in sentence
    assert "\n" not in sentence


def test_a_name_that_is_nearly_a_setting_is_refused_and_others_are_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_SOURCE_SHOP_PASSWORD_FILE", "x")
    monkeypatch.setenv("LAKEHOUSE_SAS", "x")
    monkeypatch.setenv("LAKEHOUSE_IDENTITY", '{"kind": "sas", "variable": "LAKEHOUSE_SAS"}')
    monkeypatch.setenv("LAKEHOUSE_COLOUR", "x")
    assert unknown_variables() == {"LAKEHOUSE_COLOUR": None}
    (folder / ".env").write_text("LAKEHOUSE_ENGIN=spark\n", encoding="utf-8")
    with pytest.raises(
        LakehouseError, match="LAKEHOUSE_ENGIN is not a setting; LAKEHOUSE_ENGINE is"
    ):
        load_settings()


def _settings(place: Path) -> Settings:
    return Settings(
        root=place / "lake",
        mlflow_uri=f"sqlite:///{place / 'mlflow' / 'mlflow.db'}",
        dagster_home=place / "dagster",
    )


def _work(place: Path, run_name: str) -> list[str]:
    """Run an asset and record a model in a project; return the artefacts of all MLflow runs."""

    @dg.asset
    def made() -> dg.MaterializeResult[None]:
        print(run_name)  # noqa: T201 - Dagster keeps what a run prints
        return dg.MaterializeResult()

    tracking = MlflowTracking.of(_settings(place))
    with dagster_instance(_settings(place)) as instance:
        assert dg.materialize([made], instance=instance).success
        assert len(instance.get_runs()) == ["first", "second", "third"].index(run_name) + 1
    (place / "figure.txt").write_text(run_name, encoding="utf-8")
    with tracking.run(run_name, {}) as run_id:
        tracking.client().log_artifact(run_id, str(place / "figure.txt"))
    runs = tracking.client().search_runs([tracking.experiment_id()])
    return sorted(
        Path(tracking.client().download_artifacts(run.info.run_id, "figure.txt")).read_text("utf-8")
        for run in runs
    )


def _content(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def test_a_copy_works_in_its_new_place_and_leaves_the_original_alone(
    folder: Path, empty_store: Path
) -> None:
    original, copy = folder / "a" / "state", folder / "it's b" / "state"
    (original / "mlflow").mkdir(parents=True)
    shutil.copy(empty_store, original / "mlflow" / "mlflow.db")
    assert _work(original, "first") == ["first"]
    assert str(folder) not in (original / "dagster" / "dagster.yaml").read_text(encoding="utf-8")
    shutil.copytree(original, copy)
    before = _content(original)
    assert _work(copy, "second") == ["first", "second"]
    assert _content(original) == before
    # Moved, so that the first place is gone.
    moved = folder / "moved"
    copy.rename(moved)
    shutil.rmtree(original)
    assert _work(moved, "third") == ["first", "second", "third"]
