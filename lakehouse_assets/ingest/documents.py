"""Documents (images, PDF) as records that describe each file, never its content.

The bytes stay in the landing zone under `_source_file` and are not copied; the hash in the table
shows whether they are still as delivered.
"""

from __future__ import annotations

import hashlib
import os
from io import FileIO
from pathlib import PurePosixPath

from lakehouse_assets.ingest.limits import FileLimits

_FIRST_BYTES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"), (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"), (b"%PDF-", "application/pdf"),
)  # fmt: skip


def media_type(head: bytes) -> str | None:
    """Return a file's media type from its first 16 bytes; None if it is not known."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for first, kind in _FIRST_BYTES if head.startswith(first)), None)


def describe(file: FileIO, name: str, limits: FileLimits) -> tuple[str | None, ...]:
    """Return the values of `DOCUMENT_FIELDS` for an open file, given its name as delivered.

    Raises:
        FileRefusedError: it is too big.
    """
    size = os.fstat(file.fileno()).st_size
    delivered = PurePosixPath(name)
    if size > limits.unpacked_bytes:
        raise limits.exceeded(delivered.name, "unpacked_bytes", f"has {size:,} bytes")
    head = file.read(16)
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    extension = delivered.suffix.lower().removeprefix(".") or None
    return delivered.name, extension, media_type(head), str(size), sha256
