"""Whole pipelines in stores: the airline's through `lakehouse run`, with its models, and retail's.

The same deliveries are built in local folders; both lakes must be the same, value for value.
"""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from lakehouse_assets.catalog.datasets import dataset_named
from lakehouse_assets.domains import DATASETS
from lakehouse_assets.domains.retail.domain import RETAIL
from lakehouse_assets.ingest.landing import LandingZone
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.run import RunSummary, execute
from lakehouse_assets.settings import Settings
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.store import CloudFiles
from lakehouse_assets_tests.airline.samples import REPOSITORY, House, command
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.azure.entra import CLIENT, SECRET, TENANT
from lakehouse_assets_tests.parity.lakes import differences, empty_tables
from lakehouse_assets_tests.retail.samples import deliver

IDENTITY = f'{{"kind": "service_principal", "tenant_id": "{TENANT}", "client_id": "{CLIENT}"}}'


def land_all(source: Path, zone: LandingZone) -> int:
    """Land every delivery of a local zone in another."""
    landed = 0
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        domain, dataset, day, _name = file.relative_to(source).parts
        known = dataset_named(DATASETS, f"{domain}/{dataset}")
        landed += zone.land(known, file, date.fromisoformat(day))[1]
    return landed


def copy_of(place: CloudLocation, settings: Settings, folder: Path) -> House:
    """Copy a lake to this machine, so that it can be held against another."""
    files = CloudFiles(Access(place, settings.identity))
    entries = files.list_all("")
    with files.fetched(entries) as paths:
        for entry, path in zip(entries, paths, strict=True):
            target = folder / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    return House(settings.model_copy(update={"root": folder}))


def test_the_lake_in_a_store_is_the_lake_on_a_disk(
    cloud: Cloud,
    folder: str,
    three_months: House,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    landing = CloudLocation.adls(ACCOUNT, "landing", folder)
    root = CloudLocation.onelake("sales", f"L{folder.replace('-', '')}.Lakehouse", "Tables")
    variables = {
        "LAKEHOUSE_ROOT": str(root),
        "LAKEHOUSE_LANDING": str(landing),
        "LAKEHOUSE_IDENTITY": IDENTITY,
        "LAKEHOUSE_MLFLOW_URI": f"sqlite:///{tmp_path}/mlflow/mlflow.db",
        "LAKEHOUSE_MLFLOW_ARTIFACTS": str(CloudLocation.adls(ACCOUNT, "models", folder)),
        "LAKEHOUSE_DAGSTER_HOME": str(tmp_path / "dagster"),
        "LAKEHOUSE_MEMORY_LIMIT": "1GB",
    }
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings = Settings()
    assert settings.root == root
    zone = LandingZone(landing, settings.identity)
    local = three_months.settings.landing
    assert isinstance(local, Path)
    assert land_all(local, zone) > 0
    assert land_all(local, zone) == 0, "landing twice is landing once"
    done = command("run", variables=variables, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    copy = copy_of(root, settings, tmp_path / "copy")
    assert differences(copy, three_months) == []
    assert empty_tables(copy) == empty_tables(three_months)
    # Nothing of the lake lies on this machine, and nothing that was said holds the secret.
    assert not (tmp_path / ".lakehouse").exists()
    said = done.stdout + done.stderr
    assert SECRET not in said
    assert not re.search(r"eyJ[\w-]+\.eyJ", said), "no token was shown"
    for path in (tmp_path / "dagster").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            assert b"eyJhbGciOi" not in content, path


# Bytes and packed files; the airline's lake has models and the quality log in a store.
DELIVERED = [dataset_named(DATASETS, f"retail/{name}") for name in ("documents", "visits")]


def retail_of(house: House) -> RunSummary:
    """Build what has to do with the delivered datasets."""
    return execute(house.settings, house.planned(*DELIVERED))


def test_the_retail_lake_in_a_store_is_that_on_a_disk(
    cloud: Cloud, folder: str, house: House, principal: Identity, tmp_path: Path
) -> None:
    for known in DELIVERED:
        for file in (REPOSITORY / "data" / known.path).glob("2021-09-06/*"):
            deliver(house, known, "2021-09-06", file.name, file.read_bytes())
    assert retail_of(house).errors == []
    landing, root = (CloudLocation.adls(ACCOUNT, name, folder) for name in ("landing", "lake"))
    places = {"landing": landing, "root": root, "identity": principal}
    far = House.at(tmp_path / "far")
    far = House(far.settings.model_copy(update=places))
    local = house.settings.landing
    assert isinstance(local, Path)
    assert land_all(local, LandingZone(landing, principal)) > 0
    assert retail_of(far).errors == []
    copy = copy_of(root, far.settings, tmp_path / "copy")
    assert differences(copy, house) == []
    # Each source brought rows, and gold was built from them.
    filled = {table.name for table in RETAIL.tables} - empty_tables(copy)
    assert {"silver_documents", "silver_visits"} < filled


def test_models_are_kept_in_a_store(
    cloud: Cloud, folder: str, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_TOKEN_CREDENTIALS"):
        # What the tracking resource sets for MLflow ends with the test.
        monkeypatch.setenv(name, "")
    place = CloudLocation.adls(ACCOUNT, "models", folder)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    tracking = MlflowTracking(
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        artifact_root=str(place),
        identity=Identity(kind="service_principal", tenant_id=TENANT, client_id=CLIENT),
    )
    with tracking.run("figures", {}) as run, tracking.files(run) as given:
        (given / "figure.txt").write_text("drawn", encoding="utf-8")
    kept = CloudFiles(Access(place, tracking.identity)).list_all("")
    assert [entry.path.rpartition("/")[2] for entry in kept] == ["figure.txt"]
    fetched = tracking.client().download_artifacts(run, "figure.txt", str(tmp_path))
    assert Path(fetched).read_text(encoding="utf-8") == "drawn"
    asked = {r["flow"] for r in cloud.requests() if r["flow"]}
    assert asked == {"client_secret", "discovery"}
    assert SECRET not in repr(tracking)
