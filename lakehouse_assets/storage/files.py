"""What is done with files at a location, the same in a folder and in a store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lakehouse_assets.storage.location import Location


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


class Files(Protocol):
    """Files below a root."""

    @property
    def root(self) -> Location:
        """Where they lie."""
        ...

    def exists(self) -> bool:
        """Say whether the root is there.

        Raises:
            LakehouseError: that cannot be told.
        """
        ...

    def below(self, folder: str, enter: Callable[[str], bool]) -> list[Entry]:
        """List a folder and, whatever their depth, the folders in it that are to be entered.

        A folder that is not there is empty.

        Args:
            folder: The folder.
            enter: Decides by the path of a folder, relative to the listed one.

        Raises:
            LakehouseError: it cannot be listed, which is not an empty folder.
        """
        ...

    def children(self, folder: str) -> list[Entry]:
        """List the files and folders in a folder.

        Raises:
            LakehouseError: it cannot be listed.
        """
        ...

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file; None if there is none of that name.

        Raises:
            LakehouseError: it cannot be read.
        """
        ...

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file; None if there is none of that name.

        Raises:
            LakehouseError: it cannot be read.
        """
        ...

    def put(self, path: str, source: Path) -> None:
        """Store a file whole or not at all, in place of another of that name.

        Raises:
            LakehouseError: it cannot be stored.
        """
        ...

    def check_writable(self) -> None:
        """Write and remove a probe, so that nothing starts that cannot end.

        Raises:
            LakehouseError: the root cannot be written.
        """
        ...

    @contextmanager
    def fetched(self, entries: list[Entry]) -> Iterator[list[Path]]:
        """Give local files with the content of some files; copies are removed afterwards.

        Raises:
            LakehouseError: one cannot be read, or is not any more what the listing showed.
        """
        ...


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a local file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
