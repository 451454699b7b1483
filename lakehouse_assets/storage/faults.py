"""Turn errors of stores and of their logins into one plain sentence with a remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation

_ENTRA_CODE: Final = re.compile(r"AADSTS\d+")
_ENTRA_REMEDIES: Final = {
    "AADSTS7000215": "the client secret is wrong: give its value, not its id",
    "AADSTS7000222": "the client secret has expired: create a new one",
    "AADSTS700016": "the tenant has no such application: correct client_id or tenant_id",
    "AADSTS90002": "there is no such tenant: correct tenant_id",
    "AADSTS700027": "the certificate is not registered with the application: upload it there",
    "AADSTS70021": "the application does not trust this token: add a federated credential to it",
    "AADSTS50173": "the sign-in is too old: run `az login` again",
}
_LOGIN_REMEDIES: Final = {
    "azure_cli": "install the Azure CLI and run `az login`",
    "managed_identity": (
        "this machine has no such identity: assign one to it, correct client_id, or name another "
        "kind in LAKEHOUSE_IDENTITY"
    ),
}


class StoreError(LakehouseError):
    """A store that could not be accessed, read or written.

    Attributes:
        fault: Short name of the fault, as `fault_of` returns it.
        transient: Whether it is transient, so that a retry may succeed.
    """

    def __init__(self, message: str, fault: str = "", *, transient: bool = False) -> None:
        super().__init__(message, transient=transient)
        self.fault = fault


# Each client's errors about a store contain one of these. Other errors are not searched further,
# because an error about rows may repeat any text.
_STORE_WORDS: Final = re.compile(
    r"MicrosoftAzure|Error performing (GET|PUT|POST|HEAD|DELETE)|object store|for path |"
    r"Azure(Blob|Dfs)?StorageFileSystem|blob\.core\.|onelake\.|"
    r"Azure::|azure-identity|az account"
)
# Database errors that repeat values, which may contain any of those words.
_ABOUT_VALUES: Final = {"DataError", "IntegrityError"}
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_HOST: Final = re.compile(r"https?://([^/?\s:]+)")
_EXPIRED: Final = re.compile(r"expired|Lifetime validation")


@dataclass(frozen=True)
class _Fault:
    """A kind of fault.

    Attributes:
        sentence: The message, with placeholders that `_words` fills.
        words: Pattern of clients' messages about the connection or the login.
        codes: Azure's error codes, and the HTTP statuses, which decide if no code is known.
        transient: Whether it is transient.
    """

    sentence: str
    words: str = ""
    codes: str = ""
    transient: bool = False


# In order of precedence: connection faults first, because the connection may have been to the login
# host.
_FAULTS: Final[dict[str, _Fault]] = {
    "certificate": _Fault(
        "The certificate of {host} is not trusted, or belongs to another host. Behind a proxy that "
        "inspects TLS, set SSL_CERT_FILE to the certificate of its authority.",
        r"invalid peer certificate|UnknownIssuer|certificate verify failed|CERTIFICATE_VERIFY|"
        r"SSL (peer|CA) cert|self.signed certificate",
    ),
    "name": _Fault(
        "The host name {host} cannot be resolved; correct the location, or the machine's DNS (a "
        "private endpoint needs its private zone).",
        r"dns error|failed to lookup|name or service not known|resolve host|NameResolution|"
        r"getaddrinfo",
    ),
    "network": _Fault(
        "{host} does not answer, or its connection broke, after several retries; check the network "
        "and the proxy (HTTPS_PROXY), then run again.",
        r"error sending request|connection (refused|reset|closed|aborted)|timed out|"
        r"tcp connect error|tunnel error|Couldn'?t connect|IncompleteMessage|unexpected eof|"
        r"error decoding response body|HTTP error|Fail to get a new connection|broken pipe|"
        r"end of file before message|Max retries exceeded|Connection to the server",
        "500 502 504",
        transient=True,
    ),
    "login": _Fault(
        "{account} cannot be accessed: Entra gave no token for {kind}{login}",
        r"AADSTS\d+|token request|requesting token|az account|Azure CLI|CredentialUnavailable",
    ),
    "container": _Fault(
        "{missing}",
        codes="ContainerNotFound FilesystemNotFound WorkspaceNotFound ArtifactNotFound "
        "ItemNotFound ResourceNotFound",
    ),
    "role": _Fault(
        "The identity ({kind}) is not allowed to do this on {account}; {role}.",
        codes="AuthorizationPermissionMismatch InsufficientAccountPermissions 403",
    ),
    "network rules": _Fault(
        "The firewall of {account} blocks this machine{allow}",
        codes="AuthorizationFailure IpAuthorizationError PublicAccessNotPermitted",
    ),
    "token": _Fault(
        "{account} rejected the credential of {kind}: it {expired}. Renew or correct it, and run "
        "again.",
        codes="AuthenticationFailed InvalidAuthenticationInfo NoAuthenticationInformation 401",
    ),
    "key": _Fault(
        "{account} allows neither account keys nor account signatures; use an Entra identity "
        "(LAKEHOUSE_IDENTITY).",
        codes="KeyBasedAuthenticationNotPermitted",
    ),
    "throttled": _Fault(
        "{account} is still throttling after several retries; run again later, or start fewer runs "
        "at once.",
        codes="ServerBusy TooManyRequests OperationTimedOut 429 503",
        transient=True,
    ),
}
_WORDS: Final = {
    name: re.compile(fault.words, re.IGNORECASE) for name, fault in _FAULTS.items() if fault.words
}
_CODES: Final = {code: name for name, fault in _FAULTS.items() for code in fault.codes.split()}
# How clients show an error code, and how an HTTP status.
_SHOWN: Final = (
    re.compile(r"(?:<Code>|\bcode:? ')(\w+)"),
    re.compile(r"(?:status code|\u21b3|HTTP|Status)\W{0,12}([1-5]\d\d)\b"),
)


def fault_of(text: str) -> str | None:
    """Return the name of the fault in a client's error text.

    Returns:
        `certificate`, `name`, `network`, `login`, `container`, `role`, `network rules`, `token`,
        `key` or `throttled`; None if the text is not about a known fault of a store.
    """
    # After these words, obstore repeats the error at length.
    text = _COLOURS.sub("", text.partition("Debug source")[0])
    if not _STORE_WORDS.search(text):
        return None
    for name, pattern in _WORDS.items():
        if pattern.search(text):
            return name
    codes = [found[1] for pattern in _SHOWN if (found := pattern.search(text))]
    return next((_CODES[code] for code in codes if code in _CODES), None)


def is_transient_fault(fault: str | None, text: str) -> bool:
    """Return whether a fault of a store is transient."""
    # A token that was valid at the start of a long query may have expired during it.
    expired = fault == "token" and _EXPIRED.search(text) is not None
    return expired or (fault is not None and _FAULTS[fault].transient)


def explain(error: BaseException, location: CloudLocation, identity: Identity) -> StoreError | None:
    """Return the error to raise for a client's error; None if it is not about store or network."""
    text = str(error)
    fault = fault_of(text)
    if fault is None or any(kind.__name__ in _ABOUT_VALUES for kind in type(error).__mro__):
        return None
    sentence = _FAULTS[fault].sentence.format_map(_words(text, location, identity))
    return StoreError(sentence, fault, transient=is_transient_fault(fault, text))


