"""Semantic models: what they contain, that TMDL can be read, and that all of it fits together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lakehouse_assets.catalog.access import (
    NULL,
    Access,
    Grant,
    Role,
    RowFilter,
    access_of_roles,
)
from lakehouse_assets.catalog.pages import Page, Source
from lakehouse_assets.catalog.registry import (
    MONTH,
    Column,
    Measure,
    Reference,
    Registry,
    TableView,
    same_month,
)
from lakehouse_assets.domains import REGISTRY
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.powerbi import tmdl as written
from lakehouse_assets.powerbi.model import Model, model_of
from lakehouse_assets.powerbi.sources import KINDS, Kind, RowSource
from lakehouse_assets_tests.lake.samples import table
from lakehouse_assets_tests.powerbi import tmdl

ONELAKE = "abfss://ws@onelake.dfs.fabric.microsoft.com/lh.Lakehouse/Tables"
AS_OF = Column("as_of_month", "date", "Month.", False)


def source(kind: Kind) -> RowSource:
    return RowSource.of(kind, ONELAKE if kind == "onelake" else None, Path("/lake"))


def definition(model: Model, registry: Registry, kind: Kind = "local") -> tmdl.Object:
    """Return what a model's files say; everything in them must fit together."""
    found = tmdl.read(written.files_of(model, registry, source(kind)))
    check(found)
    return found


def check(model: tmdl.Object) -> None:
    """Check what Power BI would refuse: unknown or double names, and second paths."""
    tables = model.all("table")
    measures = [m.lower() for t in tables.values() for m in t.all("measure")]
    assert len({*measures}) == len(measures)
    columns = {(t, c) for t, found in tables.items() for c in found.all("column")}
    for name, found in tables.items():
        own = {c.lower() for c in found.all("column")}
        assert not own & {m.lower() for m in found.all("measure")}, name
        assert list(found.all("partition")) == [name]
        for column in found.all("column").values():
            other = column.properties.get("sortByColumn")
            assert other is None or (name, tmdl.plain(other)) in columns
        for hierarchy in found.all("hierarchy").values():
            assert hierarchy.name.lower() not in own
            for level in hierarchy.all("level").values():
                assert (name, tmdl.plain(level.properties["column"])) in columns
        for measure in found.all("measure").values():
            named = re.findall(r"('(?:[^']|'')*')\[((?:[^\]]|\]\])*)\]", measure.expression or "")
            for of, column in named:
                assert (tmdl.plain(of), column.replace("]]", "]")) in columns, measure.expression
    below: dict[str, list[str]] = {name: [] for name in tables}
    for relation in model.all("relationship").values():
        start, end = (tmdl.ends(relation.properties[p]) for p in ("fromColumn", "toColumn"))
        assert start in columns
        assert end in columns
        types = {tables[t].all("column")[c].properties["dataType"] for t, c in (start, end)}
        assert len(types) == 1, relation.properties
        if relation.properties.get("isActive") != "false":
            below[start[0]].append(end[0])
    for name in tables:
        reached: list[str] = []
        waiting = [name]
        while waiting:
            assert len(reached) <= len(tables), f"relations of {name} form a circle"
            reached += below[waiting[0]]
            waiting += below[waiting.pop(0)]
        assert len({*reached, name}) == len(reached) + 1, f"two paths from {name}: {reached}"
    for role in model.all("role").values():
        for permission in role.all("tablePermission").values():
            assert permission.name in tables
            for column in permission.all("columnPermission").values():
                assert (permission.name, column.name) in columns
                assert column.properties == {"metadataPermission": "none"}
            # Without rows, a table would hide those that refer to it.
            if permission.expression == "FALSE()":
                assert permission.name not in {name for found in below.values() for name in found}
    ids = list(tmdl.every_id(model))
    assert len({*ids}) == len(ids)
    (culture,) = model.all("cultureInfo").values()
    words = json.loads(culture.parts[0].expression or "")
    for entity in words["Entities"].values():
        bound = entity["Definition"]["Binding"]
        of, what = bound["ConceptualEntity"], bound.get("ConceptualProperty")
        assert of in tables
        known = {*tables[of].all("column"), *tables[of].all("measure")}
        assert what is None or what in known


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("domain", [*dict.fromkeys(t.domain for t in REGISTRY if t.measures)])
def test_a_model_of_the_lake_fits_together(domain: str, kind: Kind) -> None:
    model = model_of(REGISTRY, domain, computed=kind == "sql")
    found = definition(model, REGISTRY, kind)
    declared = {t for t in REGISTRY if t.domain == domain and t.layer in ("gold", "segments")}
    views = {v.table for v in REGISTRY.views if v.table.domain == domain}
    declared |= views if kind == "sql" else set()
    assert declared <= {t.table for t in model.tables}
    measures = {m.measure.name for t in model.tables for m in t.measures}
    assert measures == {m.name for t in declared for m in t.measures}
    assert len(model.left_out) == (0 if kind == "sql" else len(views))
    calendars = [t for t in found.all("table").values() if "dataCategory" in t.properties]
    dates = {r.to_table for r in model.relations if r.active and r.to_column == "date"}
    assert {t.name for t in calendars} == dates
    for calendar in calendars:
        columns = calendar.all("column")
        assert [c for c, d in columns.items() if "isKey" in d.properties] == ["date"]
        assert columns["month_name"].properties["sortByColumn"] == "month"
        levels = calendar.all("hierarchy")["Calendar"].all("level")
        assert list(levels) == ["Year", "Quarter", "Month name", "Date"]
    again = model_of(REGISTRY, domain, computed=kind == "sql")
    assert written.files_of(again, REGISTRY, source(kind)) == written.files_of(
        model, REGISTRY, source(kind)
    )


