"""Statements that try to get what a role may not read: a list, and generated ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path


def statements(name: str) -> list[str]:
    """Return the statements of a file; an indented line continues the one before it."""
    text = Path(__file__).with_name(name).read_text("utf-8")
    lines = text.replace("\n  ", " ").splitlines()
    return [line for line in lines if not line.startswith("--")]


_TABLES = (
    "members", "club.members", 'club."MEMBERS"', "Club . Members", "/* x */ members", "payroll",
    "club.payroll", '"payroll"', "memory.club.payroll", "guests", "x", "secret_frame",
)  # fmt: skip
_COLUMNS = (
    "name", "mail", "note", "member", "salary", "born", "income", "score", "city", "region",
    "full_name", "phone", "tags", '"NAME"', "t.name", "t", "t.*", "*", "columns('n.*')", "pay",
    "club.members.mail",
)  # fmt: skip
_EXPRESSIONS = (
    "{c}", "{c}::int", "try_cast({c} as bigint)", "{c} || ''", "upper({c}::varchar)",
    "max({c})", "string_agg({c}::varchar, ',')", "list({c})", "first({c})", "md5({c}::varchar)",
    "case when {c} is null then {d} else {c} end", "coalesce({c}, {d})", "{{'k': {c}}}",
    "[{c}, {d}]",
    "(select max({d}) from {f})", "to_json(t)", "arg_max({c}, {d})", "lag({c}) over (order by {d})",
    "concat_ws('-', {c}, {d})", "regexp_extract({c}::varchar, '.*')", "{c} = {d}", "error({c})",
    "unnest([{c}])", "substr({c}::varchar, 2)", "1 / ({c}::int)", "strptime({c}::varchar, '%Y')",
    "printf('%s', {c})", "exists (from {f})", "hash({c}) % 7", "{c}::decimal(4, 2)", "-{c}",
)  # fmt: skip
_SHAPES = (
    "select {e}, {g} from {f} t", "from {f} t select {e}", "select {e} from {f} t where {g} = {e}",
    "with x as (from {f}) select {e} from x t", "with x as (select {e} as name from {f} t) from x",
    "with {n} as (select * from {f}) select {e} from {n} t",
    "select {e} from {f} t, lateral (select {g}) q", "select {e} from {f} t join {h} u on true",
    "select {e} from {f} t left join {h} u using (member)", "select {e} from {f} t order by {g}",
    "select {e} from {f} t union all select {g} from {h} t", "summarize select {e} from {f} t",
    "select {e} from {f} t group by all having count(*) > 0",
    "select * from (select {e} from {f} t)",
    "select {e} from {f} t qualify row_number() over (order by {g}) < 9",
    "select {e} from (select * from {f} t where t.region = 'south') t",
    "select (select {e} from {f} t limit 1)", "pivot {f} on region using max({c})",
    "select distinct on ({c}) {e} from {f} t", "select {e} from {f} t where {g}::int > 0",
    "select {e} from {f} t positional join {h} u", "values ((select {e} from {f} t limit 1))",
)  # fmt: skip


def generated(number: int, seed: int) -> Iterator[str]:
    """Return random statements, the same for a seed."""
    drawn = random.Random(seed)  # noqa: S311

    def expression() -> str:
        text = drawn.choice(_EXPRESSIONS).format(
            c=drawn.choice(_COLUMNS), d=drawn.choice(_COLUMNS), f=drawn.choice(_TABLES)
        )
        return (
            text if drawn.random() < 0.7 else drawn.choice(("upper", "Max", "LIST")) + f"({text})"
        )

    def table() -> str:
        if drawn.random() < 0.8:
            return drawn.choice(_TABLES)
        inner = "(select {} as name, * from {} t)"
        return inner.format(expression(), drawn.choice(_TABLES))

    for _ in range(number):
        text = drawn.choice(_SHAPES).format(
            e=expression(), g=expression(), f=table(), h=table(),
            n=drawn.choice(("members", "payroll", "x")), c=drawn.choice(_COLUMNS),
        )  # fmt: skip
        yield text.upper() if drawn.random() < 0.1 else text
