"""The HTTP interface of a served model."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.requests import ClientDisconnect

from lakehouse_assets import timeouts
from lakehouse_assets.serving.champion import Champion
from lakehouse_assets.serving.metrics import CONTENT_TYPE, Metrics
from lakehouse_assets.serving.rows import MOST_BYTES, BadRequestError, predictions
from lakehouse_assets.serving.tokens import Tokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What probes ask for; the rest needs a token.
_OPEN: Final = frozenset({"/ping", "/health", "/ready"})
_PATHS: Final = _OPEN | {"/invocations", "/version", "/metrics"}
# Bodies above this size are read and scored beside the event loop: smaller requests go on.
_INLINE_BYTES: Final = 2**16
_LOG: Final = logging.getLogger(__name__)


def build_app(champion: Champion, tokens: Tokens) -> FastAPI:
    """Make the application of a served model.

    Args:
        champion: The model.
        tokens: What clients show to be answered.
    """
    metrics, patience = Metrics(champion.name), timeouts.request_seconds()
    # No pages of documentation, whose scripts come from elsewhere, and no traces to anybody.
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    app.add_middleware(_Guard, tokens=tokens, metrics=metrics)

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def no_such_path(_request: Request, error: HTTPException) -> Response:
        return _refusal(error.status_code, f"{error.detail}; POST rows to /invocations.")

    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
        if kind.lower() != "application/json":
            return _refusal(415, "Send the rows as JSON, with Content-Type: application/json.")
        try:
            async with asyncio.timeout(patience):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return _refusal(408, "The body did not arrive in time; send the request again.")
        if body is None:
            return _refusal(413, f"The body has more than {MOST_BYTES:,} bytes; send fewer rows.")
        if len(body) > _INLINE_BYTES:
            return await asyncio.to_thread(_answer, champion, metrics, body)
        return _answer(champion, metrics, body)

    # As a plain route: FastAPI would look for parameters, which takes a tenth of a request's time.
    app.add_route("/invocations", invocations, methods=["POST"])

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

    return app


class _Guard:
    """Refuses requests without a token, and counts and times all of them."""

    def __init__(self, app: ASGIApp, tokens: Tokens, metrics: Metrics) -> None:
        self._app = app
        self._tokens = tokens
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 499

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"] if scope["path"] in _PATHS else "other"
        try:
            shown = dict(scope["headers"]).get(b"authorization")
            if path in _OPEN or self._tokens.accept(shown):
                await self._app(scope, receive, noting)
            else:
                refusal = _refusal(401, "Send the token: Authorization: Bearer <token>.")
                refusal.headers["WWW-Authenticate"] = "Bearer"
                await refusal(scope, receive, noting)
        finally:
            self._metrics.answered(path, status, time.perf_counter() - started)


async def _body(request: Request) -> bytes | None:
    """Return a request's body; None if it is larger than allowed."""
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            return None
    return bytes(found)


def _answer(champion: Champion, metrics: Metrics, body: bytes) -> Response:
    """Score the rows of a body."""
    loaded = champion.loaded
    try:
        rows = champion.inputs.read(body)
    except BadRequestError as error:
        return _refusal(400, str(error))
    try:
        answer = predictions(loaded.score(rows))
    except Exception as error:  # noqa: BLE001 - whatever the model raises may quote the rows
        _LOG.error(
            "%s version %d could not score %d rows: %s",
            champion.name, loaded.version, rows.num_rows, type(error).__name__,
        )  # fmt: skip
        return _refusal(500, "The model could not score these rows.")
    metrics.scored(loaded.version, rows.num_rows)
    return Response(answer, media_type="application/json")


def _refusal(status: int, message: str) -> Response:
    """Return an error in the form of MLflow's."""
    code = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    return _json(status, {"error_code": code, "message": message})


def _json(status: int, value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
