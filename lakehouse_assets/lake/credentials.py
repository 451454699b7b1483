"""How the lake's object store is entered: one kind of credentials, secrets by variable name only.

Belongs here: the kinds of Azure credentials and their delta-rs options. Not here: where the lake
lies. A secret is read from the environment when a table is opened; configuration, run config and
events hold the variable's name and never its value.
"""

# Dagster reads the annotations of config classes at run time, so they stay real types.
import os
from typing import Annotated, Literal, TypeAlias

import dagster as dg
from pydantic import ConfigDict, Field, SecretStr

from lakehouse_assets.errors import LakehouseError


class _Credentials(dg.Config):
    # Errors do not show inputs: a secret pasted where a variable's name belongs stays hidden.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def storage_options(self) -> dict[str, str]:
        """Return the options with which delta-rs opens the store, secrets in the clear.

        Raises:
            LakehouseError: a named variable is not set.
        """
        raise NotImplementedError


class LocalCredentials(_Credentials):
    """A folder of this machine, which needs none."""

    kind: Literal["local"] = "local"

    def storage_options(self) -> dict[str, str]:
        """Return no options."""
        return {}


class AccountKeyCredentials(_Credentials):
    """The storage account's shared key.

    Attributes:
        account: Name of the storage account.
        account_key_env: Variable that holds the key.
    """

    kind: Literal["account_key"] = "account_key"
    account: str
    account_key_env: str

    def storage_options(self) -> dict[str, str]:
        """Return account and key."""
        return {
            "azure_storage_account_name": self.account,
            "azure_storage_account_key": _secret(self.account_key_env).get_secret_value(),
        }


class SasCredentials(_Credentials):
    """A shared access signature.

    Attributes:
        account: Name of the storage account.
        sas_token_env: Variable that holds the token, with or without its leading question mark.
    """

    kind: Literal["sas"] = "sas"
    account: str
    sas_token_env: str

    def storage_options(self) -> dict[str, str]:
        """Return account and token."""
        token = _secret(self.sas_token_env).get_secret_value()
        return {
            "azure_storage_account_name": self.account,
            "azure_storage_sas_token": token.removeprefix("?"),
        }


class ServicePrincipalCredentials(_Credentials):
    """An application registered in Entra ID.

    Attributes:
        account: Name of the storage account.
        tenant_id: Directory of the application.
        client_id: The application.
        client_secret_env: Variable that holds its secret.
    """

    kind: Literal["service_principal"] = "service_principal"
    account: str
    tenant_id: str
    client_id: str
    client_secret_env: str

    def storage_options(self) -> dict[str, str]:
        """Return account, application and secret."""
        return {
            "azure_storage_account_name": self.account,
            "azure_storage_tenant_id": self.tenant_id,
            "azure_storage_client_id": self.client_id,
            "azure_storage_client_secret": _secret(self.client_secret_env).get_secret_value(),
        }


class ManagedIdentityCredentials(_Credentials):
    """The identity of the machine or container this runs on.

    Attributes:
        account: Name of the storage account.
        client_id: Which identity, if the machine has several.
    """

    kind: Literal["managed_identity"] = "managed_identity"
    account: str
    client_id: str | None = None

    def storage_options(self) -> dict[str, str]:
        """Return account and identity; without other options delta-rs asks the machine."""
        chosen = {"azure_storage_client_id": self.client_id} if self.client_id else {}
        return {"azure_storage_account_name": self.account, **chosen}


class AzureCliCredentials(_Credentials):
    """Whoever is signed in with `az login`.

    Attributes:
        account: Name of the storage account.
    """

    kind: Literal["azure_cli"] = "azure_cli"
    account: str

    def storage_options(self) -> dict[str, str]:
        """Return account and the wish to ask the Azure CLI."""
        return {"azure_storage_account_name": self.account, "azure_use_azure_cli": "true"}


Credentials: TypeAlias = Annotated[
    LocalCredentials
    | AccountKeyCredentials
    | SasCredentials
    | ServicePrincipalCredentials
    | ManagedIdentityCredentials
    | AzureCliCredentials,
    Field(discriminator="kind"),
]


def _secret(variable: str) -> SecretStr:
    """Read a secret from the environment.

    Raises:
        LakehouseError: the variable is not set or empty. The message shows the name only where it
            can be one: what is no variable name may be the secret itself.
    """
    if not variable.isidentifier() or not variable.isupper():
        raise LakehouseError(
            "A field ending in _env of the lake's credentials holds no variable name; name the "
            "environment variable, such as AZURE_CLIENT_SECRET, and never the secret."
        )
    value = os.environ.get(variable, "")
    if not value:
        raise LakehouseError(
            f"The environment variable {variable}, which the lake's credentials name, is not set; "
            "set it where the run starts."
        )
    return SecretStr(value)
