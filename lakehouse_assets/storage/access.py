"""A cloud location and the identity that enters it, in the words of each client.

Entra's identities become tokens, which delta-rs, obstore and DuckDB take alike; Spark and MLflow
have flows of their own. What the methods return holds secrets in the clear: it goes to the client
and nowhere else.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.identity import (
    AUTHORITY_VARIABLE,
    AccountKey,
    AzureCli,
    Concrete,
    Identity,
    ManagedIdentity,
    ServicePrincipal,
    ServicePrincipalCertificate,
    SharedAccessSignature,
    WorkloadIdentity,
    resolve,
)
from lakehouse_assets.storage.location import AdlsLocation, CloudLocation, OneLakeLocation
from lakehouse_assets.storage.tokens import Token, TokenSource

_PUBLIC: Final = "core.windows.net"
_LOGINS: Final = {
    _PUBLIC: "login.microsoftonline.com",
    "core.usgovcloudapi.net": "login.microsoftonline.us",
    "core.chinacloudapi.cn": "login.chinacloudapi.cn",
}
_METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
_OAUTH: Final = "org.apache.hadoop.fs.azurebfs.oauth2."
# A process asks Entra once for all of its lakes and zones that one identity enters.
_source = lru_cache(maxsize=None)(TokenSource)


def forget_tokens() -> None:
    """Ask Entra anew from now on, for instance because an identity's secret is another now."""
    _source.cache_clear()


