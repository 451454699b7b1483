"""One look at the bytes of a text file: its hash, encoding, lines, and whether it can be read."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from lakehouse_assets.errors import FileRefusedError

FileFormat = Literal["csv", "json", "parquet"]

_CHUNK = 1 << 22
_SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet",
}  # fmt: skip
# What first bytes say of a file whose name says that it is text.
_SIGNATURES = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook, not text; export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, not text; export it as CSV",
    b"\x1f\x8b": "packed by gzip but not named so; add .gz to its name",
    b"PAR1": "a Parquet file but not named so; end its name in .parquet",
    b"%PDF-": "a PDF file, not text; export it as CSV",
}
_ODD_QUOTES = re.compile(rb'" +"')
_BLANK_LINE = re.compile(rb"(?<=\n)\r?\n")


@dataclass(frozen=True)
class FileFacts:
    """What one pass over a file's bytes tells.

    Attributes:
        sha256: Hash of the content as delivered (packed, if it is packed).
        size: Bytes as delivered.
        lines: Physical lines of the unpacked text, a last one without line end included.
        blank_lines: How many of them after the first are empty, inside quoted values or not.
        first_blank: Byte of the unpacked text at which the first of them starts.
        has_quotes: Whether a double quote occurs, so that a record may span lines.
        odd_quotes: Whether only blanks lie between two quotes. Where the first one closes a value
            the second is a mistake; readers repair it by dropping both, so they are not asked.
        newline: The one line ending of all lines; None where endings are mixed or a carriage
            return occurs elsewhere.
        first_line: The first line without byte order mark and line end; cut off after some MB.
    """

    sha256: str
    size: int
    lines: int
    blank_lines: int
    first_blank: int | None
    has_quotes: bool
    odd_quotes: bool
    newline: str | None
    first_line: str


def file_format(path: Path) -> FileFormat:
    """Tell a file's format by its name, `.gz` aside.

    Raises:
        FileRefusedError: the name ends in nothing this project reads.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    if packed:
        suffixes.pop()
    kind = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if kind is None or (packed and kind == "parquet"):
        raise FileRefusedError(
            f"{path.name} is neither CSV, JSON nor Parquet by its name; name it .csv, .txt, "
            ".json or .jsonl (each also with .gz), or .parquet."
        )
    return kind


def open_delivered(path: Path) -> IO[bytes]:
    """Open a delivered file for reading its unpacked bytes."""
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """A raw stream has to say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as raw streams do."""
        count = cast("int", cast("Any", self._file).readinto(buffer))
        self.digest.update(memoryview(buffer)[:count])
        return count


