"""Files of a folder on this machine.

Belongs here: listing them, and putting one in its place whole or not at all. Not here: stores
(`store.py`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.files import Entry, digest_of

_CHUNK = 1 << 20


class LocalFiles:
    """Files of a folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self) -> bool:
        """Say whether the folder is there."""
        return self.root.is_dir()

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List two levels of a folder."""
        found = []
        for child in self._children(self.root / folder):
            entry = _entry(child, child.name)
            if entry is None:
                continue
            found.append(entry)
            if entry.is_folder and enter(child.name):
                inner = (_entry(f, f"{child.name}/{f.name}") for f in self._children(child))
                found += [entry for entry in inner if entry is not None]
        return found

    def _children(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LakehouseError(
                f"The landing zone cannot be listed at {folder} ({error.strerror or error}); check "
                "its permissions."
            ) from error

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        return [child.name for child in self._children(self.root / folder) if child.is_dir()]

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
        """Copy a file next to its place and move it there."""
        target = self.root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "wb") as out, source.open("rb") as stream:
                    shutil.copyfileobj(stream, out, _CHUNK)
                    out.flush()
                    os.fsync(out.fileno())
                Path(name).chmod(0o644)
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
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
        """Give the files themselves."""
        yield [self.root / entry.path for entry in entries]


def _entry(path: Path, name: str) -> Entry | None:
    """Look at a file or folder; None for one that went away since it was listed."""
    if path.is_dir():
        return Entry(name, True)
    try:
        found = path.stat()
    except FileNotFoundError:
        # A file that was written has got its name.
        return None
    written = datetime.fromtimestamp(found.st_mtime, UTC)
    return Entry(name, False, found.st_size, str(found.st_mtime_ns), written)
