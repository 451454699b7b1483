"""Files in cloud storage (an ADLS container or a Fabric lakehouse), through obstore."""

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
    from obstore import ObjectMeta, PutMode
    from obstore.store import AzureStore

# A page of a listing has 1,000 files, which are assumed to span this many folders.
_FOLDERS_PER_PAGE = 10
# Updates of a file that others change at the same time.
_MOST_TRIES = 20
# Prefix of probe files; the dot hides leftovers of an interrupted probe.
PROBE = ".lakehouse-probe-"
# Options that hold a secret, and obstore's fields for it.
_SECRETS = {"azure_storage_account_key": "access_key", "azure_storage_sas_token": "sas_token"}


def files_at(root: Location, identity: Identity) -> Files:
    """Return the files at a location; the identity is used only for a store."""
    return LocalFiles(root) if isinstance(root, Path) else CloudFiles(Access(root, identity))


class CloudFiles(Files):
    """Files in an ADLS container or a Fabric lakehouse, through obstore."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opened: tuple[dict[str, Any], AzureStore] | None = None

    @contextmanager
    def _store(self) -> Iterator[AzureStore]:
        """Provide the store with the current token, and explain the errors that it raises."""
        try:
            from obstore.exceptions import NotFoundError
            from obstore.store import AzureStore
        except ImportError:
            raise LakehouseError(
                "Cloud storage needs more packages; install lakehouse_assets[azure]."
            ) from None
        options: dict[str, Any] = self._access.object_store()
        if self._opened is None or self._opened[0] != options:
            limits, location = timeouts.obstore(), self._access.location
            if options.get("azure_storage_endpoint", "").startswith("http://"):
                limits["client_options"]["allow_http"] = True
            prefix = location.path or None
            # As a provider, a key or a signature takes precedence over the environment.
            config, given = dict(options), {}
            for option, field in _SECRETS.items():
                if secret := config.pop(option, None):
                    given = {field: secret, "expires_at": None}
            provider = (lambda: given) if given else None
            store = AzureStore(
                location.container, prefix=prefix, config=config, credential_provider=provider,
                **limits,
            )  # fmt: skip
            self._opened = options, store
        try:
            with self._access.explained():
                yield self._opened[1]
        except NotFoundError as error:
            # obstore raises one of two classes; callers get only this one.
            raise FileNotFoundError(str(error)) from None

    def exists(self) -> bool:
        """Return True if the container exists, else raise; folders exist once they have files."""
        with self._store() as store:
            next(iter(store.list(chunk_size=1)), None)
        return True

    def list_all(self, folder: str) -> list[Entry]:
        """List every file below a folder, at any depth."""
        with self._store() as store:
            found = store.list(f"{folder}/" if folder else None, chunk_size=1000).collect()
        return sorted(_entry(meta, folder) for meta in found)

    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder, in one request."""
        with self._store() as store:
            found = store.list_with_delimiter(f"{folder}/" if folder else None)
        folders = {PurePosixPath(path).name for path in found["common_prefixes"]}
        files = [_entry(meta, folder) for meta in found["objects"]]
        # Some clients store an empty object for a folder.
        files = [entry for entry in files if entry.path not in folders]
        return sorted([*(Entry(name, True) for name in folders), *files])

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List the files of a folder and of the subfolders that `enter` accepts.

        It takes one request per page of the whole folder. If only few of its subfolders are
        accepted, such as the days of a run out of a long history, it lists only those.
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
        """Upload a file; it becomes visible once the upload is complete."""
        with self._store() as store:
            # Few parallel parts, so that none of them times out on a slow connection.
            store.put(path, source, max_concurrency=4)

    def update(self, path: str, change: Callable[[bytes | None], bytes]) -> None:
        """Change a small file, again from the start if somebody else changes it meanwhile."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        for _ in range(_MOST_TRIES):
            content: bytes | None = None
            mode: PutMode = "create"
            try:
                with self._store() as store:
                    found = store.get(path)
                    content, mode = bytes(found.bytes()), {"e_tag": found.meta["e_tag"]}
            except FileNotFoundError:
                pass
            changed = change(content)
            try:
                with self._store() as store:
                    store.put(path, changed, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                continue
            return
        raise StoreError(
            f"{self._access.location / path} was changed {_MOST_TRIES} times by others; run the "
            "command again."
        )

    def remove(self, path: str) -> None:
        """Remove a file."""
        with self._store() as store:
            store.delete(path)

    def check_writable(self) -> None:
        """Write and remove a small file with a unique name."""
        name = f"{PROBE}{uuid.uuid4().hex}"
        self.put(name, b"lakehouse")
        self.remove(name)

    @contextmanager
    def fetched(self, entries: Sequence[Entry]) -> Iterator[list[Path]]:
        """Copy files to this machine, and remove the copies when the block ends."""
        with tempfile.TemporaryDirectory(prefix="lakehouse-landing-") as folder:
            paths = []
            for number, entry in enumerate(entries):
                # One folder per file, because files of several days may have the same name.
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
                f"{self._access.location / entry.path} was replaced or removed while it was being "
                "read; run the partition again."
            ) from None
        if path.stat().st_size != entry.size:
            raise StoreError(
                f"Only {path.stat().st_size} of {entry.size} bytes of "
                f"{self._access.location / entry.path} were received; run the partition again."
            )


def _entry(meta: ObjectMeta, folder: str) -> Entry:
    """Return the entry of a file, with its path relative to the listed folder."""
    path, modified = meta["path"].removeprefix(f"{folder}/"), meta["last_modified"]
    return Entry(path, False, meta["size"], meta["e_tag"] or modified.isoformat(), modified)


def _parents(path: str) -> set[str]:
    return {str(parent) for parent in PurePosixPath(path).parents} - {"."}
