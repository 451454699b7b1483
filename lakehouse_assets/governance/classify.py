"""Finds personal data in stored rows, to check the PII classes that columns declare.

A column's type decides which signs are tested. Ambiguous values, such as telephone numbers, count
only in columns whose names suggest them. Numbers with check digits count only if most of them are
right, because one random number in ten is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lakehouse_assets.catalog.registry import Column, Pii, Table
from lakehouse_assets.engine import DataFrame
from lakehouse_assets.engine.base import Engine
from lakehouse_assets.engine.duckdb_sql import identifier, literal

Kind = Literal["text", "whole", "number", "date"]
# More than this share of a column's values must look like personal data.
SHARE = 0.5
ROWS = 5_000
"""Number of rows of a table that are sampled by default."""

_VIEW = "scanned_for_personal_data"
_TEXT: frozenset[Kind] = frozenset({"text"})
_DIGITS: frozenset[Kind] = frozenset({"text", "whole"})
_DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})( .*)?"
_STREET = (
    r"(street|avenue|road|lane|drive|boulevard|court|square|way|st|ave|rd|blvd|"
    r"[a-zß-ü]*stra(ss|ß)e|[a-zß-ü]*str|rue|via|calle|avenida|rua|platz|weg)\.?"
)


def _matches(pattern: str) -> str:
    return f"regexp_full_match(value, {literal(pattern)})"


def _digits(of: str = "value") -> str:
    return f"regexp_replace({of}, '[ -]', '', 'g')"


def _weighted(text: str, weights: Sequence[int]) -> str:
    """Return the sum of a text's first digits times their weights; X is 10."""
    terms = (
        f"{weight} * coalesce(try_cast(substr({text}, {at}, 1) AS INTEGER), 10)"
        for at, weight in enumerate(weights, 1)
    )
    return f"({' + '.join(terms)})"


def _if(shape: str, check: str) -> str:
    """Return a condition that runs a check only on values of a shape."""
    return f"CASE WHEN {shape} THEN {check} ELSE false END"


_LUHN = (
    f"list_sum(list_transform(string_split(reverse({_digits()}), ''), lambda d, i: "
    "CASE WHEN i % 2 = 1 THEN d::INTEGER ELSE (2 * d::INTEGER) % 10 + (2 * d::INTEGER) // 10 END)) "
    "% 10 = 0"
)
# The letters of an IBAN become two digits each; the number is taken modulo 97 digit by digit.
_IBAN = (
    "list_reduce(list_transform(string_split(substr(account, 5) || substr(account, 1, 4), ''), "
    "lambda c: CASE WHEN c BETWEEN '0' AND '9' THEN c::INTEGER ELSE ascii(c) - 55 END), "
    "lambda a, d: (a * CASE WHEN d > 9 THEN 100 ELSE 10 END + d) % 97) = 1"
).replace("account", "replace(value, ' ', '')")
_CHINA = _weighted("value", (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)) + " % 11 = 1"
_CPF = " AND ".join(
    f"({_weighted('cpf', range(at, 1, -1))} * 10) % 11 % 10 = substr(cpf, {at}, 1)::INTEGER"
    for at in (10, 11)
).replace("cpf", "regexp_replace(value, '[.-]', '', 'g')")


@dataclass(frozen=True)
class Sign:
    """A sign of personal data.

    Attributes:
        name: What the values look like, in the plural.
        pii: The class that a column of such values must declare.
        kinds: Kinds of types in which it can occur.
        test: Condition on `value`, the trimmed text of a value that is not null; None if the
            column's name is enough.
        hint: Pattern that the column's name must contain; None if the values are enough.
        fewest: How many values are needed for a verdict.
        of_person: Whether it is personal only in tables that identify people.
    """

    name: str
    pii: Pii
    kinds: frozenset[Kind]
    test: str | None = None
    hint: re.Pattern[str] | None = None
    fewest: int = 1
    of_person: bool = False


def _hint(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)(?:{pattern})(?:_|$)")


