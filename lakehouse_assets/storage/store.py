"""Files in a container of ADLS or in a lakehouse of Fabric, through obstore."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.faults import StoreError
from lakehouse_assets.storage.files import Entry, Files
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets.storage.location import Location

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import AzureStore

# A page of a listing has a thousand files; a history has some of them on every day.
_FOLDERS_PER_PAGE = 10
# How the names of probes begin; a dot hides what an interrupted one left behind.
PROBE = ".lakehouse-probe-"


def files_at(root: Location, identity: Identity) -> Files:
    """Return the files at a location; the identity is used for a store."""
    return LocalFiles(root) if isinstance(root, Path) else CloudFiles(Access(root, identity))


class CloudFiles(Files):
    """Files in a container of ADLS or in a lakehouse, through obstore.

    Args:
        access: Their location and the identity that accesses it.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opened: tuple[dict[str, Any], AzureStore] | None = None

    @contextmanager
    def _store(self) -> Iterator[AzureStore]:
        """Give the store with the current token, and raise what it refuses as sentences."""
        try:
            from obstore.exceptions import NotFoundError
            from obstore.store import AzureStore
        except ImportError:
            raise LakehouseError(
                "A store needs the packages of the extra `azure`; install lakehouse_assets[azure]."
            ) from None
        options: dict[str, Any] = self._access.object_store()
        if self._opened is None or self._opened[0] != options:
            limits, location = timeouts.obstore(), self._access.location
            if options.get("azure_storage_endpoint", "").startswith("http://"):
                limits["client_options"]["allow_http"] = True
            prefix = location.path or None
            store = AzureStore(location.container, prefix=prefix, config=options, **limits)
            self._opened = options, store
        try:
            with self._access.explained():
                yield self._opened[1]
        except NotFoundError as error:
            # obstore has two classes for it.
            raise FileNotFoundError(str(error)) from None

    def exists(self) -> bool:
        """Say whether the container is there: a folder is, as soon as a file lies in it."""
        with self._store() as store:
            next(iter(store.list(chunk_size=1)), None)
        return True

    def list_all(self, folder: str) -> list[Entry]:
        """List every file below a folder, whatever its depth."""
        with self._store() as store:
            found = store.list(f"{folder}/" if folder else None, chunk_size=1000).collect()
        return sorted(_entry(meta, folder) for meta in found)

    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder, in one request."""
        with self._store() as store:
            found = store.list_with_delimiter(f"{folder}/" if folder else None)
        folders = {PurePosixPath(path).name for path in found["common_prefixes"]}
        files = [_entry(meta, folder) for meta in found["objects"]]
        # Some clients put an empty object where a folder is.
        files = [entry for entry in files if entry.path not in folders]
        return sorted([*(Entry(name, True) for name in folders), *files])

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List the files of a folder and of those in it, in as many requests as they fill pages.

        Where only few of the folders in it are entered, as of a history only the days of a run,
        those alone are listed.
        """
        top = self.children(folder)
        folders = [entry.path for entry in top if entry.is_folder]
        few = [name for name in folders if enter(name)]
        if len(few) * _FOLDERS_PER_PAGE < len(folders):
            found = [entry for entry in top if not entry.is_folder]
            for name in few:
                inner = self.list_all(f"{folder}/{name}" if folder else name)
                found += [replace(entry, path=f"{name}/{entry.path}") for entry in inner]
        else:
            found = self.list_all(folder)
        parents = {entry.path: _parents(entry.path) for entry in found}
        known = set().union(*parents.values())
        entered = {name for name in known if enter(name)}
        return sorted(
            e for e in found if e.path not in known and entered.issuperset(parents[e.path])
        )

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield a file's content."""
        with self._store() as store:
            yield from map(bytes, store.get(path).stream())

    def put(self, path: str, source: Path | bytes) -> None:
        """Upload a file; a store shows it when all of it is there."""
        with self._store() as store:
            # Few parts at once, so that on a slow line none of them stays unanswered for too long.
            store.put(path, source, max_concurrency=4)

    def remove(self, path: str) -> None:
        """Remove a file."""
        with self._store() as store:
            store.delete(path)

    def check_writable(self) -> None:
        """Write and remove a small file of its own name."""
        name = f"{PROBE}{uuid.uuid4().hex}"
        self.put(name, b"lakehouse")
        self.remove(name)

    @contextmanager
    def fetched(self, entries: Sequence[Entry]) -> Iterator[list[Path]]:
        """Copy files to this machine for the time of the block."""
        with tempfile.TemporaryDirectory(prefix="lakehouse-landing-") as folder:
            paths = []
            for number, entry in enumerate(entries):
                # One folder each: names may be the same on several days.
                path = Path(folder) / str(number) / PurePosixPath(entry.path).name
                path.parent.mkdir()
                self._fetch(entry, path)
                paths.append(path)
            yield paths

    def _fetch(self, entry: Entry, path: Path) -> None:
        from obstore.exceptions import PreconditionError

        try:
            with self._store() as store, path.open("wb") as out:
                found = store.get(entry.path, options={"if_match": entry.version})
                for chunk in found.stream():
                    out.write(chunk)
        except (FileNotFoundError, PreconditionError):
            raise StoreError(
                f"{self._access.location / entry.path} was delivered anew or removed while it was "
                "read; run the partition again."
            ) from None
        if path.stat().st_size != entry.size:
            raise StoreError(
                f"{self._access.location / entry.path} came with {path.stat().st_size} of "
                f"{entry.size} bytes; run the partition again."
            )


def _entry(meta: ObjectMeta, folder: str) -> Entry:
    """Return a file of a store as an entry of a listed folder."""
    path, modified = meta["path"].removeprefix(f"{folder}/"), meta["last_modified"]
    return Entry(path, False, meta["size"], meta["e_tag"] or modified.isoformat(), modified)


def _parents(path: str) -> set[str]:
    return {str(parent) for parent in PurePosixPath(path).parents} - {"."}