def _words(text: str, location: CloudLocation, identity: Identity) -> dict[str, str]:
    """Return the values of the placeholders in the faults' sentences."""
    account, container = location.account, location.container
    if location.is_onelake:
        role = f"give it the role Contributor in the Fabric workspace {container}"
        missing = (
            f"OneLake has no workspace {container} or no lakehouse {location.lakehouse} "
            "in it, or hides them from this identity; correct the location, or add the identity "
            "to the workspace."
        )
    else:
        role = (
            f"assign it the role Storage Blob Data Contributor on container {container} of "
            f"{account}"
        )
        missing = (
            f"The storage account {account} has no container {container}; create it, or correct "
            "the location."
        )
    asked = _HOST.search(text)
    return {
        "account": account,
        "kind": identity.kind,
        "host": asked[1].rstrip(".") if asked else location.host,
        "login": _login_remedy(text, identity),
        "missing": missing,
        "role": role,
        "allow": (
            ", or the signature has expired or does not cover this; renew it, or allow this "
            "network."
            if identity.kind == "sas"
            else "; allow its network, or use a private endpoint."
        ),
        "expired": (
            "has expired" if _EXPIRED.search(text) else "is wrong, of another tenant, or expired"
        ),
    }


def refused_token(identity: Identity, text: str, *, transient: bool) -> StoreError:
    """Return the error for a token that Entra refused, from the text of the client's error."""
    sentence = f"Entra gave no token for {identity.kind}" + _login_remedy(text, identity)
    return StoreError(sentence, "login", transient=transient)


def _login_remedy(text: str, identity: Identity) -> str:
    if code := _ENTRA_CODE.search(text):
        remedy = _ENTRA_REMEDIES.get(code[0], "see Entra's documentation of this code")
        return f" ({code[0]}): {remedy}."
    other = "check the identity, the network and AZURE_AUTHORITY_HOST"
    return f": {_LOGIN_REMEDIES.get(identity.kind, other)}."