_PEOPLE = "customer|member|client|user|visitor|guest|passenger|patient|employee|person|contact"
SIGNS = (
    Sign("e-mail addresses", "contact", _TEXT,
         _if("contains(value, '@')", _matches(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"))),
    Sign("international telephone numbers", "contact", _TEXT,
         _matches(r"\+[1-9][\d ().\-]{6,18}\d")),
    Sign("telephone numbers", "contact", _DIGITS,
         _if(_matches(r"[+(]?\d[\d ().\-/]{5,18}\d"),
             f"NOT {_matches(_DATE)} AND NOT {_matches(r'[0-9]+[.][0-9]+')}"),
         _hint(r"\w*phone\w*|tel|telefon|mobile\w*|cell\w*|fax|msisdn")),
    Sign("bank accounts (IBAN)", "identifier", _TEXT,
         _if(_matches(r"[A-Z]{2}\d{2} ?[A-Z0-9]{4}[A-Z0-9 ]{7,33}"), _IBAN)),
    Sign("payment cards", "identifier", _DIGITS,
         _if(_matches(r"[2-6]\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,4}[ -]?\d{0,3}"
                      r"|3\d{3}[ -]?\d{6}[ -]?\d{5}"), _LUHN), fewest=10),
    Sign("US social security numbers", "identifier", _TEXT,
         _if(_matches(r"\d{3}-\d{2}-\d{4}"),
             f"NOT {_matches('(000|666|9..)-.*|...-00-.*|.*-0000')}")),
    Sign("British national insurance numbers", "identifier", _TEXT,
         _matches("[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?(\\d{2} ?){3}[A-D]")),
    Sign("Italian tax codes", "identifier", _TEXT,
         _matches(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]")),
    Sign("Spanish identity numbers", "identifier", _TEXT,
         _if(_matches(r"\d{8}-?[A-Z]"),
             "substr('TRWAGMYFPDXBNJZSQVHLCKE', substr(value, 1, 8)::INTEGER % 23 + 1, 1) "
             "= right(value, 1)"), fewest=3),
    Sign("Brazilian tax numbers", "identifier", _TEXT,
         _if(_matches(r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}"), _CPF), fewest=5),
    Sign("Chinese identity numbers", "identifier", _DIGITS,
         _if(_matches(r"[1-8]\d{5}(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[0-9X]"),
             _CHINA), fewest=3),
    Sign("user handles", "identifier", _TEXT, _matches(r"@[A-Za-z0-9_.]{2,30}")),
    Sign("IPv6 addresses", "identifier", _TEXT,
         _if("contains(value, ':')",
             _matches(r"([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,6}"))),
    Sign("IP addresses", "identifier", _TEXT,
         _matches(r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)"),
         _hint(r"\w*ip|\w*ip_?addr\w*|address|\w*host\w*|client|remote\w*")),
    Sign("street addresses", "location", _TEXT,
         _matches(rf"(?i)(\d+\w? [^\d]*\b{_STREET}\b.*|[^\d]*\b{_STREET} \d+.*)")),
    Sign("names of people", "identifier", _TEXT, _matches(r"[\pL\pM .,'\x{2019}\-]{2,60}"),
         _hint(rf"(?:first|last|full|given|family|middle|maiden|sur|(?:{_PEOPLE}))_?name|surname")),
    Sign("user names", "identifier", _TEXT, _matches(r"[^\s]{2,60}"),
         _hint(r"(?:user|screen|nick|login)_?name|login|handle")),
    Sign("numbers of people", "identifier", _DIGITS, None,
         _hint(rf"(?:{_PEOPLE})_?(?:id|no|nr|num|number|key|code)")),
    Sign("numbers of papers", "identifier", _DIGITS, _matches(r"[A-Za-z0-9 -]{5,20}"),
         _hint(r"passport\w*|ssn|social_security\w*|driv\w+_licen[cs]e\w*|national_id\w*|tax_id")),
    Sign("days of birth", "demographic", frozenset({"text", "date"}), None,
         _hint(r"birth_?(?:date|day)|date_of_birth|dob|born(?:_on)?"), of_person=True),
    Sign("sexes", "demographic", _TEXT, None, _hint("gender|sex"), of_person=True),
    Sign("ages", "demographic", _DIGITS, None, re.compile(r"^age(?:_?(?:group|band|range))?$"),
         of_person=True),
    Sign("places of people", "location", _DIGITS, None,
         _hint(r"(?:home_|work_)?(?:city|town|street|address|zip|zip_?code|post_?code|postal_?code)"),
         of_person=True),
    Sign("coordinates of people", "location", frozenset({"text", "number"}),
         "try_cast(value AS DOUBLE) BETWEEN -180 AND 180", _hint("lat|latitude|lon|lng|longitude"),
         of_person=True),
)  # fmt: skip
"""The signs, most certain first."""


@dataclass(frozen=True)
class Suspect:
    """A column whose values look like personal data.

    Attributes:
        table: `<domain>.<table>`.
        column: The column.
        looks_like: What its values look like.
        pii: The class that such values have.
        declared: The class that the column declares.
        share: Share of the values that match; 1 if the column's name is enough.
        values: Number of values that were tested.
    """

    table: str
    column: str
    looks_like: str
    pii: Pii
    declared: Pii | None
    share: float
    values: int


def scan(engine: Engine, table: Table, rows: DataFrame, most: int = ROWS) -> list[Suspect]:
    """Find personal data in a table, in one statement.

    Args:
        engine: The embedded engine.
        table: The declaration.
        rows: Its rows.
        most: Maximum rows to sample at random, with a fixed seed.

    Returns:
        One suspect for each column that looks like personal data, by the first of `SIGNS`.
    """
    wanted = [
        (column, sign)
        for column in table.columns
        for sign in SIGNS
        if _kind(column) in sign.kinds and (sign.hint is None or sign.hint.search(column.name))
    ]
    if not wanted:
        return []
    names = list(dict.fromkeys(column.name for column, _ in wanted))
    signs = list(dict.fromkeys(sign for _, sign in wanted))
    texts = ", ".join(f"trim(CAST({identifier(n)} AS VARCHAR)) AS {identifier(n)}" for n in names)
    tests = ", ".join(f"coalesce(sum(n) FILTER ({sign.test or 'true'}), 0)" for sign in signs)
    # Each test is in the statement once, and sees each distinct value of a column once. The
    # statement holds only declared names and constants of this module.
    statement = f"""
        WITH drawn AS (
            SELECT {texts} FROM {_VIEW} USING SAMPLE reservoir({int(most)} ROWS) REPEATABLE (1)
        ),
        cells AS (UNPIVOT drawn ON COLUMNS(*) INTO NAME name VALUE value),
        counted AS (SELECT name, value, count(*) AS n FROM cells WHERE value <> '' GROUP BY ALL)
        SELECT name, sum(n), {tests} FROM counted GROUP BY name
    """  # noqa: S608
    answer = engine.query(statement, {_VIEW: rows}).read_all()
    values: dict[str, int] = {}
    hits_of: dict[tuple[str, Sign], int] = {}
    for name, total, *found in zip(*(column.to_pylist() for column in answer.columns), strict=True):
        values[name] = int(total)
        hits_of |= {(name, sign): int(n) for sign, n in zip(signs, found, strict=True)}
    suspects: dict[str, tuple[Column, Sign, int]] = {}
    for column, sign in wanted:
        hits, total = hits_of.get((column.name, sign), 0), values.get(column.name, 0)
        if total >= sign.fewest and hits > SHARE * total:
            suspects.setdefault(column.name, (column, sign, hits))
    about_people = any(
        pii in {"identifier", "contact"}
        for pii in (*(c.pii for c in table.columns), *(s.pii for _, s, _ in suspects.values()))
    )
    return [
        Suspect(
            table.full_name, column.name, sign.name, sign.pii, column.pii,
            hits / values[column.name], values[column.name],
        )
        for column, sign, hits in suspects.values()
        if about_people or not sign.of_person
    ]  # fmt: skip


def _kind(column: Column) -> Kind | None:
    if column.type == "string":
        return "text"
    if column.type in {"bigint", "int"} or (column.decimal and column.decimal[1] == 0):
        return "whole"
    if column.type == "double" or column.decimal:
        return "number"
    return "date" if column.type == "date" else None
