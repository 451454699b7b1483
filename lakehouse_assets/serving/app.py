"""The HTTP interface of a served model."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.requests import ClientDisconnect

from lakehouse_assets import timeouts
from lakehouse_assets.serving.champion import Champion
from lakehouse_assets.serving.metrics import CONTENT_TYPE, Metrics
from lakehouse_assets.serving.rows import MOST_BYTES
from lakehouse_assets.serving.scoring import Answer, Scoring, encoded, refusal
from lakehouse_assets.serving.tokens import Tokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Paths for probes; all others need a token.
_OPEN: Final = frozenset({"/ping", "/health", "/ready"})
_SCORES: Final = "/invocations"
_PATHS: Final = _OPEN | {_SCORES, "/version", "/metrics"}
_JSON: Final = b"application/json"


def build_app(champion: Champion, tokens: Tokens) -> ASGIApp:
    """Make the application of a served model.

    Args:
        champion: The model.
        tokens: The tokens of clients.
    """
    metrics = Metrics(champion.name)
    # No documentation pages, which load scripts from other hosts, and no telemetry.
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def no_such_path(_request: Request, error: HTTPException) -> Response:
        status, body = refusal(error.status_code, f"{error.detail}; POST rows to {_SCORES}.")
        return Response(body, status, media_type="application/json")

    @app.get("/ping")
    @app.get("/health")
    async def health() -> Response:
        return _json(200, {"status": "ok"})

    @app.get("/ready")
    async def ready() -> Response:
        loaded, state = champion.loaded, champion.state
        return _json(200, {"status": "ready", "version": loaded.version, "champion": state})

    @app.get("/version")
    async def version() -> Response:
        loaded = champion.loaded
        return _json(
            200,
            {
                "name": champion.name,
                "version": loaded.version,
                "alias": "champion",
                "run_id": loaded.run_id,
                "digest": loaded.digest,
            },
        )

    @app.get("/metrics")
    async def metrics_text() -> Response:
        return Response(metrics.text(champion), headers={"Content-Type": CONTENT_TYPE})

    return _Guard(app, tokens, metrics, Scoring(champion, metrics))


class _Guard:
    """Checks the token of each request, counts and times requests, and answers those for scores.

    Requests for scores bypass FastAPI and Starlette, which would take most of their time.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, metrics: Metrics, scoring: Scoring) -> None:
        self._app = app
        self._tokens = tokens
        self._metrics = metrics
        self._scoring = scoring
        self._patience = timeouts.request_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 499

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path, headers = scope["path"], dict(scope["headers"])
        try:
            if path not in _OPEN and not self._tokens.accept(headers.get(b"authorization")):
                refused = refusal(401, "Send a token in the header Authorization: Bearer <token>.")
                await _send(noting, refused, (b"www-authenticate", b"Bearer"))
            elif path == _SCORES:
                await _send(noting, await self._scores(scope["method"], headers, receive))
            else:
                await self._app(scope, receive, noting)
        finally:
            known = path if path in _PATHS else "other"
            self._metrics.answered(known, status, time.perf_counter() - started)

    async def _scores(self, method: str, headers: dict[bytes, bytes], receive: Receive) -> Answer:
        """Answer a request for scores."""
        if method != "POST":
            return refusal(405, f"Method Not Allowed; POST rows to {_SCORES}.")
        kind = headers.get(b"content-type", _JSON).partition(b";")[0].strip()
        if kind.lower() != _JSON:
            return refusal(415, "Send the rows as JSON with Content-Type: application/json.")
        try:
            async with asyncio.timeout(self._patience):
                body = await _body(receive)
        except (TimeoutError, ClientDisconnect):
            return refusal(
                408, "The request timed out before its body was complete; send it again."
            )
        if body is None:
            return refusal(413, f"The body is larger than {MOST_BYTES:,} bytes; send fewer rows.")
        return await self._scoring.answer(body)


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is larger than allowed.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    found = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        found += message.get("body", b"")
        if len(found) > MOST_BYTES:
            return None
        more = message.get("more_body", False)
    return bytes(found)


async def _send(send: Send, answer: Answer, *headers: tuple[bytes, bytes]) -> None:
    status, body = answer
    length = (b"content-length", str(len(body)).encode())
    headers = ((b"content-type", _JSON), length, *headers)
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    await send({"type": "http.response.body", "body": body})


def _json(status: int, value: dict[str, Any]) -> Response:
    return Response(encoded(value), status, media_type="application/json")
