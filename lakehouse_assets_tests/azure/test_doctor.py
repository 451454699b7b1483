"""`lakehouse doctor` on stores: each step, and the remedy where one fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse_assets.cli.doctor import examine
from lakehouse_assets.settings import Settings
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation, Location
from lakehouse_assets.storage.store import CloudFiles
from lakehouse_assets_tests.azure.cloud import ACCOUNT, Cloud
from lakehouse_assets_tests.azure.entra import CLIENT, TENANT


def steps(root: Location, identity: Identity, landing: Path) -> dict[str, tuple[str, str]]:
    """Return state and text of each step that was tried on the lake."""
    settings = Settings(root=root, landing=landing, identity=identity)
    return {f.check: (f.state, f.text) for f in examine(settings) if f.area == "lake"}


def test_a_store_that_is_set_up_passes_every_step(cloud, folder, principal, tmp_path) -> None:
    place = CloudLocation.adls(ACCOUNT, "lake", folder)
    found = steps(place, principal, tmp_path)
    assert [(name, state) for name, (state, _) in found.items()] == [
        ("name", "ok"), ("token", "ok"), ("list", "ok"),
        ("write", "ok"), ("read", "ok"), ("delete", "ok"),
    ]  # fmt: skip
    assert f"service_principal has access as {CLIENT}, until " in found["token"][1]
    assert CloudFiles(Access(place, principal)).list_all("") == [], "the probe is gone"


@pytest.mark.parametrize(
    ("target", "status", "code", "fails", "remedy"),
    [
        ("comp=list", 403, "AuthorizationPermissionMismatch", "list",
         "assign it the role Storage Blob Data Contributor on container lake"),
        ("comp=list", 403, "AuthorizationFailure", "list", "allow its network"),
        ("probe", 403, "AuthorizationPermissionMismatch", "write",
         "Storage Blob Data Contributor"),
        ("comp=list", 401, "InvalidAuthenticationInfo", "list", "Renew or correct it"),
    ],
)  # fmt: skip
def test_the_step_that_fails_has_a_remedy(
    cloud: Cloud, folder, principal, tmp_path, target, status, code, fails, remedy
) -> None:
    cloud.fault(target, status=status, code=code, times=-1)
    found = steps(CloudLocation.adls(ACCOUNT, "lake", folder), principal, tmp_path)
    names = list(found)
    assert found[fails][0] == "error"
    assert remedy in found[fails][1]
    assert all(found[name][0] == "ok" for name in names[: names.index(fails)])
    assert all(found[name][0] == "skipped" for name in names[names.index(fails) + 1 :])


def test_a_wrong_secret_fails_at_the_token(cloud, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WRONG_SECRET", "not-the-secret")
    identity = Identity(
        kind="service_principal",
        tenant_id=TENANT,
        client_id=CLIENT,
        secret_env="WRONG_SECRET",  # noqa: S106
    )
    found = steps(CloudLocation.adls(ACCOUNT, "lake", folder), identity, tmp_path)
    assert found["token"][0] == "error"
    assert "AADSTS7000215" in found["token"][1]
    assert "give its value, not its id" in found["token"][1]
    assert "not-the-secret" not in str(found)


def test_a_container_that_is_not_there_is_named(cloud, principal, tmp_path) -> None:
    found = steps(CloudLocation.adls(ACCOUNT, "nolake"), principal, tmp_path)
    assert found["list"][0] == "error"
    assert f"{ACCOUNT} has no container nolake" in found["list"][1]
    fabric = CloudLocation.onelake("nosuch", "air.Lakehouse", "Tables")
    found = steps(fabric, principal, tmp_path)
    assert "OneLake has no workspace nosuch" in found["list"][1]
