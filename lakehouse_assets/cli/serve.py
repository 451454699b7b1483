"""`lakehouse serve`: a registered model over HTTP, and the users of SQL."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lakehouse_assets import timeouts
from lakehouse_assets.cli.models import spec_of
from lakehouse_assets.cli.terminal import console, errors

serve = typer.Typer(no_args_is_help=True, help="Serve models over HTTP.")


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
    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.serving.server import serve as run
    from lakehouse_assets.serving.tokens import Tokens
    from lakehouse_assets.settings import load_settings

    spec, settings = spec_of(name), load_settings()
    given = settings.serving_token
    run(
        spec,
        MlflowTracking.of(settings),
        Tokens(given.get_secret_value() if given else None, token_file),
        host=host,
        port=port,
        refresh_seconds=refresh,
        say=lambda sentence: errors.print(sentence),
    )


@serve.command()
def databricks(
    name: Annotated[str, typer.Argument(help="Registered model.")],
    to: Annotated[str, typer.Option(help="Name there: <catalog>.<schema>.<model>.")],
    endpoint: Annotated[str, typer.Option(help="Endpoint; it is made if there is none.")],
) -> None:
    """Register a model's champion in Databricks, and let a Model Serving endpoint serve it.

    DATABRICKS_HOST and DATABRICKS_TOKEN say where and as whom. This has not been run against
    Databricks.
    """
    from databricks.sdk import WorkspaceClient

    from lakehouse_assets.ml.tracking import MlflowTracking
    from lakehouse_assets.serving.databricks import point_endpoint, register_exported
    from lakehouse_assets.serving.export import export
    from lakehouse_assets.settings import load_settings

    spec = spec_of(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "served")
        exported = export(spec, MlflowTracking.of(load_settings()), folder)
        version = register_exported(folder, to)
    point_endpoint(WorkspaceClient(), endpoint, to, version)
    console.print(f"{exported.model_uri} is version {version} of {to}, for the endpoint {endpoint}")


@serve.command()
def user(
    name: Annotated[str, typer.Argument(help="Name of the user.")],
    role: Annotated[
        str, typer.Option(help="Role, as `lakehouse access` lists them; `owner` reads everything.")
    ],
    to: Annotated[
        Path | None, typer.Option(help="File to add the line to; without it, the line is printed.")
    ] = None,
) -> None:
    """Make the line of a user for LAKEHOUSE_SQL_USERS; asks for the password twice.

    The line holds what proves the password (SCRAM-SHA-256), from which it cannot be read.
    """
    from lakehouse_assets.catalog.access import access_of
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.query.users import new_user, with_user

    access_of(role, ROLES, f"The user {name}")
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    made = new_user(name, role, password, ROLES)
    if to is None:
        typer.echo(made.line)
        return
    with_user(to, made, ROLES)
    console.print(f"{to} has the user {name} now, with the role {role}")
