"""The landing zone: where delivered files lie and how a file gets there.

Belongs here: listing `<domain>/<dataset>/<YYYY-MM-DD>/<file>` and landing a file atomically. Not
here: what is in the files, and whether they lie on a disk or in a store (`lake/store.py`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.datasets import Dataset
from lakehouse_assets.ingest.files import file_format
from lakehouse_assets.lake.files import Entry, digest_of
from lakehouse_assets.lake.identity import DefaultIdentity, Identity
from lakehouse_assets.lake.location import Location
from lakehouse_assets.lake.store import files_at

_UNFINISHED = (".tmp", ".part", ".crdownload")
ANNOUNCEMENT = "_SUCCESS"


@dataclass(frozen=True, order=True)
class LandedFile:
    """A file in the landing zone.

    Attributes:
        delivered_on: Date of its folder.
        name: Its path relative to the landing zone, with forward slashes.
        path: Where it is.
        size: Bytes.
        version: What changes with its content: an object's ETag, a local file's time in
            nanoseconds; empty if it is not known.
        modified_at: When it was last written.
    """

    delivered_on: date
    name: str
    path: Location
    size: int
    version: str = ""
    modified_at: datetime | None = None

    @property
    def local(self) -> Path:
        """Where its content lies on this machine.

        Raises:
            LakehouseError: it lies in a store and was not fetched.
        """
        if not isinstance(self.path, Path):
            raise LakehouseError(
                f"{self.name} lies in a store; read it within LandingZone.fetched()."
            )
        return self.path

    @property
    def fingerprint(self) -> str:
        """What tells this version of the file from every other: its size and version, hashed."""
        text = f"{self.size}:{self.version}"
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def content_of(files: Iterable[LandedFile]) -> str:
    """Name what a partition was delivered: which files, in which version."""
    text = "".join(f"{file.name}={file.fingerprint};" for file in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class LandingZone:
    """The dated folders into which sources deliver.

    Args:
        root: Folder of the zone, on a disk or in a store.
        identity: As whom a store is entered.
    """

    def __init__(self, root: Location, identity: Identity | None = None) -> None:
        self.root = root
        self._files = files_at(root, identity or DefaultIdentity())

    def files(
        self, dataset: Dataset, start: date | None = None, end: date | None = None
    ) -> list[LandedFile]:
        """List a dataset's delivered files of the half-open window [start, end), oldest first.

        Hidden files, markers such as `_SUCCESS` and files still being written (`.tmp`, `.part`) are
        not deliveries. Of a dataset that is announced, a day counts once its marker lies there.

        Raises:
            LakehouseError: the zone cannot be listed (which is not an empty zone), or a folder's
                name is no date.
        """

        def inside(folder: str) -> bool:
            if folder.startswith((".", "_")):
                return False
            day = _day(f"{dataset.path}/{folder}")
            return (start is None or day >= start) and (end is None or day < end)

        entries = self._files.below(dataset.path, inside)
        if not entries:
            # A dataset without a folder has no deliveries; a zone that is gone has lost them.
            self._check_exists()
        announced = {
            entry.path.partition("/")[0]
            for entry in entries
            if entry.path.partition("/")[2] == ANNOUNCEMENT and not entry.is_folder
        }
        found = []
        for entry in entries:
            first, within, name = entry.path.partition("/")
            if first.startswith((".", "_")) or entry.is_folder:
                continue
            if not within:
                raise LakehouseError(
                    f"{dataset.path}/{first} lies outside a dated folder; move it to "
                    f"{dataset.path}/<YYYY-MM-DD>/ or use `lakehouse land`."
                )
            if dataset.announced and first not in announced:
                continue
            if _is_delivery(name):
                path = f"{dataset.path}/{entry.path}"
                found.append(
                    LandedFile(
                        date.fromisoformat(first),
                        path,
                        self.root / path,
                        entry.size,
                        entry.version,
                        entry.modified_at,
                    )
                )
        return sorted(found, key=lambda file: (file.delivered_on, file.name))

    @contextmanager
    def fetched(self, files: Sequence[LandedFile]) -> Iterator[list[LandedFile]]:
        """Give files whose content lies on this machine, for the time of the block.

        Raises:
            LakehouseError: a file cannot be read, or was delivered anew since it was listed.
        """
        entries = [Entry(file.name, False, file.size, file.version) for file in files]
        with self._files.fetched(entries) as paths:
            yield [replace(file, path=path) for file, path in zip(files, paths, strict=True)]

    def check_folders(self, datasets: Iterable[Dataset]) -> None:
        """Make sure that every folder belongs to a dataset, so that no delivery is overlooked.

        Raises:
            LakehouseError: the zone does not exist, or holds a folder nobody reads.
        """
        self._check_exists()
        known = {dataset.path for dataset in datasets}
        domains = {path.split("/")[0] for path in known}
        for domain in self._files.folders(""):
            if domain.startswith((".", "_")):
                continue
            names = [domain]
            if domain in domains:
                names = [
                    f"{domain}/{child}"
                    for child in self._files.folders(domain)
                    if not child.startswith((".", "_"))
                ]
            for name in names:
                if name not in known:
                    raise LakehouseError(
                        f"The landing folder {name} belongs to no dataset; known are "
                        f"{', '.join(sorted(known))}. Rename it, or put _ before its name to have "
                        "it ignored."
                    )

    def land(
        self, dataset: Dataset, file: Path, delivered_on: date, *, replace: bool = False
    ) -> tuple[Location, bool]:
        """Put a delivered file into its dated folder, whole or not at all.

        Args:
            dataset: What the file is a delivery of.
            file: The delivered file; it stays where it is.
            delivered_on: Day of delivery, which decides the partition.
            replace: Take the place of a file of that name with other content.

        Returns:
            Where the file lies now, and whether that is news: landing the same content twice
            changes nothing.

        Raises:
            LakehouseError: the file is missing, of no known format, or would replace another.
        """
        if not file.is_file():
            raise LakehouseError(f"There is no file {file}; check the path.")
        if not dataset.documents:
            file_format(file)
        if not _is_delivery(file.name):
            raise LakehouseError(
                f"{file.name} would be overlooked: names that begin with a dot or _ stand for "
                "hidden files and markers; rename it and land it again."
            )
        target = f"{dataset.path}/{delivered_on.isoformat()}/{file.name}"
        there = self._files.digest(target)
        if there is not None:
            if there == digest_of(file):
                return self.root / target, False
            if not replace:
                raise LakehouseError(
                    f"{target} was already delivered with other content; use --replace to correct "
                    "that delivery, or another file name to add to it."
                )
        self._files.put(target, file)
        return self.root / target, True

    def note(self, dataset: Dataset, name: str) -> bytes | None:
        """Read what is kept beside a dataset's deliveries; None if there is nothing.

        Args:
            dataset: Whose deliveries.
            name: Name of the file, which begins with _ so that it is no delivery.
        """
        return self._files.read(f"{dataset.path}/{name}")

    def keep_note(self, dataset: Dataset, name: str, content: bytes) -> None:
        """Write what is kept beside a dataset's deliveries, whole or not at all."""
        if not name.startswith("_"):
            raise ValueError(f"{name} would be taken for a delivery")
        with tempfile.NamedTemporaryFile(prefix="lakehouse-note-") as written:
            written.write(content)
            written.flush()
            self._files.put(f"{dataset.path}/{name}", Path(written.name))

    def _check_exists(self) -> None:
        if not self._files.exists():
            raise LakehouseError(
                f"The landing zone {self.root} does not exist; create it, or set LAKEHOUSE_LANDING "
                "to the folder that holds <domain>/<dataset>/<date>/."
            )


def _day(folder: str) -> date:
    name = folder.rpartition("/")[2]
    try:
        day = date.fromisoformat(name)
        # Python also knows 20140331 and 2014-W13-1; two names for a day are one too many.
        if day.isoformat() != name:
            raise ValueError(name)
    except ValueError:
        raise LakehouseError(
            f"The landing folder {folder} is not named by a date; name it YYYY-MM-DD, the day of "
            "delivery."
        ) from None
    return day


def _is_delivery(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.endswith(_UNFINISHED)
