"""The identities with which Azure's stores are accessed, as one setting.

A secret is read from its variable or mounted file when a store is entered. Configuration, run
config and events hold the name of the variable or file, never what is in it.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lakehouse_assets.errors import LakehouseError

# What Azure's own tools read, so that a machine set up for them needs no settings of ours.
TENANT_VARIABLE = "AZURE_TENANT_ID"
CLIENT_VARIABLE = "AZURE_CLIENT_ID"
AUTHORITY_VARIABLE = "AZURE_AUTHORITY_HOST"
FEDERATED_VARIABLE = "AZURE_FEDERATED_TOKEN_FILE"
CERTIFICATE_VARIABLE = "AZURE_CLIENT_CERTIFICATE_PATH"
ENDPOINT_VARIABLE = "IDENTITY_ENDPOINT"

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class _Identity(BaseModel):
    # Errors do not show inputs: a secret pasted where a variable's name belongs stays hidden.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AccountKey(_Identity):
    """The storage account's shared key; for emulators, since it opens everything to everyone.

    Attributes:
        key_env: Variable that holds the key.
        key_file: Mounted file that holds it; goes before the variable.
        endpoint: Blob endpoint of an emulator, such as `http://127.0.0.1:10000/devstoreaccount1`.
    """

    kind: Literal["account_key"] = "account_key"
    key_env: str = "AZURE_STORAGE_KEY"
    key_file: str | None = None
    endpoint: str | None = None

    def key(self) -> SecretStr:
        """Read the key.

        Raises:
            LakehouseError: it is not where it is said to be.
        """
        return _secret(self.key_env, self.key_file)


class SharedAccessSignature(_Identity):
    """A shared access signature of the container or the account.

    Attributes:
        token_env: Variable that holds the token, with or without its leading question mark.
        token_file: Mounted file that holds it; goes before the variable.
    """

    kind: Literal["sas"] = "sas"
    token_env: str = "AZURE_STORAGE_SAS_TOKEN"  # noqa: S105 - a name
    token_file: str | None = None

    def token(self) -> SecretStr:
        """Read the token.

        Raises:
            LakehouseError: it is not where it is said to be.
        """
        found = _secret(self.token_env, self.token_file).get_secret_value()
        return SecretStr(found.removeprefix("?"))


class _Application(_Identity):
    """An application registered in Entra ID.

    Attributes:
        tenant_id: Its directory; else the variable `AZURE_TENANT_ID`.
        client_id: The application; else the variable `AZURE_CLIENT_ID`.
    """

    tenant_id: str | None = None
    client_id: str | None = None

    def tenant(self) -> str:
        """Return the directory.

        Raises:
            LakehouseError: it is set nowhere.
        """
        return self.tenant_id or _named(TENANT_VARIABLE, "tenant_id")

    def client(self) -> str:
        """Return the application.

        Raises:
            LakehouseError: it is set nowhere.
        """
        return self.client_id or _named(CLIENT_VARIABLE, "client_id")


class ServicePrincipal(_Application):
    """An application that proves itself by a secret.

    Attributes:
        secret_env: Variable that holds the secret.
        secret_file: Mounted file that holds it; goes before the variable.
    """

    kind: Literal["service_principal"] = "service_principal"
    secret_env: str = "AZURE_CLIENT_SECRET"  # noqa: S105 - a name
    secret_file: str | None = None

    def secret(self) -> SecretStr:
        """Read the secret.

        Raises:
            LakehouseError: it is not where it is said to be.
        """
        return _secret(self.secret_env, self.secret_file)


class ServicePrincipalCertificate(_Application):
    """An application that proves itself by a certificate.

    Attributes:
        certificate_file: PEM file with key and certificate, or a PFX file; else the variable
            `AZURE_CLIENT_CERTIFICATE_PATH`.
        password_env: Variable that holds the file's password, if it has one.
    """

    kind: Literal["service_principal_certificate"] = "service_principal_certificate"
    certificate_file: str | None = None
    password_env: str | None = None

    def certificate(self) -> Path:
        """Return the file with key and certificate.

        Raises:
            LakehouseError: none is set, or the file does not exist.
        """
        path = Path(self.certificate_file or _named(CERTIFICATE_VARIABLE, "certificate_file"))
        if not path.is_file():
            raise LakehouseError(
                f"The identity's certificate {path} does not exist; mount it there."
            )
        return path

    def password(self) -> SecretStr | None:
        """Read the file's password; None if none is named."""
        return _secret(self.password_env, None) if self.password_env else None


class ManagedIdentity(_Identity):
    """The identity of the machine, container or Access Connector that this runs on.

    Attributes:
        client_id: Which of the machine's identities; at most one of the three is given, and none
            for the system-assigned one.
        object_id: The same by its object id.
        resource_id: The same by its resource id.
    """

    kind: Literal["managed_identity"] = "managed_identity"
    client_id: str | None = None
    object_id: str | None = None
    resource_id: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "ManagedIdentity":
        if (
            sum(value is not None for value in (self.client_id, self.object_id, self.resource_id))
            > 1
        ):
            raise ValueError("name one of client_id, object_id and resource_id")
        return self


