"""The tokens by which an HTTP server authenticates clients."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Final

from lakehouse_assets.errors import LakehouseError

_FEWEST_LETTERS: Final = 16
_MOST_BYTES: Final = 2**16
_REMEDY: Final = "make one with `openssl rand -hex 32`"


class Tokens:
    """A single token, or tokens from a file with one on each line.

    `refresh` reads the file again. While it has both the old and the new token, clients can change
    theirs one by one.
    """

    def __init__(self, given: str | None, file: Path | None) -> None:
        """Take the token, or read the file if one is named.

        Raises:
            LakehouseError: There is no token, one is too short, or the file cannot be read.
        """
        self._file = file
        self._digests = _digests(given or "") if file is None else _digests(_read(file))

    def refresh(self) -> str | None:
        """Read the file again; return a message if the tokens changed or cannot be read."""
        if self._file is None:
            return None
        try:
            found = _digests(_read(self._file))
        except LakehouseError as error:
            return f"The tokens are unchanged: {error}"
        changed, self._digests = found != self._digests, found
        number = f"{len(found)} token{'s' if len(found) > 1 else ''}"
        return f"{self._file} now has {number}." if changed else None

    def accept(self, header: bytes | None) -> bool:
        """Return whether an Authorization header has a valid token, in constant time."""
        kind, _, token = (header or b"").partition(b" ")
        shown = hashlib.sha256(token.strip()).digest()
        found = [hmac.compare_digest(shown, digest) for digest in self._digests]
        return kind.lower() == b"bearer" and any(found)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            return opened.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not plain text"
        raise LakehouseError(
            f"The token file {file} cannot be read ({reason}); give a file with a token on each "
            "line."
        ) from None


def _digests(text: str) -> tuple[bytes, ...]:
    tokens = text.split()
    if not tokens:
        raise LakehouseError(
            f"The server needs a token; {_REMEDY} and put it into LAKEHOUSE_SERVING_TOKEN or "
            "into the file that --token-file names."
        )
    if min(map(len, tokens)) < _FEWEST_LETTERS or not text.isascii():
        raise LakehouseError(
            f"A token needs at least {_FEWEST_LETTERS} letters and digits; {_REMEDY}."
        )
    return tuple(hashlib.sha256(token.encode()).digest() for token in tokens)
