"""Each identity enters the store through each client, by the flow that is its own."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from lakehouse_assets.catalog.registry import Registry
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.delta import Lake
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation, Location
from lakehouse_assets.storage.store import CloudFiles
from lakehouse_assets_tests.azure.authority import make_client_certificate
from lakehouse_assets_tests.azure.cloud import ACCOUNT, KEY, Cloud, account_signature
from lakehouse_assets_tests.azure.entra import (
    CLIENT,
    FEDERATED_TOKEN,
    IDENTITY_CLIENT,
    METADATA_PATH,
    RESOURCE_ID,
    TENANT,
    make_token,
)
from lakehouse_assets_tests.lake.samples import DAILY, A, B, content, put, window

IDS = {"tenant_id": TENANT, "client_id": CLIENT}
GOV = "core.usgovcloudapi.net"
GUID = "0f0f0f0f-1111-4222-8333-444444444444"


@pytest.fixture
def identities(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Identity]:
    """One of each kind, with all that it needs in place."""
    certificate, federated = tmp_path / "app.pem", tmp_path / "federated"
    make_client_certificate(certificate)
    federated.write_text(FEDERATED_TOKEN, encoding="utf-8")
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "?" + account_signature())
    monkeypatch.setenv("IDENTITY_ENDPOINT", cloud.proxy + METADATA_PATH)
    monkeypatch.setenv("IDENTITY_HEADER", "of this host")
    cli = tmp_path / "bin" / "az"
    cli.parent.mkdir()
    cli.write_text(
        f"#!{sys.executable}\nimport json\n"
        f"print(json.dumps({{'accessToken': {make_token(3600)!r}, 'tokenType': 'Bearer', "
        "'expiresOn': '2100-01-01 00:00:00.000000', 'expires_on': 4102444800}))\n",
        encoding="utf-8",
    )
    cli.chmod(cli.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{cli.parent}{os.pathsep}{os.environ['PATH']}")
    return {
        "key": Identity(kind="account_key"),
        "sas": Identity(kind="sas"),
        "secret": Identity(kind="service_principal", **IDS),
        "certificate": Identity(
            kind="service_principal_certificate", **IDS, certificate_file=str(certificate)
        ),
        "workload": Identity(kind="workload_identity", **IDS, token_file=str(federated)),
        "system": Identity(kind="managed_identity"),
        "chosen": Identity(kind="managed_identity", client_id=IDENTITY_CLIENT),
        "connector": Identity(kind="managed_identity", resource_id=RESOURCE_ID),
        "cli": Identity(kind="azure_cli"),
    }


def flows(cloud: Cloud) -> set[str]:
    """Return the flows by which tokens were asked for."""
    return {r["flow"] for r in cloud.requests() if r["flow"] not in {"", "discovery"}}


def shown(cloud: Cloud) -> set[str]:
    """Return what the requests to the store showed to be let in."""
    return {r["shown"] for r in cloud.requests() if not r["flow"]}


def enter_by_every_client(place: Location, engine, identity: Identity) -> None:
    """Write by delta-rs, read by DuckDB, list and fetch by obstore."""
    lake = Lake(place, engine, Registry((DAILY,)), identity)
    put(lake, DAILY, window(1, 2), [A, B])
    assert content(lake, DAILY) == [A, B]
    files = CloudFiles(Access(place, identity))
    listed = [e.path for e in files.list_all("shop/daily")]
    assert "_delta_log/00000000000000000000.json" in listed
    first = next(e for e in files.list_all("") if e.path.endswith("0.json"))
    with files.fetched([first]) as (path,):
        assert b"protocol" in path.read_bytes()


@pytest.mark.parametrize(
    ("name", "flow"),
    [
        ("key", None), ("sas", None), ("cli", None),
        ("secret", "client_secret"), ("certificate", "client_certificate"),
        ("workload", "workload_identity"), ("system", "managed_identity"),
        ("chosen", "managed_identity by client_id"),
        ("connector", "managed_identity by resource_id"),
    ],
)  # fmt: skip
def test_an_identity_enters_by_its_own_flow(
    cloud, engine, folder, identities, monkeypatch, name, flow
):
    if identities[name].gets_tokens:
        # delta-rs also reads these: they must not turn one identity into another.
        for variable, value in {
            "AZURE_STORAGE_ACCOUNT_KEY": KEY, "AZURE_STORAGE_ACCOUNT_NAME": "another",
            "AZURE_STORAGE_ACCESS_KEY": KEY, "AZURE_STORAGE_TOKEN": "another",
        }.items():  # fmt: skip
            monkeypatch.setenv(variable, value)
    place = CloudLocation.adls(ACCOUNT, "lake", folder)
    enter_by_every_client(place, engine, identities[name])
    assert flows(cloud) == ({flow} if flow else set())
    hosts = {request["host"] for request in cloud.requests() if not request["flow"]}
    assert hosts == {f"{ACCOUNT}.blob.core.windows.net"}
    assert shown(cloud) == {name if name in {"key", "sas"} else "bearer"}


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("key", {"AZURE_STORAGE_TOKEN": "another"}),
        ("sas", {"AZURE_STORAGE_TOKEN": "another"}),
        ("sas", {"AZURE_STORAGE_ACCOUNT_KEY": KEY}),
        ("sas", {"AZURE_STORAGE_ACCESS_KEY": KEY}),
        ("sas", {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT}),
    ],
)
def test_another_identity_in_the_environment_is_not_used_instead(
    cloud, engine, folder, identities, monkeypatch, name, variables
):
    """The service principal's secret is in the environment of every test here."""
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    place = CloudLocation.adls(ACCOUNT, "lake", folder)
    with pytest.raises(LakehouseError, match=r"in the environment would be used instead; unset"):
        enter_by_every_client(place, engine, identities[name])
    assert cloud.requests() == []
    CloudFiles(Access(place, identities[name])).list_all("")
    assert flows(cloud) == set()
    assert shown(cloud) == {name}


