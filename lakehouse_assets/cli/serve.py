"""`lakehouse serve`: a registered model and the catalog over HTTP; the lake in SQL, its users."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from lakehouse_assets import timeouts
from lakehouse_assets.cli.models import spec_of
from lakehouse_assets.cli.terminal import console, errors
from lakehouse_assets.errors import LakehouseError

BehindProxy: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; others than loopback need a proxy for TLS.")
]
WithTls: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; others than loopback need a certificate.")
]
Port: TypeAlias = Annotated[int, typer.Option(help="Port; 0 for any free one.")]
TokenFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="File of tokens, one a line, instead of LAKEHOUSE_SERVING_TOKEN; read again when it "
        "changes."
    ),
]
Certificate: TypeAlias = Annotated[
    Path | None, typer.Option(help="Certificate for TLS, with its chain, in PEM.")
]
CertificateKey: TypeAlias = Annotated[
    Path | None, typer.Option(help="Key of the certificate, in PEM.")
]
StatementSeconds: TypeAlias = Annotated[
    float, typer.Option(min=0.1, help="Most seconds that a statement may take.")
]

serve = typer.Typer(
    no_args_is_help=True, help="Serve models and the catalog over HTTP, and the lake in SQL."
)


@serve.command()
def model(
    name: Annotated[str, typer.Argument(help="Registered model.")],
    host: BehindProxy = "127.0.0.1",
    port: Port = 5001,
    token_file: TokenFile = None,
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
def catalog(
    host: BehindProxy = "127.0.0.1",
    port: Port = 8080,
    token_file: TokenFile = None,
    refresh: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks for new tokens.")
    ] = timeouts.REFRESH_SECONDS,
) -> None:
    """Serve the tables' names, columns and places as Unity Catalog does, until Ctrl-C or SIGTERM.

    Clients such as DuckDB attach the catalog `lake` and read the tables' files themselves, as the
    storage lets them: roles do not apply. Nothing can be changed. Clients send `Authorization:
    Bearer <token>`.
    """
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.governance.unity import CATALOG, build_app
    from lakehouse_assets.listening import listen, shown
    from lakehouse_assets.serving.server import run_app
    from lakehouse_assets.serving.tokens import Tokens
    from lakehouse_assets.settings import load_settings

    settings = load_settings()
    given = settings.serving_token
    tokens = Tokens(given.get_secret_value() if given else None, token_file)
    lake, listener = open_lake(settings), listen(host, port)
    title = f"Catalog {CATALOG}: http://{shown(listener)}/api/2.1/unity-catalog"
    run_app(
        build_app(lake, tokens), listener, title, (tokens.refresh,), refresh,
        lambda sentence: errors.print(sentence, highlight=False, soft_wrap=True),
    )  # fmt: skip


@serve.command()
def sql(
    host: WithTls = "127.0.0.1",
    port: Port = 5432,
    certificate: Certificate = None,
    key: CertificateKey = None,
    timeout: StatementSeconds = timeouts.STATEMENT_SECONDS,
    clients: Annotated[int, typer.Option(min=1, help="Most clients at a time.")] = 100,
) -> None:
    """Serve the lake to clients of PostgreSQL until Ctrl-C or SIGTERM.

    psql, DBeaver, Superset, Power BI, Excel and every driver of PostgreSQL connect to the database
    `lake`. LAKEHOUSE_SQL_USERS says who may ask (`lakehouse serve user` makes its lines) and the
    role of each says what it may read. Nobody can write.
    """
    from lakehouse_assets.cli.report import open_lake
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.endpoint.server import serve as run
    from lakehouse_assets.endpoint.server import tls_of
    from lakehouse_assets.endpoint.session import Limits
    from lakehouse_assets.query.audit import AuditFolder
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.query.users import Users
    from lakehouse_assets.settings import load_settings

    if (certificate is None) != (key is None):
        raise LakehouseError("TLS needs both --certificate and --key; give the other one, too.")
    settings = load_settings()
    given, masks = settings.sql_users, settings.mask_key
    users = Users.read(given.get_secret_value() if given else None, ROLES)
    tls = tls_of(certificate, key) if certificate and key else None
    sessions = Sessions(
        open_lake(settings, "duckdb"),
        key=masks.get_secret_value() if masks else None,
        audit=AuditFolder(settings.audit).add,
    )
    run(
        sessions,
        users,
        ROLES,
        host=host,
        port=port,
        tls=tls,
        limits=Limits(statement_seconds=timeout, connections=clients),
        say=lambda sentence: errors.print(sentence, highlight=False, soft_wrap=True),
    )


@serve.command()
def flight(
    host: WithTls = "127.0.0.1",
    port: Port = 31337,
    certificate: Certificate = None,
    key: CertificateKey = None,
    timeout: StatementSeconds = timeouts.STATEMENT_SECONDS,
) -> None:
    """Serve the lake in bulk by Arrow Flight SQL until Ctrl-C or SIGTERM.

    For ADBC, Polars, pandas and other clients that read Arrow: millions of rows a second. Users,
    roles and what may be asked are those of `lakehouse serve sql`.
    """
    from lakehouse_assets.cli.report import deliveries_of, open_lake
    from lakehouse_assets.domains import ROLES
    from lakehouse_assets.endpoint.flight import serve_flight
    from lakehouse_assets.query.audit import AuditFolder
    from lakehouse_assets.query.session import Sessions
    from lakehouse_assets.query.users import Users
    from lakehouse_assets.settings import load_settings

    if (certificate is None) != (key is None):
        raise LakehouseError("TLS needs both --certificate and --key; give the other one, too.")
    settings = load_settings()
    given, masks = settings.sql_users, settings.mask_key
    users = Users.read(given.get_secret_value() if given else None, ROLES)
    lake = open_lake(settings, "duckdb")
    pair = (_pem(certificate), _pem(key)) if certificate and key else None
    serve_flight(
        Sessions(
            lake,
            timeout,
            masks.get_secret_value() if masks else None,
            audit=AuditFolder(settings.audit).add,
            deliveries=deliveries_of(settings),
        ),
        users,
        ROLES,
        host=host,
        port=port,
        certificate=pair,
        say=lambda sentence: errors.print(sentence, highlight=False, soft_wrap=True),
    )


def _pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LakehouseError(
            f"{path} cannot be read ({error.strerror}); --certificate and --key name PEM files."
        ) from None


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