class _Counter:
    """Counts over text that arrives in chunks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = getincrementaldecoder("utf-8")()
        self._decoding = False
        self._tail = b""
        self.offset = self.lines = self.blanks = 0
        self._returns = self._pairs = 0
        self.first_blank: int | None = None
        self.has_quotes = self.odd_quotes = False
        self.head = b""

    def add(self, chunk: bytes) -> None:
        """Take the next chunk."""
        start = 0
        if self.offset == 0:
            for signature, what in _SIGNATURES.items():
                if chunk.startswith(signature):
                    raise FileRefusedError(f"{self._path.name} is {what}, and deliver it again.")
            if chunk.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
                raise FileRefusedError(
                    f"{self._path.name} is UTF-16, not UTF-8; export the file as UTF-8 and deliver "
                    "it again."
                )
            start = len(BOM_UTF8) if chunk.startswith(BOM_UTF8) else 0
            self.head = chunk[start:]
        if b"\0" in chunk:
            raise FileRefusedError(
                f"{self._path.name} holds zero bytes, so it is no text; deliver it as UTF-8 CSV or "
                "JSON."
            )
        self._check_text(chunk)
        # The last two bytes of the chunk before it complete what lies across the border.
        joined, shift = self._tail + chunk[start:], len(self._tail)
        # One byte is looked for many times faster than two.
        has_returns, has_quotes = b"\r" in joined, b'"' in joined
        if b"\n\n" in joined or (has_returns and b"\n\r\n" in joined):
            for match in _BLANK_LINE.finditer(joined):
                if match.end() > shift:
                    self.blanks += 1
                    if self.first_blank is None:
                        self.first_blank = self.offset + start - shift + match.start()
        self.lines += chunk.count(b"\n")
        if has_returns:
            self._returns += chunk.count(b"\r")
            self._pairs += joined.count(b"\r\n")
            # A pair within the tail was counted with its own chunk.
            self._pairs -= self._tail.count(b"\r\n")
        if has_quotes:
            self.has_quotes = True
            self.odd_quotes = self.odd_quotes or _ODD_QUOTES.search(joined) is not None
        self.offset += len(chunk)
        self._tail = joined[-2:]

    def finish(self) -> None:
        """Take the end of the text."""
        try:
            self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise FileRefusedError(
                f"{self._path.name} ends in the middle of a character; it was cut off, deliver it "
                "again."
            ) from None
        if self._tail and not self._tail.endswith(b"\n"):
            self.lines += 1

    @property
    def newline(self) -> str | None:
        """The one line ending, if there is one."""
        if self._returns == 0:
            return "\n"
        unended = 0 if self._tail.endswith(b"\n") else 1
        uniform = self._returns == self._pairs == self.lines - unended
        return "\r\n" if uniform else None

    def _check_text(self, chunk: bytes) -> None:
        # Most text is ASCII, which is told many times faster than it is decoded.
        if not self._decoding and chunk.isascii():
            return
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            # A character that began in the chunk before is part of what the decoder looked at.
            at = error.start - (len(error.object) - len(chunk))
            line = self.lines + chunk.count(b"\n", 0, max(at, 0)) + 1
            raise FileRefusedError(
                f"{self._path.name} is not UTF-8 text: byte 0x{error.object[error.start]:02x} in "
                f"line {line} is not valid; export the file as UTF-8 and deliver it again."
            ) from None
        self._decoding = bool(self._decoder.getstate()[0])


def examine(path: Path) -> FileFacts:
    """Read a file once: hash it, check that it is UTF-8 text, count its lines.

    Raises:
        FileRefusedError: the file cannot be read, is no UTF-8 text or holds nothing.
    """
    counter = _Counter(path)
    try:
        with path.open("rb", buffering=0) as file:
            hashed = _Hashed(file)
            packed = path.suffix.lower() == ".gz"
            stream: Any = gzip.GzipFile(fileobj=io.BufferedReader(hashed)) if packed else hashed
            while chunk := stream.read(_CHUNK):
                counter.add(chunk)
            size = file.tell()
        counter.finish()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise FileRefusedError(
            f"{path.name} is named .gz but cannot be unpacked; it was cut off, is no gzip file or "
            "something else follows its end: deliver it again."
        ) from None
    except OSError as error:
        # Raised from the error, which may be one that passes.
        raise FileRefusedError(
            f"{path.name} cannot be read ({error.strerror or error}); check its permissions."
        ) from error
    if not counter.head.strip():
        raise FileRefusedError(f"{path.name} is empty; deliver it again with its rows.")
    first, _, _ = counter.head.partition(b"\n")
    return FileFacts(
        sha256=hashed.digest.hexdigest(),
        size=size,
        lines=counter.lines,
        blank_lines=counter.blanks,
        first_blank=counter.first_blank,
        has_quotes=counter.has_quotes,
        odd_quotes=counter.odd_quotes,
        newline=counter.newline,
        first_line=first.rstrip(b"\r").decode("utf-8", errors="ignore"),
    )


def line_numbers(path: Path, positions: Sequence[int]) -> list[int]:
    """Turn byte positions within the unpacked file into physical line numbers from 1."""
    wanted = sorted((position, index) for index, position in enumerate(positions))
    lines = [0] * len(positions)
    line, offset, current = 1, 0, 0
    with open_delivered(path) as stream:
        while current < len(wanted) and (chunk := stream.read(_CHUNK)):
            start = 0
            while current < len(wanted) and wanted[current][0] < offset + len(chunk):
                end = wanted[current][0] - offset
                line += chunk.count(b"\n", start, end)
                start = end
                lines[wanted[current][1]] = line
                current += 1
            line += chunk.count(b"\n", start)
            offset += len(chunk)
    for _, index in wanted[current:]:
        lines[index] = line
    return lines
