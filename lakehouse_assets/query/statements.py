"""Finds the tables in an SQL statement, and their versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse_assets.catalog.registry import Registry, ambiguous
from lakehouse_assets.errors import LakehouseError, QueryError
from lakehouse_assets.lake.snapshot import NOW, AsOf
from lakehouse_assets.lake.views import View, shared_names, views

if TYPE_CHECKING:
    from sqlglot import Token

# Reading a statement takes up to 7 seconds of CPU a MiB.
_MOST_BYTES = 2**20
_EXAMPLE = 'such as "show tables"'
_SHOW = re.compile(r"show\s+(?:all\s+)?tables(?:\s+(?:from|in)\s+([\w\"`]+))?", re.IGNORECASE)
_DESCRIBE = re.compile(r"(?:describe|desc)\s+(?:table\s+|(history)\s+)?([\w.\"`]+)", re.IGNORECASE)
# After a table's name: `as of version 3`, and how Databricks, standard SQL and DuckDB write it.
_VERSION = ("as of version", "version as of", "for version as of", "for system_version as of")
_MOMENT = (
    "as of timestamp", "timestamp as of", "for timestamp as of", "for system_time as of",
)  # fmt: skip
_TRAVELS = {
    **{tuple(words.split()): "version" for words in _VERSION},
    **{tuple(words.split()): "moment" for words in _MOMENT},
    ("at", "(", "version", "=>"): "version",
    ("at", "(", "timestamp", "=>"): "moment",
}
_LONGEST = max(map(len, _TRAVELS))
_QUOTES = {"spark": "`"}
# Tokens that begin the alias of a table.
_ALIASES = frozenset({"ALIAS", "VAR", "IDENTIFIER"})


class Named(NamedTuple):
    """The view of the lake that a name in a statement means, now or at an earlier version."""

    view: View
    as_of: AsOf = NOW


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        text: The statement without a final semicolon. Earlier versions of tables are replaced by
            plain names, such as `"sales@v3"` for `sales as of version 3`.
        kind: `rows` for a statement that the engine runs; `tables` (`show tables`), `columns`
            (`describe`) and `history` (`describe history`) are answered from the catalogue.
        names: The views that the statement reads, by lower-case name.
        columns: Names of the columns that it needs; None for all of them.
        views: Texts of the users' views that it reads, by name; a view comes after the views that
            it reads itself.
        files: Day and dataset (`<domain>.<dataset>`) of the delivered files that it reads, by name.
        domain: The domain whose tables `show tables from <domain>` lists; None for all.
    """

    text: str
    kind: Literal["rows", "tables", "columns", "history"]
    names: Mapping[str, Named]
    columns: frozenset[str] | None = None
    views: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, date]] = field(default_factory=dict)
    domain: str | None = None