def page(*sources: Source) -> Page:
    return Page("p", "P", "shop", "What?", sources, ())


MONTHS = page(Source("people", history=True))


def shop(*, odd: str = "number [a]") -> Registry:
    """Return tables with names that need quotes, dates in two places, and a view."""
    days = table(
        "calendar of 'us'",
        Column("the day", "date", "Day.", False),
        Column("tage\u00e4", "string", 'A "word".'),
        keys=("the day",), layer="gold", kind="reference",
        hierarchies={"Tage 'n": ("tage\u00e4", "the day")},
    )  # fmt: skip
    people = table(
        "people", AS_OF, Column("person_key", "bigint", "Person.", False, "id"),
        Column("joined", "date", "Joined."), Column("email", "string", "E-mail.", pii="contact"),
        keys=("as_of_month", "person_key"), layer="gold", kind="dimension", partition=MONTH,
        references=(Reference(("joined",), "calendar of 'us'", ("the day",)),),
        measures=(Measure("persons", "count(*)", "count", "semi_additive", "Persons."),),
    )  # fmt: skip
    buys = table(
        "buys", AS_OF, Column("person_key", "bigint", "Person.", False, "id"),
        Column("bought", "date", "Day.", False), Column(odd, "bigint", "Pieces.\nOf all.", False),
        Column("seen", "timestamp", "When."), Column("tags", "array<string>", "Tags."),
        Column("amount", "decimal(38,2)", "Paid.", False, "US dollars", aliases=("paid",)),
        keys=("as_of_month",), layer="gold", kind="event", partition=MONTH, aliases=("sales",),
        references=(
            same_month(("person_key",), "people"),
            Reference(("bought",), "calendar of 'us'", ("the day",)),
            Reference((odd, "amount"), "calendar of 'us'", ("the day", "the day")),
        ),
        measures=(
            Measure("amount", "sum(amount)", "US dollars", "additive", "Paid."),
            Measure("persons", f'avg("{odd}")', "count", "additive", "Pieces."),
            Measure("least", "min(amount)", "US dollars", "non_additive", "Least paid."),
            Measure("odd", "string_agg(amount)", "count", "additive", "No DAX."),
        ),
    )  # fmt: skip
    seen = table("seen", Column("n", "int", "Number."), layer="gold", kind="view")
    return Registry((days, people, buys), [TableView(seen, lambda buys: buys, {"buys": buys})])


def test_odd_names_two_dates_and_untranslated_measures() -> None:
    registry = shop()
    model = model_of(registry, "shop", pages=(MONTHS,))
    found = definition(model, registry).all("table")
    # The fact's own date counts; that of the persons would make a second path.
    assert {(r.table, r.column, r.active) for r in model.relations} == {
        ("buys", "bought", True), ("buys", "person_key", True), ("people", "joined", False),
        ("people_history", "joined", True),
    }  # fmt: skip
    assert [text.partition(":")[0] for text in model.left_out] == [
        "table shop.seen", "relation of buys to shop.calendar of 'us'", "measure shop.buys.odd",
    ]  # fmt: skip
    assert "LISTAGG" in model.left_out[2]
    assert list(found["buys"].all("measure")) == ["Amount (buys)", "Persons (buys)", "Least"]
    assert found["buys"].all("measure")["Persons (buys)"].expression \
        == "AVERAGE('buys'[number [a]]])"  # fmt: skip
    assert list(found["people_history"].all("measure")) == ["Persons (people_history)"]
    assert "Latest" in (found["people"].all("partition")["people"].expression or "") \
        + (found["people"].all("partition")["people"].parts[0].expression or "")  # fmt: skip
    columns = found["buys"].all("column")
    assert columns["person_key"].properties["isHidden"] == "true"
    assert columns["amount"].properties | {"lineageTag": ""} == {
        "dataType": "decimal", "formatString": r"\$#,0.00;-\$#,0.00", "lineageTag": "",
        "summarizeBy": "sum", "sourceColumn": "amount",
    }  # fmt: skip
    assert columns["number [a]"].description == "Pieces.\nOf all."
    # A new first relation takes the place of the other.
    joined = Source("people", dimensions={"day": "calendar of 'us'.the day"})
    other = model_of(registry, "shop", pages=(page(joined),))
    assert {(r.table, r.column) for r in other.relations if not r.active} == {("buys", "bought")}
    assert "seen" in definition(model_of(registry, "shop", computed=True), registry, "sql").all(
        "table"
    )