@pytest.mark.parametrize("lakehouse", ["air.Lakehouse", GUID])
def test_onelake_is_entered_under_its_real_names(cloud, engine, folder, principal, lakehouse):
    workspace = "sales" if lakehouse.endswith("Lakehouse") else GUID
    if workspace == GUID:
        cloud.container(GUID, "onelake")
    place = CloudLocation.onelake(workspace, lakehouse, f"Tables/{folder}")
    enter_by_every_client(place, engine, principal)
    asked = [r for r in cloud.requests() if not r["flow"]]
    assert {r["host"] for r in asked} == {"onelake.blob.fabric.microsoft.com"}
    assert any(
        f"/{workspace}/{lakehouse}/Tables/{folder}/shop/daily/" in r["target"] for r in asked
    )


def test_a_sovereign_cloud_has_its_own_login_and_hosts(cloud, engine, folder, identities):
    place = CloudLocation.adls(ACCOUNT, "lake", folder, GOV)
    enter_by_every_client(place, engine, identities["sas"])
    assert {r["host"] for r in cloud.requests()} == {f"{ACCOUNT}.blob.{GOV}"}
    cloud.reset()
    with pytest.raises(LakehouseError, match="by account key or shared access signature only"):
        Lake(place, engine, Registry((DAILY,)), identities["secret"])
    # The landing zone has no such limit.
    assert CloudFiles(Access(place, identities["secret"])).list_all("shop/daily")
    assert {r["host"] for r in cloud.requests()} == {
        "login.microsoftonline.us", f"{ACCOUNT}.blob.{GOV}",
    }  # fmt: skip


def test_an_emulator_is_entered_at_its_own_address(cloud, engine, folder, identities):
    emulator = Identity(kind="account_key", endpoint=f"https://127.0.0.1:{cloud.port}/{ACCOUNT}")
    assert identities
    enter_by_every_client(CloudLocation.adls(ACCOUNT, "lake", folder), engine, emulator)
    assert cloud.requests() == [], "nothing went to a real name"


def test_the_default_enters_as_what_the_place_is_set_up_for(
    cloud, engine, folder, identities, monkeypatch
):
    for name, value in {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT}.items():
        monkeypatch.setenv(name, value)
    enter_by_every_client(
        CloudLocation.adls(ACCOUNT, "lake", folder), engine, Identity(kind="default")
    )
    assert flows(cloud) == {"client_secret"}


def test_one_token_serves_a_process(cloud, engine, folder, principal):
    for _ in range(3):
        place = CloudLocation.adls(ACCOUNT, "lake", folder)
        lake = Lake(place, engine, Registry((DAILY,)), principal)
        put(lake, DAILY, window(1, 2), [A, B])
        assert content(lake, DAILY) == [A, B]
        assert CloudFiles(Access(place, principal)).list_all("shop")
    assert [r["flow"] for r in cloud.requests() if r["flow"]] == ["discovery", "client_secret"]
