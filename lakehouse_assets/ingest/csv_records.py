"""The only CSV reader: Arrow's parser for regular text, and a strict parser for all other text.

The grammar: fields are separated by commas, or by the separator that the dataset declares. A field
that begins with a double quote, optionally after one space, ends at the next quote that is not
doubled, and may contain separators, line breaks and doubled quotes; any other double quote is text.
Records end at LF or CRLF, which one file may mix; a lone carriage return is text. Empty lines are
skipped. Empty fields are null, and extra empty fields at the end of a record are ignored. If the
quotes of a record are unbalanced, only the line on which it begins is malformed, and reading
continues with the next line.

Text is read in blocks of whole records. A block is regular if every quote in it opens a value at
the start of a field, closes a value at the end of a field, or is doubled within a value. On regular
blocks both parsers agree, and Arrow's is about twenty times faster. As a check, the number of
records that Arrow parses and rejects must equal the number of lines that end outside quotes;
otherwise the strict parser reads the block.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from lakehouse_assets.ingest.files import Content
from lakehouse_assets.ingest.limits import bytes_beyond
from lakehouse_assets.ingest.records import Malformed, Record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_QUOTED = re.compile(r' ?"([^"]*+(?:""[^"]*+)*+)')
_LF, _CR, _QUOTE = b'\n\r"'


class _QuoteError(ValueError):
    """The quotes of a record are unbalanced or misplaced."""


class _OpenError(Exception):
    """A quoted value is not closed within the text that has been read."""


class CsvReader:
    """Reads the records of a CSV file after its first line.

    Args:
        content: The file's text.
        header: Whether the first line names the columns instead of being data.
        separator: What separates the fields: one ASCII character.

    Attributes:
        first_line: Its first line, without the line end.
    """

    def __init__(self, content: Content, header: bool = True, separator: str = ",") -> None:
        self._separator = separator
        self._plain = re.compile(rf"[^{re.escape(separator)}\n]*+")
        self._name, self._limits = content.name, content.limits
        self._chunks = iter(content)
        self._number, self._line = 0, 1
        # Start and end in the text of the last record with bad quotes, and the reason.
        self._failed = (0, 0, "")
        text = b""
        while b"\n" not in text and (chunk := next(self._chunks, None)) is not None:
            text += chunk
            self._check_length(text, "line_bytes", "line")
        line, end, rest = text.partition(b"\n")
        self._check_length(line, "line_bytes", "line")
        self.first_line = (line.removesuffix(b"\r") if end else line).decode()
        self._rest = rest if header else text
        self._line += header and bool(end)

    def read(
        self, fields: int, wanted: Sequence[int] | None = None
    ) -> Iterator[pa.Table | Record | Malformed]:
        """Yield the records, as tables of text or one by one.

        The columns of a table are `_row_number` and the wanted fields, named by position from 0.

        Args:
            fields: Number of fields of a record.
            wanted: Positions of the fields to return; None for all of them.

        Raises:
            FileRefusedError: the file cannot be read, or exceeds a limit.
        """
        places = range(fields) if wanted is None else wanted
        block, least = self._rest, 0
        for chunk in chain(self._chunks, [None]):
            block += chunk or b""
            if chunk is not None and len(block) < least:
                continue
            whole = len(block) if chunk is None else block.rfind(b"\n") + 1
            cut = whole if chunk is None else _cut(block, whole)
            found = self._regular(block[:cut], fields, places)
            if found is None:
                rest = yield from self._strict(block[:whole], fields, places, chunk is None)
                rest += block[whole:]
            else:
                yield from found
                rest = block[cut:]
            limit = "record" if whole else "line"
            if len(rest) == len(block):
                self._check_length(rest, f"{limit}_bytes", limit)
            # Wait until unread text has doubled, so that re-reading it stays linear in its size.
            most = int(getattr(self._limits, f"{limit}_bytes"))
            block, least = rest, min(2 * len(rest), most + 1)

    def _check_length(self, text: bytes, limit: str, what: str) -> None:
        if len(text) > getattr(self._limits, limit):
            raise self._limits.exceeded(
                self._name,
                limit,
                f"has a {what} of more than {len(text) - 1:,} bytes that begins in line "
                f"{self._line} (a quote that is not closed?)",
            )

    def _regular(
        self, block: bytes, fields: int, places: Sequence[int]
    ) -> list[pa.Table | Record | Malformed] | None:
        """Read a block with Arrow's parser; None if the block is not regular."""
        import numpy as np
        import pyarrow as pa

        # Arrow's parser strips a byte order mark, but at the start of a block it is text.
        if len(block) > self._limits.of_text or block.startswith(BOM_UTF8) or not block:
            return None
        text = block if block.endswith(b"\n") else block + b"\n"
        signs = np.frombuffer(text, np.uint8)
        ends = _record_ends(signs, ord(self._separator))
        if ends is None or (block is not text and block.endswith(b"\r")):
            return None
        starts = np.concatenate([[0], ends[:-1] + 1])
        if fields > 1:
            # With one column, an empty line is a record with an empty value.
            starts = starts[(signs[starts] != _LF) & (signs[starts] != _CR)]
        table, bad = _parsed(text, fields, self._separator)
        if table.num_rows + len(bad) != len(starts):
            return None
        numbers = np.arange(1, len(starts) + 1) + self._number
        malformed: list[Malformed] = []
        if bad:
            lines = np.flatnonzero(signs == _LF)
            for row in bad:
                empty = row.actual_columns > fields and row.text.endswith((self._separator, '""'))
                if empty or row.actual_columns > self._limits.columns:
                    return None
                start = starts[row.number - 1]
                line = self._line + int(np.searchsorted(lines, start))
                reason = column_count_reason(row.actual_columns, fields)
                malformed.append(Malformed(line, row.text, reason))
            numbers = np.delete(numbers, [row.number - 1 for row in bad])
        self._number += len(starts)
        self._line += text.count(b"\n")
        columns = {"_row_number": pa.array(numbers), **{str(i): table[i] for i in places}}
        return [pa.table(columns), *malformed]

    def _strict(
        self, block: bytes, fields: int, places: Sequence[int], last: bool
    ) -> Generator[Record | Malformed, None, bytes]:
        """Parse a block record by record; return the text to be read together with the next."""
        text = block.decode()
        self._failed = (0, 0, "")
        position = 0
        while position < len(text):
            start, line = position, self._line
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            record, reason = text[start:end], ""
            values: list[str] = []
            if '"' in record:
                try:
                    values, end = self._fields(text, start, last)
                    record = text[start:end]
                except _QuoteError as error:
                    reason = str(error)
                except _OpenError:
                    return text[start:].encode()
            ended = end < len(text)
            record = record.removesuffix("\r") if ended else record
            if not values and not reason:
                self._check_columns(record.count(self._separator) + 1)
                values = record.split(self._separator)
            # With one column, an empty line is a record with an empty value.
            if record or fields == 1:
                self._check_record(record, values)
                self._number += 1
                if reason or len(values) < fields or any(values[fields:]):
                    reason = reason or column_count_reason(len(values), fields)
                    yield Malformed(line, record, reason)
                else:
                    yield Record(self._number, tuple(values[place] or None for place in places))
            position = end + ended
            self._line += text.count("\n", start, position)
        return b""

    def _check_record(self, record: str, values: Sequence[str]) -> None:
        limits = self._limits
        if len(record) * 4 <= limits.of_text:
            return
        longest = max(record.split("\n"), key=len)
        for text, what in ((longest, "line"), (record, "record")):
            if size := bytes_beyond(text, getattr(limits, f"{what}_bytes")):
                found = f"has a {what} of {size:,} bytes that begins in line {self._line}"
                raise limits.exceeded(self._name, f"{what}_bytes", found)
        limits.check_values(self._name, self._line, values)

    def _check_columns(self, found: int) -> None:
        if found > self._limits.columns:
            what = f"has {found:,} columns or more in line {self._line}"
            raise self._limits.exceeded(self._name, "columns", what)

    def _fields(self, text: str, start: int, last: bool) -> tuple[list[str], int]:
        """Parse the record at a position; return its fields and its end.

        Raises:
            _QuoteError: its quotes are unbalanced or misplaced.
            _OpenError: it continues beyond the text.
        """
        values: list[str] = []
        position = reach = start
        try:
            while True:
                quoted = _QUOTED.match(text, position)
                if quoted is None:
                    plain = self._plain.match(text, position)
                    end = plain.end() if plain else position
                    # A carriage return before a line feed is part of the line end.
                    crlf = end > position and text.startswith("\r\n", end - 1)
                    values.append(text[position : end - crlf])
                else:
                    end = reach = quoted.end()
                    if end == len(text):
                        if not last:
                            raise _OpenError
                        raise _QuoteError("a quoted value is not closed")
                    if self._failed[0] < text.find("\n", position, end) < self._failed[1]:
                        # An earlier record already failed in a quoted value across this line end.
                        raise _QuoteError(self._failed[2])
                    values.append(quoted[1].replace('""', '"'))
                    end += 1
                    while text.startswith(" ", end):
                        end += 1
                    end += text.startswith("\r\n", end)
                if end == len(text) or text[end] == "\n":
                    return values, end
                if text[end] != self._separator:
                    raise _QuoteError("text follows the quote that closes a value")
                position = end + 1
                self._check_columns(len(values) + 1)
        except _QuoteError as error:
            if reach > self._failed[1]:
                self._failed = (start, reach, str(error))
            raise


