"""One location and one identity in the words of each client that enters a store.

Whatever these functions return holds secrets in the clear: it goes to the client and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.identity import (
    AUTHORITY_VARIABLE,
    ENDPOINT_VARIABLE,
    AccountKey,
    AzureCli,
    Concrete,
    ManagedIdentity,
    ServicePrincipal,
    ServicePrincipalCertificate,
    SharedAccessSignature,
    WorkloadIdentity,
)
from lakehouse_assets.storage.location import AdlsLocation, CloudLocation, OneLakeLocation

PUBLIC: Final = "core.windows.net"
_AUTHORITIES: Final = {
    PUBLIC: "login.microsoftonline.com",
    "core.usgovcloudapi.net": "login.microsoftonline.us",
    "core.chinacloudapi.cn": "login.chinacloudapi.cn",
}
_METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
_OAUTH: Final = "org.apache.hadoop.fs.azurebfs.oauth2."


def authority(location: CloudLocation, environment: Mapping[str, str]) -> str:
    """Return the login host of a location's cloud; `AZURE_AUTHORITY_HOST` goes before it."""
    told = environment.get(AUTHORITY_VARIABLE, "").removeprefix("https://").strip("/")
    suffix = location.suffix if isinstance(location, AdlsLocation) else PUBLIC
    return told or _AUTHORITIES[suffix]


def _emulator(identity: Concrete) -> str | None:
    return identity.endpoint if isinstance(identity, AccountKey) else None


def _is_plain(location: CloudLocation, identity: Concrete) -> bool:
    """Say whether object_store finds the host from the location's own address."""
    if _emulator(identity):
        return False
    return isinstance(location, OneLakeLocation) or location.suffix == PUBLIC


def _blob_endpoint(location: CloudLocation, identity: Concrete) -> str:
    return _emulator(identity) or f"https://{location.host}"


def _folder(location: CloudLocation) -> str:
    """Return the path inside the container."""
    if isinstance(location, OneLakeLocation):
        return f"{location.lakehouse}/{location.path}".strip("/")
    return location.path


def _short(location: CloudLocation) -> str:
    """Return the address without its host, for clients that are told the host apart."""
    return f"az://{location.container}/{quote(_folder(location))}".rstrip("/")


# --- delta-rs and obstore, which share the object_store library ----------------------------------


def object_store_uri(location: CloudLocation, identity: Concrete) -> str:
    """Return the address that delta-rs opens."""
    return str(location) if _is_plain(location, identity) else _short(location)


def object_store_options(
    location: CloudLocation,
    identity: Concrete,
    environment: Mapping[str, str],
    bearer_token: str | None = None,
) -> dict[str, str]:
    """Return the options with which delta-rs and obstore enter a store.

    Args:
        location: Where.
        identity: As whom.
        environment: Variables of this process, for a hosted app's identity endpoint.
        bearer_token: A token of the identity to use instead of asking for one.

    Raises:
        LakehouseError: a secret is missing, or there is no flow for the identity and no token.
    """
    options = {"azure_storage_account_name": location.account}
    if isinstance(location, OneLakeLocation):
        options["azure_use_fabric_endpoint"] = "true"
    elif not _is_plain(location, identity):
        options["azure_storage_endpoint"] = _blob_endpoint(location, identity)
    if bearer_token is not None:
        return options | {"azure_storage_token": bearer_token}
    match identity:
        case AccountKey():
            options["azure_storage_account_key"] = identity.key().get_secret_value()
        case SharedAccessSignature():
            options["azure_storage_sas_token"] = identity.token().get_secret_value()
        case ServicePrincipal():
            options |= {
                "azure_storage_tenant_id": identity.tenant(),
                "azure_storage_client_id": identity.client(),
                "azure_storage_client_secret": identity.secret().get_secret_value(),
                "azure_storage_authority_host": f"https://{authority(location, environment)}",
            }
        case ServicePrincipalCertificate():
            raise LakehouseError("object_store has no flow for certificates; give it a token.")
        case WorkloadIdentity():
            options |= {
                "azure_storage_tenant_id": identity.tenant(),
                "azure_storage_client_id": identity.client(),
                "azure_federated_token_file": str(identity.federated_token()),
                "azure_storage_authority_host": f"https://{authority(location, environment)}",
            }
        case ManagedIdentity():
            chosen = {
                "azure_storage_client_id": identity.client_id,
                "azure_object_id": identity.object_id,
                "azure_msi_resource_id": identity.resource_id,
                "azure_msi_endpoint": environment.get(ENDPOINT_VARIABLE),
            }
            options |= {name: value for name, value in chosen.items() if value}
        case AzureCli():
            options["azure_use_azure_cli"] = "true"
    return options


