"""The landing zone: list the files in its dated folders, and land files atomically."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.files import file_format
from lakehouse_assets.ingest.limits import FileLimits
from lakehouse_assets.ingest.records import listed
from lakehouse_assets.storage.files import Entry, digest_of
from lakehouse_assets.storage.identity import DEFAULT, Identity
from lakehouse_assets.storage.location import Location
from lakehouse_assets.storage.store import files_at

_UNFINISHED = (".tmp", ".part", ".crdownload")
# Files that desktop systems create in folders.
_JUNK = ("Thumbs.db", "desktop.ini")
# Folder of streams without a broker, which are not deliveries.
STREAMS = "streams"
# How well delivered text compresses, about.
_USUAL_RATIO = 8
# Characters for each file in the result of `content_of`.
_WORD = 12
_IGNORED = ", or put _ before the name to have it ignored."


@dataclass(frozen=True, order=True)
class LandedFile:
    """A file in the landing zone.

    Attributes:
        delivered_on: Date of its folder.
        name: Its path relative to the landing zone, with forward slashes.
        path: Its full location.
        size: Bytes.
        version: Changes with its content: an object's ETag, or a local file's modification time in
            nanoseconds; empty if unknown.
        modified_at: When it was last written.
        problem: Why it cannot be read, such as a broken link; empty if it can.
    """

    delivered_on: date
    name: str
    path: Location
    size: int
    version: str = ""
    modified_at: datetime | None = None
    problem: str = ""

    @property
    def content_size(self) -> int:
        """Bytes of its content, estimated if the file is compressed."""
        packed = self.name.lower().endswith((".gz", ".parquet"))
        return self.size * _USUAL_RATIO if packed else self.size

    @property
    def local(self) -> Path:
        """Local path of its content, within `LandingZone.fetched`."""
        assert isinstance(self.path, Path), f"{self.name} was not fetched"  # noqa: S101
        return self.path

    @property
    def short_name(self) -> str:
        """Its name without its folders."""
        return self.name.rpartition("/")[2]

    @property
    def fingerprint(self) -> str:
        """Hash of its size and version, which identifies this version of the file."""
        text = f"{self.size}:{self.version}"
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def content_of(files: Iterable[LandedFile]) -> str:
    """Return a fingerprint of a partition's files: the sorted hashes of their names and versions.

    Each file has `_WORD` characters, by which `files_in` splits it.
    """
    names = (f"{file.name}={file.fingerprint}".encode() for file in files)
    return "".join(sorted(hashlib.blake2b(name, digest_size=6).hexdigest() for name in names))


def files_in(content: str) -> set[str]:
    """Split a fingerprint from `content_of` into the hashes of its files."""
    return {content[start : start + _WORD] for start in range(0, len(content), _WORD)}


class LandingZone:
    """The dated folders into which sources deliver.

    Args:
        root: Folder of the zone, on a disk or in cloud storage.
        identity: Identity that accesses cloud storage.
        limits: Limits on delivered files.
    """

    def __init__(
        self,
        root: Location,
        identity: Identity | None = None,
        limits: FileLimits | None = None,
    ) -> None:
        self.root, self.limits = root, limits or FileLimits()
        self._files = files_at(root, identity or DEFAULT)

    def files(
        self, dataset: Dataset, start: date | None = None, end: date | None = None
    ) -> list[LandedFile]:
        """List a dataset's delivered files in the half-open window [start, end), oldest first.

        Hidden files, markers such as `_SUCCESS` and files still being written (`.tmp`, `.part`) are
        not deliveries. Everything else in a dated folder is listed, with its problem if it cannot
        be read, such as a file in a subfolder, a broken link, or a link out of the zone. Files
        outside the dated folders are not listed; `strays` reports them.

        Raises:
            LakehouseError: the zone cannot be listed; an empty list means an empty zone.
        """

        def inside(folder: str) -> bool:
            first, within, _ = folder.partition("/")
            if within:
                return not _is_hidden(folder.rpartition("/")[2])
            day = _day(first)
            return (
                day is not None and (start is None or day >= start) and (end is None or day < end)
            )

        entries = self._files.below(dataset.path, inside)
        if not entries:
            # A dataset without a folder has no deliveries, but a missing zone is an error.
            self._check_exists()
        found = []
        for entry in entries:
            first, _, within = entry.path.partition("/")
            folder, _, name = within.rpartition("/")
            day = _day(first)
            if entry.is_folder or not within or day is None or _is_hidden(name):
                continue
            problem = entry.problem and f"{name} {entry.problem}."
            if folder:
                problem = (
                    f"{name} is too deep, in the folder {folder}; move it to "
                    f"{dataset.path}/{first}/."
                )
            path = f"{dataset.path}/{entry.path}"
            written = (entry.size, entry.version, entry.modified_at)
            found.append(LandedFile(day, path, self.root / path, *written, problem))
        return self._not_too_many(sorted(found, key=lambda file: (file.delivered_on, file.name)))

    def _not_too_many(self, files: Sequence[LandedFile]) -> list[LandedFile]:
        """Mark each day's files beyond the limit, in order of name, with a problem."""
        found, seen = [], Counter[date]()
        counts = Counter(file.delivered_on for file in files)
        for file in files:
            seen[file.delivered_on] += 1
            if not file.problem and seen[file.delivered_on] > self.limits.files_per_day:
                what = f"is one of {counts[file.delivered_on]:,} files of {file.delivered_on}"
                error = self.limits.exceeded(file.short_name, "files_per_day", what)
                file = replace(file, problem=str(error))
            found.append(file)
        return found

    @contextmanager
    def fetched(self, files: Sequence[LandedFile]) -> Iterator[list[LandedFile]]:
        """Provide the files' content on this machine while the block runs.

        Raises:
            LakehouseError: a file cannot be read, or was replaced since it was listed.
        """
        sound = [file for file in files if not file.problem]
        entries = [Entry(file.name, False, file.size, file.version) for file in sound]
        with self._files.fetched(entries) as paths:
            local = dict(zip((file.name for file in sound), paths, strict=True))
            yield [replace(file, path=local.get(file.name, file.path)) for file in files]

    def strays(self, datasets: Sequence[Dataset]) -> list[str]:
        """Describe files and folders in the zone that are not part of any dataset's deliveries.

        Raises:
            LakehouseError: the zone does not exist, or cannot be listed.
        """
        self._check_exists()
        known = {dataset.path for dataset in datasets}
        found: list[str] = []
        for domain in self._seen(""):
            if domain.path == STREAMS:
                continue
            if domain.path not in {path.partition("/")[0] for path in known}:
                found.append(_belongs_to_no_dataset(domain.path, domain, known))
                continue
            for child in self._seen(domain.path):
                name = f"{domain.path}/{child.path}"
                if name not in known or not child.is_folder:
                    found.append(_belongs_to_no_dataset(name, child, known))
        return found + [text for dataset in datasets for text in self.strays_of(dataset)]

    def strays_of(self, dataset: Dataset) -> list[str]:
        """Describe files and folders in a dataset's folder that are not in a dated folder.

        Raises:
            LakehouseError: the zone cannot be listed.
        """
        found = [e for e in self._seen(dataset.path) if not (e.is_folder and _day(e.path))]
        folders = [entry.path for entry in found if entry.is_folder]
        links = [entry for entry in found if entry.problem]
        files = [entry.path for entry in found if not entry.is_folder and not entry.problem]
        texts = [f"{dataset.path}/{link.path} {link.problem}." for link in links]
        if folders:
            texts.append(
                f"{dataset.path} has folders that are not named by a date: {listed(folders)}; name "
                f"them YYYY-MM-DD, the day of delivery{_IGNORED}"
            )
        if files:
            texts.append(
                f"{dataset.path} has files outside a dated folder: {listed(files)}; move them to "
                f"{dataset.path}/<YYYY-MM-DD>/, or use `lakehouse land`{_IGNORED}"
            )
        return texts

    def _seen(self, folder: str) -> list[Entry]:
        return [entry for entry in self._files.children(folder) if not _is_hidden(entry.path)]

    def land(
        self, dataset: Dataset, file: Path, delivered_on: date, *, replace: bool = False
    ) -> tuple[Location, bool]:
        """Copy a delivered file into its dated folder, atomically.

        Args:
            dataset: Dataset of the file.
            file: The delivered file, which is kept.
            delivered_on: Day of delivery, which decides the partition.
            replace: Whether to replace a file of the same name with different content.

        Returns:
            The landed file's location, and whether it was written: landing the same content again
            changes nothing.

        Raises:
            LakehouseError: the file is missing, has an unknown format or an unusable name, or would
                replace another file.
        """
        if not file.is_file():
            raise LakehouseError(f"There is no file {file}; check the path.")
        if not file.name.isprintable():
            raise LakehouseError(
                f"The name of {file} contains characters that are not UTF-8 or not printable; "
                "rename it and land it again."
            )
        if not dataset.documents:
            file_format(file.name)
        if _is_hidden(file.name):
            raise LakehouseError(
                f"{file.name} would be ignored, like all hidden, temporary and marker files (such "
                "as names that begin with ., _ or ~); rename it and land it again."
            )
        target = f"{dataset.path}/{delivered_on.isoformat()}/{file.name}"
        there = self._files.digest(target)
        if there is not None:
            if there == digest_of(file):
                return self.root / target, False
            if not replace:
                raise LakehouseError(
                    f"{target} was already delivered with different content; use --replace to "
                    "correct that delivery, or another file name to add to it."
                )
        self._files.put(target, file)
        return self.root / target, True

    def note(self, dataset: Dataset, name: str) -> bytes | None:
        """Read a note that `keep_note` wrote; None if there is none."""
        return self._files.read(f"{dataset.path}/{name}")

    def keep_note(self, dataset: Dataset, name: str, content: bytes) -> None:
        """Write a file that is not a delivery, as its name begins with _, atomically."""
        self._files.put(f"{dataset.path}/{name}", content)

    def _check_exists(self) -> None:
        if not self._files.exists():
            raise LakehouseError(
                f"The landing zone {self.root} does not exist; create it, or set LAKEHOUSE_LANDING "
                "to the folder that contains <domain>/<dataset>/<date>/."
            )


def _belongs_to_no_dataset(name: str, entry: Entry, known: Iterable[str]) -> str:
    if entry.problem:
        return f"{name} {entry.problem}."
    kind = "folder" if entry.is_folder else "file"
    return (
        f"The {kind} {name} in the landing zone belongs to no dataset; the datasets are "
        f"{', '.join(sorted(known))}. Move or rename it{_IGNORED}"
    )


def _day(folder: str) -> date | None:
    """Return the day that a folder's name means; None if it is not a date."""
    try:
        day = date.fromisoformat(folder)
    except ValueError:
        return None
    # Python also parses 20140331 and 2014-W13-1, but a day must have only one name.
    return day if day.isoformat() == folder else None


def _is_hidden(name: str) -> bool:
    """Return whether a name is that of a marker, a hidden file, or a file being written."""
    return name.startswith((".", "_", "~")) or name.endswith(_UNFINISHED) or name in _JUNK
