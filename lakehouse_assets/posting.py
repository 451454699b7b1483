"""Posts JSON to an address from the settings, which may be a secret."""

from __future__ import annotations

import json
from typing import Any

from lakehouse_assets import timeouts


def post_json(address: str, content: object, token: str | None = None) -> str | None:
    """Post JSON without following redirects, which could send it and the token to another host.

    Args:
        address: The address; plain http only for this machine.
        content: Any value that JSON can hold.
        token: A bearer token.

    Returns:
        Why it was not accepted, without the address; None if it was.
    """
    import urllib.error
    import urllib.request

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        """Refuses redirects."""

        def redirect_request(self, *_args: Any) -> None:
            """Return no new request, so that urllib raises an `HTTPError`."""

    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310 - the settings allow https, or this machine
        address, json.dumps(content).encode(), headers, method="POST"
    )
    handlers: list[urllib.request.BaseHandler] = [NoRedirects()]
    if request.type == "http":
        # Plain http is only allowed to this machine, so it must not go through a proxy.
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=timeouts.request_seconds()):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except (OSError, ValueError) as error:
        return type(error).__name__
