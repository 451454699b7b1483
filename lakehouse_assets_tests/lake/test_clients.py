"""The exact settings that Spark and MLflow get for a location and an identity.

delta-rs, obstore and DuckDB show in `azure/test_identities.py` that they get in.
"""

from __future__ import annotations

import pytest

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access, mlflow_uri
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation

ADLS = CloudLocation.adls("acc01", "lake", "a b/c")
GOV = CloudLocation.adls("acc01", "lake", "a", "core.usgovcloudapi.net")
ONELAKE = CloudLocation.onelake("Sales", "air.Lakehouse", "Tables")
HOST = "acc01.dfs.core.windows.net"
IDS = {"tenant_id": "tenant", "client_id": "client"}
EMULATOR = "http://127.0.0.1:10000/acc01"

KEY, SAS = Identity(kind="account_key", key_env="K"), Identity(kind="sas", token_env="S")  # noqa: S106
LOCAL_KEY = Identity(kind="account_key", key_env="K", endpoint=EMULATOR)
SECRET = Identity(kind="service_principal", **IDS, secret_env="P")  # noqa: S106
SYSTEM, CHOSEN = (
    Identity(kind="managed_identity"),
    Identity(kind="managed_identity", client_id="mine"),
)
CONNECTOR = Identity(kind="managed_identity", resource_id="/subscriptions/s/x")
OBJECT = Identity(kind="managed_identity", object_id="oid")
CLI = Identity(kind="azure_cli")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    for name, value in {"K": "key==", "S": "?sv=1&sig=x", "P": "pass"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def workload(tmp_path):
    path = tmp_path / "token"
    path.write_text("t", encoding="utf-8")
    return Identity(kind="workload_identity", **IDS, token_file=str(path))


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "app.pem"
    path.write_text("t", encoding="utf-8")
    return Identity(
        kind="service_principal_certificate",
        **IDS,
        certificate_file=str(path),
        password_env="P",  # noqa: S106
    )


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in ("AZURE_AUTHORITY_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("place", "told", "found"),
    [
        (ADLS, {}, "login.microsoftonline.com"),
        (GOV, {}, "login.microsoftonline.us"),
        (
            CloudLocation.adls("acc01", "lake", "", "core.chinacloudapi.cn"),
            {},
            "login.chinacloudapi.cn",
        ),
        (ONELAKE, {}, "login.microsoftonline.com"),
        (GOV, {"AZURE_AUTHORITY_HOST": "https://login.example.org/"}, "login.example.org"),
    ],
)
def test_the_login_host_follows_the_cloud(monkeypatch, place, told, found):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert Access(place, SECRET).login == found


def test_duckdb_is_told_the_proxy(monkeypatch):
    before = Access(ADLS, KEY).duckdb_secret()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:8080")
    assert Access(ADLS, KEY).duckdb_secret() == before | {"http_proxy": "http://proxy:8080"}


def test_duckdb_enters_no_sovereign_cloud_by_token():
    with pytest.raises(LakehouseError, match="by account key or shared access signature only"):
        Access(GOV, SECRET).duckdb_address()


def test_spark(workload):
    oauth = "org.apache.hadoop.fs.azurebfs.oauth2."
    expected = {
        KEY: {"auth.type": "SharedKey", "key": "key=="},
        SECRET: {
            "auth.type": "OAuth",
            "oauth.provider.type": oauth + "ClientCredsTokenProvider",
            "oauth2.client.id": "client",
            "oauth2.client.secret": "pass",
            "oauth2.client.endpoint": "https://login.microsoftonline.com/tenant/oauth2/token",
        },
        workload: {
            "auth.type": "OAuth",
            "oauth.provider.type": oauth + "WorkloadIdentityTokenProvider",
            "oauth2.msi.tenant": "tenant",
            "oauth2.client.id": "client",
            "oauth2.token.file": workload.token_file,
            "oauth2.msi.authority": "https://login.microsoftonline.com/",
        },
        SYSTEM: {
            "auth.type": "OAuth",
            "oauth.provider.type": oauth + "MsiTokenProvider",
            "oauth2.msi.endpoint": "http://169.254.169.254/metadata/identity/oauth2/token",
            "oauth2.msi.authority": "https://login.microsoftonline.com/",
        },
    }
    for identity, fields in expected.items():
        found = Access(ADLS, identity).spark()
        assert found == {f"fs.azure.account.{name}.{HOST}": v for name, v in fields.items()}
    chosen = Access(ADLS, CHOSEN).spark()
    assert chosen[f"fs.azure.account.oauth2.client.id.{HOST}"] == "mine"


def test_spark_on_onelake_and_by_signature():
    found = Access(ONELAKE, SECRET).spark()
    assert {name.partition("onelake")[2] for name in found} == {".dfs.fabric.microsoft.com"}
    assert Access(GOV, SAS).spark() == {
        "fs.azure.account.auth.type.acc01.dfs.core.usgovcloudapi.net": "SAS",
        "fs.azure.sas.token.provider.type.acc01.dfs.core.usgovcloudapi.net": (
            "org.apache.hadoop.fs.azurebfs.sas.FixedSASTokenProvider"
        ),
        "fs.azure.sas.fixed.token.acc01.dfs.core.usgovcloudapi.net": "sv=1&sig=x",
    }


@pytest.mark.parametrize("identity", [CLI, CONNECTOR, OBJECT, LOCAL_KEY])
def test_what_spark_has_no_words_for_is_told(identity):
    with pytest.raises(
        LakehouseError, match=f"does not support {identity.kind} with these fields for {HOST}"
    ):
        Access(ADLS, identity).spark()


def test_mlflow(workload, certificate):
    login = {"AZURE_AUTHORITY_HOST": "login.microsoftonline.com"}
    environment = {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
    ids = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client"}
    expected = {
        KEY: {
            "AZURE_STORAGE_CONNECTION_STRING": "AccountName=acc01;"
            "BlobEndpoint=https://acc01.blob.core.windows.net;AccountKey=key=="
        },
        SAS: {
            "AZURE_STORAGE_CONNECTION_STRING": "AccountName=acc01;"
            "BlobEndpoint=https://acc01.blob.core.windows.net;"
            "SharedAccessSignature=sv=1&sig=x"
        },
        SECRET: login | environment | ids | {"AZURE_CLIENT_SECRET": "pass"},
        certificate: login
        | environment
        | ids
        | {
            "AZURE_CLIENT_CERTIFICATE_PATH": certificate.certificate_file,
            "AZURE_CLIENT_CERTIFICATE_PASSWORD": "pass",
        },
        workload: login
        | ids
        | {
            "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
            "AZURE_FEDERATED_TOKEN_FILE": workload.token_file,
        },
        SYSTEM: login | {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"},
        CHOSEN: login
        | {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential", "AZURE_CLIENT_ID": "mine"},
        CLI: login | {"AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"},
    }  # fmt: skip
    for identity, variables in expected.items():
        assert Access(ADLS, identity).mlflow() == variables
    assert mlflow_uri(ADLS) == "wasbs://lake@acc01.blob.core.windows.net/a%20b/c"
    assert mlflow_uri(ONELAKE) == str(ONELAKE)


@pytest.mark.parametrize(
    ("place", "identity", "told"),
    [
        (ADLS, CONNECTOR, "only by its client id"),
        (ADLS, OBJECT, "only by its client id"),
        (ONELAKE, KEY, "cannot access OneLake by account_key"),
        (ONELAKE, SAS, "cannot access OneLake by sas"),
    ],
)
def test_what_mlflow_has_no_words_for_is_told(place, identity, told):
    with pytest.raises(LakehouseError, match=told):
        Access(place, identity).mlflow()
