"""The landing zone: where delivered files lie and how a file gets there.

Belongs here: listing `<domain>/<dataset>/<YYYY-MM-DD>/<file>` and landing a file atomically. Not
here: reading what is in the files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ingest.datasets import Dataset
from lakehouse_assets.ingest.files import file_format

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
    path: Path
    size: int
    version: str = ""
    modified_at: datetime | None = None


class LandingZone:
    """The dated folders into which sources deliver."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
        folder = self.root / dataset.domain / dataset.name
        found: list[LandedFile] = []
        for entry in self._listing(folder):
            if entry.name.startswith((".", "_")):
                continue
            if not entry.is_dir():
                raise LakehouseError(
                    f"{self._relative(entry)} lies outside a dated folder; move it to "
                    f"{dataset.path}/<YYYY-MM-DD>/ or use `lakehouse land`."
                )
            try:
                day = date.fromisoformat(entry.name)
                # Python also knows 20140331 and 2014-W13-1; two names for a day are one too many.
                if day.isoformat() != entry.name:
                    raise ValueError(entry.name)
            except ValueError:
                raise LakehouseError(
                    f"The landing folder {self._relative(entry)} is not named by a date; name it "
                    "YYYY-MM-DD, the day of delivery."
                ) from None
            if (start and day < start) or (end and day >= end):
                continue
            children = self._listing(entry)
            if dataset.announced and all(child.name != ANNOUNCEMENT for child in children):
                continue
            found += [
                self._landed(day, file)
                for file in children
                if _is_delivery(file.name) and file.is_file()
            ]
        return sorted(found)

    def check_folders(self, datasets: Iterable[Dataset]) -> None:
        """Make sure that every folder belongs to a dataset, so that no delivery is overlooked.

        Raises:
            LakehouseError: the zone does not exist, or holds a folder nobody reads.
        """
        if not self.root.is_dir():
            raise LakehouseError(
                f"The landing zone {self.root} does not exist; create it, or set LAKEHOUSE_LANDING "
                "to the folder that holds <domain>/<dataset>/<date>/."
            )
        known = {dataset.path for dataset in datasets}
        domains = {path.split("/")[0] for path in known}
        for domain in self._listing(self.root):
            if domain.name.startswith((".", "_")) or not domain.is_dir():
                continue
            names = [domain.name]
            if domain.name in domains:
                names = [
                    f"{domain.name}/{child.name}"
                    for child in self._listing(domain)
                    if child.is_dir() and not child.name.startswith((".", "_"))
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
    ) -> tuple[Path, bool]:
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
        file_format(file)
        if not _is_delivery(file.name):
            raise LakehouseError(
                f"{file.name} would be overlooked: names that begin with a dot or _ stand for "
                "hidden files and markers; rename it and land it again."
            )
        folder = self.root / dataset.domain / dataset.name / delivered_on.isoformat()
        target = folder / file.name
        if target.exists():
            if _digest(target) == _digest(file):
                return target, False
            if not replace:
                raise LakehouseError(
                    f"{self._relative(target)} was already delivered with other content; use "
                    "--replace to correct that delivery, or another file name to add to it."
                )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "wb") as out, file.open("rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)
                    out.flush()
                    os.fsync(out.fileno())
                Path(name).chmod(0o644)
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise LakehouseError(
                f"{file.name} cannot be landed in {folder} ({error.strerror or error}); check "
                "free space and write rights, then land it again."
            ) from None
        return target, True

    def _landed(self, day: date, file: Path) -> LandedFile:
        facts = file.stat()
        return LandedFile(
            day,
            self._relative(file),
            file,
            facts.st_size,
            str(facts.st_mtime_ns),
            datetime.fromtimestamp(facts.st_mtime, UTC),
        )

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _listing(self, folder: Path) -> Sequence[Path]:
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:
            # A dataset without a folder has no deliveries; a zone that is gone has lost them.
            if not self.root.is_dir():
                raise LakehouseError(
                    f"The landing zone {self.root} does not exist; create it or set "
                    "LAKEHOUSE_LANDING."
                ) from None
            return ()
        except OSError as error:
            raise LakehouseError(
                f"The landing zone cannot be listed at {folder} ({error.strerror or error}); check "
                "its permissions."
            ) from None


def _is_delivery(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.endswith(_UNFINISHED)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
