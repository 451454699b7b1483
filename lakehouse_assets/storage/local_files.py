"""Files of a folder on this machine: listing them, and storing one whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.files import Entry, digest_of

_CHUNK = 1 << 20
_DELIVER = "deliver the file itself"


class LocalFiles:
    """Files of a folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self) -> bool:
        """Say whether the folder is there."""
        return self.root.is_dir()

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List a folder and the folders in it; one that is a link out of the root is empty."""
        start = self.root / folder
        return [*self._below(start, "", enter)] if self._holds(start) else []

    def _below(self, folder: Path, name: str, enter: Callable[[str], bool]) -> Iterator[Entry]:
        for child in self._listed(folder):
            entry = self._entry(child, f"{name}{child.name}")
            if entry is None:
                continue
            yield entry
            # A link within a folder may lead to the folder itself.
            if entry.is_folder and enter(entry.path) and not (name and child.is_symlink()):
                yield from self._below(child, f"{entry.path}/", enter)

    def _listed(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise LakehouseError(
                f"The landing zone cannot be listed at {folder} ({error.strerror or error}); check "
                "its permissions."
            ) from None

    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder."""
        return self.below(folder, lambda _: False)

    def _holds(self, path: Path) -> bool:
        """Say whether a path lies below the root wherever links lead."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def _entry(self, path: Path, name: str) -> Entry | None:
        """Look at a file or folder; None for one that went away since it was listed."""
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(name).decode(errors="backslashreplace")
            return Entry(shown, False, problem="has a name that is not UTF-8; rename it")
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                if not path.exists():
                    return Entry(name, False, problem=f"is a link that leads nowhere; {_DELIVER}")
                if not self._holds(path):
                    return Entry(
                        name, False, problem=f"is a link that leads out of the zone; {_DELIVER}"
                    )
                found = path.stat()
        except FileNotFoundError:
            # A file that was written has got its name.
            return None
        if stat.S_ISDIR(found.st_mode):
            return Entry(name, True)
        if not stat.S_ISREG(found.st_mode):
            kind = "is no regular file but a pipe, socket or device"
            return Entry(name, False, problem=f"{kind}; {_DELIVER}")
        written = datetime.fromtimestamp(found.st_mtime, UTC)
        return Entry(name, False, found.st_size, str(found.st_mtime_ns), written)

    def digest(self, path: str) -> str | None:
        """Return a file's hash."""
        file = self.root / path
        return digest_of(file) if file.exists() else None

    def read(self, path: str) -> bytes | None:
        """Return a file's content."""
        file = self.root / path
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakehouseError(
                f"{file} cannot be read ({error.strerror or error}); check its permissions."
            ) from error

    def put(self, path: str, source: Path) -> None:
        """Copy a file next to its place and move it there.

        The copy may be read and written by those who may read and write the source, as far as the
        umask allows.
        """
        target = self.root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            name = target.parent / f".{secrets.token_hex(8)}.part"
            try:
                with source.open("rb") as stream:
                    mode = os.fstat(stream.fileno()).st_mode & 0o666
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                    with os.fdopen(os.open(name, flags, mode), "wb") as out:
                        shutil.copyfileobj(stream, out, _CHUNK)
                        out.flush()
                        os.fsync(out.fileno())
                name.replace(target)
            except BaseException:
                name.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise LakehouseError(
                f"{source.name} cannot be landed in {target.parent} ({error.strerror or error}); "
                "check free space and write rights, then land it again."
            ) from error

    def check_writable(self) -> None:
        """Write and remove a file without a name."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"\0" * 65536)
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            raise LakehouseError(
                f"The lake {self.root} cannot be written ({error.strerror or error}); check free "
                "space and rights, or set LAKEHOUSE_ROOT."
            ) from error

    @contextmanager
    def fetched(self, entries: list[Entry]) -> Iterator[list[Path]]:
        """Give the files themselves, where links within the root lead.

        One that was replaced by a link out of it since the listing stays a link, for its reader to
        refuse.
        """
        paths = [self.root / entry.path for entry in entries]
        yield [path.resolve() if self._holds(path) else path.absolute() for path in paths]
