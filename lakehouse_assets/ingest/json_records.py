"""Read the records of a JSON delivery one by one: an array of objects, or consecutive objects.

Consecutive objects may be on one line each (JSON lines), on several lines each (pretty printed), or
without anything between them. The standard library's parser is used because it can return numbers
as written; engines turn 1250.50 into 1250.5 and round numbers with more digits than a double. Only
the text of a record or two is held in memory, and the time is proportional to the size of the file,
however many records are broken.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.limits import FileLimits, bytes_beyond
from lakehouse_assets.ingest.records import Malformed, Record, listed

# A string ends with its line, so that one that is not closed does not swallow later records.
_STRING = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_TOKEN = re.compile(rf'{_STRING}|[\[\]{{}},"]')
_TOKEN_OUTSIDE = re.compile(r"[\[\]{},\n]")
# A delivery may be several files concatenated, each with a byte order mark.
_BETWEEN = re.compile("[ \t\r\n\ufeff]*")
_IN_LINE = re.compile("[ \t\r\ufeff]*")
_SPACE = re.compile("[ \t\r\n]*")
_BLANK = " \t\r\n\ufeff"
_PAIRS = {"}": "{", "]": "["}
# The parser's types for objects and arrays.
_NESTED = frozenset({dict, list})


class _ValueError(ValueError):
    """A value that cannot be read, with the reason."""


class _Window:
    """A part of a file's text, which is read only as far as needed.

    Attributes:
        text: The text in memory; offsets in it are valid until the position is moved.
        position: Offset of the first character that has not been consumed.
        line: The line of the position, from 1.
        ended: Whether the text reaches to the end of the file.
    """

    def __init__(self, chunks: Iterable[bytes], name: str, limits: FileLimits) -> None:
        self.name, self.limits = name, limits
        self.text, self.position, self.line, self.ended = "", 0, 1, False
        self._chunks = iter(chunks)
        self._decoder = getincrementaldecoder("utf-8")()
        self._size = 1 << 8

    def hold(self, size: int) -> None:
        """Read until `size` characters follow the position, or the file ends."""
        while not self.ended and len(self.text) - self.position < size:
            chunk = next(self._chunks, None)
            self.ended = chunk is None
            self.text += self._decoder.decode(chunk or b"")

    def hold_more(self, size: int) -> None:
        """Read more text, because a record has more than `size` characters.

        Raises:
            FileRefusedError: it is longer than a record may be.
        """
        if size > self.limits.record_bytes:
            raise self.limits.exceeded(
                self.name,
                "record_bytes",
                f"has a record of more than {size - 1:,} bytes that begins in line {self.line} "
                "(a quote or bracket that is not closed?)",
            )
        self.hold(min(2 * size, self.limits.record_bytes) + 1)

    def move(self, position: int) -> None:
        """Move the position forward, and drop consumed text."""
        self.line += self.text.count("\n", self.position, position)
        self.position = position
        # Only if most of the text is consumed, so that less is copied than dropped.
        if position > len(self.text) // 2 and not self.ended:
            self.text, self.position = self.text[position:], 0

    def skip(self, space: re.Pattern[str]) -> str:
        """Move to the next character that is not space and return it; empty at the end."""
        while True:
            self.hold(1)
            found = space.match(self.text, self.position)
            self.move(found.end() if found else self.position)
            if self.ended or self.position < len(self.text):
                return self.text[self.position : self.position + 1]

    def sign_after(self, place: int) -> str:
        """Return the first character after an offset that is not blank; empty at the end.

        A line feed is not blank here.
        """
        while True:
            found = _IN_LINE.match(self.text, place)
            place = found.end() if found else place
            if self.ended or place < len(self.text):
                return self.text[place : place + 1]
            self.hold_more(len(self.text) - self.position)

    def line_end(self, start: int) -> int:
        """Return the end of the line that contains an offset."""
        searched = start
        while (end := self.text.find("\n", searched)) < 0 and not self.ended:
            searched = len(self.text)
            self.hold_more(searched - self.position)
        return len(self.text) if end < 0 else end

    def decode(self) -> tuple[Any, int]:
        """Decode the value at the position; return it, or a `_ValueError`, and its end.

        The end of an invalid value is the position.
        """
        size = self._size
        while True:
            self.hold(size)
            part = self.text[self.position : self.position + size]
            value, end = self.decoded(part)
            whole = self.ended and self.position + size >= len(self.text)
            error = value.__cause__ if isinstance(value, _ValueError) else None
            if isinstance(error, json.JSONDecodeError):
                # An unterminated string, or an error in the last few characters, which may be half
                # of a literal: the value may be valid once more text is read.
                cut = error.msg.startswith("Unterminated") or len(part) - error.pos < 16
            else:
                cut = not isinstance(value, _ValueError) and end == len(part)
            if whole or not cut:
                self._size = max(2 * end, 1 << 6)
                return value, self.position + end
            self.hold_more(size)
            size = min(2 * size, self.limits.record_bytes + 1)

    def decoded(self, text: str) -> tuple[Any, int]:
        """Decode the value at the start of a text; return it, or a `_ValueError`, and its end.

        Raises:
            FileRefusedError: it is nested too deeply.
        """
        try:
            return _DECODER.raw_decode(text)
        except json.JSONDecodeError as error:
            found = _ValueError(f"{error.msg} (character {error.pos + 1})")
            found.__cause__ = error
            return found, 0
        except _ValueError as error:
            return error, 0
        except RecursionError:
            raise self.too_deep() from None

    def too_deep(self) -> FileRefusedError:
        """Return the error for a value that is nested too deeply."""
        depth = self.limits.nesting + 1
        what = f"has a record in line {self.line} that is nested {depth:,} deep or more"
        return self.limits.exceeded(self.name, "nesting", what)


def json_records(
    chunks: Iterable[bytes],
    name: str,
    limits: FileLimits,
    fields: Sequence[str],
    additive: bool = False,
    check: Callable[[Sequence[str | None]], str | None] = lambda _values: None,
) -> Iterator[Record | Malformed]:
    """Yield every record of a JSON file, readable or not, in order.

    Args:
        chunks: The text in UTF-8, in chunks.
        name: Name of the file or message, for errors.
        limits: Limits on it.
        fields: Names of the declared attributes.
        additive: Whether a record may have others, whose values are dropped.
        check: Returns what is wrong with the values of a record; None if nothing is.

    Raises:
        FileRefusedError: the file is one object that wraps its records, or exceeds a limit.
    """
    window = _Window(chunks, name, limits)
    split = _array_elements if window.skip(_BETWEEN) == "[" else _objects
    known, new = frozenset(fields), set[str]()
    for number, (line, text, value) in enumerate(split(window), start=1):
        if len(text) * 4 > limits.of_text:
            _check_record(window, line, text, value)
        if isinstance(value, _ValueError):
            yield Malformed(line, text, str(value))
            continue
        if _has_half_character(text, value):
            yield Malformed(
                line, text, "it contains half of a surrogate pair, which is not a character"
            )
            continue
        undeclared: tuple[str, ...] = ()
        missing: tuple[str, ...] = ()
        # Nearly every record has exactly the declared attributes, so that check comes first.
        if isinstance(value, dict) and value.keys() != known:
            undeclared = tuple(sorted(value.keys() - known))
            missing = tuple(field for field in fields if field not in value)
            if number == 1 and undeclared:
                _check_no_wrapper(name, value, known)
            new.update(undeclared)
            if len(new) + len(known) > limits.columns:
                what = f"has {len(new) + len(known):,} different attributes up to line {line}"
                raise limits.exceeded(name, "columns", what)
        values: tuple[str | None, ...] = ()
        reason = _unfit(value, known, additive, window)
        if not reason:
            values = tuple(value_text(value.get(field)) for field in fields)
            reason = check(values)
        if reason:
            yield Malformed(line, text, reason, undeclared, missing)
        else:
            yield Record(number, values, undeclared, missing)


def _check_record(window: _Window, line: int, text: str, value: Any) -> None:
    limits = window.limits
    if size := bytes_beyond(text, limits.record_bytes):
        what = f"has a record of {size:,} bytes that begins in line {line}"
        raise limits.exceeded(window.name, "record_bytes", what)
    values = value.values() if isinstance(value, dict) else [value]
    limits.check_values(window.name, line, (v for v in values if isinstance(v, str)))


def _check_no_wrapper(name: str, value: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse an object that wraps the records: `{"records": [{...}, {...}]}`."""
    for key, items in value.items():
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            if known.isdisjoint(value):
                raise FileRefusedError(
                    f"{name} is one object with its records in the attribute {key[:80]}; deliver "
                    "them as an array, or one object per line."
                )
            return


