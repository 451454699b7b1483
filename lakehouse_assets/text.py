"""Escapes text from files, databases and users, so that no terminal or page interprets it."""

from __future__ import annotations

import re

# Control characters, line separators, marks that change the direction of text, surrogates.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# Markup in Markdown or HTML: a link or an image in a value could call a server.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~]|(?<!\w)_|_(?!\w)")


def visible(text: str, keep: str = "") -> str:
    r"""Write control characters as escapes, such as `\x1b`.

    Args:
        text: Any text.
        keep: Characters to leave as they are, such as the line breaks of our own text.
    """
    return UNSEEN.sub(lambda m: m[0] if m[0] in keep else _escape(m[0]), text)


def counted(number: int, singular: str) -> str:
    """Return a number with its noun, such as `1 row` or `2,000 rows`."""
    return f"{number:,} {singular}{'s' * (number != 1)}"


def markdown(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def _escape(character: str) -> str:
    number = ord(character)
    hexadecimal = f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
    return _ESCAPES.get(character, hexadecimal)
