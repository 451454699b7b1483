"""A stub of Entra's token endpoints: it checks what each flow sends and issues unsigned tokens.

Azurite looks at a token's claims and not at its
signature, so that this proves how clients are wired and nothing about security.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"
CLIENT = "11111111-aaaa-4aaa-8aaa-111111111111"
SECRET = "T0p~Secret.of-the_application"  # noqa: S105
FEDERATED_TOKEN = "signed.by.the-cluster"  # noqa: S105
IDENTITY_CLIENT = "22222222-bbbb-4bbb-8bbb-222222222222"
RESOURCE_ID = (
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/accessConnectors/lake"
)
SCOPE = "https://storage.azure.com/.default"
RESOURCE = "https://storage.azure.com"
LOGIN_HOSTS = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
)
METADATA_PATH = "/metadata/identity/oauth2/token"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Answer:
    """What is answered to a request.

    Attributes:
        status: HTTP status.
        body: JSON of the answer.
        flow: Which flow asked, for the tests to count; or why it was refused.
    """

    status: int
    body: dict[str, Any]
    flow: str


@dataclass
class Entra:
    """Issues tokens.

    Attributes:
        lifetime: Seconds until a token expires.
        issued: Flows that were given a token, in their order.
    """

    lifetime: int = 3600
    issued: list[str] = field(default_factory=list)

    def answer(
        self, host: str, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Answer a request to a login host or to the machine's metadata endpoint."""
        path = urlsplit(target).path
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if path.endswith(METADATA_PATH):
            found = _managed(method, query, headers)
        elif path == "/common/discovery/instance" or path.endswith("openid-configuration"):
            return _discovery(host, path)
        else:
            found = _client(method, path, form)
        if isinstance(found, Answer):
            return found
        self.issued.append(found)
        token = make_token(self.lifetime, subject=found)
        expires = int(time.time()) + self.lifetime
        text = found.startswith("managed_identity")
        return Answer(
            200,
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": str(self.lifetime) if text else self.lifetime,
                "expires_on": str(expires) if text else expires,
                "resource": RESOURCE,
            },
            found,
        )


def make_token(lifetime: int, subject: str = "test", audience: str = RESOURCE) -> str:
    """Make a token whose claims are in order and whose signature is none."""
    now = int(time.time())
    claims = {
        "aud": audience, "iss": f"https://sts.windows.net/{TENANT}/", "tid": TENANT,
        "iat": now - 60, "nbf": now - 60, "exp": now + lifetime,
        "appid": CLIENT, "oid": "33333333-cccc-4ccc-8ccc-333333333333", "sub": subject,
    }  # fmt: skip
    parts = [{"alg": "RS256", "typ": "JWT", "kid": "none"}, claims]
    encoded = [_url_safe(json.dumps(part).encode()) for part in parts]
    return ".".join([*encoded, _url_safe(b"no signature")])


def _client(method: str, path: str, form: Mapping[str, str]) -> Answer | str:
    older = path == f"/{TENANT}/oauth2/token"
    if older and form.get("resource", "").rstrip("/") == RESOURCE:
        # Hadoop's driver speaks the older form, which names a resource instead of a scope.
        form = {**form, "scope": SCOPE}
    if method != "POST" or (path != f"/{TENANT}/oauth2/v2.0/token" and not older):
        return _refused("invalid_tenant", f"AADSTS90002: Tenant not found: {method} {path}")
    if form.get("grant_type") != "client_credentials":
        return _refused("unsupported_grant_type", "AADSTS70003: the grant is not known")
    if form.get("client_id") != CLIENT:
        return _refused("unauthorized_client", "AADSTS700016: Application was not found")
    if form.get("scope") != SCOPE:
        return _refused("invalid_scope", f"AADSTS70011: scope {form.get('scope')} is not valid")
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION:
            return _refused("invalid_request", "AADSTS90014: the assertion's type is missing")
        return _asserted(form["client_assertion"])
    if form.get("client_secret") != SECRET:
        return _refused("invalid_client", "AADSTS7000215: Invalid client secret provided.")
    return "client_secret"


def _asserted(assertion: str) -> Answer | str:
    if assertion == FEDERATED_TOKEN:
        return "workload_identity"
    try:
        header, claims = (json.loads(_decoded(part)) for part in assertion.split(".")[:2])
    except ValueError:
        return _refused("invalid_client", "AADSTS70021: No matching federated identity record")
    audience = str(claims.get("aud", ""))
    sound = (
        claims.get("iss") == claims.get("sub") == CLIENT
        and audience.endswith(f"/{TENANT}/oauth2/v2.0/token")
        and int(claims.get("exp", 0)) > time.time()
        and ("x5t" in header or "x5t#S256" in header)
    )
    if not sound:
        return _refused("invalid_client", "AADSTS700027: Client assertion failed validation.")
    return "client_certificate"


def _managed(method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer | str:
    if method != "GET" or headers.get("metadata") != "true":
        return _refused("bad_request_102", "Required metadata header not specified")
    if query.get("resource", "").rstrip("/") != RESOURCE or "api-version" not in query:
        return _refused("invalid_resource", "AADSTS500011: the resource was not found")
    chosen = {name: query[name] for name in query if name not in {"resource", "api-version"}}
    if not chosen:
        return "managed_identity"
    if chosen == {"client_id": IDENTITY_CLIENT}:
        return "managed_identity by client_id"
    if chosen.get("msi_res_id", chosen.get("mi_res_id")) == RESOURCE_ID and len(chosen) == 1:
        return "managed_identity by resource_id"
    return _refused("invalid_request", "Identity not found")


def _discovery(host: str, path: str) -> Answer:
    base = f"https://{host}/{TENANT}"
    if path == "/common/discovery/instance":
        body: dict[str, Any] = {
            "tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    else:
        body = {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "issuer": f"https://sts.windows.net/{TENANT}/",
        }
    return Answer(200, body, "discovery")


def _refused(code: str, text: str) -> Answer:
    status = 400 if code.startswith(("bad", "unsupported", "invalid_request", "inv_")) else 401
    return Answer(status, {"error": code, "error_description": text}, f"refused: {code}")


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
