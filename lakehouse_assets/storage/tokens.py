"""Tokens of Entra ID, which delta-rs, obstore and DuckDB take alike and do not renew."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.identity import (
    ENDPOINT_VARIABLE,
    AzureCli,
    EntraIdentity,
    ManagedIdentity,
    ServicePrincipal,
    ServicePrincipalCertificate,
    WorkloadIdentity,
)

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

SCOPE: Final = "https://storage.azure.com/.default"


@dataclass(frozen=True)
class Token:
    """A token and what its claims say.

    Attributes:
        value: The token itself; never shown.
        expires: When it ends, as seconds since 1970.
    """

    value: str = field(repr=False)
    expires: int

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        return datetime.fromtimestamp(self.expires, UTC)

    @property
    def owner(self) -> str:
        """As whom it lets in: user, application or object id, as far as its claims tell."""
        try:
            part = self.value.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (IndexError, ValueError):
            return "unknown"
        for claim in ("upn", "unique_name", "appid", "azp", "oid"):
            if claims.get(claim):
                return str(claims[claim])
        return "unknown"


class TokenSource:
    """Gives the current token of an identity, a new one when half of the old one's life is over.

    What begins with a token thus has half an hour at least, as tokens live for one or more; what
    takes longer fails for a transient reason, and is run again with a new token.

    Args:
        identity: Who asks.
        authority: Login host of the cloud, such as `login.microsoftonline.com`.
    """

    def __init__(self, identity: EntraIdentity, authority: str) -> None:
        self._identity = identity
        self._authority = authority
        self._token: Token | None = None
        self._renew_at = 0.0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenSource({self._identity.kind}, {self._authority})"

    def token(self) -> Token:
        """Return a token that lasts for a while.

        Raises:
            LakehouseError: Entra refuses, or cannot be reached.
        """
        with self._lock:
            now = time.time()
            if self._token is None or now >= self._renew_at:
                self._token = self._ask()
                self._renew_at = (now + self._token.expires) / 2
            return self._token

    def _ask(self) -> Token:
        from azure.core.exceptions import AzureError

        from lakehouse_assets.storage.faults import StoreError, refused_token
        from lakehouse_assets.storage.transient import is_transient, is_unanswered

        # A credential of its own: one that is kept gives the same token until it nearly ends.
        credential = _credential(self._identity, self._authority)
        try:
            found = credential.get_token(SCOPE)
        except (AzureError, ValueError) as error:
            passes = is_transient(error)
            if is_unanswered(error):
                asked = os.environ.get(ENDPOINT_VARIABLE, "the machine's identity endpoint")
                if not isinstance(self._identity, ManagedIdentity):
                    asked = self._authority
                raise StoreError(
                    f"There is no token for {self._identity.kind}: {asked} does not answer; check "
                    "the network and the proxy (HTTPS_PROXY), then run again.",
                    "login",
                    passes=True,
                ) from None
            raise refused_token(self._identity, str(error), passes=passes) from None
        return Token(found.token, int(found.expires_on))


def _credential(identity: EntraIdentity, authority: str) -> TokenCredential:
    """Return azure-identity's object for an identity."""
    try:
        from azure import identity as azure
    except ImportError:
        raise LakehouseError(
            "This identity needs the packages of the extra `azure`; install "
            "lakehouse_assets[azure]."
        ) from None
    # Discovering the authority costs a request to a host that firewalls need not know.
    limits = timeouts.azure_identity()
    common = {"authority": authority, "disable_instance_discovery": True, **limits}
    match identity:
        case ServicePrincipal():
            return azure.ClientSecretCredential(
                identity.tenant(), identity.client(), identity.secret().get_secret_value(), **common
            )
        case ServicePrincipalCertificate():
            password = identity.password()
            return azure.CertificateCredential(
                identity.tenant(),
                identity.client(),
                str(identity.certificate()),
                password=password.get_secret_value() if password else None,
                **common,
            )
        case WorkloadIdentity():
            return azure.WorkloadIdentityCredential(
                tenant_id=identity.tenant(),
                client_id=identity.client(),
                token_file_path=str(identity.federated_token()),
                **common,
            )
        case AzureCli():
            return azure.AzureCliCredential(process_timeout=timeouts.request_seconds())
        case ManagedIdentity():
            config = {"object_id": identity.object_id, "resource_id": identity.resource_id}
            chosen = {name: value for name, value in config.items() if value}
            return azure.ManagedIdentityCredential(
                client_id=identity.client_id, identity_config=chosen or None, **limits
            )
