"""Operations on files, with one interface for folders and cloud storage."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, order=True)
class Entry:
    """A file or folder as a listing shows it.

    Attributes:
        path: Relative to the listed folder, with forward slashes.
        is_folder: Whether it is a folder.
        size: Bytes of a file.
        version: Changes with the file: its ETag in the cloud, its modification time on a disk.
        modified_at: When it was last written.
        problem: Why it cannot be read, and the remedy.
    """

    path: str
    is_folder: bool
    size: int = 0
    version: str = ""
    modified_at: datetime | None = None
    problem: str = ""


class Files(ABC):
    """Files below a root; failures raise a `LakehouseError` with the remedy."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the root exists."""

    @abstractmethod
    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder; a folder that does not exist is empty."""

    @abstractmethod
    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List the files in a folder and, at any depth, in the subfolders that `enter` accepts.

        Args:
            folder: The folder; one that does not exist is empty.
            enter: Whether to list a subfolder, given its path relative to `folder`.
        """

    @abstractmethod
    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield a file's content.

        Raises:
            FileNotFoundError: there is no file of that name.
        """

    @abstractmethod
    def put(self, path: str, source: Path | bytes) -> None:
        """Store a file atomically, replacing any file of that name."""

    @abstractmethod
    def update(self, path: str, change: Callable[[bytes | None], bytes]) -> None:
        """Change a small file, so that no concurrent update of it is lost.

        Args:
            path: The file.
            change: Returns the new content, given the present one, which is None if there is no
                file. In a cloud it may be called several times.
        """

    @abstractmethod
    def check_writable(self) -> None:
        """Write and remove a probe, so that no run starts that could not store its results."""

    @abstractmethod
    def fetched(self, entries: Sequence[Entry]) -> AbstractContextManager[list[Path]]:
        """Provide local files with the content of the entries; copies are removed afterwards.

        Raises:
            LakehouseError: a file cannot be read, or has changed since it was listed.
        """

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None if it does not exist."""
        try:
            return b"".join(self.chunks(path))
        except FileNotFoundError:
            return None

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file; None if it does not exist."""
        hashed = hashlib.sha256()
        try:
            for chunk in self.chunks(path):
                hashed.update(chunk)
        except FileNotFoundError:
            return None
        return hashed.hexdigest()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a local file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
