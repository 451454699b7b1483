"""Timeouts and retries of calls that leave this process.

Every client gets its limits from here, in its own format. Two settings change them:
`LAKEHOUSE_REQUEST_TIMEOUT` for MLflow, cloud storage, Entra, brokers and the webhook, and
`LAKEHOUSE_DATABASE_TIMEOUT` for databases. After a client's own retries, a step that failed with a
transient error is retried after each of `STEP_PAUSES`; these retries are reported.

Two clients cannot be configured. DuckDB's Azure reader gives up after four attempts of 60 seconds,
and so does azure-storage-blob, by which MLflow stores artefacts in ADLS or OneLake, with pauses of
up to 42 seconds in between.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from lakehouse_assets.project import variables

REQUEST_SECONDS: Final = 20
DATABASE_SECONDS: Final = 600
# A client's own retries, before those of the step.
RETRIES: Final = 3
# One is enough, because a step does little before its first call to MLflow and can be retried.
MLFLOW_RETRIES: Final = 1
# Seconds before each retry of a step; busy storage needs longer pauses rather than more of them.
STEP_PAUSES: tuple[float, ...] = (2.0, 10.0, 40.0)
# How long a server finishes requests after SIGTERM; after five seconds the process is killed.
DRAIN_SECONDS: Final = 3
# How long a statement of a SQL client may take.
STATEMENT_SECONDS: Final = 300.0
# How often a server checks for a new champion.
REFRESH_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 10
FIRST_PAUSE: Final = timedelta(milliseconds=500)
_LONGEST_PAUSE: Final = timedelta(seconds=8)


def request_seconds() -> int:
    """Return how many seconds a service may stay silent."""
    return int(variables().get("LAKEHOUSE_REQUEST_TIMEOUT") or REQUEST_SECONDS)


def database_seconds() -> int:
    """Return how many seconds a database may stay silent while it answers a query."""
    return int(variables().get("LAKEHOUSE_DATABASE_TIMEOUT") or DATABASE_SECONDS)


def connect_seconds() -> int:
    """Return how many seconds connecting and logging in may take."""
    return min(request_seconds(), _CONNECT_SECONDS)


def mlflow_variables() -> dict[str, str]:
    """Return environment variables for MLflow, and for libpq if its store is PostgreSQL."""
    return {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(request_seconds()),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(MLFLOW_RETRIES),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": str(request_seconds()),
        "PGCONNECT_TIMEOUT": str(connect_seconds()),
    }


def delta_rs() -> dict[str, str]:
    """Return the options of delta-rs; its timeout covers a request including its body."""
    whole = 2 * request_seconds()
    return {
        "timeout": f"{whole}s",
        "connect_timeout": f"{connect_seconds()}s",
        "max_retries": str(RETRIES),
        "retry_timeout": f"{whole}s",
        "backoff_config.init_backoff": f"{FIRST_PAUSE // timedelta(milliseconds=1)}ms",
        "backoff_config.max_backoff": f"{_LONGEST_PAUSE.seconds}s",
    }


def obstore() -> dict[str, Any]:
    """Return obstore's arguments `client_options` and `retry_config`.

    Only silence is limited, so that a file of any size has time to arrive.
    """
    silence = timedelta(seconds=request_seconds())
    return {
        "client_options": {
            "timeout": timedelta(days=1),
            "read_timeout": silence,
            "connect_timeout": timedelta(seconds=connect_seconds()),
        },
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": 2 * silence,
            "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
        },
    }


def azure_identity() -> dict[str, Any]:
    """Return the arguments of an azure-identity credential."""
    return {
        "connection_timeout": connect_seconds(),
        "read_timeout": request_seconds(),
        "retry_total": MLFLOW_RETRIES,
    }


def kafka() -> dict[str, Any]:
    """Return the options of librdkafka, which reconnects until the caller gives up."""
    return {
        # The maximum that librdkafka allows.
        "socket.timeout.ms": min(request_seconds() * 1000, 300_000),
        "socket.connection.setup.timeout.ms": connect_seconds() * 1000,
        "reconnect.backoff.ms": 500,
        "reconnect.backoff.max.ms": 2000,
    }


def database(driver: str) -> dict[str, Any]:
    """Return the connection arguments of a database driver, named by its module."""
    connect, silence = connect_seconds(), database_seconds()
    arguments: dict[str, dict[str, Any]] = {
        # libpq cannot limit the silence of a query; the operating system detects a dead peer.
        "psycopg": {
            "connect_timeout": connect,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
        },
        "pymysql": {
            "connect_timeout": connect, "read_timeout": silence, "write_timeout": silence,
        },
        "snowflake": {
            "login_timeout": connect, "network_timeout": silence, "socket_timeout": silence,
        },
        "pymssql": {"login_timeout": connect, "timeout": silence},
        "oracledb": {"tcp_connect_timeout": connect},
        "teradatasql": {
            "connect_timeout": str(connect * 1000), "request_timeout": str(silence),
        },
    }  # fmt: skip
    # MLflow prefers psycopg2, which is based on libpq like psycopg.
    return arguments.get("psycopg" if driver == "psycopg2" else driver, {})
