"""Upper and lower case, one letter for one, as every engine of this project maps them.

Unicode has two such tables. The full one makes `SS` of a sharp s and depends on the place of a
letter in its word; engines apply different parts of it. The simple one, which is meant here, gives
one letter for each letter, whatever stands around it.
"""

from __future__ import annotations

from functools import cache

# Where the full table has more than one letter, and the simple one is not a title's letter either.
_UPPER = {"\u00df": "\u1e9e"}
_LOWER = {"\u0130": "i"}
# Beyond them no script has upper case.
_PLANES = 0x20000


@cache
def to_upper() -> tuple[str, str]:
    """Return all letters that have an upper case, and the upper-case letters in the same order."""
    return _pairs({letter: _upper(letter) for letter in _letters()})


@cache
def to_lower() -> tuple[str, str]:
    """Return all letters that have a lower case, and the lower-case letters in the same order."""
    return _pairs({letter: _LOWER.get(letter, letter.lower()) for letter in _letters()})


def _letters() -> list[str]:
    surrogates = range(0xD800, 0xE000)
    return [chr(code) for code in range(_PLANES) if code not in surrogates]


def _upper(letter: str) -> str:
    found = letter.upper()
    if len(found) > 1:
        found = letter.title()
    return _UPPER.get(letter, found if len(found) == 1 else letter)


def _pairs(table: dict[str, str]) -> tuple[str, str]:
    changed = {letter: other for letter, other in table.items() if letter != other}
    return "".join(changed), "".join(changed.values())
