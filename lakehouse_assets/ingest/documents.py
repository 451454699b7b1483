"""Documents (images, PDF) as records: what each file is, never what is in it.

The bytes stay where they were delivered, in the landing zone under `_source_file`, untouched and
uncopied; the hash in the table says whether they still are what was delivered.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lakehouse_assets.catalog.datasets import text_field
from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.storage.files import digest_of

FIELDS = (
    text_field("Name", "Name of the file."),
    text_field("Extension", "What its name ends in, in small letters; null for nothing."),
    text_field("MediaType", "What its first bytes say it is; null if they say nothing known."),
    text_field("Size", "Its size.", unit="bytes"),
    text_field("SHA256", "SHA-256 of its content."),
)
"""What is recorded of a document; the fields of a dataset of documents."""

_FIRST_BYTES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"), (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"), (b"%PDF-", "application/pdf"),
)  # fmt: skip


def media_type(head: bytes) -> str | None:
    """Tell what a file is by its first sixteen bytes."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for first, kind in _FIRST_BYTES if head.startswith(first)), None)


def describe(path: Path, name: str) -> tuple[str | None, ...]:
    """Return the values of `FIELDS` for a file.

    Args:
        path: Where it lies.
        name: Its name as delivered.

    Raises:
        FileRefusedError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size, sha256 = path.stat().st_size, digest_of(path)
    except OSError as error:
        raise FileRefusedError(
            f"{path.name} cannot be read ({error.strerror or error}); check its permissions."
        ) from error
    delivered = PurePosixPath(name)
    extension = delivered.suffix.lower().removeprefix(".") or None
    return delivered.name, extension, media_type(head), str(size), sha256