def _unfit(value: Any, known: frozenset[str], additive: bool, window: _Window) -> str | None:
    if not isinstance(value, dict):
        _check_depth(value, window)
        return f"expected an object, found {_kind(value)}"
    nested = []
    if not _NESTED.isdisjoint(map(type, value.values())):
        _check_depth(value, window)
        nested = sorted(n for n, item in value.items() if type(item) in _NESTED and n in known)
    if not additive and not value.keys() <= known:
        return f"undeclared attribute {listed(sorted(value.keys() - known))}"
    return f"attribute {listed(nested)} is not a plain value" if nested else None


def _check_depth(value: Any, window: _Window) -> None:
    level = [value]
    for _ in range(window.limits.nesting):
        level = [
            item
            for outer in level
            if type(outer) in _NESTED
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    if any(type(item) in _NESTED for item in level):
        raise window.too_deep()


def _has_half_character(text: str, value: Any) -> bool:
    # Only an escape can produce half of a surrogate pair, which cannot be stored as UTF-8.
    if "\\u" in text and isinstance(value, dict):
        try:
            "".join(item for pair in value.items() for item in pair if type(item) is str).encode()
        except UnicodeEncodeError:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = sorted(name for name, times in Counter(n for n, _ in pairs).items() if times > 1)
        raise _ValueError(f"attribute {listed(twice)} occurs twice")
    return value


def no_constant(name: str) -> Any:
    """Refuse NaN and Infinity, which Python's parser reads although JSON does not have them."""
    raise _ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=no_constant
)


