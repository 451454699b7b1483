"""Test access to a location step by step: name, token, list, write, read, delete."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets.storage.location import Location
from lakehouse_assets.storage.store import PROBE, CloudFiles
from lakehouse_assets.storage.tokens import token_of

_CONTENT = b"lakehouse doctor"


@dataclass(frozen=True)
class Step:
    """Result of a step.

    Attributes:
        name: Name of the step.
        passed: Whether it worked; None if it was not tried because an earlier step failed.
        text: Its result, or why it failed and what to do.
        seconds: Its duration.
    """

    name: str
    passed: bool | None
    text: str
    seconds: float = 0.0


def probe(location: Location, identity: Identity, *, writes: bool) -> Iterator[Step]:
    """Test a location, also for writing if `writes`; after a failed step, no others are tried."""
    failed = False
    for name, attempt in _steps(location, identity, writes=writes).items():
        if failed:
            yield Step(name, None, "not tried")
            continue
        started = time.monotonic()
        try:
            text = attempt()
        except LakehouseError as error:
            text, failed = str(error), True
        yield Step(name, not failed, text, time.monotonic() - started)


def _steps(location: Location, identity: Identity, *, writes: bool) -> dict[str, Callable[[], str]]:
    if isinstance(location, Path):
        folder = location

        def exists() -> str:
            if not writes and not folder.is_dir():
                raise LakehouseError(f"The folder {folder} does not exist; create it.")
            return str(folder)

        def write_locally() -> str:
            LocalFiles(folder).check_writable()
            return "a test file was written and removed"

        return {"folder": exists} | ({"write": write_locally} if writes else {})

    access = Access(location, identity)
    files, name = CloudFiles(access), f"{PROBE}{uuid.uuid4().hex}"

    def token() -> str:
        kind = access.identity.kind + (" (chosen by default)" * (identity.kind == "default"))
        if not access.identity.gets_tokens:
            return f"{kind} needs no token"
        found = token_of(access.identity, access.login)
        end = datetime.fromtimestamp(found.expires_on, UTC)
        return f"{kind} has access as {_owner(found.token)}, until {end:%Y-%m-%d %H:%M} UTC"

    def list_files() -> str:
        files.exists()
        return f"{location} can be listed"

    def write() -> str:
        files.put(name, _CONTENT)
        return f"{name} was written"

    def read() -> str:
        if files.read(name) != _CONTENT:
            raise LakehouseError(
                f"{name} does not have the content that was written; check whether others write to "
                f"{location}, or a proxy answers instead of the storage account."
            )
        return "its content is as written"

    def delete() -> str:
        files.remove(name)
        return "it was removed"

    reads = {"name": lambda: _resolved(location.host), "token": token, "list": list_files}
    return reads | ({"write": write, "read": read, "delete": delete} if writes else {})


def _resolved(host: str) -> str:
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return f"{host} is reached through the proxy of HTTPS_PROXY"
    try:
        found = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
    except OSError:
        raise LakehouseError(
            f"The host name {host} cannot be resolved; correct the location, or the machine's DNS "
            "(a private endpoint needs its private zone)."
        ) from None
    return f"{host} is {found[0][4][0]}"


def _owner(token: str) -> str:
    """Return the token's owner from its claims: user, application or object id."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return "unknown"
    names = ("upn", "unique_name", "appid", "azp", "oid")
    return next((str(claims[name]) for name in names if claims.get(name)), "unknown")
