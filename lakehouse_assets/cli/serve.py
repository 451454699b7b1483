"""`lakehouse serve`: serves models, the catalog and SQL, and creates SQL users."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lakehouse_assets import timeouts
from lakehouse_assets.cli.models import spec_of
from lakehouse_assets.cli.opening import load_settings, open_lake, open_sessions, open_tracking
from lakehouse_assets.cli.terminal import ModelName, console, errors
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse_assets.query.users import Users
    from lakehouse_assets.serving.tokens import Tokens
    from lakehouse_assets.settings import Settings

BehindProxy: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; only loopback is safe without a TLS proxy.")
]
WithTls: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; any but loopback needs a certificate.")
]
Port: TypeAlias = Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")]
TokenFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="File with one token per line, instead of LAKEHOUSE_SERVING_TOKEN; read again when it "
        "changes."
    ),
]
Certificate: TypeAlias = Annotated[
    Path | None, typer.Option(help="TLS certificate with its chain, as a PEM file.")
]
CertificateKey: TypeAlias = Annotated[
    Path | None, typer.Option(help="Private key of the certificate, as a PEM file.")
]
StatementSeconds: TypeAlias = Annotated[
    float, typer.Option(min=0.1, help="Maximum seconds for a statement.")
]

serve = typer.Typer(
    no_args_is_help=True,
    help="Serve the lake to SQL clients, and models and the catalog over HTTP.",
)


@serve.command()
def model(
    name: ModelName,
    host: BehindProxy = "127.0.0.1",
    port: Port = 5001,
    token_file: TokenFile = None,
    refresh: Annotated[
        float, typer.Option(min=0.1, help="Seconds between checks for a new champion.")
    ] = timeouts.REFRESH_SECONDS,
) -> None:
    """Serve a model's champion over HTTP until Ctrl-C or SIGTERM.

    `POST /invocations` accepts MLflow's request formats and Azure ML's `input_data`, and returns
    the same scores as the batch tables. Clients send `Authorization: Bearer <token>`.
    """
    from lakehouse_assets.serving.server import serve as run

    spec, settings = spec_of(name), load_settings()
    run(
        spec,
        open_tracking(settings),
        _tokens(settings, token_file),
        host=host,
        port=port,
        refresh_seconds=refresh,
        say=errors.print,
    )


@serve.command()
def catalog(
    host: BehindProxy = "127.0.0.1",
    port: Port = 8080,
    token_file: TokenFile = None,
    refresh: Annotated[
        float, typer.Option(min=0.1, help="Seconds between checks for new tokens.")
    ] = timeouts.REFRESH_SECONDS,
) -> None:
    """Serve the tables' names, columns and locations with Unity Catalog's API.

    Runs until Ctrl-C or SIGTERM and is read-only. Clients such as DuckDB attach the catalog `lake`
    and read the files with their own storage rights: roles do not apply. Clients send
    `Authorization: Bearer <token>`.
    """
    from lakehouse_assets.governance.unity import CATALOG, build_app
    from lakehouse_assets.listening import listen, shown
    from lakehouse_assets.serving.server import run_app

    settings = load_settings()
    tokens = _tokens(settings, token_file)
    lake, listener = open_lake(settings), listen(host, port)
    title = f"Catalog {CATALOG}: http://{shown(listener)}/api/2.1/unity-catalog"
    run_app(
        build_app(lake, tokens), listener, title, (tokens.refresh,), refresh,
        errors.print,
    )  # fmt: skip


@serve.command()
def sql(
    host: WithTls = "127.0.0.1",
    port: Port = 5432,
    certificate: Certificate = None,
    key: CertificateKey = None,
    timeout: StatementSeconds = timeouts.STATEMENT_SECONDS,
    clients: Annotated[int, typer.Option(min=1, help="Maximum clients at a time.")] = 100,
) -> None:
    """Serve the lake to PostgreSQL clients until Ctrl-C or SIGTERM.

    psql, DBeaver, Superset, Power BI, Excel and PostgreSQL drivers connect to the database `lake`.
    LAKEHOUSE_SQL_USERS lists the users (`lakehouse serve user` creates them), and the role of a
    user decides what they may read. Nobody can write.
    """
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.endpoint.server import serve as run
    from lakehouse_assets.endpoint.server import tls_of
    from lakehouse_assets.endpoint.session import Limits

    _check_pair(certificate, key)
    settings = load_settings()
    users = _users(settings)
    tls = tls_of(certificate, key) if certificate and key else None
    run(
        open_sessions(settings),
        users,
        ROLES,
        host=host,
        port=port,
        tls=tls,
        limits=Limits(statement_seconds=timeout, connections=clients),
        say=errors.print,
    )


@serve.command()
def flight(
    host: WithTls = "127.0.0.1",
    port: Port = 31337,
    certificate: Certificate = None,
    key: CertificateKey = None,
    timeout: StatementSeconds = timeouts.STATEMENT_SECONDS,
) -> None:
    """Serve the lake in bulk over Arrow Flight SQL until Ctrl-C or SIGTERM.

    ADBC, Polars, pandas and other Arrow clients read millions of rows a second. Users, roles and
    allowed statements are the same as for `lakehouse serve sql`.
    """
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.endpoint.flight import serve_flight

    _check_pair(certificate, key)
    settings = load_settings()
    users = _users(settings)
    pair = (_pem(certificate), _pem(key)) if certificate and key else None
    serve_flight(
        open_sessions(settings, timeout, with_deliveries=True),
        users,
        ROLES,
        host=host,
        port=port,
        certificate=pair,
        say=errors.print,
    )


def _tokens(settings: Settings, file: Path | None) -> Tokens:
    from lakehouse_assets.serving.tokens import Tokens

    given = settings.serving_token
    return Tokens(given.get_secret_value() if given else None, file)


def _users(settings: Settings) -> Users:
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.query.users import Users

    given = settings.sql_users
    return Users.read(given.get_secret_value() if given else None, ROLES)


def _check_pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise LakehouseError("TLS needs both --certificate and --key; add the other one.")


def _pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LakehouseError(
            f"{path} cannot be read ({error.strerror}); --certificate and --key take PEM files."
        ) from None


@serve.command()
def databricks(
    name: ModelName,
    to: Annotated[str, typer.Option(help="Name in Unity Catalog, as <catalog>.<schema>.<model>.")],
    endpoint: Annotated[str, typer.Option(help="Serving endpoint; created if it does not exist.")],
) -> None:
    """Register a model's champion in Databricks and serve it with Model Serving.

    DATABRICKS_HOST and DATABRICKS_TOKEN set the workspace and the login. This has not been tried
    on Databricks.
    """
    from databricks.sdk import WorkspaceClient

    from lakehouse_assets.serving.databricks import point_endpoint, register_exported
    from lakehouse_assets.serving.export import export

    spec = spec_of(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "served")
        exported = export(spec, open_tracking(), folder)
        version = register_exported(folder, to)
    point_endpoint(WorkspaceClient(), endpoint, to, version)
    console.print(
        f"Registered {exported.model_uri} as version {version} of {to}, served by {endpoint}."
    )


@serve.command()
def user(
    name: Annotated[str, typer.Argument(help="Name of the user.")],
    role: Annotated[
        str,
        typer.Option(
            help="Role of the user, as `lakehouse access` lists it; `owner` reads everything."
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(help="File to add the line to. Default: standard output.")
    ] = None,
) -> None:
    """Create a user for LAKEHOUSE_SQL_USERS.

    Asks for the password twice, or reads it from the first line of standard input if that is a
    file or a pipe.

    The user is one line of text. It verifies the password (SCRAM-SHA-256) but does not reveal it.
    """
    from lakehouse_assets.catalog.access import access_of
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.query.users import new_user, with_user

    access_of(role, ROLES, f"The user {name}")
    made = new_user(name, role, _password(), ROLES)
    if to is None:
        typer.echo(made.line)
        return
    with_user(to, made, ROLES)
    console.print(f"Added the user {name} with the role {role} to {to}.")


def _password() -> str:
    """Ask for a password at a terminal, or read it from standard input.

    Raises:
        LakehouseError: a second line of standard input differs from the first.
    """
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    password, again = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    if again not in ("", password):
        raise LakehouseError(
            "Standard input has two different passwords; write the password on its first line."
        )
    return password
