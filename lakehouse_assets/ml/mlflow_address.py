"""Addresses of MLflow stores: which are accepted, and how to show them without secrets."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from lakehouse_assets.errors import LakehouseError


def redact_uri(uri: str) -> str:
    """Return the address without user, password and query values, so that it can be printed.

    If in doubt, it hides more: if the query contains an @, only the scheme remains.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    base, question, query = rest.partition("?")
    if "@" in query:
        return f"{scheme}://***"
    if "@" in base and not scheme.startswith("sqlite"):
        base = f"***@{base.rpartition('@')[2]}"
    return f"{scheme}://{base}{'?***' if question else ''}"


def without_secrets(text: str, uri: str) -> str:
    """Return the text with every secret part of the address replaced by `***`."""
    if redact_uri(uri) == uri:
        return text
    rest = uri.partition("://")[2]
    user_info = rest.rpartition("@")[0]
    query = rest.partition("?")[2]
    secrets = {uri, rest, user_info, user_info.partition(":")[2], query}
    secrets |= {pair.partition("=")[2] for pair in query.split("&")}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def check_uri(uri: str) -> None:
    """Check that an address is not one that MLflow 3.17 refuses, or that would not store runs.

    Raises:
        LakehouseError: it is a folder, an in-memory database, or has too few slashes.
    """
    if uri.startswith("file:") or ("://" not in uri and uri != "databricks"):
        msg = (
            f"The MLflow address {redact_uri(uri)} is a folder, and MLflow no longer keeps runs "
            "in folders; use sqlite:///<folder>/mlflow.db or a tracking server."
        )
        raise LakehouseError(msg)
    path = sqlite_path(uri)
    if path is not None and path.name in ("", ":memory:"):
        msg = (
            "The MLflow address names no database file and would forget every run; use "
            "sqlite:///<folder>/mlflow.db."
        )
        raise LakehouseError(msg)
    if path is not None and ":///" not in uri:
        msg = (
            f"The MLflow address {redact_uri(uri)} has two slashes, and SQLite's has three; write "
            "sqlite:///<folder>/mlflow.db."
        )
        raise LakehouseError(msg)


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of an SQLite address; None for any other address."""
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    # Three slashes mean a path relative to the working folder; four, an absolute one.
    return Path(rest.partition("?")[0].removeprefix("/"))
