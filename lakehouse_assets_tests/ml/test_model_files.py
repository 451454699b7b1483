"""Models whose files were changed are refused in one sentence, and nothing of them runs."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np
import pytest
import skops.io
import yaml
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from lakehouse_assets.domains.airline.models.kmeans import ClusteringConfig, fit_clusters
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.decisions import promote_by_hand
from lakehouse_assets.ml.model_files import digest_of_files
from lakehouse_assets.ml.model_registry import (
    FILES_DIGEST_TAG,
    TrackedModel,
    export_champion,
    find_version,
    register,
)
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets_tests.ml.toy import champion_of

NAMES = ("a", "b")
NAME, SPEC = SEGMENTS.name, dataclasses.replace(SEGMENTS, features=NAMES)


def registered(tracking: MlflowTracking, model: Any, identity: dict[str, str]) -> TrackedModel:
    with tracking.run("fit", {}) as run_id:
        return register(tracking, run_id, SPEC, model, identity)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> SimpleNamespace:
    """A store with two versions, of which the second is the champion."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(empty_store, folder / "mlflow.db")
    tracking = MlflowTracking(f"sqlite:///{folder}/mlflow.db")
    rows = np.random.default_rng(1).normal(size=(60, 2)) + np.repeat([[0], [9], [20]], 20, axis=0)
    folders = []
    for k in (2, 3):
        fitted = fit_clusters(rows, ClusteringConfig(k=k, n_init=1, sweep=()), NAMES)
        identity = {"partition": str(k), "input_digest": f"i{k}", "config_digest": "c"}
        made = registered(tracking, fitted.pipeline, identity)
        promote_by_hand(tracking, NAME, made.model_version, "test", "a test")
        place = tracking.client().get_model_version_download_uri(NAME, str(made.model_version))
        folders.append(Path(place.removeprefix("file://")))
    return SimpleNamespace(
        tracking=tracking, rows=rows, labels=fitted.labels, other=folders[0], folder=folders[1]
    )


@pytest.fixture
def files(store: SimpleNamespace, tmp_path: Path) -> Any:
    """The champion's folder, which is as it was again after the test."""
    shutil.copytree(store.folder, tmp_path / "kept")
    yield store.folder
    shutil.rmtree(store.folder)
    shutil.copytree(tmp_path / "kept", store.folder)
    record(store)


def record(store: SimpleNamespace) -> None:
    """Give the registry the digest of the files as they are, as who can write both would."""
    tag = digest_of_files(store.folder)
    client = store.tracking.client()
    client.set_model_version_tag(NAME, "2", FILES_DIGEST_TAG, tag)


class Bomb:
    """An object that leaves a mark when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def description(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change the flavours of an MLmodel, and put code where they may point."""

    def tamper(folder: Path) -> None:
        found = yaml.safe_load((folder / "MLmodel").read_text())
        change(found["flavors"])
        (folder / "MLmodel").write_text(yaml.safe_dump(found))

    return tamper


def archive(change: Callable[[dict[str, bytes]], None], packing: int = 0) -> Callable[[Path], None]:
    """Change the members of a skops file."""

    def tamper(folder: Path) -> None:
        path = folder / "model.skops"
        with zipfile.ZipFile(path) as before:
            members = {name: before.read(name) for name in before.namelist()}
        change(members)
        with zipfile.ZipFile(path, "w", packing) as after:
            for name, content in members.items():
                after.writestr(name, content)

    return tamper


def node(**fields: Any) -> Callable[[Path], None]:
    """Change the outermost object that a skops file makes."""

    def change(members: dict[str, bytes]) -> None:
        schema = {**json.loads(members["schema.json"]), **fields}
        members["schema.json"] = json.dumps(schema).encode()

    return archive(change)


def wide_array(members: dict[str, bytes]) -> None:
    """Let the header of an array promise a terabyte."""
    for name in members:
        if name.endswith(".npy"):
            header = io.BytesIO()
            shape = {"descr": "<f8", "fortran_order": False, "shape": (2**37,)}
            np.lib.format.write_array_header_1_0(header, shape)
            members[name] = header.getvalue()


def cloudpickled(folder: Path) -> None:
    (folder / "model.skops").write_bytes(cloudpickle.dumps(Bomb()))
    description(lambda f: f["sklearn"].update(serialization_format="cloudpickle"))(folder)


def linked(folder: Path) -> None:
    (folder / "requirements.txt").unlink()
    (folder / "requirements.txt").symlink_to("/dev/zero")


def nested(members: dict[str, bytes]) -> None:
    members["schema.json"] = b'{"protocol": 2, "content": ' + b"[" * 100_000


TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "cloudpickle": (cloudpickled, "sklearn.serialization_format = 'cloudpickle'"),
    "loader module": (
        description(lambda f: f["python_function"].update(loader_module="evil")),
        "python_function.loader_module = 'evil'",
    ),
    "code folder": (
        description(lambda f: f["python_function"].update(code="code")),
        "python_function.code = 'code'",
    ),
    "path": (
        description(lambda f: f["sklearn"].update(pickled_model="../../model.pkl")),
        r"sklearn.pickled_model = '\.\./\.\./model.pkl'",
    ),
    "trusted types": (
        description(lambda f: f["sklearn"].update(skops_trusted_types=["os.mkdir"])),
        r"skops_trusted_types = \['os.mkdir'\]",
    ),
    "another flavour": (description(lambda f: f.update(keras={})), "the flavours .*keras"),
    "added pickle": (
        lambda folder: (folder / "model.pkl").write_bytes(pickle.dumps(Bomb())) and None,
        "holds model.pkl",
    ),
    "added folder": (lambda folder: (folder / "code").mkdir(), "holds code"),
    "link": (linked, "holds requirements.txt"),
    "missing file": (lambda folder: (folder / "conda.yaml").unlink(), "missing .*: conda.yaml"),
    "another type": (
        lambda folder: skops.io.dump(
            Pipeline([("scaler", LinearRegression()), ("kmeans", KMeans())]),
            folder / "model.skops",
        ),
        "sklearn.linear_model._base.LinearRegression",
    ),
    "function": (node(__module__="os", __class__="mkdir"), "holds os.mkdir"),
    "loader of skops": (node(__loader__="ReduceNode"), "Pipeline .ReduceNode."),
    "old protocol": (node(protocol=0), "skops protocol 0"),
    "zip bomb": (
        archive(lambda m: m.update(x=bytes(10**7)), zipfile.ZIP_DEFLATED), "unpack to 10,0"
    ),
    "wide array": (archive(wide_array), r"array of shape \(137438953472,\)"),
    "nesting": (archive(nested), "cannot be read .(RecursionError|JSONDecodeError)"),
    "no zip": (lambda f: (f / "model.skops").write_bytes(b"no zip") and None, "BadZipFile"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_files_are_refused_though_the_registry_agrees(
    store: SimpleNamespace, files: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tamper, reason = TAMPERED[kind]
    before = digest_of_files(files)
    tamper(files)
    if kind not in {"link", "added folder"}:
        assert digest_of_files(files) != before
        record(store)
    with pytest.raises(LakehouseError, match=rf"Version 2 of the model .*{reason}") as refused:
        champion_of(store.tracking, SPEC)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["cloudpickle", "trusted types", "link", "missing file"])
def test_changed_files_are_refused_by_their_digest(
    store: SimpleNamespace, files: Path, kind: str
) -> None:
    TAMPERED[kind][0](files)
    with pytest.raises(LakehouseError, match=r"not those that were registered|holds|missing"):
        champion_of(store.tracking, SPEC)


def test_files_of_another_version_are_refused(store: SimpleNamespace, files: Path) -> None:
    for name in ("MLmodel", "model.skops"):
        shutil.copy(store.other / name, files / name)
    with pytest.raises(LakehouseError, match="are not those that were registered"):
        champion_of(store.tracking, SPEC)


def test_a_version_without_a_digest_is_refused_and_not_found_again(store: SimpleNamespace) -> None:
    client = store.tracking.client()
    identity = {"partition": "3", "input_digest": "i3", "config_digest": "c"}
    client.delete_model_version_tag(NAME, "2", FILES_DIGEST_TAG)
    try:
        with pytest.raises(LakehouseError, match=r"no tag files_digest .* Run its asset again"):
            champion_of(store.tracking, SPEC)
        assert find_version(store.tracking, identity, NAME) is None
    finally:
        record(store)
    assert find_version(store.tracking, identity, NAME) is not None


def test_what_a_model_may_be_made_of_is_checked_when_it_is_saved(store: SimpleNamespace) -> None:
    identity = {"partition": "1", "input_digest": "i", "config_digest": "other"}
    model = LinearRegression().fit([[1, 2]], [1])
    with pytest.raises(LakehouseError, match=r"LinearRegression .ObjectNode., which is not listed"):
        registered(store.tracking, model, identity)


def test_an_exported_champion_has_the_files_that_were_registered(
    store: SimpleNamespace, files: Path, tmp_path: Path
) -> None:
    exported = export_champion(store.tracking, SPEC, tmp_path / "served")
    assert exported.model_version == 2
    assert digest_of_files(tmp_path / "served") == digest_of_files(store.folder)
    cloudpickled(files)
    with pytest.raises(LakehouseError, match="are not those that were registered"):
        export_champion(store.tracking, SPEC, tmp_path / "other")
    assert not (tmp_path / "other").exists()