def test_roles_see_the_rows_and_columns_that_they_may_read() -> None:
    registry = shop()
    roles = (
        Role("all", "Everything.", (Grant(("*",), shows=("contact",)),)),
        Role("seller", "It's sales.", (
            Grant(("buys",), rows=RowFilter("person_key", (7, 8))),
        )),
        Role("caller", "Calls.", (
            Grant(("people",), masks={"joined": NULL}),
        )),
    )  # fmt: skip
    access = access_of_roles(registry, [("shop", role) for role in roles])
    none = Access("none", "Of another domain.", {})
    model = model_of(registry, "shop", roles=(*access.values(), none), pages=(MONTHS,))
    assert {r.name: (dict(r.filters), dict(r.closed)) for r in model.roles} == {
        "all": ({}, {}),
        "seller": (
            {"buys": "'buys'[person_key] IN {7, 8}", "people_history": "FALSE()"},
            {name: registry[name].column_names for name in ("calendar of 'us'", "people")},
        ),
        "caller": (
            {"buys": "FALSE()"},
            {
                "calendar of 'us'": ("the day", "tage\u00e4"),
                "people": ("joined", "email"),
                "people_history": ("joined", "email"),
            },
        ),
    }
    found = definition(model, registry).all("role")
    assert [*found] == ["all", "seller", "caller"]
    assert found["seller"].description == "It's sales."


def test_the_id_of_a_thing_stays_when_others_come_and_go() -> None:
    def ids(registry: Registry) -> dict[str, str]:
        files = written.files_of(model_of(registry, "shop"), registry, source("local"))
        found = tmdl.read(files).all("table")["buys"]
        return {c: d.properties["lineageTag"] for c, d in found.all("column").items()}

    before, after = ids(shop()), ids(shop(odd="another"))
    assert before.keys() - after.keys() == {"number [a]"}
    assert all(after[name] == before[name] for name in before.keys() & after.keys())


def rows_of(model: tmdl.Object, name: str) -> str:
    """Return what a table's partition reads from, as one text."""
    (partition,) = model.all("table")[name].all("partition").values()
    (found,) = partition.parts
    return f"{partition.expression} {partition.properties['mode']} {found.properties} " \
        f"{found.expression}"  # fmt: skip


def test_each_source_reads_what_the_table_means() -> None:
    registry = shop()
    made = {
        kind: definition(model_of(registry, "shop", pages=(MONTHS,)), registry, kind)
        for kind in KINDS
    }
    local = rows_of(made["local"], "people")
    assert 'Delta("shop", "people")' in local
    assert "Table.SelectRows(Rows, each [as_of_month] = Latest)" in local
    assert "Latest" not in rows_of(made["local"], "people_history")
    assert '"LakeRoot"' not in local
    root = made["local"].all("expression")["LakeRoot"].expression or ""
    assert root.startswith('"/lake" meta [IsParameterQuery=true, Type="Text"')
    times = rows_of(made["local"], "buys")
    assert '{"seen", Utc}' in times
    assert '{"seen", type datetime}' in times
    assert '{"bought", type date}' in times
    assert "Text.Combine" in times
    assert '[Schema = "shop", Item = "people"]' in rows_of(made["sql"], "people")
    assert '[Schema = "shop", Item = "people_history"]' in rows_of(made["sql"], "people_history")
    # Direct Lake cannot choose the latest month, and has no lists and no long decimals.
    direct = {name for name in made["onelake"].all("table")
              if "directLake" in rows_of(made["onelake"], name)}  # fmt: skip
    assert direct == {"calendar of 'us'", "people_history"}
    assert "'schemaName': 'shop'" in rows_of(made["onelake"], "people_history")
    assert "https://onelake.dfs.fabric.microsoft.com/ws/lh.Lakehouse/Tables" in (
        made["onelake"].all("expression")["Delta"].expression or ""
    )


@pytest.mark.parametrize(
    ("kind", "at", "fault"),
    [
        ("onelake", None, "is not a lakehouse in OneLake"),
        ("onelake", "/elsewhere", "is not a lakehouse in OneLake"),
        ("onelake", ONELAKE.replace("Tables", "Files"), "is not the folder Tables"),
        ("sql", "localhost", "write --at <host>:<port>/<database>"),
    ],
)
def test_a_place_of_another_kind_is_refused(kind: Any, at: str | None, fault: str) -> None:
    with pytest.raises(LakehouseError, match=fault):
        RowSource.of(kind, at, Path("/lake"))


def test_a_lake_in_the_cloud_is_no_folder() -> None:
    from lakehouse_assets.storage.location import parse_location

    with pytest.raises(LakehouseError, match="choose --source onelake or sql"):
        RowSource.of("local", None, parse_location("abfss://lake@account.dfs.core.windows.net/x"))
