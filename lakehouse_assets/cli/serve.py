"""`lakehouse serve`: a registered model over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets import timeouts
from lakehouse_assets.cli.terminal import errors
from lakehouse_assets.errors import LakehouseError, did_you_mean

serve = typer.Typer(no_args_is_help=True, help="Serve models over HTTP.")


@serve.callback()
def _serve() -> None:
    """Keep `model` a command of its own."""


@serve.command()
def model(
    name: Annotated[str, typer.Argument(help="Registered model.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback need a proxy for TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.")] = 5001,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File of tokens, one a line, instead of LAKEHOUSE_SERVING_TOKEN; read again when "
            "it changes."
        ),
    ] = None,
    refresh: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks for a new champion.")
    ] = timeouts.REFRESH_SECONDS,
) -> None:
    """Serve a model's champion over HTTP until Ctrl-C or SIGTERM.

    `POST /invocations` takes the shapes that MLflow documents and Azure ML's `input_data`, and
    gives the scores that the batch tables have. Clients send `Authorization: Bearer <token>`.
    """
    from lakehouse_assets.domains import MODELS
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.serving.server import serve as run
    from lakehouse_assets.serving.tokens import Tokens
    from lakehouse_assets.settings import load_settings

    if name not in MODELS:
        close = did_you_mean(name, MODELS) or "."
        raise LakehouseError(
            f"No model is called {name}{close} There are: {', '.join(sorted(MODELS))}."
        )
    settings = load_settings()
    given = settings.serving_token
    run(
        MODELS[name],
        MlflowTracking.of(settings),
        Tokens(given.get_secret_value() if given else None, token_file),
        host=host,
        port=port,
        refresh_seconds=refresh,
        say=lambda sentence: errors.print(sentence),
    )
