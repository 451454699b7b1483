"""Upper and lower case, letter by letter, as every engine of this project maps them.

Unicode has two case mappings. The full one maps a sharp s to `SS` and depends on the position of a
letter in its word; engines implement different parts of it. The simple one, used here, maps each
letter to one letter, whatever its context.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

# Letters whose full mapping has several letters and whose simple one is not their title case.
_UPPER = {"\u00df": "\u1e9e"}
_LOWER = {"\u0130": "i"}
# No script has upper case beyond this code point.
_PLANES = 0x20000


@cache
def to_upper() -> tuple[str, str]:
    """Return all letters with an upper case, and their upper-case letters in the same order."""
    return _pairs(_upper)


@cache
def to_lower() -> tuple[str, str]:
    """Return all letters with a lower case, and their lower-case letters in the same order."""
    return _pairs(lambda letter: _LOWER.get(letter, letter.lower()))


def _upper(letter: str) -> str:
    found = letter.upper()
    if len(found) > 1:
        found = letter.title()
    return _UPPER.get(letter, found if len(found) == 1 else letter)


def _pairs(mapped: Callable[[str], str]) -> tuple[str, str]:
    letters = (chr(code) for code in range(_PLANES) if not 0xD800 <= code < 0xE000)
    changed = {letter: other for letter in letters if (other := mapped(letter)) != letter}
    return "".join(changed), "".join(changed.values())