def read_statement(
    text: str,
    registry: Registry,
    dialect: str = "duckdb",
    users: Mapping[str, Statement] = MappingProxyType({}),
) -> Statement:
    """Parse a text that is one statement.

    Args:
        text: The text.
        registry: The declared tables.
        dialect: The engine's dialect.
        users: Users' views by SQL name.

    Raises:
        LakehouseError: the text is not exactly one statement or longer than a MiB, a name could
            mean several tables, or a version is given for something that is not a table.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise QueryError(
            "The statement contains incomplete characters (lone surrogates).", sqlstate="22021"
        ) from None
    if size > _MOST_BYTES:
        raise QueryError(
            f"The statement is longer than {_MOST_BYTES:,} bytes; join a table instead of listing "
            "values.",
            sqlstate="54000",
        )
    alone = one_statement(text, dialect)
    known, shared = views(registry), shared_names(registry)
    shown = _SHOW.fullmatch(alone)
    if shown:
        domain = shown[1] and _plain(shown[1])
        return Statement(alone, "tables", {}, domain=domain)
    described = _DESCRIBE.fullmatch(alone)
    if described:
        name = _plain(described[2])
        _refuse_shared([name], registry)
        if name in known:
            named = {name: Named(known[name])}
            return Statement(alone, "history" if described[1] else "columns", named)
        if name in users and described[1]:
            raise LakehouseError(
                f"The view {name} has no versions; describe the history of its tables."
            )
        if name in users:
            alone = f"DESCRIBE SELECT * FROM {name}"  # noqa: S608 - a view's name
        elif described[1]:
            raise QueryError(
                f'No table is called {described[2]}. "show tables" lists all tables.',
                table=described[2],
                sqlstate="42P01",
            )
    alone, files = _deliveries(alone, dialect)
    alone, earlier = _earlier_states(alone, registry, dialect)
    possible = {**{name: Named(view) for name, view in known.items()}, **earlier}
    found = _names_in(alone, dialect) | earlier.keys()
    _refuse_shared(sorted(found & shared.keys()), registry)
    named = {name: possible[name] for name in sorted(found & possible.keys())}
    texts: dict[str, str] = {}
    for name in sorted(found & users.keys()):
        texts |= {**users[name].views, name: users[name].text}
        named |= users[name].names
    return Statement(alone, "rows", named, views=texts, files=files)


def _plain(text: str) -> str:
    """Return text in lower case, with its names unquoted."""
    return re.sub('["`]', "", text.lower())


def creates(text: str) -> bool:
    """Whether a statement creates a table, a view or the like."""
    try:
        words = [token.text.lower() for token in sqlglot.tokenize(text, "duckdb")[:5]]
    except SqlglotError:
        return False
    # A secret may be kept in the user's folder.
    return words[:1] == ["create"] and "secret" not in words


def _refuse_shared(names: Sequence[str], registry: Registry) -> None:
    shared = shared_names(registry)
    for name in names:
        if name in shared:
            raise LakehouseError(ambiguous(name, shared[name]))


def one_statement(text: str, dialect: str) -> str:
    """Return the only statement of a text, without its final semicolon.

    Raises:
        LakehouseError: there is none, or there are several.
    """
    try:
        tokens = sqlglot.tokenize(text, dialect)
    except SqlglotError:
        # The engine explains errors, such as an open quote, better.
        return text.strip()
    ends = [token.start for token in tokens if _ends(token)]
    last = max((token.start for token in tokens if not _ends(token)), default=None)
    if last is None:
        raise LakehouseError(f"The statement is empty; write one, {_EXAMPLE}.")
    if any(end < last for end in ends):
        raise LakehouseError("The text has several statements; run them one by one.")
    return text[: ends[0] if ends else len(text)].strip()


def _ends(token: Token) -> bool:
    """Whether a token ends a statement."""
    return token.token_type.name == "SEMICOLON"


def _names_in(text: str, dialect: str) -> set[str]:
    """Return the names that a statement reads from, in lower case.

    In a statement that is not a query, every word counts.
    """
    try:
        first = sqlglot.tokenize(text, dialect)[0].text.lower()
        if first not in {"select", "with", "from", "("}:
            # sqlglot does not parse all other statements, and logs a warning for those.
            raise SqlglotError
        return {
            ".".join(part.name for part in table.parts).lower()
            for table in sqlglot.parse_one(text, dialect=dialect).find_all(exp.Table)
            if not _is_cte(table)
        }
    except (SqlglotError, RecursionError):
        bare = _plain(text)
        return {*re.findall(r"\w+", bare), *re.findall(r"\w+\.\w+", bare)}


def _is_cte(table: exp.Table) -> bool:
    """Whether a name refers to a common table expression (WITH) at its position."""
    node: exp.Expr | None = table
    inside: exp.Expr | None = None
    while node is not None and not table.db:
        common = node.args.get("with_")
        if isinstance(common, exp.With):
            before: Sequence[exp.Expr] = common.expressions
            if inside in before and not common.args.get("recursive"):
                before = before[: before.index(inside)]
            if any(cte.alias.lower() == table.name.lower() for cte in before):
                return True
        if isinstance(node, exp.CTE):
            inside = node
        node = node.parent
    return False


def _earlier_states(text: str, registry: Registry, dialect: str) -> tuple[str, dict[str, Named]]:
    """Replace earlier states of tables by plain names; return the text and what those mean."""
    try:
        tokens = sqlglot.tokenize(text, dialect)
    except SqlglotError:
        return text, {}
    parts, done, named = [], 0, {}
    quote = _QUOTES.get(dialect, '"')
    for at, token in enumerate(tokens):
        found = _state_after(tokens, at) if token.token_type.name in {"VAR", "IDENTIFIER"} else None
        if found is None or token.start < done:
            continue
        as_of, after = found
        dotted = at >= 2 and tokens[at - 1].token_type.name == "DOT"
        schema = tokens[at - 2].text if dotted else ""
        plain = f"{schema}.{token.text}" if schema else token.text
        _refuse_shared([plain.lower()], registry)
        view = views(registry).get(plain.lower())
        if view is None:
            raise LakehouseError(
                f'Only tables of the lake have earlier versions, and {plain} is not one; "show '
                'tables" lists all tables.'
            )
        name = f"{token.text}@{as_of}".lower()
        named[f"{schema}.{name}".lower() if schema else name] = Named(view, as_of)
        following = tokens[after].token_type.name if after < len(tokens) else ""
        alias = "" if following in _ALIASES else f" AS {quote}{token.text}{quote}"
        parts += [text[done : token.start], f"{quote}{name}{quote}{alias}"]
        done = tokens[after - 1].end + 1
    return "".join([*parts, text[done:]]), named


def _deliveries(text: str, dialect: str) -> tuple[str, dict[str, tuple[str, date]]]:
    """Replace `landing.<domain>.<dataset>('<day>')` by a name; return what the names mean."""
    if "landing" not in text.lower():
        return text, {}
    try:
        tokens = sqlglot.tokenize(text, dialect)
    except SqlglotError:
        return text, {}
    parts, done, files = [], 0, {}
    quote = _QUOTES.get(dialect, '"')
    for at, token in enumerate(tokens):
        words = [t.text.lower() for t in tokens[at : at + 8]]
        if words[:2] != ["landing", "."] or words[3:4] != ["."] or words[5:6] != ["("]:
            continue
        given = tokens[at + 6] if len(words) > 6 else token
        try:
            day = date.fromisoformat(given.text)
        except ValueError:
            raise LakehouseError(
                f"{given.text!r} is not a date; write landing.{words[2]}.{words[4]}('2021-09-06')."
            ) from None
        name = f"{words[2]}/{words[4]}/{day}"
        files[f"landing.{name}"] = (f"{words[2]}.{words[4]}", day)
        following = tokens[at + 8].token_type.name if at + 8 < len(tokens) else ""
        alias = "" if following in _ALIASES else f" AS {quote}{words[4]}{quote}"
        parts += [text[done : token.start], f"landing.{quote}{name}{quote}{alias}"]
        done = tokens[min(at + 7, len(tokens) - 1)].end + 1
    return "".join([*parts, text[done:]]), files


def _state_after(tokens: Sequence[Token], at: int) -> tuple[AsOf, int] | None:
    """Return the earlier state that is written after a name, and the position behind it."""
    words = [token.text.lower() for token in tokens[at + 1 : at + 1 + _LONGEST]]
    if words[:1] == ["@"] and len(words) > 1 and re.fullmatch(r"v\d+", words[1]):
        return AsOf(version=int(words[1][1:])), at + 3
    for marks, kind in _TRAVELS.items():
        if tuple(words[: len(marks)]) != marks:
            continue
        position = at + 1 + len(marks)
        if position < len(tokens) and tokens[position].text.lower() in {"timestamp", "date"}:
            position += 1
        value = tokens[position].text if position < len(tokens) else ""
        if "(" in marks:
            position += 1
        return (_version(value) if kind == "version" else _moment(value)), position + 1
    return None


def _version(text: str) -> AsOf:
    if not text.isdecimal():
        raise LakehouseError(f"{text!r} is not a version; write a number, as of version 3.")
    return AsOf(version=int(text))


def _moment(text: str) -> AsOf:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise LakehouseError(
            f"{text!r} is not a timestamp; write it in UTC, as of timestamp '2021-09-06 12:00'."
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return AsOf(moment=moment.replace(tzinfo=UTC))