# --- DuckDB: its Delta reader (the log) and its Azure reader (the data) --------------------------


def duckdb_uri(location: CloudLocation, identity: Concrete) -> str:
    """Return the address that DuckDB attaches.

    Raises:
        LakehouseError: DuckDB cannot go there as that identity.
    """
    if _is_plain(location, identity):
        return str(location)
    if isinstance(identity, AccountKey | SharedAccessSignature):
        return _short(location)
    # Its two readers want the endpoint in two different forms of one and the same field.
    raise LakehouseError(
        f"The embedded engine enters {location.host} by account key or shared access signature "
        "only; use one of these for a sovereign cloud, or LAKEHOUSE_ENGINE=spark."
    )


def duckdb_secret(
    location: CloudLocation, identity: Concrete, token: str | None, proxy: str | None
) -> dict[str, str]:
    """Return the fields of the secret with which DuckDB enters a store.

    Args:
        location: Where.
        identity: As whom.
        token: A token of the identity; None where the identity carries its right with it.
        proxy: Address of a proxy, which DuckDB does not look up by itself for https.
    """
    fields = {"type": "azure", "account_name": location.account}
    if proxy:
        fields["http_proxy"] = proxy
    if token is not None:
        return fields | {"provider": "access_token", "access_token": token}
    endpoint = _blob_endpoint(location, identity)
    if not _is_plain(location, identity):
        fields["endpoint"] = endpoint
    parts = {"AccountName": location.account, "BlobEndpoint": endpoint}
    if isinstance(identity, AccountKey):
        parts["AccountKey"] = identity.key().get_secret_value()
    elif isinstance(identity, SharedAccessSignature):
        parts["SharedAccessSignature"] = identity.token().get_secret_value()
    connection = ";".join(f"{name}={value}" for name, value in parts.items())
    return fields | {"provider": "config", "connection_string": connection}


# --- Spark: the ABFS driver of hadoop-azure ------------------------------------------------------


