"""A delivered record as the splitters of CSV and JSON hand it over.

Belongs here: the two shapes a record can have. Not here: splitting (`csv_records.py`,
`json_records.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """A readable record: its position among all records from 1 and its fields as text."""

    number: int
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """An unreadable record: the line it starts on, its raw text and what is wrong."""

    line: int
    text: str
    reason: str
