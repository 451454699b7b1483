"""Files in a container of ADLS or in a lakehouse of Fabric, through obstore."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_assets import timeouts
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.access import Access
from lakehouse_assets.storage.faults import StoreError, explained
from lakehouse_assets.storage.files import Entry, Files
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.local_files import LocalFiles
from lakehouse_assets.storage.location import CloudLocation, Location

if TYPE_CHECKING:
    from obstore.store import AzureStore

# A page of a listing has a thousand files; a history has some of them on every day.
_FOLDERS_PER_PAGE = 10
# How the names of probes begin; a dot hides what an interrupted one left behind.
PROBE = ".lakehouse-probe-"


def files_at(root: Location, identity: Identity) -> Files:
    """Return the files at a location, entered as an identity where that is asked for."""
    return LocalFiles(root) if isinstance(root, Path) else CloudFiles(Access(root, identity))


class CloudFiles:
    """Files in a container of ADLS or in a lakehouse, through obstore.

    Args:
        access: Where they lie and as whom they are entered.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._opened: tuple[dict[str, Any], AzureStore] | None = None

    @property
    def root(self) -> CloudLocation:
        """Where they lie."""
        return self.access.location

    @property
    def _store(self) -> AzureStore:
        """The store as it is entered now."""
        options = self.access.object_store()
        if self._opened is None or self._opened[0] != options:
            self._opened = options, self._open(options)
        return self._opened[1]

    def _open(self, options: dict[str, Any]) -> AzureStore:
        try:
            from obstore.store import AzureStore
        except ImportError:
            raise LakehouseError(
                "A store needs the packages of the extra `azure`; install lakehouse_assets[azure]."
            ) from None
        limits = timeouts.obstore()
        if options.get("azure_storage_endpoint", "").startswith("http://"):
            limits["client_options"]["allow_http"] = True
        folder = self.root.folder or None
        return AzureStore(self.root.container, prefix=folder, config=options, **limits)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with explained(self.access.location, self.access.identity):
            yield

    def exists(self) -> bool:
        """Say whether the container is there: a folder is, as soon as a file lies in it."""
        self.list_all("", most=1)
        return True

    def list_all(self, folder: str, most: int | None = None) -> list[Entry]:
        """List every file below a folder, whatever its depth.

        Raises:
            LakehouseError: it cannot be listed.
        """
        import obstore

        prefix = f"{folder}/" if folder else None
        with self._explained():
            stream = obstore.list(self._store, prefix, chunk_size=most or 1000)
            found = next(iter(stream), []) if most else stream.collect()
        skipped = len(folder) + 1 if folder else 0
        return sorted(
            Entry(
                str(meta["path"])[skipped:],
                False,
                int(meta["size"]),
                str(meta["e_tag"] or meta["last_modified"].isoformat()),
                meta["last_modified"],
            )
            for meta in found
        )

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List a folder and those in it, in as many requests as its files fill pages.

        Where only few of the folders in it are entered, as of a history only the days of a run,
        those alone are listed.
        """
        found: list[Entry] = []
        top = self.children(folder)
        folders = {entry.path: enter(entry.path) for entry in top if entry.is_folder}
        few = [path for path, inside in folders.items() if inside]
        if len(few) * _FOLDERS_PER_PAGE < len(folders):
            listed = [entry for entry in top if not entry.is_folder]
            for path in few:
                inner = self.list_all(f"{folder}/{path}" if folder else path)
                listed += [replace(entry, path=f"{path}/{entry.path}") for entry in inner]
        else:
            listed = self.list_all(folder)
        for entry in listed:
            name, entered = "", True
            for part in entry.path.split("/")[:-1]:
                name = f"{name}/{part}" if name else part
                if name not in folders:
                    folders[name] = enter(name)
                entered = folders[name]
                if not entered:
                    break
            if entered:
                found.append(entry)
        # Some clients put an empty object where a folder is.
        files = [entry for entry in found if entry.path not in folders]
        return sorted([*files, *(Entry(name, True) for name in folders)])

    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder."""
        import obstore

        with self._explained():
            found = obstore.list_with_delimiter(self._store, f"{folder}/" if folder else None)
        folders = {str(path).rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]}
        files = {str(meta["path"]).rpartition("/")[2] for meta in found["objects"]} - folders
        return sorted(
            [*(Entry(name, True) for name in folders), *(Entry(name, False) for name in files)]
        )

    def digest(self, path: str) -> str | None:
        """Return a file's hash by reading it."""
        import obstore
        from obstore.exceptions import NotFoundError

        hashed = hashlib.sha256()
        try:
            with self._explained():
                for chunk in obstore.get(self._store, path).stream():
                    hashed.update(chunk)
        except (NotFoundError, FileNotFoundError):
            return None
        return hashed.hexdigest()

    def read(self, path: str) -> bytes | None:
        """Return a file's content."""
        import obstore
        from obstore.exceptions import NotFoundError

        try:
            with self._explained():
                return bytes(obstore.get(self._store, path).bytes())
        except (NotFoundError, FileNotFoundError):
            return None

    def put(self, path: str, source: Path) -> None:
        """Upload a file; a store shows it when all of it is there."""
        import obstore

        with self._explained(), source.open("rb") as stream:
            # Few parts at once, so that on a slow line none of them stays unanswered for too long.
            obstore.put(self._store, path, stream, max_concurrency=4)

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            LakehouseError: it cannot be removed.
        """
        import obstore

        with self._explained():
            obstore.delete(self._store, path)

    def check_writable(self) -> None:
        """Write and remove a small file of its own name."""
        import obstore

        name = f"{PROBE}{uuid.uuid4().hex}"
        with self._explained():
            obstore.put(self._store, name, b"lakehouse")
            obstore.delete(self._store, name)

    @contextmanager
    def fetched(self, entries: list[Entry]) -> Iterator[list[Path]]:
        """Copy files to this machine for the time of the block."""
        with tempfile.TemporaryDirectory(prefix="lakehouse-landing-") as folder:
            paths = []
            for number, entry in enumerate(entries):
                # One folder each: names may be the same on several days.
                path = Path(folder) / str(number) / entry.path.rpartition("/")[2]
                path.parent.mkdir()
                self._fetch(entry, path)
                paths.append(path)
            yield paths

    def _fetch(self, entry: Entry, path: Path) -> None:
        import obstore
        from obstore.exceptions import NotFoundError, PreconditionError

        try:
            with self._explained(), path.open("wb") as out:
                found = obstore.get(self._store, entry.path, options={"if_match": entry.version})
                for chunk in found.stream():
                    out.write(chunk)
        except (NotFoundError, FileNotFoundError, PreconditionError):
            raise StoreError(
                f"{self.root / entry.path} was delivered anew or removed while it was read; run "
                "the partition again."
            ) from None
        if path.stat().st_size != entry.size:
            raise StoreError(
                f"{self.root / entry.path} came with {path.stat().st_size} of {entry.size} bytes; "
                "run the partition again."
            )
