"""Limits on delivered files, so that no file takes more memory, disk or time than it is worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from lakehouse_assets.errors import FileRefusedError


@dataclass(frozen=True)
class FileLimits:
    """What a delivered file may be at most; a file beyond a limit is refused, the others load.

    Attributes:
        unpacked_bytes: Bytes of a file once it is unpacked; of a Parquet file, of its columns.
        ratio: Unpacked bytes for each packed one, once a file unpacks to more than 64 MiB.
        line_bytes: Bytes of a line of CSV.
        record_bytes: Bytes of a record of CSV or JSON.
        field_bytes: Bytes of a value.
        columns: Columns of a file, or different attributes of its JSON records.
        nesting: Objects and arrays within each other in JSON.
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
        """Refuse limits that no file could keep to."""
        if any(getattr(self, field.name) < 1 for field in fields(self)):
            raise ValueError("every limit is a whole number from 1")

    @property
    def of_text(self) -> int:
        """Bytes of text in which no line, record or value can be too long."""
        return min(self.line_bytes, self.record_bytes, self.field_bytes)

    def exceeded(self, name: str, setting: str, what: str) -> FileRefusedError:
        """Return the error that refuses a file.

        Args:
            name: The file.
            setting: Name of the limit, an attribute.
            what: What is too much, such as "has a line of 17,000,000 bytes".
        """
        return FileRefusedError(
            f"{name} {what}, and the limit is {getattr(self, setting):,}; check the file, or raise "
            f'"{setting}" in LAKEHOUSE_FILE_LIMITS.'
        )

    def check_values(self, name: str, line: int, values: Iterable[str | None]) -> None:
        """Make sure that no value of the record in a line is too long.

        Raises:
            FileRefusedError: one is.
        """
        for value in values:
            if value and (size := bytes_beyond(value, self.field_bytes)):
                found = f"has a value of {size:,} bytes in the record of line {line}"
                raise self.exceeded(name, "field_bytes", found)


def bytes_beyond(text: str, limit: int) -> int:
    """Return the bytes of a text if they are more than a limit, else 0."""
    # A character has four bytes at most, and to count them is not free.
    if len(text) * 4 <= limit:
        return 0
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return size if size > limit else 0