class WorkloadIdentity(_Application):
    """An application that proves itself by a token of the cluster or CI that this runs in.

    Attributes:
        token_file: File that holds the current token; else the variable
            `AZURE_FEDERATED_TOKEN_FILE`.
    """

    kind: Literal["workload_identity"] = "workload_identity"
    token_file: str | None = None

    def federated_token(self) -> Path:
        """Return the file with the current token.

        Raises:
            LakehouseError: none is set, or the file does not exist.
        """
        path = Path(self.token_file or _named(FEDERATED_VARIABLE, "token_file"))
        if not path.is_file():
            raise LakehouseError(
                f"The identity's token file {path} does not exist; label the pod for workload "
                "identity, or mount the token there."
            )
        return path


class AzureCli(_Identity):
    """Whoever is signed in with `az login`."""

    kind: Literal["azure_cli"] = "azure_cli"


class DefaultIdentity(_Identity):
    """The first identity that this place is set up for; `resolve` says which."""

    kind: Literal["default"] = "default"


Concrete: TypeAlias = (
    AccountKey
    | SharedAccessSignature
    | ServicePrincipal
    | ServicePrincipalCertificate
    | ManagedIdentity
    | WorkloadIdentity
    | AzureCli
)
Identity: TypeAlias = Annotated[
    AccountKey
    | SharedAccessSignature
    | ServicePrincipal
    | ServicePrincipalCertificate
    | ManagedIdentity
    | WorkloadIdentity
    | AzureCli
    | DefaultIdentity,
    Field(discriminator="kind"),
]


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        TypeAdapter(Identity).validate_python(fields)
    except ValidationError as error:
        # The error itself repeats what was given, which may be a secret.
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        reason = "its kind is none" if first["type"].startswith("union_tag") else first["msg"]
        raise ValueError(f"the identity cannot be used: {name} {reason}".strip()) from None
    return fields


IdentityFields: TypeAlias = Annotated[dict[str, Any], AfterValidator(_checked)]
"""An identity as the configuration of Dagster's resources holds it: its fields, with its kind."""


def fields_of(identity: Identity) -> dict[str, Any]:
    """Return the fields of an identity, for a resource's configuration."""
    return identity.model_dump(exclude_none=True)


def identity_of(fields: dict[str, Any]) -> Identity:
    """Return the identity that a resource's configuration holds."""
    found: Identity = TypeAdapter(Identity).validate_python(fields)
    return found


# Identities for which Entra issues tokens; the others carry their right with them.
EntraIdentity: TypeAlias = (
    ServicePrincipal | ServicePrincipalCertificate | ManagedIdentity | WorkloadIdentity | AzureCli
)


def resolve(identity: Identity) -> Concrete:
    """Return the identity itself, or the one that the default stands for here.

    The default looks at the environment and at nothing else: a workload identity's token, a service
    principal's secret or certificate, the identity endpoint of a hosted app, a signed-in Azure CLI,
    and else the machine's managed identity. It never tries one after the other, so that it is the
    same identity each time and its failures are its own.
    """
    if not isinstance(identity, DefaultIdentity):
        return identity
    given = os.environ
    application = bool(given.get(CLIENT_VARIABLE) and given.get(TENANT_VARIABLE))
    if application and given.get(FEDERATED_VARIABLE):
        return WorkloadIdentity()
    if application and given.get("AZURE_CLIENT_SECRET"):
        return ServicePrincipal()
    if application and given.get(CERTIFICATE_VARIABLE):
        return ServicePrincipalCertificate()
    if not given.get(ENDPOINT_VARIABLE) and shutil.which("az"):
        return AzureCli()
    return ManagedIdentity(client_id=given.get(CLIENT_VARIABLE) or None)


def parse_identity(value: Any) -> Any:
    """Read an identity as people write it: its kind alone, or JSON with its fields.

    Raises:
        ValueError: it is neither; the text, which may hold a secret, is not repeated.
    """
    import json

    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"[a-z_]+", text):
        return {"kind": text}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(
            'must be a kind such as azure_cli, or JSON such as {"kind": "service_principal", '
            '"secret_env": "AZURE_CLIENT_SECRET"}'
        )
    return found


def _named(variable: str, field: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise LakehouseError(
            f"The identity has no {field}, and the environment variable {variable} is not set; "
            "set one of them."
        )
    return value


def _secret(variable: str, file: str | None) -> SecretStr:
    """Read a secret from a mounted file or from the environment.

    Raises:
        LakehouseError: it is not there or empty. The message shows a variable's name only where it
            can be one: what is no variable name may be the secret itself.
    """
    if file is not None:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            value = ""
        if not value:
            raise LakehouseError(
                "The file that the identity names for its secret is missing, empty or "
                "not readable; "
                "mount it, and name it in the identity's field that ends in _file."
            )
        return SecretStr(value)
    if not _VARIABLE.fullmatch(variable):
        raise LakehouseError(
            "A field of the identity that ends in _env is not the name of a variable; give the "
            "environment variable's name, such as AZURE_CLIENT_SECRET, and never the secret."
        )
    value = os.environ.get(variable, "")
    if not value:
        raise LakehouseError(
            f"The environment variable {variable}, which the identity names, is not set; set it "
            "where the run starts."
        )
    return SecretStr(value)
