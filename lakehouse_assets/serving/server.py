"""Runs an HTTP server, which regularly checks for a new champion and new tokens."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import uvicorn

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.listening import is_loopback, listen, shown
from lakehouse_assets.serving.app import App
from lakehouse_assets.serving.champion import Champion
from lakehouse_assets.serving.tokens import Tokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from lakehouse_assets.ml.spec import ModelSpec
    from lakehouse_assets.ml.tracking import MlflowTracking

# Connections above this number are answered with 503.
_MOST_CONNECTIONS = 512


def serve(
    spec: ModelSpec,
    tracking: MlflowTracking,
    tokens: Tokens,
    *,
    host: str,
    port: int,
    refresh_seconds: float,
    say: Callable[[str], None],
) -> None:
    """Serve a model until the main thread is interrupted; then finish the open requests.

    Args:
        spec: The model.
        tracking: The MLflow store.
        tokens: The tokens of clients.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        refresh_seconds: How often to ask for a new champion and read the tokens again.
        say: Prints a message.

    Raises:
        LakehouseError: There is no champion, its files are refused, the registry fails, or the
            port is taken.
        KeyboardInterrupt: The process was asked to end.
    """
    champion = Champion(spec, tracking)
    listener = listen(host, port)
    title = f"{spec.name}, version {champion.loaded.version}: http://{shown(listener)}/invocations"
    news = (champion.refresh, tokens.refresh)
    run_app(App(champion, tokens), listener, title, news, refresh_seconds, say)


def run_app(
    app: ASGIApp,
    listener: socket.socket,
    title: str,
    news: Sequence[Callable[[], str | None]],
    refresh_seconds: float,
    say: Callable[[str], None],
) -> None:
    """Run an application until the main thread is interrupted; then finish the open requests.

    Args:
        app: The application.
        listener: The socket that it listens on.
        title: The first message: what is served, and at which address.
        news: Functions that are called regularly; the messages that they return are printed.
        refresh_seconds: Seconds between these calls.
        say: Prints a message.

    Raises:
        LakehouseError: The server stopped unexpectedly.
        KeyboardInterrupt: The process was asked to end.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            # Nothing of a request is logged; the metrics count them.
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=timeouts.DRAIN_SECONDS,
        )
    )
    ended = threading.Event()

    def run() -> None:
        try:
            server.run([listener])
        finally:
            ended.set()

    def refresh() -> None:
        while not ended.wait(refresh_seconds):
            for found in (look() for look in news):
                if found:
                    say(found)

    serving = threading.Thread(target=run, name="server", daemon=True)
    serving.start()
    # As a daemon, so that a registry that does not answer does not keep the process running.
    threading.Thread(target=refresh, name="refresh", daemon=True).start()
    address = listener.getsockname()[0]
    say(title)
    if not is_loopback(address):
        say(
            f"Other machines can reach {address}, but this server has no TLS: put a proxy in front "
            "of it (deploy/nginx)."
        )
    try:
        ended.wait()
    finally:
        server.should_exit = True
        serving.join(timeouts.DRAIN_SECONDS + 1)
    raise LakehouseError("The server stopped unexpectedly; start it again.")
