"""Files of a folder on this machine.

obstore's `LocalStore` is unsuitable: it follows links out of the root, blocks on a pipe, fails a
whole listing for one odd name or circular link, and does not preserve file modes.
"""

from __future__ import annotations

import fcntl
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
        """Return whether the folder exists."""
        return self.root.is_dir()

    def children(self, folder: str) -> list[Entry]:
        """List a folder; a link out of the root is listed as empty."""
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
        """List the files of a folder and of the subfolders that `enter` accepts."""
        return [*self._below(folder, "", enter)]

    def _below(self, folder: str, name: str, enter: Callable[[str], bool]) -> Iterator[Entry]:
        for entry in self.children(f"{folder}/{name}"):
            child = replace(entry, path=f"{name}{entry.path}")
            if not child.is_folder:
                yield child
            # A link in a subfolder is not entered: it may lead back to the subfolder.
            elif enter(child.path) and not (
                name and (self.root / folder / child.path).is_symlink()
            ):
                yield from self._below(folder, f"{child.path}/", enter)

    def _holds(self, path: Path) -> bool:
        """Return whether a path is below the root once links are resolved."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def _entry(self, path: Path) -> Entry | None:
        """Return the entry of a file or folder; None if it was removed since it was listed."""
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
            # For example a partly written file that was renamed to its final name.
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
        """Write a file under a temporary name in the target folder, and rename it.

        The file gets the read and write permissions of the source, limited by the umask.
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
                "check free space and write permissions, then land it again."
            ) from error

    def update(self, path: str, change: Callable[[bytes | None], bytes]) -> None:
        """Change a small file while others who do so wait."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise LakehouseError(
                f"{self.root / path} cannot be changed ({error.strerror or error}); check write "
                "permissions."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.put(path, change(self.read(path)))
        finally:
            os.close(lock)

    def check_writable(self) -> None:
        """Write and remove an unnamed temporary file."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"\0" * 65536)
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            raise LakehouseError(
                f"The lake {self.root} cannot be written ({error.strerror or error}); check free "
                "space and permissions, or set LAKEHOUSE_ROOT."
            ) from error

    @contextmanager
    def fetched(self, entries: Sequence[Entry]) -> Iterator[list[Path]]:
        """Provide the files themselves, with links within the root resolved.

        A file that was replaced by a link out of the root since it was listed stays a link, which
        the reader refuses.
        """
        paths = [self.root / entry.path for entry in entries]
        yield [path.resolve() if self._holds(path) else path.absolute() for path in paths]
