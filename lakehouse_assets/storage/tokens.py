"""Entra ID tokens for clients that do not renew them: delta-rs, obstore, DuckDB and librdkafka."""

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
# Token by identity, login host and scope, and when to request the next one. All lakes and landing
# zones of a process that use the same identity share it.
_tokens: dict[tuple[Identity, str, str], tuple[AccessToken, float]] = {}
_lock = threading.Lock()


def token_of(identity: Identity, login: str, scope: str = SCOPE) -> AccessToken:
    """Return an identity's token, which is renewed after half of its lifetime.

    Tokens live for an hour or more, so an operation has at least half an hour before its token
    expires. One that takes longer fails with a transient error and is retried with a new token.

    Args:
        identity: An identity for which Entra issues tokens.
        login: Login host of the cloud, such as `login.microsoftonline.com`.
        scope: Scope of the token; by default that of storage accounts.

    Raises:
        LakehouseError: Entra refuses, or does not answer.
    """
    with _lock:
        now = time.time()
        token, renew_at = _tokens.get((identity, login, scope), (None, 0.0))
        if token is None or now >= renew_at:
            token = _request(identity, login, scope)
            _tokens[identity, login, scope] = token, (now + token.expires_on) / 2
        return token


def _request(identity: Identity, login: str, scope: str) -> AccessToken:
    try:
        from azure.core.exceptions import AzureError
    except ImportError:
        raise LakehouseError(
            "This identity needs more packages; install lakehouse_assets[azure]."
        ) from None
    # A new credential each time, because one that is kept returns a token until it nearly expires.
    credential = _credential(identity, login)
    try:
        return credential.get_token(scope)
    except (AzureError, ValueError) as error:
        if not is_unanswered(error):
            raise refused_token(identity, str(error), transient=is_transient(error)) from None
        if identity.kind == "managed_identity":
            login = os.environ.get(ENDPOINT_VARIABLE, "the machine's identity endpoint")
        raise StoreError(
            f"No token for {identity.kind}: {login} does not answer; check the network "
            "and the proxy (HTTPS_PROXY), then run again.",
            "login",
            transient=True,
        ) from None


def _credential(identity: Identity, login: str) -> TokenCredential:
    """Return the azure-identity credential for an identity."""
    from azure import identity as azure

    # If logging is not configured, this keeps the client's messages off stderr: ours suffices.
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
        # Discovery would send a request to another host, which firewalls may not allow.
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