def _objects(window: _Window) -> Iterator[tuple[int, str, Any]]:
    """Split consecutive objects; a broken one is malformed up to the end of its line."""
    while first := window.skip(_BETWEEN):
        start = window.position
        if first == "{":
            value, end = window.decode()
            if not isinstance(value, _ValueError) and window.sign_after(end) in ("\n", "{", ""):
                yield window.line, window.text[start:end], value
                window.move(end)
                continue
            # Only objects may span several lines.
            line_end = window.line_end(end)
            if isinstance(value, _ValueError):
                line_end = _end_of_broken(window, in_array=False) or line_end
        else:
            line_end = window.line_end(start)
        text = window.text[start:line_end].rstrip(_BLANK)
        value, end = window.decoded(text)
        if not isinstance(value, _ValueError) and end < len(text):
            after = len(text) - len(text[end:].lstrip(_BLANK))
            if text[after] != "{":
                value = _ValueError(f"Extra data (character {after + 1})")
        if isinstance(value, _ValueError):
            end = len(text)
        yield window.line, text[:end], value
        window.move(start + end)


def _array_elements(window: _Window) -> Iterator[tuple[int, str, Any]]:
    closed, sign = True, "["
    while sign:
        if closed and sign != "[":
            end = window.line_end(window.position)
            rest = window.text[window.position : end].rstrip(_BLANK)
            yield window.line, rest, _ValueError("text after the end of the array")
            window.move(end)
            sign = window.skip(_BETWEEN)
            continue
        if closed or sign == "]":
            # A delivery may be several arrays, concatenated.
            closed = not closed
            window.move(window.position + 1)
            sign = window.skip(_BETWEEN)
            continue
        value, end = window.decode()
        if isinstance(value, _ValueError):
            end = _end_of_broken(window, in_array=True)
        yield window.line, window.text[window.position : end].strip(), value
        window.move(end)
        sign = window.skip(_SPACE)
        if sign == ",":
            window.move(window.position + 1)
            sign = window.skip(_SPACE)
    if not closed:
        yield window.line, "", _ValueError("the array is not closed (truncated?)")


def _end_of_broken(window: _Window, *, in_array: bool) -> int:
    """Return the end of the broken value at the position.

    In an array it is the comma or bracket that follows the value. Among consecutive objects it is
    the end of the line that closes everything opened since the position, or 0 if that never happens
    or a line before cannot be part of an object.

    An object directly after a comma inside another object cannot be part of that one, which was
    therefore never closed.
    """
    opened: list[str] = []
    before, comma, at, tokens = "", -1, window.position, _TOKEN
    line_end = 0 if in_array else window.line_end(at)
    while True:
        token = tokens.search(window.text, at, len(window.text) if in_array else line_end)
        if token is None and not in_array:
            if len(opened) > window.limits.nesting:
                raise window.too_deep()
            if not opened:
                return line_end
            before = window.text[at:line_end].strip()[-1:] or before
            at = line_end + 1
            if window.ended and at >= len(window.text):
                return 0
            line_end = window.line_end(at)
            continue
        # The string may continue in text that has not been read yet.
        open_string = token and token[0] == '"' and window.text.find("\n", token.end()) < 0
        if not window.ended and (token is None or open_string):
            window.hold_more(len(window.text) - window.position)
            continue
        if token is None:
            return len(window.text)
        sign, start = token[0], token.start()
        before = window.text[at:start].strip()[-1:] or before
        at = token.end()
        if sign in ('"', "\n"):
            if not in_array:
                return 0
            # A lone quote: ignore quotes up to the end of the line.
            tokens = _TOKEN_OUTSIDE if sign == '"' else _TOKEN
        elif sign in ("{", "["):
            if sign == "{" and opened:
                is_value = before == ":" or (opened[-1] == "[" and before in ("[", ","))
                if not in_array and not is_value:
                    return 0
                if in_array and opened[-1] == "{" and before == ",":
                    return comma
            opened.append(sign)
            if in_array and len(opened) > window.limits.nesting:
                raise window.too_deep()
        elif sign in _PAIRS:
            if not in_array and opened[-1:] != [_PAIRS[sign]]:
                return 0
            if _PAIRS[sign] in opened:
                while opened.pop() != _PAIRS[sign]:
                    pass
            elif sign == "]":
                return start
        elif sign == ",":
            comma = start
            if in_array and not opened:
                return start
        before = sign.strip()[-1:] or before


def value_text(value: Any) -> str | None:
    """Return a plain value as bronze stores it; numbers arrive as the text that was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def _kind(value: Any) -> str:
    return {dict: "an object", list: "an array", str: "a plain value", bool: "a plain value"}.get(
        type(value), "null"
    )
