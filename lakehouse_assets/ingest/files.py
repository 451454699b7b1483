"""Open delivered files and read their unpacked bytes, checking and hashing them on the way."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.limits import FileLimits

FileFormat = Literal["csv", "json", "parquet"]

_CHUNK = 1 << 21
_SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet",
}  # fmt: skip
_GZIP = b"\x1f\x8b"
# First bytes of other formats, with the remedy for a file that is named like text.
_SIGNATURES = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook, not text; export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, not text; export it as CSV",
    _GZIP: "a gzip file, but its name does not end in .gz; rename it",
    b"PAR1": "a Parquet file, but its name does not end in .parquet; rename it",
    b"%PDF-": "a PDF file, not text; export it as CSV",
}


def file_format(name: str) -> FileFormat:
    """Return a file's format from its name, ignoring `.gz`.

    Raises:
        FileRefusedError: the name has no known extension.
    """
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    packed = suffixes[-1:] == [".gz"]
    if packed:
        suffixes.pop()
    kind = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if kind is None or (packed and kind == "parquet"):
        raise FileRefusedError(
            f"{name} has no known file extension; name it .csv, .txt, .json or .jsonl (each also "
            "with .gz), or .parquet."
        )
    return kind


@contextmanager
def opened(path: Path, name: str) -> Iterator[io.FileIO]:
    """Open a delivered file, unbuffered; it must be a regular file that is really at its path.

    Args:
        path: Its path, without links (`LandingZone.fetched` resolves links within the zone).
        name: Its name as delivered.

    Raises:
        FileRefusedError: it cannot be read, or was replaced by a link or a special file.
    """
    # O_NONBLOCK, because opening a pipe would wait for its writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with io.FileIO(os.open(path, flags)) as file:
            kind = os.fstat(file.fileno()).st_mode
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            here = Path(f"/proc/self/fd/{file.fileno()}")
            found = here.readlink() if here.is_symlink() else path.resolve()
            if not stat.S_ISREG(kind) or found != path.absolute():
                raise FileRefusedError(
                    f"{name} was replaced by a link or a special file after it was listed; "
                    "deliver the file itself."
                )
            yield file
    except OSError as error:
        # The cause is kept, because it may be a transient error.
        raise FileRefusedError(
            f"{name} cannot be read ({error.strerror or error}); check its permissions."
        ) from error


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        """Return True; raw streams must declare that they are readable."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and hash them."""
        count = self._file.readinto(buffer)
        self.digest.update(memoryview(buffer)[:count])
        self.size += count
        return count


class Content:
    """The text of a delivered file as UTF-8 bytes, unpacked, without its byte order mark.

    Iterating yields chunks. Before a chunk is yielded, it is checked to be text, and the file to be
    within the limits on unpacked size and ratio.

    Args:
        file: The open file.
        name: Its name; a file named `.gz` is unpacked.
        limits: Limits on the file.
    """

    def __init__(self, file: io.FileIO, name: str, limits: FileLimits) -> None:
        self.name, self.limits = name, limits
        self._file = _Hashed(file)
        self._packed = name.lower().endswith(".gz")

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as delivered, once all of it has been read."""
        return self._file.digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks.

        Raises:
            FileRefusedError: the file cannot be unpacked, is not UTF-8 text, is empty, or exceeds
                a limit.
        """
        stream: Any = self._file
        if self._packed:
            stream = gzip.GzipFile(fileobj=io.BufferedReader(self._file, 1 << 16))
        decoder = getincrementaldecoder("utf-8")()
        size = lines = 0
        # A chunk longer than `of_text` could not be parsed as a block, only record by record.
        length = max(min(_CHUNK, self.limits.of_text // 2), 1 << 12)
        try:
            while chunk := stream.read(length):
                if not size:
                    self._check_start(chunk)
                size += len(chunk)
                self._check_size(size)
                self._check_text(chunk, decoder, lines)
                lines += chunk.count(b"\n")
                yield chunk if size > len(chunk) else chunk.removeprefix(BOM_UTF8)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise FileRefusedError(
                f"{self.name} is named .gz but cannot be unpacked: it is truncated, not a gzip "
                "file, or followed by other data; deliver it again."
            ) from None
        if decoder.getstate()[0]:
            raise FileRefusedError(
                f"{self.name} ends in the middle of a character, so it is truncated; deliver it "
                "again."
            )
        if not size:
            self._check_start(b"")

    def _check_start(self, chunk: bytes) -> None:
        for signature, what in _SIGNATURES.items():
            if chunk.startswith(signature):
                if self._packed and signature == _GZIP:
                    what = "packed twice; pack it once"
                raise FileRefusedError(f"{self.name} is {what}, and deliver it again.")
        if chunk.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise FileRefusedError(
                f"{self.name} is UTF-16, not UTF-8; export the file as UTF-8 and deliver it again."
            )
        if not chunk.removeprefix(BOM_UTF8).strip():
            raise FileRefusedError(f"{self.name} is empty; deliver it again with its rows.")

    def _check_size(self, size: int) -> None:
        limits = self.limits
        if size > limits.unpacked_bytes:
            raise limits.exceeded(
                self.name, "unpacked_bytes", f"unpacks to more than {size - 1:,} bytes"
            )
        if self._packed:
            limits.check_ratio(self.name, self._file.size, size)

    def _check_text(self, chunk: bytes, decoder: Any, lines: int) -> None:
        if b"\0" in chunk:
            raise FileRefusedError(
                f"{self.name} contains null bytes, so it is not text; deliver it as UTF-8 CSV or "
                f"JSON."
            )
        # Most text is ASCII, and checking for it is many times faster than decoding.
        if chunk.isascii() and not decoder.getstate()[0]:
            return
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            # The decoder's text may begin with part of a character from the previous chunk.
            at = error.start - (len(error.object) - len(chunk))
            line = lines + chunk.count(b"\n", 0, max(at, 0)) + 1
            raise FileRefusedError(
                f"{self.name} is not UTF-8 text: byte 0x{error.object[error.start]:02x} in line "
                f"{line} is not valid; export the file as UTF-8 and deliver it again."
            ) from None
