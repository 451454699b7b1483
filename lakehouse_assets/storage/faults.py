"""Errors of stores and of their logins as one plain sentence with its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.identity import Concrete, EntraIdentity, SharedAccessSignature
from lakehouse_assets.storage.location import CloudLocation, OneLakeLocation

_ENTRA_CODE: Final = re.compile(r"AADSTS\d+")
_ENTRA_REMEDIES: Final = {
    "AADSTS7000215": "the client secret is wrong: give its value, not its id",
    "AADSTS7000222": "the client secret has expired: make a new one",
    "AADSTS700016": "the tenant knows no such application: correct client_id or tenant_id",
    "AADSTS90002": "there is no such tenant: correct tenant_id",
    "AADSTS700027": "the certificate is not registered with the application: upload it there",
    "AADSTS70021": "the application trusts no such token: add a federated credential to it",
    "AADSTS50173": "the sign-in is too old: run `az login` again",
}


class StoreError(LakehouseError):
    """A store that could not be entered, read or written.

    Attributes:
        fault: Short name of what is wrong, as `fault_of` tells it.
        passes: Whether it may be gone at the next attempt.
    """

    def __init__(self, message: str, fault: str = "", *, passes: bool = False) -> None:
        super().__init__(message, passes=passes)
        self.fault = fault


# How each client's words begin when they tell of a store; anything else is not looked into, since
# an error about rows may repeat any text.
_STORE_WORDS: Final = re.compile(
    r"MicrosoftAzure|Error performing (GET|PUT|POST|HEAD|DELETE)|object store|for path |"
    r"Azure(Blob|Dfs)?StorageFileSystem|blob\.core\.|onelake\.|"
    r"Azure::|azure-identity|az account"
)
# Errors of databases that repeat values, which may hold the words of any store.
_ABOUT_VALUES: Final = {"DataError", "IntegrityError"}
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_HOST: Final = re.compile(r"https?://([^/?\s:]+)")
_CODE: Final = re.compile(r"(?:<Code>|\bcode:? ')(\w+)")
_STATUS: Final = re.compile(r"(?:status code|\u21b3|HTTP|Status)\W{0,12}([1-5]\d\d)\b")
_CODES: Final = {
    "ContainerNotFound": "container",
    "FilesystemNotFound": "container",
    "WorkspaceNotFound": "container",
    "ArtifactNotFound": "container",
    "ItemNotFound": "container",
    "ResourceNotFound": "container",
    "BlobNotFound": None,
    "PathNotFound": None,
    "AuthorizationPermissionMismatch": "role",
    "InsufficientAccountPermissions": "role",
    "AuthorizationFailure": "network rules",
    "IpAuthorizationError": "network rules",
    "PublicAccessNotPermitted": "network rules",
    "AuthenticationFailed": "token",
    "InvalidAuthenticationInfo": "token",
    "NoAuthenticationInformation": "token",
    "KeyBasedAuthenticationNotPermitted": "key",
    "ServerBusy": "throttled",
    "TooManyRequests": "throttled",
    "OperationTimedOut": "throttled",
}
_STATUSES: Final = {
    "401": "token", "403": "role", "429": "throttled", "500": "network", "502": "network",
    "503": "throttled", "504": "network",
}  # fmt: skip
# What happened to the connection, below HTTP; it may have been to the login host.
_CONNECTION: Final = (
    (
        "certificate",
        re.compile(
            r"invalid peer certificate|UnknownIssuer|certificate verify failed|CERTIFICATE_VERIFY|"
            r"SSL (peer|CA) cert|self.signed certificate",
            re.IGNORECASE,
        ),
    ),
    (
        "name",
        re.compile(
            r"dns error|failed to lookup|name or service not known|resolve host|NameResolution|"
            r"getaddrinfo",
            re.IGNORECASE,
        ),
    ),
    (
        "network",
        re.compile(
            r"error sending request|connection (refused|reset|closed|aborted)|timed out|"
            r"tcp connect error|tunnel error|Couldn'?t connect|IncompleteMessage|unexpected eof|"
            r"error decoding response body|HTTP error|Fail to get a new connection|broken pipe|"
            r"end of file before message|Max retries exceeded|Connection to the server",
            re.IGNORECASE,
        ),
    ),
)
_LOGIN: Final = re.compile(
    r"AADSTS\d+|token request|requesting token|az account|Azure CLI|CredentialUnavailable",
    re.IGNORECASE,
)


def fault_of(text: str) -> str | None:
    """Name the fault of which a client's words tell.

    Returns:
        `certificate`, `name`, `network`, `login`, `container`, `role`, `network rules`, `token`,
        `key` or `throttled`; None if they tell of nothing that is wrong with a store.
    """
    # obstore repeats itself at length after these words.
    text = _COLOURS.sub("", text.partition("Debug source")[0])
    if not _STORE_WORDS.search(text):
        return None
    for name, pattern in _CONNECTION:
        if pattern.search(text):
            return name
    if _LOGIN.search(text):
        return "login"
    code = _CODE.search(text)
    if code is not None and code[1] in _CODES:
        return _CODES[code[1]]
    status = _STATUS.search(text)
    return _STATUSES.get(status[1]) if status else None


def explain(error: BaseException, location: CloudLocation, identity: Concrete) -> StoreError | None:
    """Return the sentence for a client's error; None if it is no fault of the store or network."""
    if any(kind.__name__ in _ABOUT_VALUES for kind in type(error).__mro__):
        return None
    text = str(error)
    fault = fault_of(text)
    if fault is None:
        return None
    asked = _HOST.search(text)
    host = asked[1].rstrip(".") if asked else location.host
    sentence = _sentence(fault, text, location, identity, host)
    return StoreError(sentence, fault, passes=passes(fault, text))


