"""Declares the kinds of people in the lake, and how datasets identify them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_DECIMALS = re.compile(r"\.0+")
_NUMBER = re.compile(r"\+?0*([0-9]+)(?:\.0*)?")


@dataclass(frozen=True, eq=False)
class Subject:
    """A kind of person, such as a member, whose records can be removed on request.

    Attributes:
        name: What such a person is called: `member`.
        identified_by: The silver column with the person's identifier, by name of dataset.
        by_number: Whether the identifier is a whole number, so that `007` and `7` are the same.
    """

    name: str
    identified_by: Mapping[str, str]
    by_number: bool = False

    def normal(self, identifier: str) -> str:
        """Return an identifier in the form that silver compares, without blanks and decimals."""
        text = identifier.strip()
        if self.by_number:
            number = _NUMBER.fullmatch(text)
            return number[1] if number else text
        whole, point, _ = text.partition(".")
        is_float = whole.isascii() and whole.isdigit() and _DECIMALS.fullmatch(text[len(whole) :])
        return whole if point and is_float else text