def column_count_reason(found: int, expected: int) -> str:
    """Return the reason for rejecting a record with too few or too many columns."""
    if found > expected:
        return f"more than {expected} columns"
    return f"{found} columns where {expected} are expected"


def _cut(block: bytes, cut: int) -> int:
    """Return the end of the last line up to `cut` with an even number of quotes before it, or 0.

    In regular text a record ends there.
    """
    odd = block.count(b'"', 0, cut) % 2
    while odd and cut:
        before = block.rfind(b"\n", 0, cut - 1) + 1
        odd ^= block.count(b'"', before, cut) % 2
        cut = before
    return cut


def _record_ends(signs: np.ndarray[Any, Any], separator: int) -> np.ndarray[Any, Any] | None:
    """Return the line feeds that end records; None if quotes or carriage returns are irregular."""
    import numpy as np

    ends = np.flatnonzero(signs == _LF)
    if not (signs[np.flatnonzero(signs == _CR) + 1] == _LF).all():
        return None
    quotes = np.flatnonzero(signs == _QUOTE)
    if not len(quotes):
        return ends
    # If a quote is the first character, index -1 is the line feed at the end of the block.
    before, after = signs[quotes[::2] - 1], signs[quotes[1::2] + 1]
    if (
        len(quotes) % 2
        or not np.isin(before, [separator, _LF, _QUOTE]).all()
        or not np.isin(after, [separator, _LF, _CR, _QUOTE]).all()
    ):
        return None
    outside: np.ndarray[Any, Any] = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return outside


def _parsed(text: bytes, fields: int, separator: str) -> tuple[pa.Table, list[Any]]:
    """Parse regular text; return its rows, and the rejected rows with a wrong number of fields."""
    import pyarrow as pa
    from pyarrow import csv

    bad: list[Any] = []

    def skip(row: Any) -> str:
        bad.append(row)
        return "skip"

    names = [str(place) for place in range(fields)]
    table = csv.read_csv(
        pa.py_buffer(text),
        csv.ReadOptions(column_names=names, block_size=len(text) + 1, use_threads=False),
        csv.ParseOptions(
            delimiter=separator,
            newlines_in_values=b'"' in text,
            ignore_empty_lines=fields > 1,
            invalid_row_handler=skip,
        ),
        csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    return table, bad
