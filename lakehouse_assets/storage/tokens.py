"""Tokens of Entra ID, which delta-rs, obstore and DuckDB take alike and do not renew."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.faults import StoreError, refused_token
from lakehouse_assets.storage.identity import ENDPOINT_VARIABLE, Identity
from lakehouse_assets.storage.transient import is_transient, is_unanswered

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

SCOPE: Final = "https://storage.azure.com/.default"
# A process asks Entra once for all of its lakes and zones that one identity accesses: the token of
# an identity at a login host, and when to request the next one.
_tokens: dict[tuple[Identity, str], tuple[AccessToken, float]] = {}
_lock = threading.Lock()


def token_of(identity: Identity, login: str) -> AccessToken:
    """Return the current token of an identity, a new one once half of the old one's life is over.

    What begins with a token thus has half an hour at least, as tokens live for one or more; what
    takes longer fails for a transient reason, and is run again with a new token.

    Args:
        identity: An identity for which Entra issues tokens.
        login: Login host of the cloud, such as `login.microsoftonline.com`.

    Raises:
        LakehouseError: Entra refuses, or does not answer.
    """
    with _lock:
        now = time.time()
        token, renew_at = _tokens.get((identity, login), (None, 0.0))
        if token is None or now >= renew_at:
            token = _request(identity, login)
            _tokens[identity, login] = token, (now + token.expires_on) / 2
        return token


def forget_tokens() -> None:
    """Ask Entra anew from now on, for instance because an identity's secret is another now."""
    with _lock:
        _tokens.clear()


def _request(identity: Identity, login: str) -> AccessToken:
    try:
        from azure.core.exceptions import AzureError
    except ImportError:
        raise LakehouseError(
            "This identity needs the packages of the extra `azure`; install "
            "lakehouse_assets[azure]."
        ) from None
    # A credential of its own: one that is kept gives the same token until it nearly ends.
    credential = _credential(identity, login)
    try:
        return credential.get_token(SCOPE)
    except (AzureError, ValueError) as error:
        if not is_unanswered(error):
            raise refused_token(identity, str(error), passes=is_transient(error)) from None
        if identity.kind == "managed_identity":
            login = os.environ.get(ENDPOINT_VARIABLE, "the machine's identity endpoint")
        raise StoreError(
            f"There is no token for {identity.kind}: {login} does not answer; check the network "
            "and the proxy (HTTPS_PROXY), then run again.",
            "login",
            passes=True,
        ) from None


def _credential(identity: Identity, login: str) -> TokenCredential:
    """Return azure-identity's object for an identity."""
    from azure import identity as azure

    # Where nobody listens to its log, the error alone is shown, and without the client's words.
    logging.getLogger("azure.identity").addHandler(logging.NullHandler())
    limits = timeouts.azure_identity()
    if identity.kind == "azure_cli":
        return azure.AzureCliCredential(process_timeout=timeouts.request_seconds())
    if identity.kind == "managed_identity":
        named = {"object_id": identity.object_id, "resource_id": identity.resource_id}
        chosen = {name: value for name, value in named.items() if value}
        return azure.ManagedIdentityCredential(
            client_id=identity.client_id, identity_config=chosen or None, **limits
        )
    application: dict[str, Any] = {
        "tenant_id": identity.value("tenant_id"),
        "client_id": identity.value("client_id"),
        "authority": login,
        # Discovering the authority costs a request to a host that firewalls need not know.
        "disable_instance_discovery": True,
        **limits,
    }
    if identity.kind == "workload_identity":
        file = identity.value("token_file")
        return azure.WorkloadIdentityCredential(token_file_path=file, **application)
    if identity.kind == "service_principal":
        return azure.ClientSecretCredential(client_secret=identity.secret(), **application)
    return azure.CertificateCredential(
        certificate_path=identity.value("certificate_file"),
        password=identity.secret() or None,
        **application,
    )
