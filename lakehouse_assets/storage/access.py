"""A cloud location and the identity that accesses it, as each client takes them.

Entra's identities become tokens, which delta-rs, obstore and DuckDB take alike. Spark's ABFS driver
and MLflow's Azure clients take none and get the identity itself. What the methods return holds
secrets in the clear: it goes to the client and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.faults import StoreError, explain
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation
from lakehouse_assets.storage.tokens import token_of

AUTHORITY_VARIABLE: Final = "AZURE_AUTHORITY_HOST"
# Login hosts of the clouds that are apart from the public one.
_SOVEREIGN: Final = {
    "core.usgovcloudapi.net": "login.microsoftonline.us",
    "core.chinacloudapi.cn": "login.chinacloudapi.cn",
}
_METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
_HADOOP: Final = "org.apache.hadoop.fs.azurebfs."
# The credential of azure-identity that MLflow's clients are to use.
_CREDENTIALS: Final = {
    "service_principal": "EnvironmentCredential",
    "service_principal_certificate": "EnvironmentCredential",
    "workload_identity": "WorkloadIdentityCredential",
    "managed_identity": "ManagedIdentityCredential",
    "azure_cli": "AzureCliCredential",
}


class Access:
    """A cloud location and the identity that accesses it.

    Args:
        location: Where.
        identity: The identity; `default` is resolved here.
    """

    def __init__(self, location: CloudLocation, identity: Identity) -> None:
        self.location = location
        self.identity = identity.resolved()
        # Whether clients find the host from the location's own address.
        self._is_plain = location.suffix not in _SOVEREIGN and identity.endpoint is None
        self._endpoint = identity.endpoint or f"https://{location.host}"
        given = os.environ.get(AUTHORITY_VARIABLE, "").removeprefix("https://").strip("/")
        # Login host of the location's cloud.
        self.login = given or _SOVEREIGN.get(location.suffix, "login.microsoftonline.com")

    def __repr__(self) -> str:
        return f"Access({self.location}, {self.identity.kind})"

    @property
    def address(self) -> str:
        """The address that delta-rs opens, and DuckDB."""
        if self._is_plain:
            return str(self.location)
        # Without a host, which these clients get as an option.
        folder = quote(self.location.path)
        return f"az://{self.location.container}/{folder}".rstrip("/")

    def explain(self, error: BaseException) -> StoreError | None:
        """Return the sentence for a client's error; None if it is no fault of the store."""
        return explain(error, self.location, self.identity)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise what a store refuses as a sentence; other errors pass unchanged."""
        try:
            yield
        except LakehouseError:
            raise
        except Exception as error:
            found = self.explain(error)
            if found is None:
                raise
            # The chain would repeat the client's words, in which an address may carry a signature.
            raise found from None

    def object_store(self) -> dict[str, str]:
        """Return the options for delta-rs and obstore; a token in them is not renewed.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        options = {"azure_storage_account_name": self.location.account}
        if self.location.is_onelake:
            options["azure_use_fabric_endpoint"] = "true"
        elif not self._is_plain:
            options["azure_storage_endpoint"] = self._endpoint
        if self.identity.gets_tokens:
            return options | {"azure_storage_token": token_of(self.identity, self.login).token}
        name = "account_key" if self.identity.kind == "account_key" else "sas_token"
        return options | {f"azure_storage_{name}": self.identity.secret()}

    def delta_rs(self) -> dict[str, str]:
        """Return the options for delta-rs: those of `object_store`, and the timeouts.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        return self.object_store() | timeouts.delta_rs()

    def duckdb_address(self) -> str:
        """Return the address that DuckDB attaches.

        Raises:
            LakehouseError: DuckDB cannot access the location as that identity.
        """
        if self._is_plain or not self.identity.gets_tokens:
            return self.address
        # Its two readers want the endpoint in two different forms of one and the same field.
        raise LakehouseError(
            f"The embedded engine accesses {self.location.host} by account key or shared access "
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
        if self.identity.gets_tokens:
            token = token_of(self.identity, self.login).token
            return fields | {"provider": "access_token", "access_token": token}
        if not self._is_plain:
            fields["endpoint"] = self._endpoint
        return fields | {"provider": "config", "connection_string": self._connection()}

    def _connection(self) -> str:
        """Return Azure's connection string of a key or a signature."""
        name = "AccountKey" if self.identity.kind == "account_key" else "SharedAccessSignature"
        return (
            f"AccountName={self.location.account};BlobEndpoint={self._endpoint};"
            f"{name}={self.identity.secret()}"
        )

    def spark(self) -> dict[str, str]:
        """Return the settings for Spark's ABFS driver.

        Raises:
            LakehouseError: a secret is missing, or the driver has no such identity.
        """
        host = str(self.location).partition("@")[2].partition("/")[0]
        login, identity = self.login, self.identity
        if identity.kind == "account_key" and identity.endpoint is None:
            fields = {"account.auth.type": "SharedKey", "account.key": identity.secret()}
        elif identity.kind == "sas":
            fields = {
                "account.auth.type": "SAS",
                "sas.token.provider.type": f"{_HADOOP}sas.FixedSASTokenProvider",
                "sas.fixed.token": identity.secret(),
            }
        elif identity.kind == "service_principal":
            fields = _oauth(
                "ClientCredsTokenProvider",
                {
                    "client.id": identity.value("client_id"),
                    "client.secret": identity.secret(),
                    "client.endpoint": f"https://{login}/{identity.value('tenant_id')}/oauth2/token",
                },
            )
        elif identity.kind == "workload_identity":
            fields = _oauth(
                "WorkloadIdentityTokenProvider",
                {
                    "msi.tenant": identity.value("tenant_id"),
                    "client.id": identity.value("client_id"),
                    "token.file": identity.value("token_file"),
                    "msi.authority": f"https://{login}/",
                },
            )
        elif identity.kind == "managed_identity" and not (
            identity.object_id or identity.resource_id
        ):
            chosen = {"client.id": identity.client_id} if identity.client_id else {}
            fields = _oauth(
                "MsiTokenProvider",
                {"msi.endpoint": _METADATA, "msi.authority": f"https://{login}/", **chosen},
            )
        else:
            raise LakehouseError(
                f"Spark's ABFS driver cannot access {host} by {identity.kind} as it is given; "
                "use a service principal's secret, a workload identity, a managed identity by "
                "client_id, or a shared access signature, or LAKEHOUSE_ENGINE=duckdb."
            )
        return {f"fs.azure.{name}.{host}": value for name, value in fields.items()}

    def mlflow(self) -> dict[str, str]:
        """Return the variables from which MLflow's Azure clients read their identity.

        Raises:
            LakehouseError: a secret is missing, or MLflow has no such identity.
        """
        identity = self.identity
        if not identity.gets_tokens:
            if self.location.is_onelake:
                raise LakehouseError(
                    f"MLflow cannot access OneLake by {identity.kind}; use an identity of Entra."
                )
            return {"AZURE_STORAGE_CONNECTION_STRING": self._connection()}
        if identity.object_id or identity.resource_id:
            raise LakehouseError(
                "MLflow knows a managed identity by its client id only; give client_id."
            )
        login = {AUTHORITY_VARIABLE: self.login}
        credential = {"AZURE_TOKEN_CREDENTIALS": _CREDENTIALS[identity.kind]}
        return login | credential | identity.variables()


def _oauth(provider: str, fields: dict[str, str]) -> dict[str, str]:
    return {
        "account.auth.type": "OAuth",
        "account.oauth.provider.type": f"{_HADOOP}oauth2.{provider}",
        **{f"account.oauth2.{name}": value for name, value in fields.items()},
    }


def mlflow_uri(location: CloudLocation) -> str:
    """Return the address under which MLflow keeps artefacts.

    A storage account is accessed at its blob endpoint, which needs no hierarchical namespace;
    OneLake at its DFS endpoint, since MLflow takes no blob endpoint but a storage account's.
    """
    if location.is_onelake:
        return str(location)
    path = quote(location.path)
    return f"wasbs://{location.container}@{location.host}/{path}".rstrip("/")
