"""Settings with which each client accesses a cloud location as an identity.

For an Entra identity, delta-rs, obstore and DuckDB get a token. Spark's ABFS driver and MLflow's
Azure clients accept no tokens and get the identity itself. The returned settings contain secrets in
plain text: pass them to the client and nowhere else.
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
# Login hosts of the sovereign clouds.
_SOVEREIGN: Final = {
    "core.usgovcloudapi.net": "login.microsoftonline.us",
    "core.chinacloudapi.cn": "login.chinacloudapi.cn",
}
# Groups of variables that delta-rs, if all of a group are set, uses instead of a key or a signature
# that it was given.
_TOKEN: Final = (("AZURE_STORAGE_TOKEN",),)
_PREFERRED: Final = {
    "account_key": _TOKEN,
    "sas": (
        *_TOKEN,
        ("AZURE_STORAGE_ACCOUNT_KEY",),
        ("AZURE_STORAGE_ACCESS_KEY",),
        ("AZURE_STORAGE_MASTER_KEY",),
        ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
        ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
    ),
}  # fmt: skip
_METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
_HADOOP: Final = "org.apache.hadoop.fs.azurebfs."
# The azure-identity credential for MLflow's clients.
_CREDENTIALS: Final = {
    "service_principal": "EnvironmentCredential",
    "service_principal_certificate": "EnvironmentCredential",
    "workload_identity": "WorkloadIdentityCredential",
    "managed_identity": "ManagedIdentityCredential",
    "azure_cli": "AzureCliCredential",
}


class Access:
    """A cloud location and the identity that accesses it; a `default` identity is resolved."""

    def __init__(self, location: CloudLocation, identity: Identity) -> None:
        self.location = location
        self.identity = identity.resolved()
        # Whether clients derive the host from the location's address.
        self._is_plain = location.suffix not in _SOVEREIGN and identity.endpoint is None
        self._endpoint = identity.endpoint or f"https://{location.host}"
        given = os.environ.get(AUTHORITY_VARIABLE, "").removeprefix("https://").strip("/")
        # Login host of the location's cloud.
        self.login = given or _SOVEREIGN.get(location.suffix, "login.microsoftonline.com")

    def __repr__(self) -> str:
        return f"Access({self.location}, {self.identity.kind})"

    @property
    def address(self) -> str:
        """The address for delta-rs and DuckDB."""
        if self._is_plain:
            return str(self.location)
        # No host: these clients get it as an option.
        folder = quote(self.location.path)
        return f"az://{self.location.container}/{folder}".rstrip("/")

    def explain(self, error: BaseException) -> StoreError | None:
        """Return the error to raise for a client's error; None if it is not about the store."""
        return explain(error, self.location, self.identity)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn a client's error about the store into a `StoreError`; others pass unchanged."""
        try:
            yield
        except LakehouseError:
            raise
        except Exception as error:
            found = self.explain(error)
            if found is None:
                raise
            # The chained error would repeat the client's message, whose URL may carry a signature.
            raise found from None

    def object_store(self) -> dict[str, str]:
        """Return the options for delta-rs and obstore; a token in them is not renewed.

        Raises:
            LakehouseError: a secret is missing, or Entra gives no token.
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
            LakehouseError: a secret is missing, Entra gives no token, or the environment holds
                another identity that delta-rs would use instead.
        """
        for group in _PREFERRED.get(self.identity.kind, ()):
            if all(map(os.environ.get, group)):
                raise LakehouseError(
                    f"{self.location.host} is to be accessed by {self.identity.kind}, but "
                    f"{' and '.join(group)} in the environment would be used instead; unset "
                    f"{group[-1]}, or choose that identity."
                )
        return self.object_store() | timeouts.delta_rs()

    def duckdb_address(self) -> str:
        """Return the address that DuckDB attaches.

        Raises:
            LakehouseError: DuckDB cannot access the location as that identity.
        """
        if self._is_plain or not self.identity.gets_tokens:
            return self.address
        # DuckDB's two readers expect the endpoint in different forms in the same field.
        raise LakehouseError(
            f"The embedded engine accesses {self.location.host} by account key or shared access "
            "signature only; use one of these for a sovereign cloud, or LAKEHOUSE_ENGINE=spark."
        )

    def duckdb_secret(self) -> dict[str, str]:
        """Return the fields of DuckDB's secret; a token in it is not renewed.

        Raises:
            LakehouseError: a secret is missing, or Entra gives no token.
        """
        fields = {"type": "azure", "account_name": self.location.account}
        # DuckDB does not read the HTTPS proxy from the environment.
        if proxy := os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
            fields["http_proxy"] = proxy
        if self.identity.gets_tokens:
            token = token_of(self.identity, self.login).token
            return fields | {"provider": "access_token", "access_token": token}
        if not self._is_plain:
            fields["endpoint"] = self._endpoint
        return fields | {"provider": "config", "connection_string": self._connection()}

    def _connection(self) -> str:
        """Return Azure's connection string for an account key or a signature."""
        name = "AccountKey" if self.identity.kind == "account_key" else "SharedAccessSignature"
        return (
            f"AccountName={self.location.account};BlobEndpoint={self._endpoint};"
            f"{name}={self.identity.secret()}"
        )

    def spark(self) -> dict[str, str]:
        """Return the settings for Spark's ABFS driver.

        Raises:
            LakehouseError: a secret is missing, or the driver does not support the identity.
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
                f"Spark's ABFS driver does not support {identity.kind} with these fields for "
                f"{host}; use a service principal's secret, a workload identity, a managed "
                "identity by client_id, or a shared access signature, or LAKEHOUSE_ENGINE=duckdb."
            )
        return {f"fs.azure.{name}.{host}": value for name, value in fields.items()}

    def mlflow(self) -> dict[str, str]:
        """Return the variables from which MLflow's Azure clients read their identity.

        Raises:
            LakehouseError: a secret is missing, or MLflow does not support the identity.
        """
        identity = self.identity
        if not identity.gets_tokens:
            if self.location.is_onelake:
                raise LakehouseError(
                    f"MLflow cannot access OneLake by {identity.kind}; use an Entra identity."
                )
            return {"AZURE_STORAGE_CONNECTION_STRING": self._connection()}
        if identity.object_id or identity.resource_id:
            raise LakehouseError(
                "MLflow supports a managed identity only by its client id; set client_id."
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
    """Return the address at which MLflow stores artefacts.

    A storage account is accessed at its blob endpoint, which needs no hierarchical namespace;
    OneLake at its DFS endpoint, since MLflow supports only storage accounts' blob endpoints.
    """
    if location.is_onelake:
        return str(location)
    path = quote(location.path)
    return f"wasbs://{location.container}@{location.host}/{path}".rstrip("/")
