"""Try a location in steps and name the one that fails: name, token, list, write, read, delete."""

from __future__ import annotations

import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import DefaultIdentity, Identity
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets.storage.location import Location
from lakehouse_assets.storage.store import PROBE, CloudFiles

_CONTENT = b"lakehouse doctor"


@dataclass(frozen=True)
class Step:
    """A step that was tried.

    Attributes:
        name: What was tried.
        passed: Whether it worked; None if it was not tried, because one before it failed.
        text: What it showed, or why it failed and what to do.
        seconds: How long it took.
    """

    name: str
    passed: bool | None
    text: str
    seconds: float = 0.0


def probe(location: Location, identity: Identity, *, writes: bool) -> list[Step]:
    """Try a location; once a step fails, the others are not tried.

    Args:
        location: Where.
        identity: As whom a store is entered.
        writes: Whether it has to be written, too.
    """
    if isinstance(location, Path):
        tries = _local(location, writes=writes)
    else:
        tries = _cloud(Access(location, identity), identity, writes=writes)
    steps: list[Step] = []
    for name, attempt in tries:
        if any(step.passed is False for step in steps):
            steps.append(Step(name, None, "not tried"))
            continue
        started = time.monotonic()
        try:
            text, passed = attempt(), True
        except LakehouseError as error:
            text, passed = str(error), False
        steps.append(Step(name, passed, text, time.monotonic() - started))
    return steps


def _local(folder: Path, *, writes: bool) -> Iterator[tuple[str, Callable[[], str]]]:
    def exists() -> str:
        if not writes and not folder.is_dir():
            raise LakehouseError(f"The folder {folder} does not exist; create it.")
        return str(folder)

    def write() -> str:
        LocalFiles(folder).check_writable()
        return "a probe was written and removed"

    yield "folder", exists
    if writes:
        yield "write", write


def _cloud(
    access: Access, identity: Identity, *, writes: bool
) -> Iterator[tuple[str, Callable[[], str]]]:
    files = CloudFiles(access)
    name = f"{PROBE}{uuid.uuid4().hex}"

    def resolve_name() -> str:
        host = access.location.host
        proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        if proxy:
            return f"{host} is reached through the proxy of HTTPS_PROXY"
        try:
            found = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
        except OSError:
            raise LakehouseError(
                f"The host name {host} cannot be resolved; correct the location, or the "
                "machine's DNS (a private endpoint needs its private zone)."
            ) from None
        return f"{host} is {found[0][4][0]}"

    def token() -> str:
        chosen: str = access.identity.kind
        if isinstance(identity, DefaultIdentity):
            chosen = f"{chosen} (chosen by default)"
        found = access.token()
        if found is None:
            return f"{chosen} needs none"
        return f"{chosen} enters as {found.owner}, until {found.expires_at:%Y-%m-%d %H:%M} UTC"

    def list_files() -> str:
        files.exists()
        return f"{access.location} can be listed"

    def write() -> str:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe"
            source.write_bytes(_CONTENT)
            files.put(name, source)
        return f"{name} was written"

    def read() -> str:
        if files.read(name) != _CONTENT:
            raise LakehouseError(
                f"{name} does not read back as it was written; check whether somebody "
                "else writes to "
                f"{access.location}, or a proxy answers in place of the store."
            )
        return "it reads as it was written"

    def delete() -> str:
        files.remove(name)
        return "it is removed"

    yield "name", resolve_name
    yield "token", token
    yield "list", list_files
    if writes:
        yield "write", write
        yield "read", read
        yield "delete", delete
