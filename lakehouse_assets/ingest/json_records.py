"""Records of a JSON delivery, one by one: an array of objects, or objects one after the other.

Objects that follow each other may stand on a line each (JSON lines), on several lines each (pretty
printed), or with nothing between them. The standard library's parser is used because it hands
numbers over as they were written; engines turn 1250.50 into 1250.5 and round what has more digits
than a double. What is read takes time in proportion to its size, however many records are broken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lakehouse_assets.errors import FileRefusedError
from lakehouse_assets.ingest.files import open_delivered
from lakehouse_assets.ingest.records import Lines, Malformed, Record, listed

# A string ends with its line: one that is left open must not swallow what follows.
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_TOKEN = re.compile(rf"{_STRING}|[\[\]{{}},]")
_ANY_TOKEN = re.compile(rf'{_STRING}|[^\s"\[\]{{}},:]+|\S')
# Files with a byte order mark each may have been put together.
_BETWEEN = " \t\r\n\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")
_PAIRS = {"}": "{", "]": "["}
# Records are flat; deeper than this nothing is a record that goes on over several lines.
_DEEPEST = 100
# What the parser makes of objects and arrays.
_NESTED = frozenset({dict, list})


class _AmbiguousError(ValueError):
    """What is wrong with a value."""


class _Text(str):
    """Text in which the parser's errors have a place without its line.

    The parser would count all lines before each error, which takes as long as reading them.
    """

    __slots__ = ()

    def count(self, *_: Any) -> int:
        """Count nothing."""
        return 0

    def rfind(self, *_: Any) -> int:
        """Find nothing."""
        return -1

    rindex = rfind


def json_records(
    path: Path, fields: Sequence[str], additive: bool = False
) -> Iterator[Record | Malformed]:
    """Yield every record of a JSON file, readable or not, in order.

    An array is held in memory while it is split; deliver what does not fit as JSON lines.

    Args:
        path: The file.
        fields: Names of the declared attributes.
        additive: Whether a record may have others, whose values are left out.

    Raises:
        FileRefusedError: the file is one object around its records.
    """
    with open_delivered(path) as stream:
        start = stream.read(1 << 16).decode("utf-8-sig", errors="ignore").lstrip()
    split = _array_elements if start.startswith("[") else _objects
    known = frozenset(fields)
    for number, (line, text, value) in enumerate(split(path), start=1):
        if isinstance(value, ValueError):
            yield Malformed(line, text, str(value))
            continue
        undeclared: tuple[str, ...] = ()
        missing: tuple[str, ...] = ()
        # Nearly every record is valid, so the check for that is the cheapest one.
        if isinstance(value, dict) and value.keys() != known:
            undeclared = tuple(sorted(value.keys() - known))
            missing = tuple(name for name in fields if name not in value)
            if number == 1 and undeclared:
                _check_no_wrapper(path, value, known)
        reason = _unfit(value, known, additive) or _half_character(text, value)
        if reason:
            yield Malformed(line, text, reason, undeclared, missing)
        else:
            values = tuple(_text(value.get(name)) for name in fields)
            yield Record(number, values, undeclared, missing)


def _check_no_wrapper(path: Path, value: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse an object that is no record but holds them: `{"records": [{...}, {...}]}`."""
    for name, items in value.items():
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            if known.isdisjoint(value):
                raise FileRefusedError(
                    f"{path.name} is one object with its records in the attribute {name}; deliver "
                    "them as an array, or one object a line."
                )
            return


def _unfit(value: Any, known: frozenset[str], additive: bool) -> str | None:
    if not isinstance(value, dict):
        return f"expected an object, found {_kind(value)}"
    if not additive and not value.keys() <= known:
        return f"undeclared attribute {listed(sorted(value.keys() - known))}"
    if not _NESTED.isdisjoint(map(type, value.values())):
        nested = sorted(n for n, item in value.items() if type(item) in _NESTED and n in known)
        if nested:
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


def _decoded(text: str, position: int) -> tuple[Any, int]:
    """Decode the value at a position, or return what is wrong with it; and where it ends."""
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        return _AmbiguousError(f"{error.msg} (character {error.pos - position + 1})"), position
    except ValueError as error:
        return error, position
    except RecursionError:
        return _AmbiguousError("nested too deeply"), position


def _objects(path: Path) -> Iterator[tuple[int, str, Any]]:
    """Split objects that follow each other; what is broken is lost to the end of its line."""
    lines = Lines(path)
    while (raw := lines.take()) is not None:
        line, position, text = lines.number, 0, raw.strip(_BETWEEN)
        while position < len(text):
            value, end = _decoded(text, position)
            if isinstance(value, ValueError) and text[position] == "{":
                further = _continuation(text[position:], lines)
                if further:
                    text += further
                    value, end = _decoded(text, position)
            if end == len(text):
                # Nearly every line is one object.
                yield line, text[position:], value
                break
            after = _skip(text, end)
            if not isinstance(value, ValueError) and text[after] != "{":
                value = _AmbiguousError(f"Extra data (character {after - position + 1})")
            if isinstance(value, ValueError):
                after = end = len(text)
            yield line, text[position:end], value
            line += text.count("\n", position, after)
            position = after


def _continuation(text: str, lines: Lines) -> str:
    """Take the lines on which the objects go on that a text begins; none if they never end."""
    opened: list[str] = []
    before = ""
    taken: list[str] = []
    part: str | None = text
    while part is not None and _go_on(part, opened, before):
        if not opened:
            return "".join(["\n", *taken]).rstrip(" \t\r\n") if taken else ""
        before = part.rstrip()[-1:] or before
        part = lines.take()
        taken += [part] if part is not None else []
    lines.put_back(taken)
    return ""


def _go_on(part: str, opened: list[str], before: str) -> bool:
    """Follow what a part of a text opens and closes; say whether it can be part of an object.

    Args:
        part: Some lines.
        opened: Brackets that are open before the part; afterwards those that are open behind it.
        before: The last sign before the part.
    """
    for sign in _ANY_TOKEN.findall(part):
        # An object stands for a value; anywhere else the one before it was never closed.
        within_array = before in ("[", ",") and opened[-1:] == ["["]
        if sign == "{" and opened and before != ":" and not within_array:
            return False
        if sign == '"' or len(opened) > _DEEPEST:
            return False
        if sign in ("{", "["):
            opened.append(sign)
        elif sign in _PAIRS and (not opened or opened.pop() != _PAIRS[sign]):
            return False
        before = sign
    return True


def _array_elements(path: Path) -> Iterator[tuple[int, str, Any]]:
    with open_delivered(path) as stream:
        text = _Text(stream.read().decode("utf-8-sig"))
    position = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    closed = False
    while position < len(text):
        line += str.count(text, "\n", counted, position)
        counted = position
        if text[position] == "]":
            closed = True
            position = _skip(text, position + 1)
            if not text.startswith("[", position):
                break
            # Files of arrays were put together.
            closed = False
            position = _skip(text, position + 1)
            continue
        value, end = _decoded(text, position)
        if isinstance(value, ValueError):
            end = _end_of_element(text, position)
        yield line, text[position:end].strip(), value
        position = _skip(text, end)
        if position < len(text) and text[position] == ",":
            position = _skip(text, position + 1)
    if not closed:
        yield str.count(text, "\n") + 1, "", _AmbiguousError("the array is not closed: cut off?")
    elif position < len(text):
        line += str.count(text, "\n", counted, position)
        yield line, text[position:].strip(), _AmbiguousError("text after the end of the array")


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
