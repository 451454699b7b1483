"""A folder as a source of messages, for a laptop without a broker.

A message is a line of `<folder>/<topic>/<partition>/<first offset, 20 digits>.jsonl[.gz]`; the
messages of a file have consecutive offsets. A plain file may grow by whole lines; an incomplete
last line is not read yet. A `.gz` file is complete.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.sources.messages import GROUP, Message, RetentionGapError, check_offset

_FILE = re.compile(r"(\d{20})\.jsonl(\.gz)?")
_PAUSE = 0.1


@dataclass
class _Open:
    """A file that is being read: its first offset, and the offset of the line to read next."""

    path: Path
    first: int
    next: int
    handle: IO[bytes]

    @classmethod
    def at(cls, path: Path, first: int, offset: int) -> _Open:
        """Open a file at an offset in it, or behind its last line."""
        handle: Any = gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")
        opened = cls(path, first, first, handle)
        while opened.next < offset and opened.line() is not None:
            pass
        return opened

    def line(self) -> bytes | None:
        """Return the next whole line, without its end; None if there is none yet."""
        growing = self.path.suffix != ".gz"
        begin = self.handle.tell() if growing else 0
        try:
            line = self.handle.readline()
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise LakehouseError(
                f"The stream file {self.path} cannot be read from offset {self.next} on ({error}); "
                "replace it with a complete file."
            ) from None
        if not line:
            return None
        if growing and not line.endswith(b"\n"):
            self.handle.seek(begin)
            return None
        self.next += 1
        return line.removesuffix(b"\n")


@dataclass
class _Partition:
    """A partition that is being read: the next offset, and the file in which it is or will be."""

    folder: Path
    position: int
    file: _Open | None = None
    # The last file, behind the last line that was counted.
    counted: _Open | None = None

    def files(self) -> list[tuple[int, Path]]:
        """Return the files with their first offsets, in their order."""
        found: dict[int, Path] = {}
        # While a plain file is being compressed, both exist; the plain one is complete, so it wins.
        for path in sorted(self.folder.iterdir(), reverse=True):
            if named := _FILE.fullmatch(path.name):
                found[int(named[1])] = path
            elif path.name.endswith((".jsonl", ".jsonl.gz")):
                raise LakehouseError(
                    f"The stream file {path} cannot be read, because its name does not say where "
                    "its messages belong; name it after its first offset, in 20 digits."
                )
        return sorted(found.items())

    def end(self) -> int:
        """Return the offset behind the last line."""
        files = self.files()
        if not files:
            return 0
        first, path = files[-1]
        if self.counted is None or self.counted.path != path:
            self.release_count()
            self.counted = _Open.at(path, first, first)
        while self.counted.line() is not None:
            pass
        return self.counted.next

    def read(self) -> bytes | None:
        """Return the next message and go on behind it; None if there is none yet.

        Raises:
            RetentionGapError: the next file begins behind the next offset.
            LakehouseError: the next file begins before it, or a file is damaged.
        """
        line = self.file.line() if self.file else None
        while line is None:
            found = self._following()
            if found is None:
                return None
            if self.file:
                # What was added to the file before the next one appeared.
                line = self.file.line()
                if line is not None:
                    break
                self.file.handle.close()
            first, path = found
            if first > self.position:
                raise RetentionGapError(
                    self.folder.parent.name, int(self.folder.name), self.position, first
                )
            if self.file and first < self.position:
                raise LakehouseError(
                    f"The file {path} begins at offset {first}, but the previous file "
                    f"{self.file.path.name} ends at {self.position}; rename it to its first offset."
                )
            self.file = _Open.at(path, first, self.position)
            line = self.file.line()
        self.position += 1
        return line

    def _following(self) -> tuple[int, Path] | None:
        """Return the file after the open one, or the one in which the next offset is."""
        files = self.files()
        if self.file:
            return next((found for found in files if found[0] > self.file.first), None)
        begun = [found for found in files if found[0] <= self.position]
        return begun[-1] if begun else next(iter(files), None)

    def release_count(self) -> None:
        """Close the file whose lines were counted."""
        if self.counted:
            self.counted.handle.close()
            self.counted = None

    def close(self) -> None:
        """Close the files."""
        self.release_count()
        if self.file:
            self.file.handle.close()
            self.file = None


class FolderSource:
    """The topics in a folder, as `sources.messages.MessageSource` describes."""

    def __init__(self, folder: Path, group: str = GROUP) -> None:
        self._folder = folder
        self._group = group
        self._assigned: dict[tuple[str, int], _Partition] = {}

    def __repr__(self) -> str:
        return f"FolderSource({self._folder})"

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of the topic's folders."""
        folder = self._folder / topic
        found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        numbers = sorted(int(name) for name in found if name.isdecimal())
        if not numbers:
            raise LakehouseError(
                f"The stream folder {self._folder} has no topic {topic}. Correct the folder, or "
                f"put the messages into {topic}/0/{0:020}.jsonl, one per line."
            )
        return numbers

    def assign(self, topic: str, offsets: Mapping[int, int | None]) -> None:
        """Read partitions from these offsets on."""
        for number, wanted in offsets.items():
            folder = self._folder / topic / str(number)
            if not folder.is_dir():
                raise LakehouseError(f"The stream folder {self._folder} has no {topic}/{number}.")
            partition = _Partition(folder, 0)
            files = partition.files()
            first = files[0][0] if files else 0
            partition.position = first if wanted is None else wanted
            try:
                check_offset(topic, number, partition.position, first, partition.end())
            except LakehouseError:
                partition.close()
                raise
            if before := self._assigned.pop((topic, number), None):
                before.close()
            self._assigned[topic, number] = partition

    def poll(self, most: int, seconds: float) -> list[Message]:
        """Return the next lines; it looks again until there are enough, or the time is over."""
        until = time.monotonic() + seconds
        found: list[Message] = []
        while len(found) < most:
            before, left = len(found), until - time.monotonic()
            # Partitions take turns, so that one with a long backlog does not delay the others.
            turn = max(most // max(len(self._assigned), 1), 1)
            for (topic, number), partition in self._assigned.items():
                found.extend(_messages(topic, number, partition, min(turn, most - len(found))))
            if len(found) == before:
                if left <= 0:
                    break
                time.sleep(min(_PAUSE, left))
        return found

    def positions(self) -> dict[tuple[str, int], int]:
        """Return the next offsets."""
        return {place: partition.position for place, partition in self._assigned.items()}

    def ends(self) -> dict[tuple[str, int], int]:
        """Return the offsets behind the last whole lines."""
        return {place: partition.end() for place, partition in self._assigned.items()}

    def app_id(self, topic: str, partition: int) -> str:
        """Return the id of a partition's transactions; the folder's path is in it as a digest."""
        path = hashlib.sha256(str(self._folder.resolve()).encode()).hexdigest()[:12]
        return f"folder-{path}:{self._group}:{topic}:{partition}"

    def close(self) -> None:
        """Close the files."""
        for partition in self._assigned.values():
            partition.close()


def _messages(topic: str, number: int, partition: _Partition, most: int) -> Iterator[Message]:
    for _ in range(most):
        offset = partition.position
        line = partition.read()
        if line is None:
            return
        yield Message(topic, number, offset, line, None)
