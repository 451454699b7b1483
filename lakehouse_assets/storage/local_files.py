"""Files of a folder on this machine.

obstore's `LocalStore` does not do here: it reads through links that lead out of the root, waits on
a pipe, gives a whole listing up for one odd name or a link in a circle, and keeps no file's mode.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.storage.files import Entry, Files

_CHUNK = 1 << 20
_DELIVER = "deliver the file itself"


class LocalFiles(Files):
    """Files of a folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self) -> bool:
        """Say whether the folder is there."""
        return self.root.is_dir()

    def children(self, folder: str) -> list[Entry]:
        """List a folder; one that is a link out of the root is empty."""
        start = self.root / folder
        try:
            paths = sorted(start.iterdir()) if self._holds(start) else []
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise LakehouseError(
                f"The landing zone cannot be listed at {start} ({error.strerror or error}); check "
                "its permissions."
            ) from None
        return [entry for path in paths if (entry := self._entry(path))]

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List the files of a folder and of the folders in it."""
        return [*self._below(folder, "", enter)]

    def _below(self, folder: str, name: str, enter: Callable[[str], bool]) -> Iterator[Entry]:
        for entry in self.children(f"{folder}/{name}"):
            child = replace(entry, path=f"{name}{entry.path}")
            if not child.is_folder:
                yield child
            # A link within a folder may lead to the folder itself.
            elif enter(child.path) and not (
                name and (self.root / folder / child.path).is_symlink()
            ):
                yield from self._below(folder, f"{child.path}/", enter)

    def _holds(self, path: Path) -> bool:
        """Say whether a path lies below the root wherever links lead."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def _entry(self, path: Path) -> Entry | None:
        """Look at a file or folder; None for one that went away since it was listed."""
        name = path.name
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
            # A file that was being written has got its name.
            return None
        if stat.S_ISDIR(found.st_mode):
            return Entry(name, True)
        if not stat.S_ISREG(found.st_mode):
            kind = "is no regular file but a pipe, socket or device"
            return Entry(name, False, problem=f"{kind}; {_DELIVER}")
        written = datetime.fromtimestamp(found.st_mtime, UTC)
        return Entry(name, False, found.st_size, str(found.st_mtime_ns), written)

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield a file's content."""
        try:
            with (self.root / path).open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise
        except OSError as error:
            raise LakehouseError(
                f"{self.root / path} cannot be read ({error.strerror or error}); check its "
                "permissions."
            ) from error

    def put(self, path: str, source: Path | bytes) -> None:
        """Write a file next to its place and move it there.

        The copy may be read and written by those who may read and write the source, as far as the
        umask allows.
        """
        target = self.root / path
        part = target.parent / f".{secrets.token_hex(8)}.part"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with (
                    io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as given
                ):
                    mode = 0o666 if isinstance(source, bytes) else os.fstat(given.fileno()).st_mode
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                    with os.fdopen(os.open(part, flags, mode & 0o666), "wb") as out:
                        shutil.copyfileobj(given, out, _CHUNK)
                        out.flush()
                        os.fsync(out.fileno())
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise LakehouseError(
                f"{target.name} cannot be landed in {target.parent} ({error.strerror or error}); "
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
    def fetched(self, entries: Sequence[Entry]) -> Iterator[list[Path]]:
        """Give the files themselves, where links within the root lead.

        One that was replaced by a link out of it since the listing stays a link, for its reader to
        refuse.
        """
        paths = [self.root / entry.path for entry in entries]
        yield [path.resolve() if self._holds(path) else path.absolute() for path in paths]
