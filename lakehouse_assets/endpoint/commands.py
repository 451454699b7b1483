"""Parses statements about the session rather than the lake: SET, SHOW, BEGIN, FETCH, COPY, ..."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import sqlglot
from sqlglot.errors import SqlglotError

from lakehouse_assets.endpoint.sqlstate import SqlError

Kind = Literal[
    "query", "empty", "set", "show", "reset", "begin", "commit", "rollback", "rollback_to",
    "discard", "deallocate", "declare", "fetch", "move", "close", "copy", "ignore",
]  # fmt: skip
_WORD: Final = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|[\w.$+-]+|[^\s\w]')
_DIRECTIONS: Final = {"next", "forward", "from", "in", "relative"}
# Kind and tag of statements by their first word; savepoints have nothing to save.
_PLAIN: Final[dict[str, tuple[Kind, str]]] = {
    "begin": ("begin", "BEGIN"), "start": ("begin", "START TRANSACTION"),
    "commit": ("commit", "COMMIT"), "end": ("commit", "COMMIT"),
    "rollback": ("rollback", "ROLLBACK"), "abort": ("rollback", "ROLLBACK"),
    "savepoint": ("ignore", "SAVEPOINT"), "release": ("ignore", "RELEASE"),
    "listen": ("ignore", "LISTEN"), "unlisten": ("ignore", "UNLISTEN"),
    "notify": ("ignore", "NOTIFY"),
}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One statement of a client.

    Attributes:
        kind: Kind of the statement.
        text: The query of `query`, `declare` and `copy`; otherwise the statement.
        name: Name of a setting, cursor or prepared statement; empty for all of them.
        value: Value of a setting.
        rows: Rows to fetch; None for all.
        tag: The command tag that the client receives on completion.
        options: Words after COPY ... TO STDOUT, in lower case.
        holds: Whether a cursor stays open after its transaction.
    """

    kind: Kind
    text: str
    name: str = ""
    value: str = ""
    rows: int | None = None
    tag: str = ""
    options: tuple[str, ...] = ()
    holds: bool = False


def statements_of(text: str) -> list[str]:
    """Split a text into statements; a text that cannot be tokenised stays whole."""
    try:
        tokens = sqlglot.tokenize(text, dialect="postgres")
    except SqlglotError:
        return [text.strip()]
    found, begin, end = [], None, 0
    for token in tokens:
        if token.token_type.name == "SEMICOLON":
            if begin is not None:
                found.append(text[begin:end])
            begin = None
            continue
        begin = token.start if begin is None else begin
        end = token.end + 1
    return found if begin is None else [*found, text[begin:end]]


def command_of(text: str) -> Command:
    """Parse a statement.

    Raises:
        SqlError: a statement about the session is incomplete.
    """
    first = re.match(r"\w*", text)
    words = _WORD.findall(text) if first and first[0].lower() in _READERS else []
    if not words:
        return Command("query" if text else "empty", text)
    try:
        return _READERS[words[0].lower()](text, [word.lower() for word in words], words)
    except IndexError:
        raise SqlError("42601", f"The statement is incomplete: {text}") from None


def _bare(word: str) -> str:
    """Return a name or value without its quotes."""
    if word[:1] in {'"', "'"}:
        return word[1:-1].replace(word[0] * 2, word[0])
    return word.lower()


def _plain(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    """Parse a statement whose first words say all."""
    kind, tag = _PLAIN[low[0]]
    return Command("rollback_to" if kind == "rollback" and "to" in low else kind, text, tag=tag)


def _set(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    at = 2 if low[1] in {"session", "local"} and len(low) > 2 else 1
    if low[at] in {"transaction", "characteristics", "constraints"}:
        return Command("set", text, "transaction_isolation", "read committed")
    if low[at] in {"time", "names"}:
        name, at = ("timezone", at + 2) if low[at] == "time" else ("client_encoding", at + 1)
    elif low[at] in {"role", "authorization"}:
        name, at = "role", at + 1
    else:
        name, at = _bare(words[at]), at + 2
    if at >= len(words):
        raise IndexError
    value = "".join(_bare(w) if w[:1] in {'"', "'"} else w for w in words[at:])
    return Command("set", text, name, value.replace(",", ", "))


def _show(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    if low[1] == "tables" or low[1:3] == ["all", "tables"]:
        return Command("query", text)
    if low[1:3] == ["time", "zone"]:
        return Command("show", text, "timezone")
    if low[1:3] == ["transaction", "isolation"]:
        return Command("show", text, "transaction_isolation")
    return Command("show", text, "" if low[1] == "all" else _bare(words[1]))


def _named(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    """Parse RESET, DISCARD, DEALLOCATE and CLOSE."""
    at = 2 if low[0] == "deallocate" and low[1] == "prepare" else 1
    name = "" if low[at] == "all" else _bare(words[at])
    kind: Kind = low[0]  # type: ignore[assignment]
    tags = {"reset": "RESET", "discard": f"DISCARD {low[1].upper()}", "close": "CLOSE CURSOR"}
    return Command(kind, text, name, tag=tags.get(kind, "DEALLOCATE" if name else "DEALLOCATE ALL"))


def _declare(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    match = re.search(r"\bfor\b", text, re.IGNORECASE)
    if match is None or "cursor" not in low:
        raise IndexError
    head = _WORD.findall(text[: match.start()].lower())
    if "binary" in head:
        raise SqlError("0A000", "Cursors return text only; leave out BINARY.")
    return Command(
        "declare", text[match.end() :].strip(), _bare(words[1]), tag="DECLARE CURSOR",
        holds="hold" in head and "without" not in head,
    )  # fmt: skip


def _fetch(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    kind: Kind = "fetch" if low[0] == "fetch" else "move"
    middle = [word for word in low[1:-1] if word not in _DIRECTIONS]
    if not middle:
        return Command(kind, text, _bare(words[-1]), rows=1)
    if middle == ["all"]:
        return Command(kind, text, _bare(words[-1]))
    count = middle[0].removeprefix("+")
    if len(middle) > 1 or not count.isdecimal():
        raise SqlError("55000", "Cursors only move forward; write FETCH <rows> FROM <cursor>.")
    return Command(kind, text, _bare(words[-1]), rows=int(count))


def _copy(text: str, low: Sequence[str], words: Sequence[str]) -> Command:
    if "stdout" not in low:
        raise SqlError("42501", "This endpoint is read-only; write COPY (SELECT ...) TO STDOUT.")
    found = re.fullmatch(r"copy\b(.*)\bto\s+stdout\b(.*)", text, re.IGNORECASE | re.DOTALL)
    if found is None:
        raise IndexError
    source = found[1].strip()
    query = source if source.startswith("(") else f"SELECT * FROM {source}"  # noqa: S608  # checked
    return Command("copy", query, options=tuple(map(_bare, _WORD.findall(found[2]))))


_READERS: Final = {
    **dict.fromkeys(_PLAIN, _plain),
    **dict.fromkeys(("reset", "discard", "deallocate", "close"), _named),
    "set": _set, "show": _show, "declare": _declare, "fetch": _fetch, "move": _fetch, "copy": _copy,
}  # fmt: skip
