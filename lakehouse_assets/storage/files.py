"""What is done with files at a location, the same in a folder and in a store."""

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
        version: What changes when the file does: its ETag in a store, on a disk when it was last
            written.
        modified_at: When it was last written.
        problem: Why it cannot be read as a file, and what to do about it.
    """

    path: str
    is_folder: bool
    size: int = 0
    version: str = ""
    modified_at: datetime | None = None
    problem: str = ""


class Files(ABC):
    """Files below a root; what cannot be done is a `LakehouseError` with the remedy."""

    @abstractmethod
    def exists(self) -> bool:
        """Say whether the root is there."""

    @abstractmethod
    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder; one that is not there is empty."""

    @abstractmethod
    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List the files in a folder and, at any depth, in those of its folders to be entered.

        Args:
            folder: The folder; one that is not there is empty.
            enter: Decides by the path of a folder, relative to the listed one.
        """

    @abstractmethod
    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield a file's content.

        Raises:
            FileNotFoundError: there is no file of that name.
        """

    @abstractmethod
    def put(self, path: str, source: Path | bytes) -> None:
        """Store a file whole or not at all, in place of another of that name."""

    @abstractmethod
    def check_writable(self) -> None:
        """Write and remove a probe, so that nothing starts that cannot end."""

    @abstractmethod
    def fetched(self, entries: Sequence[Entry]) -> AbstractContextManager[list[Path]]:
        """Give local files with the content of some files; copies are removed afterwards.

        Raises:
            LakehouseError: one cannot be read, or is no longer what the listing showed.
        """

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None if there is none of that name."""
        try:
            return b"".join(self.chunks(path))
        except FileNotFoundError:
            return None

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file; None if there is none of that name."""
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