def passes(fault: str | None, text: str) -> bool:
    """Say whether a fault of a store may be gone at the next attempt."""
    # A token that was good when it was handed over may have ended in a long query.
    return fault in {"network", "throttled"} or (fault == "token" and _has_expired(text))


def _has_expired(text: str) -> bool:
    return "expired" in text or "Lifetime validation" in text


def _sentence(fault: str, text: str, location: CloudLocation, identity: Concrete, host: str) -> str:
    if fault == "login":
        return (
            f"{location.account} cannot be accessed: Entra gave no token for {identity.kind}"
            + _login_remedy(text, identity)
        )
    if fault == "container":
        return _missing(location)
    if fault == "token":
        return (
            f"{location.account} does not accept the credential of {identity.kind}: it "
            + (
                "has expired"
                if _has_expired(text)
                else "is wrong, of another tenant, or has expired"
            )
            + "; renew or correct it, and run again."
        )
    return {
        "key": (
            f"{location.account} accepts neither account keys nor account signatures; use "
            "an identity of Entra (LAKEHOUSE_IDENTITY)."
        ),
        "role": (
            f"{location.account} does not permit this to the identity ({identity.kind}); "
            f"{_role(location)}."
        ),
        "network rules": (
            f"The firewall of {location.account} blocks this machine"
            + (
                ", or the signature has expired or does not cover this; renew it, or allow this "
                "network."
                if isinstance(identity, SharedAccessSignature)
                else "; allow its network, or use a private endpoint."
            )
        ),
        "throttled": (
            f"{location.account} is too busy, after several retries; run again later, with fewer "
            "runs at once."
        ),
        "name": (
            f"The host name {host} cannot be resolved; correct the location, or the machine's "
            "DNS (a private endpoint needs its private zone)."
        ),
        "certificate": (
            f"The certificate of {host} is not trusted here, or belongs to another host; for a "
            "proxy that inspects TLS, name its authority in SSL_CERT_FILE."
        ),
        "network": (
            f"{host} does not answer, or its connection broke, after several retries; check the "
            "network and the proxy (HTTPS_PROXY), then run again."
        ),
    }[fault]


def _role(location: CloudLocation) -> str:
    if isinstance(location, OneLakeLocation):
        return f"give it the role Contributor in the Fabric workspace {location.workspace}"
    return (
        "assign it the role Storage Blob Data Contributor on container "
        f"{location.container} of {location.account}"
    )


def _missing(location: CloudLocation) -> str:
    if isinstance(location, OneLakeLocation):
        return (
            f"OneLake has no workspace {location.workspace} or no lakehouse {location.lakehouse} "
            "in it, or hides them from this identity; correct the location, or add the identity "
            "to the workspace."
        )
    return (
        f"The storage account {location.account} has no container {location.container}; create it, "
        "or correct the location."
    )


def refused_token(identity: EntraIdentity, text: str, *, passes: bool) -> StoreError:
    """Return the sentence for a token that was not given, which may pass."""
    sentence = f"Entra gave no token for {identity.kind}" + _login_remedy(text, identity)
    return StoreError(sentence, "login", passes=passes)


def _login_remedy(text: str, identity: Concrete) -> str:
    code = _ENTRA_CODE.search(text)
    if code is not None:
        remedy = _ENTRA_REMEDIES.get(code[0], "look the code up in Entra's documentation")
        return f" ({code[0]}): {remedy}."
    remedies = {
        "azure_cli": "install the Azure CLI and run `az login`",
        "managed_identity": (
            "this machine has no such identity: assign one to it, correct client_id, or name "
            "another kind in LAKEHOUSE_IDENTITY"
        ),
    }
    found = remedies.get(identity.kind, "check the identity, the network and AZURE_AUTHORITY_HOST")
    return f": {found}."


@contextmanager
def explained(location: CloudLocation, identity: Concrete) -> Iterator[None]:
    """Raise what a store refuses as a sentence; other errors pass unchanged."""
    try:
        yield
    except LakehouseError:
        raise
    except Exception as error:
        found = explain(error, location, identity)
        if found is None:
            raise
        # The chain would repeat the client's words, in which an address may carry a signature.
        raise found from None
