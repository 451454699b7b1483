"""Limits on delivered files, so that no file exhausts memory, disk or time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from lakehouse_assets.errors import FileRefusedError

# Files that unpack to less are harmless at any ratio.
_RATIO_FROM = 64 << 20


@dataclass(frozen=True)
class FileLimits:
    """Limits on a delivered file; a file that exceeds one is refused, and the others load.

    Attributes:
        unpacked_bytes: Bytes of an unpacked file; for a Parquet file, of its columns, as its
            footer says and as they are read.
        ratio: Unpacked bytes per packed byte, for files that unpack to more than 64 MiB.
        line_bytes: Bytes of a line of CSV.
        record_bytes: Bytes of a record of CSV or JSON.
        field_bytes: Bytes of a value.
        columns: Columns of a file, or different attributes of its JSON records.
        nesting: Depth of nested objects and arrays in JSON.
        files_per_day: Files of one dataset in one dated folder.
    """

    unpacked_bytes: int = 16 << 30
    ratio: int = 200
    line_bytes: int = 16 << 20
    record_bytes: int = 16 << 20
    field_bytes: int = 4 << 20
    columns: int = 2_000
    nesting: int = 100
    files_per_day: int = 20_000

    def __post_init__(self) -> None:
        """Raise ValueError for a limit below 1."""
        if any(getattr(self, field.name) < 1 for field in fields(self)):
            raise ValueError("every limit is a whole number from 1")

    @property
    def of_text(self) -> int:
        """Bytes; in a text no longer than this, no line, record or value is too long."""
        return min(self.line_bytes, self.record_bytes, self.field_bytes)

    def exceeded(self, name: str, setting: str, what: str) -> FileRefusedError:
        """Return the error that refuses a file.

        Args:
            name: The file.
            setting: Name of the limit's attribute.
            what: What exceeds it, such as "has a line of 17,000,000 bytes".
        """
        return FileRefusedError(
            f"{name} {what}, and the limit is {getattr(self, setting):,}; check the file, or raise "
            f'"{setting}" in LAKEHOUSE_FILE_LIMITS.'
        )

    def check_ratio(self, name: str, packed: int, unpacked: int) -> None:
        """Check how many unpacked bytes a file has per packed byte.

        Raises:
            FileRefusedError: it has more than `ratio`.
        """
        if unpacked > max(_RATIO_FROM, self.ratio * packed):
            found = f"unpacks from {packed:,} to {unpacked:,} bytes, {unpacked // packed:,} times "
            "as many"
            raise self.exceeded(name, "ratio", found)

    def check_values(self, name: str, line: int, values: Iterable[str | None]) -> None:
        """Check that no value of the record at a line exceeds `field_bytes`.

        Raises:
            FileRefusedError: a value is too long.
        """
        for value in values:
            if value and (size := bytes_beyond(value, self.field_bytes)):
                found = f"has a value of {size:,} bytes in the record of line {line}"
                raise self.exceeded(name, "field_bytes", found)


def bytes_beyond(text: str, limit: int) -> int:
    """Return the size of a text in bytes if it exceeds a limit, else 0."""
    # A character has at most four bytes, so short texts need no count, which is not free.
    if len(text) * 4 <= limit:
        return 0
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return size if size > limit else 0
