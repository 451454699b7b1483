"""What a delivered file is, looked at byte by byte before any engine reads it.

Belongs here: unpacking, hashing, encoding, header and line counting. Not here: where files lie
(`landing.py`) or turning them into rows (`reader.py`).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from lakehouse_assets.errors import FileRefusedError

FileFormat = Literal["csv", "json"]

_CHUNK = 1 << 22
_SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
_BLANK_LINE = re.compile(rb"\n(?=\r?\n)")


@dataclass(frozen=True)
class FileFacts:
    """What one pass over a file's bytes tells.

    Attributes:
        sha256: Hash of the content as delivered (packed, if it is packed).
        size: Bytes as delivered.
        lines: Physical lines of the unpacked text, a last one without line end included.
        blank_lines: How many of them are empty.
        blank_at: Byte offsets of the empty ones outside quoted values.
        has_quotes: Whether a double quote occurs, so that a record may span lines.
        newline: Line ending of the first line.
        first_line: The first line without byte order mark and line end.
    """

    sha256: str
    size: int
    lines: int
    blank_lines: int
    blank_at: tuple[int, ...]
    has_quotes: bool
    newline: str
    first_line: str


def file_format(path: Path) -> FileFormat:
    """Tell a file's format by its name, `.gz` aside.

    Raises:
        FileRefusedError: the name ends in nothing this project reads.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    try:
        return _SUFFIXES[suffixes[-1]]
    except (IndexError, KeyError):
        raise FileRefusedError(
            f"{path.name} is neither CSV nor JSON by its name; name it .csv, .json or .jsonl "
            "(each also with .gz)."
        ) from None


def open_delivered(path: Path) -> IO[bytes]:
    """Open a delivered file for reading its unpacked bytes."""
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def examine(path: Path) -> FileFacts:
    """Read a file once: hash it, check that it is UTF-8 text, count its lines.

    Raises:
        FileRefusedError: the file cannot be read, is no UTF-8 text or holds nothing.
    """
    decoder = getincrementaldecoder("utf-8")()
    lines = offset = quotes = 0
    blank: dict[int, bool] = {}
    head = b""
    tail = b"\n"
    try:
        with open_delivered(path) as stream:
            while chunk := stream.read(_CHUNK):
                if offset == 0:
                    _refuse_foreign_encoding(path, chunk)
                    if chunk.startswith(BOM_UTF8):
                        chunk = chunk[len(BOM_UTF8) :]
                        offset = len(BOM_UTF8)
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    line = lines + chunk.count(b"\n", 0, error.start) + 1
                    raise FileRefusedError(
                        f"{path.name} is not UTF-8 text: byte 0x{chunk[error.start]:02x} in line "
                        f"{line} is not valid; export the file as UTF-8 and deliver it again."
                    ) from None
                lines += chunk.count(b"\n")
                joined = tail + chunk
                if b"\n\n" in joined or b"\n\r\n" in joined:
                    for match in _BLANK_LINE.finditer(joined):
                        before = quotes + joined.count(b'"', len(tail), match.end())
                        blank.setdefault(offset - len(tail) + match.end(), before % 2 == 1)
                quotes += chunk.count(b'"')
                if b"\n" not in head:
                    head += chunk
                tail = chunk[-2:]
                offset += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise FileRefusedError(
            f"{path.name} ends in the middle of a character; it was cut off, deliver it again."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise FileRefusedError(
            f"{path.name} is named .gz but cannot be unpacked; it was cut off or is no gzip file, "
            "deliver it again."
        ) from None
    except OSError as error:
        raise FileRefusedError(
            f"{path.name} cannot be read ({error.strerror or error}); check its permissions."
        ) from None
    if offset == 0:
        raise FileRefusedError(f"{path.name} is empty; deliver it again with its rows.")
    if not tail.endswith(b"\n"):
        lines += 1
    first, _, _ = head.partition(b"\n")
    return FileFacts(
        sha256=_sha256(path),
        size=path.stat().st_size,
        lines=lines,
        blank_lines=len(blank),
        blank_at=tuple(at for at, inside in blank.items() if not inside),
        has_quotes=quotes > 0,
        newline="\r\n" if first.endswith(b"\r") else "\n",
        first_line=first.rstrip(b"\r").decode("utf-8"),
    )


def check_header(path: Path, facts: FileFacts, columns: Sequence[str]) -> None:
    """Compare a CSV file's header with the declared one.

    Raises:
        FileRefusedError: it differs, or no line follows it; the message names the place.
    """
    found = next(csv.reader([facts.first_line]), [])
    for position, (want, have) in enumerate(zip(columns, found, strict=False), start=1):
        if want != have.strip():
            raise FileRefusedError(
                f"{path.name} has a wrong header: column {position} is {have!r} where {want!r} "
                "is expected; deliver the file with the declared columns in their order."
            )
    if len(found) != len(columns):
        raise FileRefusedError(
            f"{path.name} has a wrong header: {len(found)} columns where {len(columns)} are "
            "expected; deliver the file with the declared columns in their order."
        )
    if facts.lines - facts.blank_lines <= 1:
        raise FileRefusedError(f"{path.name} has a header but no rows; deliver it with its rows.")


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


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_foreign_encoding(path: Path, chunk: bytes) -> None:
    if chunk.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise FileRefusedError(
            f"{path.name} is UTF-16, not UTF-8; export the file as UTF-8 and deliver it again."
        )
    if b"\0" in chunk:
        raise FileRefusedError(
            f"{path.name} holds zero bytes, so it is no text; deliver it as UTF-8 CSV or JSON."
        )
