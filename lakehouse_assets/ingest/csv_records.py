"""Records of a CSV file, one by one, for files that an engine's CSV reader is unsure of.

Sound files are read many times faster by the engine, with the same result.

What counts as CSV: fields are separated by commas; a field that begins with a double quote (one
blank before it aside) ends at the next single one, and holds commas, line breaks and doubled
quotes; any other double quote is text. Records end at LF or CRLF, also mixed in one file; a lone
carriage return is text. Empty lines are no records. Empty fields are null, and empty fields too
many at the end are no mistake. Where quotes are out of order only the line on which the record
begins is malformed, and reading goes on with the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lakehouse_assets.engine.base import column_count_reason
from lakehouse_assets.ingest.records import Lines, Malformed, Record

# A quote that is not closed within so many characters was never meant to open anything.
_LONGEST_RECORD = 1 << 24
_QUOTED = re.compile(r' ?"([^"]*(?:""[^"]*)*)')
_INSIDE = re.compile(r'[^"]*(?:""[^"]*)*')


class _QuoteError(ValueError):
    """The quotes of a record are out of order."""


def csv_records(
    path: Path, fields: int, header: bool = True, wanted: Sequence[int] | None = None
) -> Iterator[Record | Malformed]:
    """Yield every record of a CSV file after its header, if it has one, in order.

    Args:
        path: The file.
        fields: How many fields a record has.
        header: Whether the first line names them.
        wanted: Places of the fields that are kept, from 0; all of them if nothing is said.
    """
    lines = Lines(path)
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
            kept = values[:fields] if wanted is None else [values[place] for place in wanted]
            yield Record(number, tuple(value or None for value in kept))


def _with_quotes(line: str, lines: Lines) -> tuple[str, list[str]]:
    """Split a record that may go on over several lines; return its text and fields.

    Raises:
        _QuoteError: its quotes are out of order; no line but the first is used up.
    """
    taken: list[str] = []
    values: list[str] = []
    # Only what is not split yet is looked at again with the lines that follow.
    rest, size = line, len(line)
    try:
        while (position := _split(_without_end(rest), values)) is not None:
            first = len(taken)
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
            rest = rest[position:] + "".join(taken[first:])
    except _QuoteError:
        lines.put_back(taken)
        raise
    return _without_end(line + "".join(taken)), values


def _split(text: str, values: list[str]) -> int | None:
    """Add the fields of a text to others; return where a quoted value begins that is not closed."""
    position = 0
    while True:
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            values.append(text[position:end])
        elif quoted.end() == len(text):
            return position
        else:
            values.append(quoted[1].replace('""', '"'))
            end = quoted.end() + 1
            while text.startswith(" ", end):
                end += 1
        if end == len(text):
            return None
        if text[end] != ",":
            raise _QuoteError("text follows the quote that closes a value")
        position = end + 1


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
