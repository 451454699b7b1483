"""Where the tables of a lake lie, as those who open them need it: on a disk or in a store."""

from __future__ import annotations

import re
import uuid
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.faults import explain, explained
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import Location
from lakehouse_assets.storage.store import CloudFiles

if TYPE_CHECKING:
    from lakehouse_assets.engine.base import Engine
    from lakehouse_assets.engine.duckdb import DuckDBEngine
    from lakehouse_assets.engine.spark import SparkEngine

# The file that makes a folder a Delta table.
FIRST_COMMIT = "_delta_log/00000000000000000000.json"
# Beside the commits; readers of Delta leave hidden files alone.
_NEWEST = "_delta_log/.newest"
_COMMITTED = re.compile(r"\d{20}\.(json|checkpoint.*\.parquet)")


class Folder(Protocol):
    """The folder of a table."""

    @property
    def uri(self) -> str:
        """Where it lies, for people and for engines."""
        ...

    @property
    def address(self) -> str:
        """Where it lies, for delta-rs."""
        ...

    def options(self, *, lasting: bool) -> dict[str, str]:
        """Return the options with which delta-rs opens it, secrets in the clear.

        Args:
            lasting: Whether it is opened to be written, which may take long.

        Raises:
            LakehouseError: a secret is missing, or no token is given.
        """
        ...

    def has_log(self) -> bool:
        """Say whether it holds a Delta log; leftovers of an interrupted creation are none.

        Raises:
            LakehouseError: that cannot be told.
        """
        ...

    def mark_of(self, version: int) -> Hashable | None:
        """Return by what a commit's file is known again; None if it is not there.

        None also where that takes about as long as opening the table, as in a store.
        """
        ...

    def note(self, version: int) -> None:
        """Note the newest version of the log, so that its loss is noticed; on a disk only."""
        ...

    def noted(self) -> int:
        """Return the newest version that was noted; -1 if none was."""
        ...

    def is_empty(self, version: int) -> bool:
        """Say whether a commit's file is there and empty, as after a power cut; on a disk only."""
        ...

    def begin_log(self, commit: bytes) -> None:
        """Put a table's first commit, whole; nothing happens if it has one.

        Raises:
            LakehouseError: a store refuses; the message has the remedy.
            OSError: the disk refuses.
        """
        ...

    def fault(self, error: BaseException) -> LakehouseError | None:
        """Return the sentence for what a store refused; None if the error tells of nothing such."""
        ...


class Place(Protocol):
    """A lake's root."""

    def folder(self, path: str) -> Folder:
        """Return a folder below the root."""
        ...

    def admit(self, engine: Engine) -> None:
        """Let an engine read what lies here.

        Raises:
            LakehouseError: it cannot enter the store as the lake's identity.
        """
        ...


def place_of(location: Location, identity: Identity) -> Place:
    """Return the place at a location, entered as an identity where that is asked for."""
    if isinstance(location, Path):
        return _LocalPlace(location)
    return _CloudPlace(Access(location, identity))


def local_folder(path: Path) -> Folder:
    """Return a folder of this machine."""
    return _LocalFolder(path)


class _LocalPlace:
    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, path: str) -> Folder:
        return _LocalFolder(self._root / path)

    def admit(self, engine: Engine) -> None:
        """Every engine reads local folders."""


class _LocalFolder:
    def __init__(self, path: Path) -> None:
        self.uri = self.address = str(path)

    def options(self, *, lasting: bool) -> dict[str, str]:
        return {}

    def has_log(self) -> bool:
        from lakehouse_assets.lake.log import one_line

        try:
            entries = (Path(self.uri) / "_delta_log").iterdir()
            return any(_COMMITTED.fullmatch(entry.name) for entry in entries)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise LakehouseError(
                f"The lake cannot be read at {self.uri} ({one_line(error)}); LAKEHOUSE_ROOT must "
                "be a folder that you may read and write."
            ) from error

    def mark_of(self, version: int) -> Hashable | None:
        try:
            state = Path(self.uri, "_delta_log", f"{version:020}.json").stat()
        except OSError:
            return None
        return state.st_dev, state.st_ino, state.st_mtime_ns

    def note(self, version: int) -> None:
        # It is a help, and a lake that may only be read is as good.
        with suppress(OSError):
            if self.noted() < version:
                Path(self.uri, _NEWEST).write_text(f"{version}\n", encoding="utf-8")

    def noted(self) -> int:
        try:
            return int(Path(self.uri, _NEWEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return -1

    def is_empty(self, version: int) -> bool:
        newest = Path(self.uri, "_delta_log", f"{version:020}.json")
        return newest.is_file() and not newest.stat().st_size

    def begin_log(self, commit: bytes) -> None:
        first = Path(self.uri) / FIRST_COMMIT
        first.parent.mkdir(parents=True, exist_ok=True)
        unfinished = first.with_name(f".{first.name}.{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(commit)
            with suppress(FileExistsError):
                # A second name for the whole file, which only one writer can give.
                first.hardlink_to(unfinished)
        finally:
            unfinished.unlink(missing_ok=True)

    def fault(self, error: BaseException) -> LakehouseError | None:
        return None


class _CloudPlace:
    def __init__(self, access: Access) -> None:
        self._access = access

    def folder(self, path: str) -> Folder:
        return _CloudFolder(self._access, path)

    def admit(self, engine: Engine) -> None:
        if engine.name == "duckdb":
            root, address = str(self._access.location), self._access.duckdb_uri()
            embedded = cast("DuckDBEngine", engine)
            embedded.open_store(root, address, self._access.duckdb_secret, self._explained)
        elif engine.name == "spark":
            settings = self._access.spark()
            cast("SparkEngine", engine).open_store(settings)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with explained(self._access.location, self._access.identity):
            yield


class _CloudFolder:
    def __init__(self, access: Access, path: str) -> None:
        self._access = access
        self._path = path
        self.uri = str(access.location / path)
        self.address = f"{access.object_store_uri()}/{path}"

    def options(self, *, lasting: bool) -> dict[str, str]:
        return self._access.object_store(lasting=lasting) | timeouts.delta_rs()

    def has_log(self) -> bool:
        entries = CloudFiles(self._access).list_all(f"{self._path}/_delta_log")
        return any(_COMMITTED.fullmatch(entry.path) for entry in entries)

    def mark_of(self, version: int) -> Hashable | None:
        return None

    def note(self, version: int) -> None:
        """Stores lose nothing that they have taken."""

    def noted(self) -> int:
        return -1

    def is_empty(self, version: int) -> bool:
        return False

    def begin_log(self, commit: bytes) -> None:
        CloudFiles(self._access).put_new(f"{self._path}/{FIRST_COMMIT}", commit)

    def fault(self, error: BaseException) -> LakehouseError | None:
        return explain(error, self._access.location, self._access.identity)
