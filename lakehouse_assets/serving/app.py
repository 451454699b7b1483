"""The HTTP interface of a served model: an ASGI application without a framework.

A framework would take most of the time of a request for scores.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from lakehouse_assets import timeouts
from lakehouse_assets.serving.champion import Champion
from lakehouse_assets.serving.metrics import CONTENT_TYPE, Metrics
from lakehouse_assets.serving.rows import MOST_BYTES
from lakehouse_assets.serving.scoring import Answer, Scoring, encoded, refusal
from lakehouse_assets.serving.tokens import Tokens

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# Paths for probes; all others need a token.
_OPEN: Final = frozenset({"/ping", "/health", "/ready"})
_SCORES: Final = "/invocations"
_PATHS: Final = _OPEN | {_SCORES, "/version", "/metrics"}
_JSON: Final = b"application/json"


class App:
    """The application: checks the token of each request, answers it, and counts and times it."""

    def __init__(self, champion: Champion, tokens: Tokens) -> None:
        """Take the model, and the tokens of clients."""
        self._champion = champion
        self._tokens = tokens
        self._metrics = Metrics(champion.name)
        self._scoring = Scoring(champion, self._metrics)
        self._patience = timeouts.request_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started, status = time.perf_counter(), 499
        path, headers = scope["path"], dict(scope["headers"])
        try:
            kind, more = _JSON, []
            if path not in _OPEN and not self._tokens.accept(headers.get(b"authorization")):
                answer = refusal(401, "Send a token in the header Authorization: Bearer <token>.")
                more = [(b"www-authenticate", b"Bearer")]
            elif path not in _PATHS:
                answer = refusal(404, f"Not Found; POST rows to {_SCORES}.")
            elif scope["method"] != ("POST" if path == _SCORES else "GET"):
                answer = refusal(405, f"Method Not Allowed; POST rows to {_SCORES}.")
            elif path == _SCORES:
                answer = await self._scores(headers, receive)
            elif path == "/metrics":
                kind, answer = CONTENT_TYPE.encode(), (200, self._metrics.text(self._champion))
            else:
                answer = 200, self._state(path)
            status, body = answer
            length = (b"content-length", str(len(body)).encode())
            head = [(b"content-type", kind), length, *more]
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": body})
        finally:
            known = path if path in _PATHS else "other"
            self._metrics.answered(known, status, time.perf_counter() - started)

    def _state(self, path: str) -> bytes:
        """Answer a probe, or say which version scores."""
        loaded = self._champion.loaded
        if path == "/ready":
            return encoded(
                {"status": "ready", "version": loaded.version, "champion": self._champion.state}
            )
        if path == "/version":
            return encoded(
                {
                    "name": self._champion.name,
                    "version": loaded.version,
                    "alias": "champion",
                    "run_id": loaded.run_id,
                    "digest": loaded.digest,
                }
            )
        return encoded({"status": "ok"})

    async def _scores(self, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        """Answer a request for scores."""
        kind = headers.get(b"content-type", _JSON).partition(b";")[0].strip()
        if kind.lower() != _JSON:
            return refusal(415, "Send the rows as JSON with Content-Type: application/json.")
        try:
            async with asyncio.timeout(self._patience):
                body = await _body(receive)
        except (TimeoutError, ConnectionError):
            return refusal(
                408, "The request timed out before its body was complete; send it again."
            )
        if body is None:
            return refusal(413, f"The body is larger than {MOST_BYTES:,} bytes; send fewer rows.")
        return await self._scoring.answer(body)


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is larger than allowed.

    Raises:
        ConnectionError: the client has disconnected.
    """
    found = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        found += message.get("body", b"")
        if len(found) > MOST_BYTES:
            return None
        more = message.get("more_body", False)
    return bytes(found)