def spark_settings(
    location: CloudLocation, identity: Concrete, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the settings with which Spark's ABFS driver enters a store.

    Raises:
        LakehouseError: the driver has no such identity.
    """
    host = str(location).partition("@")[2].partition("/")[0]
    login = authority(location, environment)
    match identity:
        case AccountKey(endpoint=None):
            fields = {
                "fs.azure.account.auth.type": "SharedKey",
                "fs.azure.account.key": identity.key().get_secret_value(),
            }
        case SharedAccessSignature():
            fields = {
                "fs.azure.account.auth.type": "SAS",
                "fs.azure.sas.token.provider.type": (
                    "org.apache.hadoop.fs.azurebfs.sas.FixedSASTokenProvider"
                ),
                "fs.azure.sas.fixed.token": identity.token().get_secret_value(),
            }
        case ServicePrincipal():
            fields = _oauth("ClientCredsTokenProvider") | {
                "fs.azure.account.oauth2.client.id": identity.client(),
                "fs.azure.account.oauth2.client.secret": identity.secret().get_secret_value(),
                "fs.azure.account.oauth2.client.endpoint": (
                    f"https://{login}/{identity.tenant()}/oauth2/token"
                ),
            }
        case WorkloadIdentity():
            fields = _oauth("WorkloadIdentityTokenProvider") | {
                "fs.azure.account.oauth2.msi.tenant": identity.tenant(),
                "fs.azure.account.oauth2.client.id": identity.client(),
                "fs.azure.account.oauth2.token.file": str(identity.federated_token()),
                "fs.azure.account.oauth2.msi.authority": f"https://{login}/",
            }
        case ManagedIdentity(object_id=None, resource_id=None):
            fields = _oauth("MsiTokenProvider") | {
                "fs.azure.account.oauth2.msi.endpoint": _METADATA,
                "fs.azure.account.oauth2.msi.authority": f"https://{login}/",
            }
            if identity.client_id:
                fields["fs.azure.account.oauth2.client.id"] = identity.client_id
        case _:
            raise LakehouseError(
                f"Spark's ABFS driver cannot enter {host} by {identity.kind} as it is given; use a "
                "service principal's secret, a workload identity, a managed identity by client_id, "
                "or a shared access signature, or LAKEHOUSE_ENGINE=duckdb."
            )
    return {f"{name}.{host}": value for name, value in fields.items()}


def _oauth(provider: str) -> dict[str, str]:
    return {
        "fs.azure.account.auth.type": "OAuth",
        "fs.azure.account.oauth.provider.type": _OAUTH + provider,
    }


# --- MLflow's artefacts, through azure-storage-blob and azure-identity ---------------------------


def mlflow_uri(location: CloudLocation) -> str:
    """Return the address under which MLflow keeps artefacts.

    A storage account is entered by its blob endpoint, which needs no hierarchical namespace;
    OneLake by its DFS endpoint, since MLflow takes no blob endpoint but a storage account's.
    """
    if isinstance(location, OneLakeLocation):
        return str(location)
    path = quote(location.path)
    return f"wasbs://{location.container}@{location.host}/{path}".rstrip("/")


def mlflow_environment(
    location: CloudLocation, identity: Concrete, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables from which MLflow's Azure clients learn who they are.

    Raises:
        LakehouseError: MLflow has no such identity there.
    """
    login = {AUTHORITY_VARIABLE: authority(location, environment)}
    match identity:
        case AccountKey() | SharedAccessSignature() if isinstance(location, OneLakeLocation):
            raise LakehouseError(
                f"MLflow cannot enter OneLake by {identity.kind}; use an identity of Entra."
            )
        case AccountKey():
            parts = {
                "AccountName": location.account,
                "AccountKey": identity.key().get_secret_value(),
                "BlobEndpoint": _blob_endpoint(location, identity),
            }
            return {"AZURE_STORAGE_CONNECTION_STRING": _connection(parts)}
        case SharedAccessSignature():
            parts = {
                "BlobEndpoint": _blob_endpoint(location, identity),
                "SharedAccessSignature": identity.token().get_secret_value(),
            }
            return {"AZURE_STORAGE_CONNECTION_STRING": _connection(parts)}
        case ServicePrincipal():
            return login | {
                "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
                "AZURE_TENANT_ID": identity.tenant(),
                "AZURE_CLIENT_ID": identity.client(),
                "AZURE_CLIENT_SECRET": identity.secret().get_secret_value(),
            }
        case ServicePrincipalCertificate():
            password = identity.password()
            return login | {
                "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
                "AZURE_TENANT_ID": identity.tenant(),
                "AZURE_CLIENT_ID": identity.client(),
                "AZURE_CLIENT_CERTIFICATE_PATH": str(identity.certificate()),
                **(
                    {"AZURE_CLIENT_CERTIFICATE_PASSWORD": password.get_secret_value()}
                    if password
                    else {}
                ),
            }
        case WorkloadIdentity():
            return login | {
                "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
                "AZURE_TENANT_ID": identity.tenant(),
                "AZURE_CLIENT_ID": identity.client(),
                "AZURE_FEDERATED_TOKEN_FILE": str(identity.federated_token()),
            }
        case ManagedIdentity(object_id=None, resource_id=None):
            chosen = {"AZURE_CLIENT_ID": identity.client_id} if identity.client_id else {}
            return {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential", **chosen}
        case ManagedIdentity():
            raise LakehouseError(
                "MLflow knows a managed identity by its client id only; give client_id."
            )
        case AzureCli():
            return {"AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"}


def _connection(parts: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())
