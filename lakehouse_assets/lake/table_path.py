"""Addresses of a lake's tables, on a disk or in a store, and each client's access to them."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lakehouse_assets.errors import LakehouseError, one_line
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import Location
from lakehouse_assets.storage.store import CloudFiles

if TYPE_CHECKING:
    from lakehouse_assets.catalog.registry import Table
    from lakehouse_assets.engine.base import Engine
    from lakehouse_assets.engine.duckdb import DuckDBEngine
    from lakehouse_assets.engine.spark import SparkEngine

_COMMITTED = re.compile(r"\d{20}\.(json|checkpoint.*\.parquet)")
# In the folder of the commits; Delta readers ignore hidden files.
_NEWEST = ".newest"


class LakeRoot:
    """The location of a lake, with the identity that accesses it if it is in a store."""

    def __init__(self, location: Location, identity: Identity) -> None:
        self.location = location
        self._access = None if isinstance(location, Path) else Access(location, identity)

    def table(self, table: Table) -> TablePath:
        """Return the path of a table: `<domain>/<table>` below the root."""
        return TablePath(self.location, f"{table.domain}/{table.name}", self._access)

    def grant_access(self, engine: Engine) -> None:
        """Grant an engine access to a lake in a store; a local lake needs no grant.

        Raises:
            LakehouseError: the engine cannot access the store as the lake's identity.
        """
        access = self._access
        if access is None:
            return
        if engine.name == "spark":
            cast("SparkEngine", engine).open_store(access.spark())
        elif engine.name == "duckdb":
            root, address = str(access.location), access.duckdb_address()
            embedded = cast("DuckDBEngine", engine)
            embedded.open_store(root, address, access.duckdb_secret, access.explained)


class TablePath:
    """The folder of a table.

    Args:
        root: The lake's location.
        path: Path below it.
        access: Access to a store; None on a disk.

    Attributes:
        uri: Address for people and engines.
        address: Address for delta-rs.
    """

    def __init__(self, root: Location, path: str, access: Access | None = None) -> None:
        self.uri = str(root / path)
        self.address = f"{access.address}/{path}" if access else self.uri
        self._path = path
        self._access = access
        self._log = Path(self.uri, "_delta_log")

    def options(self) -> dict[str, str]:
        """Return the delta-rs options to open it; they contain secrets in plain text.

        Raises:
            LakehouseError: a secret is missing, or the identity gets no token.
        """
        return self._access.delta_rs() if self._access else {}

    def has_log(self) -> bool:
        """Return whether it has a Delta log; leftovers of an interrupted creation do not count.

        Raises:
            LakehouseError: the location cannot be read.
        """
        if self._access is not None:
            entries = CloudFiles(self._access).list_all(f"{self._path}/_delta_log")
            return any(_COMMITTED.fullmatch(entry.path) for entry in entries)
        try:
            return any(_COMMITTED.fullmatch(entry.name) for entry in self._log.iterdir())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise LakehouseError(
                f"The lake cannot be read at {self.uri} ({one_line(error)}); LAKEHOUSE_ROOT must "
                "be a folder that you may read and write."
            ) from error

    def note_version(self, version: int) -> None:
        """Record the newest version on a disk, so that a lost commit is noticed later."""
        # Optional: a read-only lake works without it.
        with suppress(OSError):
            if self._access is None and self.noted_version() < version:
                self._log.joinpath(_NEWEST).write_text(f"{version}\n", encoding="utf-8")

    def noted_version(self) -> int:
        """Return the newest recorded version; -1 if there is none, as in a store."""
        if self._access is not None:
            return -1
        try:
            return int(self._log.joinpath(_NEWEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return -1

    def is_empty(self, version: int) -> bool:
        """Return whether a commit's file on a disk is empty, as after a power cut."""
        newest = self._log / f"{version:020}.json"
        return self._access is None and newest.is_file() and not newest.stat().st_size

    def explain(self, error: BaseException) -> LakehouseError | None:
        """Return the error to raise for a store's refusal; None if no store is involved."""
        return self._access.explain(error) if self._access else None
