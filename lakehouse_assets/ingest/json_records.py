"""Records of a JSON delivery, one by one: an array of objects or JSON lines.

Belongs here: splitting text into records, each field as the text that was delivered. Not here: CSV
(the engine reads it) and what happens to the records.

The standard library's parser is used because it hands numbers over as they were written; engines
turn 1250.50 into 1250.5 and round what has more digits than a double.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lakehouse_assets.ingest.files import open_delivered
from lakehouse_assets.ingest.records import Malformed, Record

# A string ends with its line: one that is left open must not swallow what follows.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\[\]{},]')
_SPACE = re.compile(r"[ \t\r\n]*")
# What the parser makes of objects and arrays.
_NESTED = frozenset({dict, list})


class _AmbiguousError(ValueError):
    pass


def json_records(path: Path, fields: Sequence[str]) -> Iterator[Record | Malformed]:
    """Yield every record of a JSON file, readable or not, in order.

    An array is held in memory while it is split; deliver what does not fit as JSON lines.
    """
    with open_delivered(path) as stream:
        start = stream.read(1 << 16).decode("utf-8-sig", errors="ignore").lstrip()
    split = _array_elements if start.startswith("[") else _lines
    known = frozenset(fields)
    for number, (line, text, value) in enumerate(split(path), start=1):
        if isinstance(value, ValueError):
            yield Malformed(line, text, _plain(value))
            continue
        reason = _unfit(value, known) or _half_character(text, value)
        if reason:
            yield Malformed(line, text, reason)
        else:
            yield Record(number, tuple(_text(value.get(name)) for name in fields))


def _unfit(value: Any, known: frozenset[str]) -> str | None:
    if not isinstance(value, dict):
        return f"expected an object, found {_kind(value)}"
    # Nearly every record is fit: that is told with as few steps as possible.
    if not value.keys() <= known:
        return f"undeclared attribute {', '.join(sorted(value.keys() - known))}"
    if not _NESTED.isdisjoint(map(type, value.values())):
        nested = sorted(name for name, item in value.items() if type(item) in _NESTED)
        return f"attribute {', '.join(nested)} is not a plain value"
    return None


def _half_character(text: str, value: dict[str, Any]) -> str | None:
    # Only an escape can stand for half of a pair, which is no character and cannot be stored.
    if "\\u" in text:
        try:
            "".join(item for item in value.values() if isinstance(item, str)).encode()
        except UnicodeEncodeError:
            return "half of a surrogate pair is no character"
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise _AmbiguousError(f"attribute {', '.join(twice)} occurs twice")
    return value


def _constant(name: str) -> Any:
    raise _AmbiguousError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_constant
)


def _lines(path: Path) -> Iterator[tuple[int, str, Any]]:
    with open_delivered(path) as stream:
        for line, raw in enumerate(stream, start=1):
            text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip(" \t\r\n")
            if not text:
                continue
            try:
                yield line, text, _DECODER.decode(text)
            except ValueError as error:
                yield line, text, error
            except RecursionError:
                yield line, text, _AmbiguousError("nested too deeply")


def _array_elements(path: Path) -> Iterator[tuple[int, str, Any]]:
    with open_delivered(path) as stream:
        text = stream.read().decode("utf-8-sig")
    position = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    closed = False
    while position < len(text):
        if text[position] == "]":
            closed = True
            rest = text[position + 1 :].strip()
            if rest:
                yield line, rest, _AmbiguousError("text after the end of the array")
            break
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            end = _end_of_element(text, position)
            reason = (
                error if isinstance(error, ValueError) else _AmbiguousError("nested too deeply")
            )
            yield line, text[position:end].strip(), reason
        else:
            yield line, text[position:end], value
        position = _skip(text, end)
        if position < len(text) and text[position] == ",":
            position = _skip(text, position + 1)
    if not closed:
        yield text.count("\n") + 1, "", _AmbiguousError("the array is not closed: cut off?")


def _end_of_element(text: str, start: int) -> int:
    """Find where a broken element ends: before the comma or bracket that follows it.

    An object that directly follows a comma inside an object cannot be part of it, so the element
    that was never closed ends before that comma.
    """
    opened: list[str] = []
    comma = -1
    for token in _TOKEN.finditer(text, start):
        sign, at = token[0], token.start()
        if sign == "{" and opened[-1:] == ["{"] and comma >= 0 and not text[comma + 1 : at].strip():
            return comma
        comma = at if sign == "," else -1
        if sign in "{[":
            opened.append(sign)
        elif sign in "}]":
            pair = "{" if sign == "}" else "["
            if pair in opened:
                while opened.pop() != pair:
                    pass
            elif sign == "]":
                return at
        elif sign == "," and not opened:
            return at
    return len(text)


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def _kind(value: Any) -> str:
    return {dict: "an object", list: "an array", str: "a plain value", bool: "a plain value"}.get(
        type(value), "null"
    )


def _plain(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return str(error)
