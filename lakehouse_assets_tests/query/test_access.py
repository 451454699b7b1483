"""What roles may grant, and the statements that they may run."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse_assets.catalog.access import (
    HASH,
    NULL,
    Grant,
    Mask,
    Role,
    RowFilter,
    access_of_roles,
    default_mask,
)
from lakehouse_assets.catalog.registry import Column, Pii, Registry, monthly_table
from lakehouse_assets.domains import ROLES
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.views import views
from lakehouse_assets.query.guard import guard

MEMBERS = monthly_table(
    "club", "members", "Members.",
    (
        Column("member", "bigint", "Key.", False, pii="identifier"),
        Column("mail", "string", "Address.", pii="contact"),
        Column("age", "int", "Age.", unit="years", pii="demographic"),
        Column("club_id", "int", "Club.", unit="code", aliases=("club",)),
    ),
    ("member",), "team:club", kind="event",
)  # fmt: skip
SECRETS = monthly_table(
    "club", "secrets", "Secrets.", (Column("word", "string", "Word.", False),), ("word",),
    "team:club", kind="event", aliases=("tokens",),
)  # fmt: skip
CLUB = Registry([MEMBERS, SECRETS])


def declared(*grants: Grant, name: str = "guest") -> dict[str, Any]:
    return dict(access_of_roles(CLUB, [("club", Role(name, "Guests.", grants))]))


@pytest.mark.parametrize(
    ("role", "message"),
    [
        (Role("Guest", "", ()), "needs another name"),
        (Role("owner", "", ()), "needs another name"),
        (Role("guest", "", (Grant(("member",)),)), "not a table; did you mean club.members"),
        (Role("guest", "", (Grant(("members",)), Grant(("m*",)))), "granted club.members twice"),
        (Role("guest", "", (Grant(("members",), masks={"mial": NULL}),)), "did you mean mail?"),
        (Role("guest", "", (Grant(("members",), masks={"age": HASH}),)), "mask hash for club"),
        (Role("guest", "", (Grant(("members",), rows=RowFilter("clubs", (1,))),)), "club_id?"),
        (Role("guest", "", (Grant(("members",), rows=RowFilter("member", (1,))),)), "is masked"),
        (Role("guest", "", (Grant(("members",), rows=RowFilter("club_id", ("1",))),)), "whole num"),
        (Role("guest", "", (Grant(("members",), rows=RowFilter("club_id", ())),)), "without value"),
    ],
)
def test_a_role_that_cannot_hold_is_refused_when_it_is_declared(role: Role, message: str) -> None:
    with pytest.raises(LakehouseError, match=r"guest|Guest|owner") as raised:
        access_of_roles(CLUB, [("club", role)])
    assert message in str(raised.value).replace("\n", " ")


def test_masks_follow_the_class_and_the_type() -> None:
    expected: dict[tuple[Pii | None, str, str | None], str | None] = {
        ("identifier", "bigint", None): "hash", ("identifier", "date", None): "null",
        ("contact", "string", None): "partial", ("demographic", "string", None): None,
        ("demographic", "int", "years"): "range", ("demographic", "double", "share"): "range",
        ("demographic", "int", "code"): "null", ("location", "string", None): None,
        (None, "string", None): None,
    }  # fmt: skip
    found = {
        given: default_mask(Column("x", given[1], "X.", unit=given[2], pii=given[0]))
        for given in expected
    }
    assert {given: mask and mask.kind for given, mask in found.items()} == expected
    with pytest.raises(LakehouseError, match="whole number"):
        Mask("range", size=0.3)


def test_no_role_but_a_steward_reads_identifiers_and_contacts_of_everybody() -> None:
    """New tables are granted by patterns, so this holds for them too."""
    shown = {
        f"{role.name} reads {table.full_name}.{column.name}"
        for role in ROLES.values()
        for table, access in role.tables.items()
        for column in table.columns
        if column.pii in ("identifier", "contact")
        and column.name not in access.masks
        and access.rows is None
        and role.name != "steward"
    }
    assert shown == set()
    assert {role.name for role in ROLES.values()} > {"analyst", "marketing", "steward"}
    assert all(not t.name.startswith(("bronze", "silver")) for t in ROLES["analyst"].tables)


GUEST = declared(Grant(("members",), rows=RowFilter("club_id", (7,))))["guest"]
KNOWN = {**views(CLUB), "mine.old": "select member from members", "mine.loop": "from mine.loop"}
REFUSED = {
    "": "is empty",
    "select 1; select 2": "Only one SELECT",
    "insert into members values (1)": "Only one SELECT",
    "explain select 1": "Only one SELECT",
    "show tables": "Only one SELECT",
    "selec 1": "syntax error",
    "from 'members.csv'": "No table is called members.csv",
    'from "club.members"': "No table is called",
    "from information_schema.tables": "No table is called",
    "from members at (version => 1)": "No table is called",
    "from memberz": "did you mean members",
    "from mine.loop": "reads itself",
    "from read_csv('x')": "function read_csv",
    "select getenv('HOME')": "function getenv",
    "select pg_catalog.version()": "function version",
    "select masked_digest(1)": "function masked_digest",
    "with recursive r as (from secrets union all from r) from r": "may not read secrets",
    "with x as (select 1) select * from x, secrets": "may not read secrets",
    "select * from (with secrets as (select 1) from secrets), secrets": "may not read secrets",
    "with a as (from secrets), secrets as (select 1) from a": "may not read secrets",
    # The sign of kelvin is a k in lower case, but not to DuckDB.
    'with "to\u212aens" as (select 1) from tokens': "may not read tokens",
    "select " + "+".join("1" * 4000): "nested too deeply",
    "from (" * 4000 + "select 1" + ")" * 4000: "nested too deeply",
    "select " + "+".join("1" * 900): "nested too deeply",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_a_statement_that_may_not_run_is_refused_with_a_sentence(statement: str) -> None:
    with pytest.raises(LakehouseError) as raised:
        guard(statement, GUEST, KNOWN)
    assert REFUSED[statement] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_table_of_a_role_becomes_what_it_may_read() -> None:
    text = """
        with secrets as (select age from members), members as (from secrets)
        select club.members.mail, (select max(member) from club.members c)
        from members, club.members
        union by name select club from (pivot mine.old on member in (1) using count(*)) p, members m
    """
    found = guard(text, GUEST, KNOWN)
    assert found.sql.count("club_id IN (7)") == 4
    assert found.sql.count("masked_digest(member)") == 4
    assert found.names == ("club.members", "members")
    narrow = guard("select count(*) from members where age > 30", GUEST, KNOWN)
    assert narrow.columns == {"age"}
    assert "mail" not in narrow.sql


def test_the_owner_runs_the_statement_as_it_is_written() -> None:
    text = "select  secrets.word /* as written */ from secrets -- all"
    assert guard(text, None, KNOWN).sql == text
    for statement in ("from read_csv('x')", "from 'x.parquet'", "drop table secrets"):
        with pytest.raises(LakehouseError):
            guard(statement, None, KNOWN)


def test_a_text_that_reads_something_else_than_was_checked_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Should the parser ever write a tree as a text that means something else."""
    for text in ("from secrets", "from (from members) m, secrets", "select getenv('HOME')"):
        monkeypatch.setattr("lakehouse_assets.query.guard._text", lambda tree, text=text: text)
        with pytest.raises(LakehouseError, match="too complex to check"):
            guard("select 1 from members", GUEST, KNOWN)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("select age from members where mail is null", {"age", "mail"}),
        ("select m.age from members m join members n using (member)", {"m", "age", "member"}),
        ("select count(*) from members", set()),
        ("from members", None),
        ("select columns('a.*') from members", None),
        ("select m from members m", None),
        ("select members from club.members", None),
        ("select club.members from club.members", None),
        ("select c from members m(a, b, c)", None),
        ("select m.age from members m natural join members n", None),
        ("select sum(age) from (pivot members on club_id in (7) using max(age))", None),
    ],
)
def test_only_columns_that_a_statement_may_need_are_read(
    text: str, columns: set[str] | None
) -> None:
    assert guard(text, GUEST, KNOWN).columns == columns
