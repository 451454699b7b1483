"""The identity that accesses Azure stores, as one setting.

A secret is read from its variable or mounted file when a store is accessed. Configuration, run
config and events contain the name of the variable or file, never the secret itself.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from lakehouse_assets.errors import LakehouseError

Kind: TypeAlias = Literal[
    "default",
    "account_key",
    "sas",
    "service_principal",
    "service_principal_certificate",
    "managed_identity",
    "workload_identity",
    "azure_cli",
]
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "default": (),
    "account_key": ("key_env", "key_file", "endpoint"),
    "sas": ("token_env", "token_file"),
    "service_principal": ("tenant_id", "client_id", "secret_env", "secret_file"),
    "service_principal_certificate": (
        "tenant_id",
        "client_id",
        "certificate_file",
        "password_env",
    ),
    "managed_identity": ("client_id", "object_id", "resource_id"),
    "workload_identity": ("tenant_id", "client_id", "token_file"),
    "azure_cli": (),
}
# Variables that are read for fields that are not given. Azure's own tools read the same variables,
# so a machine set up for them needs no settings of ours.
_VARIABLES: Final = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "certificate_file": "AZURE_CLIENT_CERTIFICATE_PATH",
    "token_file": "AZURE_FEDERATED_TOKEN_FILE",
}
# The secret of a kind: prefix of its fields, and the variable that is read if none is given.
_SECRETS: Final = {
    "account_key": ("key", "AZURE_STORAGE_KEY"),
    "sas": ("token", "AZURE_STORAGE_SAS_TOKEN"),
    "service_principal": ("secret", "AZURE_CLIENT_SECRET"),
    "service_principal_certificate": ("password", ""),
}
ENDPOINT_VARIABLE: Final = "IDENTITY_ENDPOINT"
_NAME: Final = re.compile(r"[A-Z_][A-Z0-9_]*")


class Identity(BaseModel):
    """An identity: its kind, and the fields that belong to the kind.

    It also validates the text of a setting: the kind alone, or JSON.

    Attributes:
        kind: `account_key` (shared key of the account; for emulators only, since it grants anyone
            full access), `sas` (shared access signature of the container or account),
            `service_principal` and `service_principal_certificate` (application with a secret or a
            certificate), `managed_identity` (of this machine, container or Access Connector),
            `workload_identity` (application with a token of this cluster or CI), `azure_cli`
            (the user signed in with `az login`), or `default` (see `resolved`).
        tenant_id: Directory of an application; else the variable `AZURE_TENANT_ID`.
        client_id: Application, or one of the machine's managed identities; else, for applications,
            the variable `AZURE_CLIENT_ID`.
        object_id: A managed identity by its object id.
        resource_id: A managed identity by its resource id.
        key_env: Variable that holds the account key.
        key_file: Mounted file that holds it; takes precedence over the variable.
        endpoint: Blob endpoint of an emulator, such as `http://127.0.0.1:10000/devstoreaccount1`.
        token_env: Variable that holds the signature, with or without its leading question mark.
        token_file: Mounted file that holds it; for a workload identity the file with the current
            token, else the variable `AZURE_FEDERATED_TOKEN_FILE`.
        secret_env: Variable that holds an application's secret.
        secret_file: Mounted file that holds it.
        certificate_file: PEM file with key and certificate, or a PFX file; else the variable
            `AZURE_CLIENT_CERTIFICATE_PATH`.
        password_env: Variable that holds the certificate file's password, if it has one.
    """

    # Errors do not show inputs, because a secret may have been pasted in place of a variable name.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Kind
    tenant_id: str | None = None
    client_id: str | None = None
    object_id: str | None = None
    resource_id: str | None = None
    key_env: str | None = None
    key_file: str | None = None
    endpoint: str | None = None
    token_env: str | None = None
    token_file: str | None = None
    secret_env: str | None = None
    secret_file: str | None = None
    certificate_file: str | None = None
    password_env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_the_fields_of_its_kind(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = _read(value)
        if not isinstance(value, dict):
            return value
        kind = value.get("kind")
        if kind not in _FIELDS:
            raise ValueError(f"its kind must be one of {', '.join(_FIELDS)}")
        given = [name for name, found in value.items() if found is not None and name != "kind"]
        if unknown := [name for name in given if name not in _FIELDS[kind]]:
            known = ", ".join(_FIELDS[kind]) or "none"
            raise ValueError(f"{unknown[0]} is not a field of {kind}, whose fields are {known}")
        if kind == "managed_identity" and len(given) > 1:
            raise ValueError("give only one of client_id, object_id and resource_id")
        for name in given:
            if name.endswith("_env") and not _NAME.fullmatch(str(value[name])):
                raise ValueError(
                    f"{name} is not the name of a variable; give the environment variable's name, "
                    "such as AZURE_CLIENT_SECRET, and never the secret"
                )
        return value

    def fields(self) -> dict[str, str]:
        """Return the kind and the given fields, as in the configuration of a Dagster resource."""
        return self.model_dump(exclude_none=True)

    @property
    def gets_tokens(self) -> bool:
        """Whether Entra issues tokens for it; keys and signatures grant access by themselves."""
        return self.kind not in {"account_key", "sas"}

    def value(self, field: str) -> str:
        """Return a field, or the value of its variable.

        Raises:
            LakehouseError: neither is set, or the value names a file that does not exist.
        """
        found = getattr(self, field) or os.environ.get(_VARIABLES[field], "")
        if not found:
            raise LakehouseError(
                f"The identity has no {field}, and the environment variable {_VARIABLES[field]} is "
                "not set; set one of them."
            )
        if field.endswith("_file") and not Path(found).is_file():
            raise LakehouseError(
                f"The file {found} of the identity's {field} does not exist; mount it, or correct "
                "the path."
            )
        return str(found)

    def secret(self) -> str:
        """Return the secret in plain text; empty for a certificate without a password.

        Raises:
            LakehouseError: its variable is not set, or its file cannot be read.
        """
        field, default = _SECRETS[self.kind]
        if file := getattr(self, f"{field}_file", None):
            found = _from_file(file)
        else:
            variable = getattr(self, f"{field}_env") or default
            found = os.environ.get(variable, "")
            if variable and not found:
                raise LakehouseError(
                    f"The environment variable {variable} of the identity is not set; set it where "
                    "the run starts."
                )
        return found.removeprefix("?") if self.kind == "sas" else found

    def variables(self) -> dict[str, str]:
        """Return the environment variables for Azure's own clients, with secrets in plain text.

        Raises:
            LakehouseError: a field or secret of the identity is missing.
        """
        found = {
            _VARIABLES[field]: self.value(field)
            for field in _FIELDS[self.kind]
            if field in _VARIABLES and (getattr(self, field) or self.kind != "managed_identity")
        }
        if self.kind == "service_principal":
            found["AZURE_CLIENT_SECRET"] = self.secret()
        if self.kind == "service_principal_certificate" and self.password_env:
            found["AZURE_CLIENT_CERTIFICATE_PASSWORD"] = self.secret()
        return found

    def resolved(self) -> "Identity":
        """Return the identity itself, or the one that `default` means on this machine.

        The default depends only on the environment, in this order: a workload identity's token, a
        service principal's secret or certificate, the identity endpoint of a hosted app, an
        installed Azure CLI, or else the machine's managed identity. It does not fall back from one
        to the next on failure, so it is always the same identity, and errors are about that one.
        """
        if self.kind != "default":
            return self
        given = os.environ
        if given.get("AZURE_CLIENT_ID") and given.get("AZURE_TENANT_ID"):
            if given.get("AZURE_FEDERATED_TOKEN_FILE"):
                return Identity(kind="workload_identity")
            if given.get("AZURE_CLIENT_SECRET"):
                return Identity(kind="service_principal")
            if given.get("AZURE_CLIENT_CERTIFICATE_PATH"):
                return Identity(kind="service_principal_certificate")
        if not given.get(ENDPOINT_VARIABLE) and shutil.which("az"):
            return Identity(kind="azure_cli")
        return Identity(kind="managed_identity", client_id=given.get("AZURE_CLIENT_ID") or None)


DEFAULT: Final = Identity(kind="default")


def _read(text: str) -> Any:
    """Parse an identity from a setting; errors do not repeat the text, which may be a secret."""
    text = text.strip()
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


def _from_file(path: str) -> str:
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        found = ""
    if not found:
        # The path is not shown: it may be the secret itself.
        raise LakehouseError(
            "The file with the identity's secret is missing, empty or not readable; mount it, and "
            "give its path in the identity's field that ends in _file."
        )
    return found


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        Identity.model_validate(fields)
    except ValidationError as error:
        # The original error repeats the input, which may be a secret.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise ValueError(f"the identity cannot be used: {reason}") from None
    return fields


IdentityFields: TypeAlias = Annotated[dict[str, Any], AfterValidator(_checked)]
"""An identity as the configuration of Dagster's resources holds it: its fields, with its kind."""