class Access:
    """A cloud location and as whom it is entered.

    Args:
        location: Where.
        identity: As whom; the default is resolved here.
    """

    def __init__(self, location: CloudLocation, identity: Identity) -> None:
        self.location = location
        self.identity: Concrete = resolve(identity)
        suffix = location.suffix if isinstance(location, AdlsLocation) else _PUBLIC
        emulator = identity.endpoint if isinstance(identity, AccountKey) else None
        # Whether clients find the host from the location's own address.
        self._is_plain = suffix == _PUBLIC and emulator is None
        self._endpoint = emulator or f"https://{location.host}"
        told = os.environ.get(AUTHORITY_VARIABLE, "").removeprefix("https://").strip("/")
        # Login host of the location's cloud.
        self.login = told or _LOGINS[suffix]

    def __repr__(self) -> str:
        return f"Access({self.location}, {self.identity.kind})"

    def token(self) -> Token | None:
        """Return the identity's current token; None if it carries its right with it.

        Raises:
            LakehouseError: no token is given.
        """
        if isinstance(self.identity, AccountKey | SharedAccessSignature):
            return None
        return _source(self.identity, self.login).token()

    @property
    def address(self) -> str:
        """The address that delta-rs opens, and DuckDB."""
        if self._is_plain:
            return str(self.location)
        # Without a host, which these clients are told apart.
        folder = quote(self.location.folder)
        return f"az://{self.location.container}/{folder}".rstrip("/")

    def object_store(self) -> dict[str, str]:
        """Return the options for delta-rs and obstore; a token in them is not renewed.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        options = {"azure_storage_account_name": self.location.account}
        if isinstance(self.location, OneLakeLocation):
            options["azure_use_fabric_endpoint"] = "true"
        elif not self._is_plain:
            options["azure_storage_endpoint"] = self._endpoint
        if isinstance(self.identity, AccountKey):
            options["azure_storage_account_key"] = self.identity.key().get_secret_value()
        elif isinstance(self.identity, SharedAccessSignature):
            options["azure_storage_sas_token"] = self.identity.token().get_secret_value()
        elif token := self.token():
            options["azure_storage_token"] = token.value
        return options

    def delta_rs(self) -> dict[str, str]:
        """Return the options for delta-rs: those of `object_store`, and the limits of time.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        return self.object_store() | timeouts.delta_rs()

    def duckdb_address(self) -> str:
        """Return the address that DuckDB attaches.

        Raises:
            LakehouseError: DuckDB cannot go there as that identity.
        """
        if self._is_plain or isinstance(self.identity, AccountKey | SharedAccessSignature):
            return self.address
        # Its two readers want the endpoint in two different forms of one and the same field.
        raise LakehouseError(
            f"The embedded engine enters {self.location.host} by account key or shared access "
            "signature only; use one of these for a sovereign cloud, or LAKEHOUSE_ENGINE=spark."
        )

    def duckdb_secret(self) -> dict[str, str]:
        """Return the fields of DuckDB's secret; a token in it is not renewed.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        fields = {"type": "azure", "account_name": self.location.account}
        # DuckDB does not look up a proxy for https by itself.
        if proxy := os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
            fields["http_proxy"] = proxy
        if token := self.token():
            return fields | {"provider": "access_token", "access_token": token.value}
        if not self._is_plain:
            fields["endpoint"] = self._endpoint
        return fields | {"provider": "config", "connection_string": self._connection()}

    def _connection(self) -> str:
        """Return Azure's connection string of a key or a signature."""
        parts = {"AccountName": self.location.account, "BlobEndpoint": self._endpoint}
        if isinstance(self.identity, AccountKey):
            parts["AccountKey"] = self.identity.key().get_secret_value()
        elif isinstance(self.identity, SharedAccessSignature):
            parts["SharedAccessSignature"] = self.identity.token().get_secret_value()
        return ";".join(f"{name}={value}" for name, value in parts.items())

    def spark(self) -> dict[str, str]:
        """Return the settings for Spark's ABFS driver.

        Raises:
            LakehouseError: a secret is missing, or the driver has no such identity.
        """
        host = str(self.location).partition("@")[2].partition("/")[0]
        login, identity = self.login, self.identity
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
                    f"Spark's ABFS driver cannot enter {host} by {identity.kind} as it is given; "
                    "use a service principal's secret, a workload identity, a managed identity by "
                    "client_id, or a shared access signature, or LAKEHOUSE_ENGINE=duckdb."
                )
        return {f"{name}.{host}": value for name, value in fields.items()}

    def mlflow(self) -> dict[str, str]:
        """Return the variables from which MLflow's Azure clients learn who they are.

        Raises:
            LakehouseError: a secret is missing, or MLflow has no such identity.
        """
        login, identity = {AUTHORITY_VARIABLE: self.login}, self.identity
        match identity:
            case AccountKey() | SharedAccessSignature():
                if isinstance(self.location, OneLakeLocation):
                    raise LakehouseError(
                        f"MLflow cannot enter OneLake by {identity.kind}; use an identity of Entra."
                    )
                return {"AZURE_STORAGE_CONNECTION_STRING": self._connection()}
            case ServicePrincipal():
                return login | {
                    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
                    "AZURE_TENANT_ID": identity.tenant(),
                    "AZURE_CLIENT_ID": identity.client(),
                    "AZURE_CLIENT_SECRET": identity.secret().get_secret_value(),
                }
            case ServicePrincipalCertificate():
                found = login | {
                    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
                    "AZURE_TENANT_ID": identity.tenant(),
                    "AZURE_CLIENT_ID": identity.client(),
                    "AZURE_CLIENT_CERTIFICATE_PATH": str(identity.certificate()),
                }
                if password := identity.password():
                    found["AZURE_CLIENT_CERTIFICATE_PASSWORD"] = password.get_secret_value()
                return found
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


def _oauth(provider: str) -> dict[str, str]:
    return {
        "fs.azure.account.auth.type": "OAuth",
        "fs.azure.account.oauth.provider.type": _OAUTH + provider,
    }


def mlflow_uri(location: CloudLocation) -> str:
    """Return the address under which MLflow keeps artefacts.

    A storage account is entered by its blob endpoint, which needs no hierarchical namespace;
    OneLake by its DFS endpoint, since MLflow takes no blob endpoint but a storage account's.
    """
    if isinstance(location, OneLakeLocation):
        return str(location)
    path = quote(location.path)
    return f"wasbs://{location.container}@{location.host}/{path}".rstrip("/")
