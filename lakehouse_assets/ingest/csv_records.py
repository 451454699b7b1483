"""Records of a CSV delivery, one by one, for files that an engine's CSV reader is unsure of.

Belongs here: splitting CSV text into records with nothing lost. Not here: deciding which files need
it (`reader.py`); sound files are read many times faster by the engine, with the same result.

What counts as CSV: fields are separated by commas; a field that begins with a double quote (one
blank before it aside) ends at the next single one, and holds commas, line breaks and doubled
quotes; any other double quote is text. Records end at LF or CRLF, also mixed in one file; a lone
carriage return is text. Empty lines are no records. Empty fields are null, and empty fields too
many at the end are no mistake. Where quotes are out of order only the line on which the record
begins is malformed, and reading goes on with the next.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from lakehouse_assets.engine.base import column_count_reason
from lakehouse_assets.ingest.files import open_delivered
from lakehouse_assets.ingest.records import Malformed, Record

# A quote that is not closed within so many characters was never meant to open anything.
_LONGEST_RECORD = 1 << 24
_QUOTED = re.compile(r' ?"([^"]*(?:""[^"]*)*)')
_INSIDE = re.compile(r'[^"]*(?:""[^"]*)*')


class _QuoteError(ValueError):
    """The quotes of a record are out of order."""


def csv_records(path: Path, fields: int, header: bool = True) -> Iterator[Record | Malformed]:
    """Yield every record of a CSV file after its header, if it has one, in order."""
    lines = _Lines(path)
    if header:
        lines.take()
    number = 0
    while (line := lines.take()) is not None:
        start, record = lines.number, _without_end(line)
        # With one column an empty line is a record like any other: an empty value.
        if not record and fields > 1:
            continue
        number += 1
        if '"' in record:
            try:
                record, values = _with_quotes(line, lines)
            except _QuoteError as error:
                yield Malformed(start, record, str(error))
                continue
        else:
            values = record.split(",")
        if len(values) < fields or any(values[fields:]):
            yield Malformed(start, record, column_count_reason(len(values), fields))
        else:
            yield Record(number, tuple(value or None for value in values[:fields]))


class _Lines:
    """The lines of a file with their ends; those that were looked at can be put back."""

    def __init__(self, path: Path) -> None:
        self._lines = _decoded(path)
        self._waiting: deque[str] = deque()
        self.number = 0

    def take(self) -> str | None:
        """Take the next line; None after the last."""
        line = self._waiting.popleft() if self._waiting else next(self._lines, None)
        self.number += line is not None
        return line

    def put_back(self, lines: list[str]) -> None:
        """Put the lines back that were taken last."""
        self.number -= len(lines)
        self._waiting.extendleft(reversed(lines))


def _decoded(path: Path) -> Iterator[str]:
    with open_delivered(path) as stream:
        for index, line in enumerate(stream):
            yield line.decode("utf-8" if index else "utf-8-sig")


def _with_quotes(line: str, lines: _Lines) -> tuple[str, list[str]]:
    """Split a record that may go on over several lines; return its text and fields.

    Raises:
        _QuoteError: its quotes are out of order; no line but the first is used up.
    """
    text, taken, size = line, [], len(line)
    try:
        while (values := _fields(_without_end(text))) is None:
            closed = False
            while not closed:
                following = lines.take()
                if following is None or size > _LONGEST_RECORD:
                    taken += [following] if following else []
                    raise _QuoteError("a quoted value is not closed")
                taken.append(following)
                size += len(following)
                inside = _INSIDE.match(following)
                closed = inside is not None and inside.end() < len(following)
            text = line + "".join(taken)
    except _QuoteError:
        lines.put_back(taken)
        raise
    return _without_end(text), values


def _fields(text: str) -> list[str] | None:
    """Split the text of a record; None if a quoted value is still open at its end."""
    values, position = [], 0
    while True:
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            values.append(text[position:end])
        elif quoted.end() == len(text):
            return None
        else:
            values.append(quoted[1].replace('""', '"'))
            end = quoted.end() + 1
            while text.startswith(" ", end):
                end += 1
        if end == len(text):
            return values
        if text[end] != ",":
            raise _QuoteError("text follows the quote that closes a value")
        position = end + 1


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
