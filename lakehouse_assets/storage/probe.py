"""Test access to a location step by step: name, token, list, write, read, delete."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets.storage.location import CloudLocation, Location
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
    if isinstance(location, Path):
        names, texts = ["folder", "write"], _in_folder(location, writes=writes)
    else:
        names = ["name", "token", "list", "write", "read", "delete"]
        texts = _in_store(location, identity)
    failed = False
    for name in names if writes else names[: names.index("write")]:
        if failed:
            yield Step(name, None, "not tried")
            continue
        started = time.monotonic()
        try:
            text = next(texts)
        except LakehouseError as error:
            text, failed = str(error), True
        yield Step(name, not failed, text, time.monotonic() - started)


def _in_folder(folder: Path, *, writes: bool) -> Iterator[str]:
    """Take the steps in a folder, one for each text that is asked for."""
    if not writes and not folder.is_dir():
        raise LakehouseError(f"The folder {folder} does not exist; create it.")
    yield str(folder)
    LocalFiles(folder).check_writable()
    yield "a test file was written and removed"


def _in_store(location: CloudLocation, identity: Identity) -> Iterator[str]:
    """Take the steps in a store, one for each text that is asked for."""
    access = Access(location, identity)
    files, name = CloudFiles(access), f"{PROBE}{uuid.uuid4().hex}"
    yield _resolved(location.host)
    kind = access.identity.kind + (" (chosen by default)" * (identity.kind == "default"))
    if access.identity.gets_tokens:
        token = token_of(access.identity, access.login)
        end = datetime.fromtimestamp(token.expires_on, UTC)
        yield f"{kind} has access as {_owner(token.token)}, until {end:%Y-%m-%d %H:%M} UTC"
    else:
        yield f"{kind} needs no token"
    files.exists()
    yield f"{location} can be listed"
    files.put(name, _CONTENT)
    yield f"{name} was written"
    if files.read(name) != _CONTENT:
        raise LakehouseError(
            f"{name} does not have the content that was written; check whether others write to "
            f"{location}, or a proxy answers instead of the storage account."
        )
    yield "its content is as written"
    files.remove(name)
    yield "it was removed"


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
